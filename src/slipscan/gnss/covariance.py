"""Covariances of GNSS noise (flicker, random walk), and least squares with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from slipscan.seriesmodel import DAYS_PER_YEAR

Float = NDArray[np.float64]

RANDOM_WALKS = (0.0, 1e-3, 2e-3, 4e-3, 8e-3, 16e-3, 32e-3, 64e-3)
"""Amplitudes of a random walk that are tried, m yr^-1/2: monuments, and volcanoes above all, wander beyond
flicker noise (at Kilauea a fixed flicker makes every third control date look significant)."""


def flicker_covariance(bin_number: NDArray[np.int64], bin_d: float) -> Float:
    """Covariance of unit flicker noise (1 yr^-1/4 in the unit of the data) by fractional differencing.

    Parameters
    ----------
    bin_number
        (time,) positions on a regular grid of `bin_d` days, from 0, where the process starts

    Returns
    -------
    covariance
        (time, time): dT^(1/2) T T', dT in years, T lower triangular and Toeplitz with
        h_0 = 1, h_k = h_(k-1) (k - 1/2) / k (spectral index -1; Williams 2003, J. Geodesy 76, 483)
    """
    count = int(bin_number.max()) + 1
    k = np.arange(1, count)
    h = np.concatenate([[1.0], np.cumprod((k - 0.5) / k)])
    lag = np.subtract.outer(bin_number, np.arange(count))
    rows = np.where(lag >= 0, h[np.clip(lag, 0, None)], 0.0)
    covariance: Float = np.sqrt(bin_d / DAYS_PER_YEAR) * (rows @ rows.T)
    return covariance


def random_walk_covariance(bin_number: NDArray[np.int64], bin_d: float) -> Float:
    """Covariance of a unit random walk (1 yr^-1/2 in the unit of the data) from bin 0, (time, time)."""
    covariance: Float = np.minimum.outer(bin_number, bin_number) * (bin_d / DAYS_PER_YEAR)
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

    The likelihood has one maximum in practice: the search goes up and ends where it falls.
    """
    best = generalised_least_squares(matrix, series, noise)
    for walk in RANDOM_WALKS[1:]:
        fit = generalised_least_squares(matrix, series, noise + walk**2 * unit_walk)
        if fit.log_likelihood < best.log_likelihood:
            break
        best = fit
    excess = max(1.0, best.chi2 / max(1, len(series) - matrix.shape[1]))
    return Fit(best.parameters, best.covariance * excess, best.chi2, best.log_likelihood)
