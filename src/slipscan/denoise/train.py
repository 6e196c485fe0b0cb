"""Training of the network on streamed synthetic scenes, and its validation on held-out ones."""

from __future__ import annotations

import logging
import math
import time as clock
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import slipscan
from slipscan.denoise import background, pretrained
from slipscan.denoise.apply import Denoised, denoise
from slipscan.denoise.features import Features
from slipscan.denoise.network import IncrementNet, channels_last
from slipscan.denoise.pretrained import Weights
from slipscan.settings import TrainSettings
from slipscan.synthetic.scene import TrainingScene, draw_scene

log = logging.getLogger(__name__)

VALIDATION_SEED_OFFSET = 1_000_000
"""Validation scenes come from a seed of their own, never seen in training."""
INTERVALS_PER_SCENE = 8
EVENT_SHARE = 0.5
"""Share of the intervals that are drawn where something happens, if anything does."""
EPOCHS_RANGE = (0.6, 1.4)
"""Length of a scene over `train.epochs`: the network must not learn one length of series."""
LOG_EVERY = 50
COVERAGE = 0.68
MEAN_WARM_UP = 0.15
"""Share of the steps with a plain squared loss, before the standard deviation is learnt too."""
POWER_FLOOR = 0.02
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
    features = Features(
        closed.residual.reshape(scene.displacement.shape).astype(np.float32), closed.epoch_std, scene.height
    )
    moved = np.abs(np.diff(scene.events, axis=0)).max(axis=(1, 2))
    active = np.flatnonzero(moved > 0.02 * max(float(moved.max()), 1e-12)) if moved.max() > 0 else np.array([], int)
    n_active = min(round(EVENT_SHARE * count), len(active))
    chosen = [int(c) for c in generator.choice(active, n_active, replace=False)] if n_active else []
    chosen += [int(c) for c in generator.choice(len(features), count - len(chosen), replace=False)]
    increment = np.diff(scene.events, axis=0)[chosen]
    unit = features.unit[chosen]
    valid = unit > 0
    truth = np.where(valid, increment / np.where(valid, unit, 1.0), 0.0)
    return Batch(
        features.of(chosen),
        torch.from_numpy(truth.astype(np.float32)),
        torch.from_numpy(valid.astype(np.float32)),
    )


def stream(settings: TrainSettings) -> Iterator[Batch]:
    """Batches without end, deterministic per seed."""
    index = 0
    generator = np.random.default_rng([settings.seed, 1])
    while True:
        parts = []
        for _ in range(max(1, settings.batch // INTERVALS_PER_SCENE)):
            epochs = round(settings.epochs * generator.uniform(*EPOCHS_RANGE))
            scene = draw_scene(settings.seed, index, epochs=epochs, pixels=settings.pixels)
            parts.append(_augment(intervals_of(scene, INTERVALS_PER_SCENE, generator), generator))
            index += 1
        yield Batch(*(torch.cat([getattr(p, name) for p in parts]) for name in ("features", "truth", "valid")))


def _augment(batch: Batch, generator: np.random.Generator) -> Batch:
    """Random flips and transposition, of everything alike."""
    tensors = [batch.features, batch.truth, batch.valid]
    if generator.random() < 0.5:
        tensors = [t.flip(-1) for t in tensors]
    if generator.random() < 0.5:
        tensors = [t.flip(-2) for t in tensors]
    if generator.random() < 0.5:
        tensors = [t.transpose(-1, -2) for t in tensors]
    return Batch(*(t.contiguous() for t in tensors))


def loss_of(network: IncrementNet, batch: Batch, with_std: bool) -> torch.Tensor:
    """Relative squared error of the mean, and a robust Gaussian likelihood of its standard deviation.

    The squared error of an interval is weighted by one over the power of its truth, so that a large event
    does not outweigh a hundred small ones. The likelihood sees the error as given (no gradient to the mean)
    and grows linearly beyond LINEAR_FROM standard deviations, or a single bad pixel could wreck a step.
    """
    rows, columns = batch.truth.shape[-2:]
    prediction = network(batch.features.to(memory_format=torch.channels_last))
    mean, log_std = prediction.mean[..., :rows, :columns], prediction.log_std[..., :rows, :columns]
    error = mean - batch.truth
    power = (batch.truth**2).mean(dim=(-1, -2), keepdim=True)
    weight = batch.valid / (POWER_FLOOR + power)
    loss = (weight * error**2).sum() / batch.valid.sum().clamp(min=1)
    if with_std:
        size = error.detach().abs() * torch.exp(-log_std)
        misfit = torch.where(size < LINEAR_FROM, 0.5 * size**2, LINEAR_FROM * (size - 0.5 * LINEAR_FROM))
        loss = loss + STD_WEIGHT * (batch.valid * (log_std + misfit)).sum() / batch.valid.sum().clamp(min=1)
    return loss


def train(settings: TrainSettings, out: Path) -> dict[str, Any]:
    """Train, validate, calibrate sigma and write the weights and their card to `out` (.safetensors)."""
    torch.manual_seed(settings.seed)
    network = channels_last(IncrementNet(settings.width))
    optimiser = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=1e-4)
    averaged = torch.optim.swa_utils.AveragedModel(
        network,
        multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.995),  # type: ignore[no-untyped-call]
    )
    start, running, step = clock.monotonic(), float("nan"), 0
    for step, batch in enumerate(stream(settings), 1):
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
            log.info("step %d: loss %.4f (%.0f s)", step, running, clock.monotonic() - start)
        if share >= 1:
            break
    network.load_state_dict(averaged.module.state_dict())
    network.eval()
    scenes = step * max(1, settings.batch // INTERVALS_PER_SCENE)
    skill = validate(network, settings)
    card = {
        "name": settings.name,
        "slipscan_version": slipscan.__version__,
        "training": settings.model_dump(),
        "steps": step,
        "scenes": scenes,
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


def validate(network: IncrementNet, settings: TrainSettings) -> dict[str, Any]:
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
    """One scene's total change: RMS where there is no event, else NRMSE and slope against the truth."""
    change = parts.transient[-1] - parts.transient[0]
    truth = scene.events[-1] - scene.events[0]
    ok = np.isfinite(change)
    if np.abs(truth).max() < 1e-6:
        scores["null"].append(float(np.sqrt((change[ok] ** 2).mean())))
    else:
        power = float((truth[ok] ** 2).sum())
        scores["nrmse"].append(float(np.sqrt(((change - truth)[ok] ** 2).sum() / power)))
        scores["slope"].append(float((change * truth)[ok].sum() / power))
