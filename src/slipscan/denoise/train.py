"""Training of the network on streamed synthetic scenes, and its validation on held-out ones."""

from __future__ import annotations

import itertools
import logging
import math
import time as clock
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, IterableDataset

import slipscan
from slipscan.denoise import background, pretrained
from slipscan.denoise.apply import Denoised, denoise
from slipscan.denoise.features import Features
from slipscan.denoise.network import CHANNELS, CONTRAST_EPOCHS, ContrastNet, channels_last
from slipscan.denoise.pretrained import Weights
from slipscan.settings import TrainSettings
from slipscan.synthetic.scene import TrainingScene, draw_scene

log = logging.getLogger(__name__)

VALIDATION_SEED_OFFSET = 1_000_000
"""Validation scenes come from a seed of their own, never seen in training."""
INTERVALS_PER_SCENE = 8
BUFFER_SCENES, MIN_BUFFER_SCENES = 192, 48
EVENT_SHARE = 0.5
"""Share of the intervals that are drawn where something happens, if anything does."""
EPOCHS_RANGE = (0.6, 1.4)
"""Length of a scene over `train.epochs`: the network must not learn one length of series."""
ACTIVE_SHARE = 0.2
"""Of the largest contrast of a scene: intervals above it count as those where something happens."""
LOG_EVERY = 50
COVERAGE = 0.68
MEAN_WARM_UP = 0.15
"""Share of the steps with a plain squared loss, before the standard deviation is learnt too."""
POWER_FLOOR = 0.05
"""Mean square of an interval's truth, in units of the noise, below which errors count as on a quiet one."""
LINEAR_FROM = 3.0
STD_WEIGHT = 0.1


@dataclass(frozen=True)
class Batch:
    """Features and truth of some intervals; truth and validity (interval, y, x), in units of the noise."""

    features: torch.Tensor
    truth: torch.Tensor
    valid: torch.Tensor


def scene_time(scene: TrainingScene) -> NDArray[np.datetime64]:
    """The epochs of a scene as datetime64[ns]."""
    return np.datetime64("2016-01-01", "ns") + (scene.days * 86400e9).astype("timedelta64[ns]")


def intervals_of(scene: TrainingScene, count: int, generator: np.random.Generator) -> Batch:
    """Some intervals of a scene, half of them where an event moves the ground."""
    shape = (scene.displacement.shape[1], scene.displacement.shape[2])
    series = scene.displacement.reshape(len(scene.displacement), -1).astype(float)
    closed = background.estimate(series, scene_time(scene), scene.height, shape)
    features = Features(closed, scene_time(scene), scene.height, shape)
    step = background.contrast(scene.events, CONTRAST_EPOCHS)
    moved = np.abs(step).max(axis=(1, 2))
    active = np.flatnonzero(moved > ACTIVE_SHARE * moved.max()) if moved.max() > 0 else np.array([], int)
    n_active = min(round(EVENT_SHARE * count), len(active))
    chosen = [int(c) for c in generator.choice(active, n_active, replace=False)] if n_active else []
    chosen += [int(c) for c in generator.choice(len(features), count - len(chosen), replace=False)]
    unit = features.unit[chosen]
    valid = unit > 0
    truth = np.where(valid, step[chosen] / np.where(valid, unit, 1.0), 0.0)
    return Batch(
        features.of(chosen),
        torch.from_numpy(truth.astype(np.float32)),
        torch.from_numpy(valid.astype(np.float32)),
    )


class SceneStream(IterableDataset[Batch]):
    """Intervals of one new scene after the other, without end, deterministic per seed."""

    def __init__(self, settings: TrainSettings) -> None:
        self.settings = settings

    def __iter__(self) -> Iterator[Batch]:
        torch.set_num_threads(1)
        generator = np.random.default_rng([self.settings.seed, 1])
        for index in itertools.count():
            epochs = round(self.settings.epochs * generator.uniform(*EPOCHS_RANGE))
            scene = draw_scene(self.settings.seed, index, epochs=epochs, pixels=self.settings.pixels)
            yield intervals_of(scene, INTERVALS_PER_SCENE, generator)


