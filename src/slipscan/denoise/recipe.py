"""The recipe that every network here is trained by: scenes, buffer, augmentation, loss, optimiser, schedule.

A `Task` says what differs from one network to the other; all the rest is here, so that two networks that
were trained with equal settings have had an equal budget.
"""

from __future__ import annotations

import itertools
import logging
import math
import time as clock
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from slipscan.errors import SlipscanError
from slipscan.settings import TrainSettings
from slipscan.store import written_beside
from slipscan.synthetic.scene import TrainingScene, draw_scene

log = logging.getLogger(__name__)

EXAMPLES_PER_SCENE = 8
BUFFER_SCENES, MIN_BUFFER_SCENES = 192, 48
EVENT_SHARE = 0.5
"""Share of the examples that are drawn where something happens, if anything does."""
EPOCHS_RANGE = (0.6, 1.4)
"""Length of a scene over `train.epochs`: the network must not learn one length of series."""
ACTIVE_SHARE = 0.2
"""Of the largest displacement of a scene: examples above it count as those where something happens."""
LOG_EVERY, SAVE_EVERY = 50, 250
MEAN_WARM_UP = 0.15
"""Share of the steps with a plain squared loss, before the standard deviation is learnt too."""
LINEAR_FROM = 3.0
STD_WEIGHT = 0.1


@dataclass(frozen=True)
class Batch:
    """Features (example, channel, y, x), truth and validity (example, y, x); truth in units of the noise."""

    features: torch.Tensor
    truth: torch.Tensor
    valid: torch.Tensor


@dataclass(frozen=True)
class Task:
    """What one network learns.

    Attributes
    ----------
    network
        to be trained
    signed
        the first so many channels of the features change sign with the data
    examples
        (scene, count, generator) to a batch of that many examples of a scene
    predict
        (network, features) to mean and log standard deviation (None: not predicted), (example, y, x) or larger
    power_floor
        mean square of an example's truth, in units of the noise, below which errors count as on a quiet one
    """

    network: nn.Module
    signed: int
    examples: Callable[[TrainingScene, int, np.random.Generator], Batch]
    predict: Callable[[nn.Module, torch.Tensor], tuple[torch.Tensor, torch.Tensor | None]]
    power_floor: float = 0.05


@dataclass
class Progress:
    """How far a training has come: optimiser steps, scenes drawn, seconds of wall time, running loss."""

    step: int = 0
    scenes: int = 0
    seconds: float = 0.0
    loss: float = field(default=float("nan"))


def choose(moved: np.ndarray[Any, Any], count: int, generator: np.random.Generator) -> list[int]:
    """Numbers of the examples to learn from: half of them where something happens.

    Parameters
    ----------
    moved
        (example,) largest displacement in each example of a scene, m
    count
        how many to choose
    """
    active = np.flatnonzero(moved > ACTIVE_SHARE * moved.max()) if moved.max() > 0 else np.array([], int)
    n_active = min(round(EVENT_SHARE * count), len(active))
    chosen = [int(c) for c in generator.choice(active, n_active, replace=False)] if n_active else []
    rest = count - len(chosen)
    return chosen + [int(c) for c in generator.choice(len(moved), rest, replace=rest > len(moved))]


class SceneStream(IterableDataset[Batch]):
    """Examples of one new scene after the other, without end, deterministic per seed.

    Parameters
    ----------
    task, settings
        what is learnt, and from which scenes
    first
        number of the first scene: where a training goes on
    """

    def __init__(self, task: Task, settings: TrainSettings, first: int = 0) -> None:
        self.examples = task.examples
        self.settings = settings
        self.first = first

    def __iter__(self) -> Iterator[Batch]:
        torch.set_num_threads(1)
        for index in itertools.count(self.first):
            generator = np.random.default_rng([self.settings.seed, 1, index])
            epochs = round(self.settings.epochs * generator.uniform(*EPOCHS_RANGE))
            scene = draw_scene(self.settings.seed, index, epochs=epochs, pixels=self.settings.pixels)
            yield self.examples(scene, EXAMPLES_PER_SCENE, generator)


def batches(task: Task, settings: TrainSettings, first: int = 0) -> Iterator[tuple[int, Batch]]:
    """Number of scenes drawn so far, and a batch of examples of many of them.

    One new scene a step goes into a buffer that batches are drawn from. The scenes are made by a process of
    their own, beside the training.
    """
    loader = DataLoader(SceneStream(task, settings, first), batch_size=None, num_workers=1, prefetch_factor=16)
    buffer: deque[Batch] = deque(maxlen=BUFFER_SCENES)
    generator = np.random.default_rng([settings.seed, 2, first])
    for drawn, scene in enumerate(loader, first + 1):
        buffer.append(scene)
        if len(buffer) < MIN_BUFFER_SCENES:
            continue
        chosen = [buffer[generator.integers(len(buffer))] for _ in range(settings.batch)]
        rows = [int(generator.integers(len(part.truth))) for part in chosen]
        tensors = [
            torch.stack([tensor[row] for tensor, row in zip(column, rows, strict=True)])
            for column in zip(*((part.features, part.truth, part.valid) for part in chosen), strict=True)
        ]
        yield drawn, augment(Batch(*tensors), task.signed, generator)


