"""Everything about a stack that has a closed form: background, nuisance, epoch noise, step statistics.

This is the front end of the network and the whole of the classical method. All of it works on series
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


def step_statistics(
    residual: NDArray[np.float32], epoch_std: Float, half_windows: tuple[int, ...]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Inverse-variance estimates of a step in every interval, over windows of several lengths.

    Parameters
    ----------
    residual
        (time, y, x) m, NaN = no data
    epoch_std
        (time,) m
    half_windows
        epochs on either side of the interval that are averaged

    Returns
    -------
    statistic
        (half_window, interval, y, x) step over its standard deviation; interval c lies between the epochs
        c and c + 1; 0 where a side holds no data (a mask, not an invented value)
    std
        (half_window, interval, y, x) standard deviation of the step, m; infinite where there is no data
    """
    n = len(residual)
    valid = np.isfinite(residual)
    weight = valid / (epoch_std[:, None, None] ** 2)
    zero = np.zeros((1, *residual.shape[1:]))
    sum_w = np.concatenate([zero, np.cumsum(weight, axis=0)])
    sum_wr = np.concatenate([zero, np.cumsum(weight * np.where(valid, residual, 0.0), axis=0)])
    middle = np.arange(1, n)
    statistics = np.zeros((len(half_windows), n - 1, *residual.shape[1:]), np.float32)
    stds = np.full_like(statistics, np.inf)
    for i, half in enumerate(half_windows):
        low, high = np.maximum(middle - half, 0), np.minimum(middle + half, n)
        before, after = sum_w[middle] - sum_w[low], sum_w[high] - sum_w[middle]
        both = (before > 0) & (after > 0)
        before, after = np.where(both, before, 1.0), np.where(both, after, 1.0)
        step = (sum_wr[high] - sum_wr[middle]) / after - (sum_wr[middle] - sum_wr[low]) / before
        std = np.sqrt(1 / before + 1 / after)
        statistics[i] = np.where(both, step / std, 0.0)
        stds[i] = np.where(both, std, np.inf)
    return statistics, stds