def batches(settings: TrainSettings) -> Iterator[Batch]:
    """Batches of intervals of many scenes: one new scene a step goes into a buffer that batches are drawn from.

    The scenes are made by a process of their own, beside the training.
    """
    loader = DataLoader(SceneStream(settings), batch_size=None, num_workers=1, prefetch_factor=16)
    buffer: deque[Batch] = deque(maxlen=BUFFER_SCENES)
    generator = np.random.default_rng([settings.seed, 2])
    for scene in loader:
        buffer.append(scene)
        if len(buffer) < min(BUFFER_SCENES, MIN_BUFFER_SCENES):
            continue
        chosen = [buffer[generator.integers(len(buffer))] for _ in range(settings.batch)]
        rows = [int(generator.integers(len(part.truth))) for part in chosen]
        tensors = [
            torch.stack([tensor[row] for tensor, row in zip(column, rows, strict=True)])
            for column in zip(*((part.features, part.truth, part.valid) for part in chosen), strict=True)
        ]
        yield _augment(Batch(*tensors), generator)


def _augment(batch: Batch, generator: np.random.Generator) -> Batch:
    """Random flips, transposition and sign, of everything alike."""
    features, truth, valid = batch.features, batch.truth, batch.valid
    if generator.random() < 0.5:
        features = features.clone()
        features[:, : CHANNELS - 2] *= -1
        truth = -truth
    tensors = [features, truth, valid]
    if generator.random() < 0.5:
        tensors = [t.flip(-1) for t in tensors]
    if generator.random() < 0.5:
        tensors = [t.flip(-2) for t in tensors]
    if generator.random() < 0.5:
        tensors = [t.transpose(-1, -2) for t in tensors]
    return Batch(*(t.contiguous() for t in tensors))


def loss_of(network: ContrastNet, batch: Batch, with_std: bool) -> torch.Tensor:
    """Relative squared error of the mean, and a robust Gaussian likelihood of its standard deviation.

    The squared error of an interval is weighted by one over the amplitude of its truth: with equal weights a
    few large events are all that counts, and with one over the power the best answer to small ones is zero.
    The likelihood sees the error as given (no gradient to the mean) and grows linearly beyond LINEAR_FROM
    standard deviations, or a single bad pixel could wreck a step.
    """
    rows, columns = batch.truth.shape[-2:]
    prediction = network(batch.features.to(memory_format=torch.channels_last))
    mean, log_std = prediction.mean[..., :rows, :columns], prediction.log_std[..., :rows, :columns]
    error = mean - batch.truth
    power = (batch.truth**2).mean(dim=(-1, -2), keepdim=True)
    weight = batch.valid / (POWER_FLOOR + power).sqrt()
    loss = (weight * error**2).sum() / batch.valid.sum().clamp(min=1)
    if with_std:
        size = error.detach().abs() * torch.exp(-log_std)
        misfit = torch.where(size < LINEAR_FROM, 0.5 * size**2, LINEAR_FROM * (size - 0.5 * LINEAR_FROM))
        loss = loss + STD_WEIGHT * (batch.valid * (log_std + misfit)).sum() / batch.valid.sum().clamp(min=1)
    return loss


def explained(network: ContrastNet, batch: Batch) -> str:
    """Share of a batch's power that the mean explains, for the log: 0 is a network of zeros."""
    rows, columns = batch.truth.shape[-2:]
    with torch.inference_mode():
        mean = network(batch.features.to(memory_format=torch.channels_last)).mean[..., :rows, :columns]
    error, power = (((batch.valid * part) ** 2).sum().item() for part in (mean - batch.truth, batch.truth))
    return f"power explained {1 - error / power:.2f}" if power > 0 else "no event"


