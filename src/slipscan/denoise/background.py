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


def joint_statistics(
    closed: Background, days: Float, residual: NDArray[np.float32], durations_d: tuple[float, ...]
) -> NDArray[np.float32]:
    """Ramps in every interval, estimated jointly with offset, rate and season, over their standard deviation.

    Local averages of the residual miss most of an event that rate and season have taken up (a year of data
    holds hardly anything else); this estimate does not, at the price of a larger error.

    Parameters
    ----------
    closed
        background of the stack
    days
        (time,) days since 2014-01-01
    residual
        (time, y, x) `closed.residual`
    durations_d
        of the ramps, days, centred on the interval; 0 is a step

    Returns
    -------
    statistic
        (duration, interval, y, x); 0 where there is no data
    """
    middles = (days[1:] + days[:-1]) / 2
    weight = 1 / closed.epoch_std**2
    solve = np.linalg.pinv(closed.matrix * np.sqrt(weight)[:, None]) * np.sqrt(weight)[None, :]
    valid = np.isfinite(residual).reshape(len(days), -1).astype(np.float32)
    filled = np.nan_to_num(residual).reshape(len(days), -1)
    out = np.zeros((len(durations_d), len(middles), filled.shape[1]), np.float32)
    for i, duration in enumerate(durations_d):
        ramps = np.clip((days[:, None] - middles[None, :]) / max(duration, 1e-3) + 0.5, 0.0, 1.0)
        projected = ramps - closed.matrix @ (solve @ ramps)
        filters = (projected * weight[:, None]).T.astype(np.float32)
        information = (projected**2 * weight[:, None]).T.astype(np.float32) @ valid
        out[i] = np.where(information > 0, (filters @ filled) / np.sqrt(np.maximum(information, 1e-30)), 0.0)
    return out.reshape(len(durations_d), len(middles), *residual.shape[1:])


def contrast(field: NDArray[np.floating], half_window: int) -> NDArray[np.floating]:
    """Mean of the epochs after every interval less that of the epochs before it, (interval, y, x).

    `half_window` epochs on either side, fewer at the ends: what `step_statistics` estimates from data with
    equal weights. Over all intervals it sums to half_window times the total change (the ends apart).
    """
    n = len(field)
    total = np.concatenate([np.zeros((1, *field.shape[1:])), np.cumsum(field, axis=0, dtype=float)])
    middle = np.arange(1, n)
    low, high = np.maximum(middle - half_window, 0), np.minimum(middle + half_window, n)
    after = (total[high] - total[middle]) / (high - middle)[:, None, None]
    return after - (total[middle] - total[low]) / (middle - low)[:, None, None]


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
