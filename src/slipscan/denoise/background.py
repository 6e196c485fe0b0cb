"""What the classical methods know of a stack in closed form: background, nuisance, noise of the epochs.

The network has a front end of its own (`front_end`). All of it works on series
relative to their own offset, so that the choice of the reference epoch does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slipscan import seriesmodel
from slipscan.denoise.nuisance import fit_nuisance, robust_std, spatial_design

Float = NDArray[np.float64]

MIN_EPOCH_STD_M = 1e-4
"""A tenth of a millimetre: an epoch quieter than this (a stack of constants) still has finite weights."""


@dataclass(frozen=True)
class Background:
    """What the closed form knows of a stack.

    Attributes
    ----------
    matrix, names
        the model's columns, (time, column)
    nuisance
        (time, pixel) offset, ramp and height delay of every epoch, m
    epoch_std
        (time,) noise of an epoch after the nuisance is removed, m
    residual
        (time, pixel) displacement - nuisance - fitted background, m; NaN = no data
    """

    matrix: Float
    names: list[str]
    nuisance: Float
    epoch_std: Float
    residual: Float


def estimate(
    displacement: Float,
    time: NDArray[np.datetime64],
    height: NDArray[np.floating] | None,
    shape: tuple[int, int],
    segment: NDArray[np.integer] | None = None,
) -> Background:
    """Fit background, nuisance and epoch noise, in turn.

    Parameters
    ----------
    displacement
        (time, pixel) metres, positive toward the satellite, NaN = no data
    time
        (time,)
    height
        (y, x) metres, or None
    shape
        (y, x); pixel = y x x in row-major order
    segment
        (time,) connected part of the network, see `seriesmodel.design_matrix`
    """
    matrix, names = seriesmodel.design_matrix(time, segment)
    design = spatial_design(height, shape)
    first = displacement - matrix @ seriesmodel.fit(matrix, displacement)
    nuisance = fit_nuisance(first, design)
    epoch_std = epoch_noise(first - nuisance)
    cleaned = displacement - nuisance
    residual = cleaned - matrix @ seriesmodel.fit(matrix, cleaned, 1 / epoch_std**2)
    return Background(matrix, names, nuisance, epoch_std, residual)


def epoch_noise(residual: Float) -> Float:
    """Robust standard deviation over space of every epoch, (time,), m; an empty epoch gets the largest."""
    std = np.maximum(robust_std(residual, axis=1), MIN_EPOCH_STD_M)
    empty = ~np.isfinite(residual).any(axis=1)
    std[empty] = std.max()
    return std


def formal_std(matrix: Float, epoch_std: Float) -> Float:
    """Formal standard deviation of the fitted background at every epoch, (time,), m.

    Noise that is white in time (delay is) and complete data are assumed.
    """
    normal = matrix.T @ (matrix / epoch_std[:, None] ** 2)
    covariance = np.linalg.pinv(normal, hermitian=True)
    return np.sqrt(np.einsum("tk,kl,tl->t", matrix, covariance, matrix))


def contrast(field: NDArray[np.floating], half_window: int) -> NDArray[np.floating]:
    """Mean of the epochs after every interval less that of the epochs before it, (interval, y, x).

    `half_window` epochs on either side, fewer at the ends. Over all intervals it sums to half_window times the total
    change (the ends apart).
    """
    n = len(field)
    total = np.concatenate([np.zeros((1, *field.shape[1:])), np.cumsum(field, axis=0, dtype=float)])
    middle = np.arange(1, n)
    low, high = np.maximum(middle - half_window, 0), np.minimum(middle + half_window, n)
    after = (total[high] - total[middle]) / (high - middle)[:, None, None]
    return after - (total[middle] - total[low]) / (middle - low)[:, None, None]