def augment(batch: Batch, signed: int, generator: np.random.Generator) -> Batch:
    """Random flips, transposition and sign, of everything alike."""
    features, truth, valid = batch.features, batch.truth, batch.valid
    if generator.random() < 0.5:
        features = features.clone()
        features[:, :signed] *= -1
        truth = -truth
    tensors = [features, truth, valid]
    if generator.random() < 0.5:
        tensors = [t.flip(-1) for t in tensors]
    if generator.random() < 0.5:
        tensors = [t.flip(-2) for t in tensors]
    if generator.random() < 0.5:
        tensors = [t.transpose(-1, -2) for t in tensors]
    return Batch(*(t.contiguous() for t in tensors))


def loss_of(task: Task, batch: Batch, with_std: bool) -> torch.Tensor:
    """Relative squared error of the mean, and a robust Gaussian likelihood of its standard deviation.

    The squared error of an example is weighted by one over the amplitude of its truth: with equal weights a
    few large events are all that counts, and with one over the power the best answer to small ones is zero.
    The likelihood sees the error as given (no gradient to the mean) and grows linearly beyond LINEAR_FROM
    standard deviations, or a single bad pixel could wreck a step.
    """
    rows, columns = batch.truth.shape[-2:]
    mean, log_std = task.predict(task.network, batch.features)
    error = mean[..., :rows, :columns] - batch.truth
    power = (batch.truth**2).mean(dim=(-1, -2), keepdim=True)
    weight = batch.valid / (task.power_floor + power).sqrt()
    loss = (weight * error**2).sum() / batch.valid.sum().clamp(min=1)
    if with_std and log_std is not None:
        log_std = log_std[..., :rows, :columns]
        size = error.detach().abs() * torch.exp(-log_std)
        misfit = torch.where(size < LINEAR_FROM, 0.5 * size**2, LINEAR_FROM * (size - 0.5 * LINEAR_FROM))
        loss = loss + STD_WEIGHT * (batch.valid * (log_std + misfit)).sum() / batch.valid.sum().clamp(min=1)
    return loss


def explained(task: Task, batch: Batch) -> str:
    """Share of a batch's power that the mean explains, for the log: 0 is a network of zeros."""
    rows, columns = batch.truth.shape[-2:]
    with torch.inference_mode():
        mean = task.predict(task.network, batch.features)[0][..., :rows, :columns]
    error, power = (((batch.valid * part) ** 2).sum().item() for part in (mean - batch.truth, batch.truth))
    return f"power explained {1 - error / power:.2f}" if power > 0 else "no event"


class Trainer:
    """A network in training: AdamW, a cosine schedule, a running average of the weights, a checkpoint.

    Parameters
    ----------
    task, settings
        what is learnt, for how long
    checkpoint
        written every SAVE_EVERY steps, removed at the end; a training that finds one goes on from there

    Raises
    ------
    SlipscanError
        the checkpoint belongs to other settings
    """

    def __init__(self, task: Task, settings: TrainSettings, checkpoint: Path) -> None:
        self.task, self.settings, self.checkpoint = task, settings, checkpoint
        self.optimiser = torch.optim.AdamW(
            task.network.parameters(), lr=settings.learning_rate, betas=(0.9, 0.99), weight_decay=1e-4
        )
        self.averaged = torch.optim.swa_utils.AveragedModel(
            task.network,
            multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.995),  # type: ignore[no-untyped-call]
        )
        self.progress = Progress()
        if checkpoint.exists():
            self._resume()

    def run(self) -> Progress:
        """Train to the end of the schedule and leave the averaged weights in the network."""
        progress, settings = self.progress, self.settings
        start = clock.monotonic() - progress.seconds
        for scenes, batch in batches(self.task, settings, progress.scenes):
            progress.step, progress.scenes = progress.step + 1, scenes
            progress.seconds = clock.monotonic() - start
            # Wall time drives the schedule where it is the tighter limit, so that a slice always anneals.
            share = max(progress.step / settings.steps, progress.seconds / (60 * settings.max_minutes))
            loss = self._step(batch, share)
            progress.loss = loss if math.isnan(progress.loss) else 0.98 * progress.loss + 0.02 * loss
            if progress.step % LOG_EVERY == 0:
                log.info(
                    "step %d: loss %.4f, %s (%.0f s)",
                    progress.step, progress.loss, explained(self.task, batch), progress.seconds,
                )  # fmt: skip
            if share >= 1:
                break
            if progress.step % SAVE_EVERY == 0:
                self._save()
        self.task.network.load_state_dict(self.averaged.module.state_dict())
        self.task.network.eval()
        return progress

    def _step(self, batch: Batch, share: float) -> float:
        """One optimiser step at a share (0 to 1) of the schedule; the loss before it."""
        cosine = 0.5 * (1 + math.cos(math.pi * min(share, 1))) + 0.01
        for group in self.optimiser.param_groups:
            group["lr"] = self.settings.learning_rate * min(self.progress.step / 100, cosine)
        loss = loss_of(self.task, batch, with_std=share > MEAN_WARM_UP)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.task.network.parameters(), 1.0)
        self.optimiser.step()
        self.averaged.update_parameters(self.task.network)
        return loss.item()

    def _save(self) -> None:
        state = {
            "settings": self.settings.model_dump(),
            "progress": vars(self.progress),
            "network": self.task.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        with written_beside(self.checkpoint) as beside:
            torch.save(state, beside)

    def _resume(self) -> None:
        state = torch.load(self.checkpoint, weights_only=True)
        if state["settings"] != self.settings.model_dump():
            raise SlipscanError(
                f"the checkpoint {self.checkpoint} was made with other settings: remove it to train anew"
            )
        self.task.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.progress = Progress(**state["progress"])
        log.info("goes on from step %d of %s", self.progress.step, self.checkpoint)
