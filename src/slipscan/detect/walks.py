"""Null stacks that walk at random in time, as the region's noise does, made of the residual of the track itself."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from slipscan.fit.model import DAYS_PER_YEAR

Float = NDArray[np.float64]


def red_at(noise: xr.Dataset | None, width_km: float) -> float:
    """Variance that the random walk gains in a year at a scale, over that of the white part of a typical epoch, 1/yr.

    Linear in the logarithm of the scale between the bands of the noise product; 0 where there is none.

    Parameters
    ----------
    noise
        product 'noise'
    width_km
        larger width of the two Gaussians between which the scale lies
    """
    if noise is None or "red_variance" not in noise:
        return 0.0
    red = noise["red_variance"].values.astype(float)
    known = np.isfinite(red)
    if not known.any():
        return 0.0
    return float(np.interp(np.log(width_km), np.log(noise["band"].values[known]), red[known]))


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
