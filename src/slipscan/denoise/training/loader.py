"""Examples without end, made by processes of their own while the network trains."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from slipscan.denoise.training import parallel
from slipscan.denoise.training.scenes import PIXELS_M, LabelledScene, draw_labelled
from slipscan.noise.simulate import NoiseModel
from slipscan.settings import TrainSettings
from slipscan.synthetic.backdrop import Frame
from slipscan.synthetic.pool import SCENES_PER_BLOCK, scene_sources

QUIET_SKIPPED: Final = 0.5
"""Of the scenes without a source: those that are passed over, since most teach nothing after a while."""

Make = Callable[[TrainSettings, int, NoiseModel | None], Any]
"""Makes the example of a number, in noise of a region or any, in a process of its own; None: it is passed over."""

OfScene = Callable[[LabelledScene, np.random.Generator], Any]
"""Makes an example of a labelled scene."""
EXAMPLE_STREAM: Final = 5
"""Of random numbers; those of scenes are below it."""


class ExampleStream(IterableDataset[tuple[int, Any]]):
    """One example of every number, and the next number, without end.

    The same for equal settings and numbers of processes and workers, each of which takes blocks of scenes of its own.

    Parameters
    ----------
    settings
        which scenes
    make
        an example of a number
    first
        number of the first scene: where a training goes on (with several workers, from the next whole block on)
    noise
        of the region that the network is made for; None: of any
    """

    def __init__(self, settings: TrainSettings, make: Make, first: int = 0, noise: NoiseModel | None = None) -> None:
        self.settings = settings
        self.make = make
        self.first = first
        self.noise = noise
        self._process, self._processes = parallel.rank(), parallel.processes()

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        torch.set_num_threads(1)
        worker = get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        for index in scene_numbers(self.first, self._process * workers + number, self._processes * workers):
            example = self.make(self.settings, index, self.noise)
            if example is not None:
                yield index + 1, example


def scene_numbers(first: int, part: int, parts: int) -> Iterator[int]:
    """Numbers of the scenes of one of several workers, without end; no two have one in common."""
    if parts == 1:
        yield from itertools.count(first)
    for block in itertools.count(-(-first // SCENES_PER_BLOCK)):
        if block % parts == part:
            yield from range(block * SCENES_PER_BLOCK, (block + 1) * SCENES_PER_BLOCK)


def passed_over(settings: TrainSettings, index: int) -> bool:
    """Whether a scene has no source and is one of those that are left out."""
    frame = Frame.square(settings.pixels, PIXELS_M[0])
    skipped = float(np.random.default_rng([settings.seed, 2, index]).random()) < QUIET_SKIPPED
    return skipped and not scene_sources(settings.seed, index, frame)


def scene_example(settings: TrainSettings, index: int, noise: NoiseModel | None, *, of: OfScene) -> Any | None:
    """What is kept `of` the labelled scene of a number; None of one that is passed over."""
    if passed_over(settings, index):
        return None
    return of(draw_labelled(settings, index, noise), np.random.default_rng([settings.seed, EXAMPLE_STREAM, index]))


def batches(
    settings: TrainSettings, first: int = 0, *, make: Make, noise: NoiseModel | None = None
) -> Iterator[tuple[int, list[Any]]]:
    """Number of the next scene, and a batch of new examples, made by `workers` processes."""
    stream = iter(
        DataLoader(
            ExampleStream(settings, make, first, noise),
            batch_size=None, num_workers=settings.workers, prefetch_factor=12,
        )
    )  # fmt: skip
    while True:
        drawn = [next(stream) for _ in range(settings.batch)]
        yield max(number for number, _ in drawn), [example for _, example in drawn]
