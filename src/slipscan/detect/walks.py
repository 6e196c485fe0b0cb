"""Null stacks that walk at random in time, as the region's noise does, made of the residual of the track itself."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slipscan.fit.model import DAYS_PER_YEAR

Float = NDArray[np.float64]


def walk_of(generator: np.random.Generator, days: Float, weight: Tensor, red: float) -> Tensor:
    """The matrix (time, time) that makes a random walk, 0 in the first epoch, of a series of white noise (time,).

    Every step is the noise of another epoch with a random sign: its shape in space is that of the region's noise.

    Parameters
    ----------
    generator
        of random numbers
    days
        (time,) ascending
    weight
        (time,) inverse variance of the epochs of the series
    red
        variance that the walk gains in a year over that of a typical epoch, 1/yr
    """
    gained = red * np.diff(days) / DAYS_PER_YEAR / float(weight.median())
    size = np.sqrt(gained) * generator.choice([-1, 1], len(gained))
    taken = generator.permutation(len(days))[1:]
    steps = np.zeros((len(days), len(days)))
    steps[np.arange(1, len(days)), taken] = size * np.sqrt(weight.double().numpy()[taken])
    return torch.from_numpy(np.cumsum(steps, axis=0)).float()
