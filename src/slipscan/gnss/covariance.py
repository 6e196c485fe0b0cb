"""Covariances of GNSS noise (flicker, random walk), and least squares with them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from slipscan.fit.model import DAYS_PER_YEAR

Float = NDArray[np.float64]

RANDOM_WALKS = (1e-3, 2e-3, 4e-3, 8e-3, 16e-3, 32e-3, 64e-3)
"""Amplitudes of a random walk that are tried, m yr^-1/2. Monuments, and volcanoes above all, wander beyond
flicker noise: at Kilauea a fixed flicker alone makes every third control date look significant."""


def flicker_covariance(day: NDArray[np.int64], group: NDArray[np.int64]) -> Float:
    """Covariance of unit flicker noise (1 yr^-1/4 in the unit of the data) of means over groups of days.

    Parameters
    ----------
    day
        (day,) numbers of the days, from 0, where the process starts
    group
        (day,) number of the mean that each belongs to, 0, 1, ..., ascending

    Returns
    -------
    covariance
        (group, group): of means of the daily process x = dT^(1/4) T w, dT a day in years, w unit white noise,
        T lower triangular and Toeplitz with h_0 = 1, h_k = h_(k-1) (k - 1/2) / k (fractional differencing,
        spectral index -1; Williams 2003, J. Geodesy 76, 483). Taking the process at the spacing of the means
        instead would put too much power into the shortest periods.
    """
    count = -(-(int(day.max()) + 1) // 256) * 256
    daily = _daily_flicker(count)[np.ix_(day, day)]
    starts = np.searchsorted(group, np.arange(int(group[-1]) + 1))
    sizes = np.bincount(group)
    sums = np.add.reduceat(np.add.reduceat(daily, starts, axis=0), starts, axis=1)
    covariance: Float = sums / np.outer(sizes, sizes)
    return covariance


@lru_cache(maxsize=2)
def _daily_flicker(count: int) -> Float:
    """The covariance of `count` days; that of fewer days is its corner."""
    k = np.arange(1, count)
    h = np.concatenate([[1.0], np.cumprod((k - 0.5) / k)])
    covariance = np.zeros((count, count))
    flat = covariance.reshape(-1)
    for lag in range(count):
        # (T T')[i, i + lag] is the sum of h_m h_(m + lag) up to m = i.
        flat[lag : (count - lag) * count : count + 1] = np.cumsum(h[: count - lag] * h[lag:])
    covariance = np.sqrt(1.0 / DAYS_PER_YEAR) * (covariance + np.triu(covariance, 1).T)
    covariance.flags.writeable = False
    return covariance


def random_walk_covariance(day: Float) -> Float:
    """Covariance of a unit random walk (1 yr^-1/2 in the unit of the data) at `day` (time,) since its start."""
    covariance: Float = np.minimum.outer(day, day) / DAYS_PER_YEAR
    return covariance


@dataclass(frozen=True)
class Fit:
    """Parameters (column,), their covariance, chi square and restricted log likelihood."""

    parameters: Float
    covariance: Float
    chi2: float
    log_likelihood: float


def generalised_least_squares(matrix: Float, series: Float, noise: Float) -> Fit:
    """Fit `series` (time,) by `matrix` (time, column) under the noise covariance (time, time).

    The likelihood is restricted to what the columns leave over (Patterson & Thompson 1971), so that an
    amplitude of noise that maximises it is not biased by the fit.
    """
    factor = np.linalg.cholesky(noise)
    whitened = solve_triangular(factor, np.column_stack([matrix, series]), lower=True)
    rows, data = whitened[:, :-1], whitened[:, -1]
    normal = rows.T @ rows
    covariance = np.linalg.inv(normal)
    parameters = covariance @ (rows.T @ data)
    chi2 = float(np.sum((data - rows @ parameters) ** 2))
    determinant = 2.0 * float(np.log(np.diag(factor)).sum()) + float(np.linalg.slogdet(normal)[1])
    return Fit(parameters, covariance, chi2, -0.5 * (chi2 + determinant))


def fit_with_random_walk(matrix: Float, series: Float, noise: Float, unit_walk: Float) -> Fit:
    """Fit under `noise` and the random walk of highest likelihood; errors grow with any misfit left.

    Amplitudes are doubled while the likelihood grows; the best and its neighbours by the square root of two
    are compared last.
    """
    walk = 0.0
    best = generalised_least_squares(matrix, series, noise)
    for trial in RANDOM_WALKS:
        fit = generalised_least_squares(matrix, series, noise + trial**2 * unit_walk)
        if fit.log_likelihood < best.log_likelihood:
            break
        walk, best = trial, fit
    for trial in (walk / np.sqrt(2.0), walk * np.sqrt(2.0)) if walk else ():
        fit = generalised_least_squares(matrix, series, noise + trial**2 * unit_walk)
        best = max(best, fit, key=lambda f: f.log_likelihood)
    excess = max(1.0, best.chi2 / max(1, len(series) - matrix.shape[1]))
    return Fit(best.parameters, best.covariance * excess, best.chi2, best.log_likelihood)
