"""Null stacks that are simulated: the region's noise with its red part, and unwrapping faults before the inversion.

A fault is a patch that one interferogram has a cycle wrong. The inversion of the network, which is linear, spreads it
over the series as it would one of the real data: that is what the pseudo-inverse of the network makes of it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from slipscan.detect.nulls import KINDS
from slipscan.detect.track import Track
from slipscan.errors import SlipscanError
from slipscan.noise.parameters import model_of
from slipscan.noise.simulate import NoiseModel
from slipscan.vocabulary import CYCLE_M

Float32 = NDArray[np.float32]

NEIGHBOURS: Final = 3
"""Later epochs that every epoch makes interferograms with."""
FAULTS_A_STACK: Final = 3.0
"""Mean number that no closure finds."""
RADIUS_KM: Final = (1.0, 4.0)


def simulator_of(track: Track) -> NoiseModel | None:
    """The simulator of the region's noise; None where that is not known well enough."""
    if track.coarse.noise is None:
        return None
    try:
        return model_of(track.coarse.noise)
    except SlipscanError:
        return None


def simulated(track: Track, model: NoiseModel, seed: int, index: int) -> Float32:
    """A series (time, y, x) without events on the coarse grid, m; depends on (seed, index) alone."""
    coarse = track.coarse
    generator = np.random.default_rng([seed, len(KINDS), index])
    height = np.zeros(coarse.shape) if coarse.height is None else np.nan_to_num(coarse.height)
    series = model.simulate(generator, track.epochs.days, height, coarse.pixel_m)
    for _ in range(generator.poisson(FAULTS_A_STACK)):
        series += _fault(generator, len(series), coarse.shape, coarse.pixel_m)
    return series


def _fault(generator: np.random.Generator, epochs: int, shape: tuple[int, int], pixel_m: float) -> Float32:
    """What a cycle in a patch of one interferogram leaves in a series (time, y, x), m."""
    pairs = [(i, j) for i in range(epochs) for j in range(i + 1, min(i + 1 + NEIGHBOURS, epochs))]
    network = np.zeros((len(pairs), epochs))
    network[np.arange(len(pairs)), [i for i, _ in pairs]] = -1
    network[np.arange(len(pairs)), [j for _, j in pairs]] = 1
    course = np.linalg.pinv(network)[:, generator.integers(len(pairs))]
    rows, columns = np.indices(shape)
    row, column = (generator.uniform(0, side) for side in shape)
    radius = generator.uniform(*RADIUS_KM) * 1e3 / pixel_m
    patch = np.hypot(rows - row, columns - column) <= radius
    cycle = generator.choice([-1, 1]) * CYCLE_M
    return (cycle * course[:, None, None] * patch).astype(np.float32)
