"""Null stacks that walk at random in time, as the region's noise does, made of the residual of the track itself."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from slipscan.fit.model import DAYS_PER_YEAR

Float = NDArray[np.float64]

LEAST_ERROR: Final = 1e-3
"""1/yr."""


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
    red, error = (noise[name].values.astype(float) for name in ("red_variance", "red_variance_error"))
    known = np.isfinite(red) & np.isfinite(error)
    if not known.any():
        return 0.0
    return float(
        np.interp(np.log(width_km), np.log(noise["band"].values[known]), drawn_together(red[known], error[known]))
    )


def drawn_together(values: Float, errors: Float) -> Float:
    """Estimates (band,) drawn towards their mean, the more the larger their error beside the scatter of the true ones.

    Random effects, the scatter by moments (DerSimonian & Laird 1986, Controlled Clinical Trials 7): a broad band of a
    small scene has few places, and what moves in them passes as noise that walks.
    """
    weight = np.maximum(errors, LEAST_ERROR) ** -2
    fixed = np.average(values, weights=weight)
    excess = np.sum(weight * (values - fixed) ** 2) - (len(values) - 1)
    scatter = max(0.0, excess / max(weight.sum() - np.sum(weight**2) / weight.sum(), 1e-30))
    mean = np.average(values, weights=1 / (scatter + 1 / weight))
    return np.asarray(mean + scatter / (scatter + 1 / weight) * (values - mean))


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
