"""Examples for a network that sees a few epochs at a time: many of every scene, through a buffer, and their loss."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from slipscan.denoise.training.trainer import Task
from slipscan.settings import TrainSettings
from slipscan.synthetic.scene import TrainingScene, draw_scene

EXAMPLES_PER_SCENE = 8
BUFFER_SCENES, MIN_BUFFER_SCENES = 192, 48
EVENT_SHARE = 0.5
"""Share of the examples that are drawn where something happens, if anything does."""
EPOCHS_RANGE = (0.6, 1.4)
"""Length of a scene over `train.epochs`: the network must not learn one length of series."""
ACTIVE_SHARE = 0.2
"""Of the largest displacement of a scene: examples above it count as those where something happens."""


@dataclass(frozen=True)
class Batch:
    """Features (example, channel, y, x), truth and validity (example, y, x); truth in units of the noise."""

    features: torch.Tensor
    truth: torch.Tensor
    valid: torch.Tensor


Examples = Callable[[TrainingScene, int, np.random.Generator], Batch]


def interval_task(network: nn.Module, signed: int, examples: Examples, power_floor: float) -> Task:
    """A task of examples that are a few epochs each.

    Parameters
    ----------
    network
        features to a map, each (example, channel or nothing, y, x)
    signed
        the first so many channels of the features change sign with the data
    examples
        (scene, count, generator) to a batch of that many examples of a scene
    power_floor
        mean square of an example's truth, in units of the noise, below which errors count as on a quiet one
    """

    def stream(settings: TrainSettings, first: int) -> Iterator[tuple[int, Batch]]:
        return batches(examples, signed, settings, first)

    def loss(network: nn.Module, batch: Batch) -> tuple[torch.Tensor, float]:
        return loss_of(network, batch, power_floor)

    return Task(network, stream, loss)


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
    examples, settings
        what is learnt, and from which scenes
    first
        number of the first scene: where a training goes on
    """

    def __init__(self, examples: Examples, settings: TrainSettings, first: int = 0) -> None:
        self.examples = examples
        self.settings = settings
        self.first = first

    def __iter__(self) -> Iterator[Batch]:
        torch.set_num_threads(1)
        for index in itertools.count(self.first):
            generator = np.random.default_rng([self.settings.seed, 1, index])
            epochs = round(self.settings.epochs * generator.uniform(*EPOCHS_RANGE))
            scene = draw_scene(self.settings.seed, index, epochs=epochs, pixels=self.settings.pixels)
            yield self.examples(scene, EXAMPLES_PER_SCENE, generator)


def batches(examples: Examples, signed: int, settings: TrainSettings, first: int = 0) -> Iterator[tuple[int, Batch]]:
    """Number of scenes drawn so far, and a batch of examples of many of them.

    One new scene a step goes into a buffer that batches are drawn from. The scenes are made by a process of
    their own, beside the training.
    """
    loader = DataLoader(SceneStream(examples, settings, first), batch_size=None, num_workers=1, prefetch_factor=16)
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
        yield drawn, augment(Batch(*tensors), signed, generator)


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


def loss_of(network: nn.Module, batch: Batch, power_floor: float) -> tuple[torch.Tensor, float]:
    """Relative squared error, and the share of the batch's power that is explained (0 is a network of zeros).

    The squared error of an example is weighted by one over the amplitude of its truth: with equal weights a
    few large events are all that counts, and with one over the power the best answer to small ones is zero.
    """
    rows, columns = batch.truth.shape[-2:]
    # Half the time of single precision; weights, loss and optimiser stay in single precision.
    with torch.autocast("cpu", torch.bfloat16):
        mean = network(batch.features).float()[..., :rows, :columns]
    squared = batch.valid * (mean - batch.truth) ** 2
    power = (batch.truth**2).mean(dim=(-1, -2), keepdim=True)
    loss = (squared / (power_floor + power).sqrt()).sum() / batch.valid.sum().clamp(min=1)
    whole = float((batch.valid * batch.truth**2).sum())
    return loss, 1 - float(squared.detach().sum()) / whole if whole > 0 else 0.0