def train(settings: TrainSettings, out: Path) -> dict[str, Any]:
    """Train, validate, calibrate sigma and write the weights and their card to `out` (.safetensors)."""
    torch.manual_seed(settings.seed)
    network = channels_last(ContrastNet(settings.width))
    optimiser = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, betas=(0.9, 0.99), weight_decay=1e-4)
    averaged = torch.optim.swa_utils.AveragedModel(
        network,
        multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.995),  # type: ignore[no-untyped-call]
    )
    start, running, step = clock.monotonic(), float("nan"), 0
    for step, batch in enumerate(batches(settings), 1):
        # Wall time drives the schedule where it is the tighter limit, so that a slice always anneals.
        share = max(step / settings.steps, (clock.monotonic() - start) / (60 * settings.max_minutes))
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * min(step / 100, 0.5 * (1 + math.cos(math.pi * min(share, 1))) + 0.01)
        loss = loss_of(network, batch, with_std=share > MEAN_WARM_UP)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        averaged.update_parameters(network)
        running = loss.item() if math.isnan(running) else 0.98 * running + 0.02 * loss.item()
        if step % LOG_EVERY == 0:
            log.info(
                "step %d: loss %.4f, %s (%.0f s)", step, running, explained(network, batch), clock.monotonic() - start
            )
        if share >= 1:
            break
    network.load_state_dict(averaged.module.state_dict())
    network.eval()
    skill = validate(network, settings)
    card = {
        "name": settings.name,
        "slipscan_version": slipscan.__version__,
        "training": settings.model_dump(),
        "steps": step,
        "scenes": step + min(BUFFER_SCENES, MIN_BUFFER_SCENES) - 1,
        "minutes": round((clock.monotonic() - start) / 60, 1),
        **skill,
    }
    pretrained.save(network, out, card)
    return card


def validation_scenes(settings: TrainSettings) -> Iterator[tuple[TrainingScene, int]]:
    """Held-out scenes with their number."""
    seed = settings.seed + VALIDATION_SEED_OFFSET
    for index in range(settings.validation_scenes):
        yield draw_scene(seed, index, epochs=settings.epochs, pixels=settings.pixels), index


def _about_mean(field: NDArray[np.floating]) -> NDArray[np.floating]:
    """A field relative to its temporal mean: what does not depend on the reference epoch."""
    return np.asarray(field - field.mean(axis=0, keepdims=True))


def validate(network: ContrastNet, settings: TrainSettings) -> dict[str, Any]:
    """Skill on held-out scenes, beside the classical method, and the factor that makes sigma cover 68 %.

    Returns
    -------
    card
        std_factor, and per method: RMS of the transient with no event, NRMSE over events and amplitude slope
    """
    raw = Weights(network, "raw", 1.0)
    methods: dict[str, Weights | None] = {"network": raw, "classical": None}
    errors: list[NDArray[np.floating]] = []
    spreads: list[NDArray[np.floating]] = []
    scores: dict[str, dict[str, list[float]]] = {m: {"null": [], "nrmse": [], "slope": []} for m in methods}
    for scene, _ in validation_scenes(settings):
        for method, weights in methods.items():
            parts = denoise(scene.displacement, scene_time(scene), scene.height, None, weights)
            _score(scene, parts, scores[method])
            if method == "network":
                truth = _about_mean(scene.background + scene.events)
                error = np.abs(_about_mean(parts.denoised) - truth)
                ok = np.isfinite(error)
                errors.append(error[ok][::7])
                spreads.append(parts.denoised_std[ok][::7])
    ratio = np.concatenate(errors) / np.concatenate(spreads)
    card: dict[str, Any] = {"std_factor": round(float(np.quantile(ratio, COVERAGE)), 3)}
    for method, values in scores.items():
        card[f"validation_{method}"] = {
            "null_rms_mm": round(1e3 * float(np.mean(values["null"])), 3),
            "nrmse_events": round(float(np.median(values["nrmse"])), 3),
            "amplitude_slope": round(float(np.median(values["slope"])), 3),
        }
    return card


def _score(scene: TrainingScene, parts: Denoised, scores: dict[str, list[float]]) -> None:
    """One scene: RMS of the transient where there is no event, else NRMSE and slope of the strongest contrast."""
    truth = background.contrast(scene.events, CONTRAST_EPOCHS)
    index = int(np.abs(truth).max(axis=(1, 2)).argmax())
    found = background.contrast(parts.transient, CONTRAST_EPOCHS)[index]
    ok = np.isfinite(found)
    if np.abs(truth).max() < 1e-6:
        scores["null"].append(float(np.sqrt((found[ok] ** 2).mean())))
        return
    power = float((truth[index][ok] ** 2).sum())
    scores["nrmse"].append(float(np.sqrt(((found - truth[index])[ok] ** 2).sum() / power)))
    scores["slope"].append(float((found * truth[index])[ok].sum() / power))
