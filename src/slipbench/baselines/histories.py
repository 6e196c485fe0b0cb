"""Steps and ramps at every time, estimated beside the background: the part of generalised least squares in time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from slipbench.baselines.prepare import Prepared
from slipscan.fit import ramps as fit_ramps
from slipscan.fit.ramps import middles, ramps

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]

DURATIONS_D = (0.0, 40.0, 100.0)
FINE_DURATIONS_D = (0.0, 18.0, 36.0, 60.0, 100.0, 160.0, 250.0)
LONG_DURATIONS_D = (200.0, 400.0, 730.0)
"""Tried, too, where a series is long enough that rate and season leave something of them."""
LONG_SERIES_D = 1000.0
MAX_TIMES = 60
"""More intervals than this are thinned out: the statistic of neighbours is nearly the same."""
_CHUNK = 4096


@dataclass(frozen=True)
class Candidates:
    """Histories that are tried.

    Attributes
    ----------
    t50_d, duration_d
        (candidate,) middle, days since 2014-01-01, and length of a linear ramp; 0 = step
    columns
        (time, candidate) fraction that has happened, 0 to 1
    """

    t50_d: Float
    duration_d: Float
    columns: Float


def candidates(days: Float, durations_d: tuple[float, ...] = DURATIONS_D, max_times: int = MAX_TIMES) -> Candidates:
    """Steps and ramps whose middle is the middle of an interval between epochs."""
    if np.ptp(days) >= LONG_SERIES_D:
        durations_d = tuple(sorted({*durations_d, *LONG_DURATIONS_D}))
    when = torch.from_numpy(days)
    tried = middles(when, max_times)
    columns = torch.cat([ramps(when, tried, duration) for duration in durations_d], 1)
    duration = np.repeat(np.asarray(durations_d, float), len(tried))
    return Candidates(np.tile(tried.numpy(), len(durations_d)), duration, columns.numpy())


def projected(columns: Float, design: Float, weight: Float) -> Float:
    """`fit.ramps.projected` of arrays."""
    return np.asarray(fit_ramps.projected(*(torch.from_numpy(part) for part in (columns, design, weight))).numpy())


def filters(columns: Float, design: Float, weight: Float) -> Float:
    """`fit.ramps.filters` of arrays, (candidate, time)."""
    return np.asarray(fit_ramps.filters(*(torch.from_numpy(part) for part in (columns, design, weight))).numpy())


def filters_in(columns: Float, design: Float, covariance: Float) -> Float:
    """Filters (candidate, time) of unit variance beside a design, in noise of a covariance (time, time)."""
    inverse = solve_triangular(np.linalg.cholesky(covariance), np.eye(len(covariance)), lower=True)
    return np.asarray(filters(inverse @ columns, inverse @ design, np.ones(len(columns))) @ inverse)


def filters_of(prepared: Prepared, columns: Float) -> Float:
    """Filters (candidate, time) for a stack: in the covariance that was told, or in independent epochs."""
    if prepared.covariance is None:
        return filters(columns, prepared.design, prepared.weight)
    return filters_in(columns, prepared.design, prepared.covariance)


def masked_fit(series: Float, valid: Mask, prepared: Prepared, columns: Float) -> tuple[Float, Float]:
    """Amplitude of every candidate in every pixel by generalised least squares, with the pixel's own gaps.

    Parameters
    ----------
    series, valid
        (time, pixel) m, and where it holds data
    prepared
        for design and weights
    columns
        (time, candidate)

    Returns
    -------
    amplitude, information
        (candidate, pixel) m, and its inverse variance, 1/m2; both 0 where the data do not determine it
    """
    amplitude = np.zeros((columns.shape[1], series.shape[1]))
    information = np.zeros_like(amplitude)
    complete = valid.all(axis=0)
    rest = projected(columns, prepared.design, prepared.weight)
    known = (prepared.weight[:, None] * rest**2).sum(axis=0)[:, None]
    numerator = (rest * prepared.weight[:, None]).T @ series[:, complete]
    amplitude[:, complete] = np.where(known > 0, numerator / np.where(known > 0, known, 1.0), 0.0)
    information[:, complete] = known
    gappy = np.flatnonzero(~complete)
    for first in range(0, len(gappy), _CHUNK):
        pixels = gappy[first : first + _CHUNK]
        amplitude[:, pixels], information[:, pixels] = _fit_each(
            series[:, pixels], valid[:, pixels], prepared.weight, prepared.design, columns
        )
    return amplitude, information


def _fit_each(series: Float, valid: Mask, weight: Float, design: Float, columns: Float) -> tuple[Float, Float]:
    """`masked_fit` for pixels that all have gaps: normal equations of design and candidate, pixel by pixel."""
    (n, k), c = design.shape, columns.shape[1]
    present = valid.T.astype(float) * weight
    data = np.where(valid, series, 0.0).T * weight
    normal = (present @ (design[:, :, None] * design[:, None, :]).reshape(n, k * k)).reshape(-1, k, k)
    cross = (present @ (design[:, :, None] * columns[:, None, :]).reshape(n, k * c)).reshape(-1, k, c)
    # A pixel with too few epochs gets a ridge that leaves its equations solvable, and no information.
    enough = valid.sum(axis=0) > k + 1
    scale = np.trace(normal, axis1=1, axis2=2)[:, None, None] / k
    solved = np.linalg.solve(normal + np.where(scale > 0, 1e-9 * scale, 1.0) * np.eye(k), cross)
    numerator = data @ columns - np.einsum("pkc,pk->pc", solved, data @ design)
    whole = present @ columns**2
    information = whole - np.einsum("pkc,pkc->pc", solved, cross)
    estimable = enough[:, None] & (information > 1e-4 * np.maximum(whole, 1e-30))
    amplitude = np.where(estimable, numerator / np.where(estimable, information, 1.0), 0.0)
    return amplitude.T, np.where(estimable, information, 0.0).T


def strongest_step(prepared: Prepared, block_m: float = 3000.0) -> Float:
    """Column (time,) of the step or ramp that stands out most in some block of the scene."""
    size = max(1, round(block_m / prepared.pixel_m))
    edges = [np.arange(0, n, size) for n in prepared.shape]
    total, count = (
        np.add.reduceat(np.add.reduceat(field, edges[0], axis=-2), edges[1], axis=-1)
        for field in (np.where(prepared.covered, prepared.cleaned, 0.0), prepared.covered.astype(float))
    )
    blocks = (total / np.maximum(count, 1.0)).reshape(len(prepared.days), -1)
    tried = candidates(prepared.days)
    statistic = np.abs(filters_of(prepared, tried.columns) @ blocks)
    return tried.columns[:, int(statistic.max(axis=1).argmax())]


def without_background(prepared: Prepared) -> Float:
    """The cleaned series (time, y, x) less offset, rate and season, fitted beside the scene's strongest step.

    Fitted alone, rate and season would take up half of a step in mid-series.
    """
    field = prepared.cleaned
    flat = field.reshape(len(field), -1)
    columns = np.column_stack([prepared.design, strongest_step(prepared)])
    root = np.sqrt(prepared.weight)[:, None]
    parameters = np.linalg.pinv(columns * root) @ (flat * root)
    return (flat - prepared.design @ parameters[:-1]).reshape(field.shape)


def best_history(projection: Float, prepared: Prepared) -> tuple[Candidates, int, float]:
    """The history that fits a series (time,) best, out of a finer set, and its signed statistic.

    The series' noise is that of the epochs.
    """
    tried = candidates(prepared.days, FINE_DURATIONS_D, 10 * MAX_TIMES)
    statistic = filters_of(prepared, tried.columns) @ projection
    best = int(np.abs(statistic).argmax())
    return tried, best, float(statistic[best])
