"""Exact generalised least squares of daily series in white, flicker and random-walk noise, in O(days).

Flicker noise is a sum of seven first-order autoregressive processes, so the noise of a day is the sum of eight
states (those and the walk) and of white noise. A Kalman filter then whitens any number of columns, and one pass
backward gives the sum of every possible step with them (de Jong & Penzer 1998, J. Am. Stat. Assoc. 93, 796): what a
step at each day would be, with its variance, without a fit for each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slipscan.fit.model import DAYS_PER_YEAR

Float = NDArray[np.float64]

FLICKER_TAU_D = np.array([0.7, 3.0, 12.0, 45.0, 170.0, 650.0, 2500.0])
FLICKER_VARIANCE = np.array([0.03235, 0.01913, 0.02485, 0.02042, 0.02350, 0.02026, 0.03417])
"""Of the processes whose sum is flicker noise of 1 (yr^-1/4): within 7 % of its spectrum from 2 days to 30 years."""
_WALK = len(FLICKER_TAU_D)
_STATES = _WALK + 1
CHUNK = 96
"""Series that are filtered together: their states fit into the fast memory."""


@dataclass(frozen=True)
class Noise:
    """Noise of daily series.

    Attributes
    ----------
    white
        (series, day) standard deviation of the white part, metres; infinite where there is no position
    flicker
        (series,) amplitude, m yr^-1/4
    walk
        (series,) amplitude of the random walk, m yr^-1/2
    """

    white: Float
    flicker: Float
    walk: Float

    def __getitem__(self, series: slice) -> Noise:
        return Noise(self.white[series], self.flicker[series], self.walk[series])


@dataclass(frozen=True)
class Fit:
    """Generalised least squares of each series by its own columns.

    Attributes
    ----------
    parameters, covariance
        (series, column) and (series, column, column); zero for a column of zeros
    log_likelihood
        (series,) restricted to what the columns leave over (Patterson & Thompson 1971), constants left out
    """

    parameters: Float
    covariance: Float
    log_likelihood: Float


@dataclass(frozen=True)
class Onsets:
    """A step at every day, estimated beside the columns.

    Attributes
    ----------
    score, information
        (series, day) n = s' M y in 1/m and d = s' M s in 1/m2 of a step s that begins at the day, where M is the
        inverse covariance without what the columns take: the step is n / d, its variance 1 / d
    """

    score: Float
    information: Float


@dataclass(frozen=True)
class _Filtered:
    """Innovations of columns (day, column, series), gains (day, state, series), inverse variances (day, series)."""

    innovation: Float
    gain: Float
    weight: Float
    log_determinant: Float


def fit(series: Float, columns: Float, noise: Noise) -> Fit:
    """Fit series by columns under their noise.

    Parameters
    ----------
    series
        (series, day) metres; anything where `noise.white` is infinite
    columns
        (series, column, day); columns of zeros take no part

    Returns
    -------
    fit
        equal to dense algebra with the covariance of `covariance`
    """
    parts = [_fit_of(*_products(f)) for f, _ in _filtered(series, columns, noise)]
    return Fit(
        *(np.concatenate([getattr(p, n) for p in parts]) for n in ("parameters", "covariance", "log_likelihood"))
    )


def fit_onsets(series: Float, columns: Float, noise: Noise) -> tuple[Fit, Onsets]:
    """As `fit`, and a step at every day beside the columns."""
    fits, scores, informations = [], [], []
    for filtered, _ in _filtered(series, columns, noise):
        one = _fit_of(*_products(filtered))
        product, square = _smoothed(filtered)  # (day, column, series), (day, series)
        of_columns = product[:, :-1].transpose(2, 0, 1)  # (series, day, column)
        score = product[:, -1].T - np.einsum("sdc,sc->sd", of_columns, one.parameters)
        taken = np.einsum("sdc,sdc->sd", of_columns @ one.covariance, of_columns)
        fits.append(one)
        scores.append(score)
        informations.append(np.maximum(square.T - taken, 0.0))
    whole = Fit(
        *(np.concatenate([getattr(p, n) for p in fits]) for n in ("parameters", "covariance", "log_likelihood"))
    )
    return whole, Onsets(np.concatenate(scores), np.concatenate(informations))


def covariance(days: int, flicker: float, walk: float) -> Float:
    """Dense covariance (day, day) of flicker noise and walk as the filter has them, without the white part."""
    lag = np.abs(np.subtract.outer(np.arange(days), np.arange(days)))
    total = flicker**2 * flicker_autocovariance(np.arange(days))[lag]
    return np.asarray(total + walk**2 * np.minimum.outer(np.arange(days), np.arange(days)) / DAYS_PER_YEAR)


def flicker_autocovariance(lag_d: NDArray[np.integer]) -> Float:
    """Autocovariance of unit flicker noise at lags in days, as the filter has it."""
    return np.asarray(np.exp(-np.asarray(lag_d, float)[..., None] / FLICKER_TAU_D) @ FLICKER_VARIANCE)


def _filtered(series: Float, columns: Float, noise: Noise) -> Iterator[tuple[_Filtered, slice]]:
    """Whiten chunks of series, each by its columns and then itself."""
    for start in range(0, len(series), CHUNK):
        part = slice(start, start + CHUNK)
        both = np.concatenate([columns[part], series[part, None]], axis=1)
        present = np.isfinite(noise.white[part])
        data = np.where(present[:, None], both, 0.0).transpose(2, 1, 0)
        yield _filter(np.ascontiguousarray(data), noise[part]), part


def _filter(data: Float, noise: Noise) -> _Filtered:
    """Run the Kalman filter over columns (day, column, series) at once; states are uncorrelated at the start.

    The walk starts from zero: every model has an offset.
    """
    days, columns, count = data.shape
    decay = np.append(np.exp(-1.0 / FLICKER_TAU_D), 1.0)[:, None]
    decay2 = decay[:, None] * decay[None]
    stationary = np.append(FLICKER_VARIANCE, 0.0)[:, None] * noise.flicker**2
    grown = stationary * (1.0 - decay**2)
    grown[_WALK] = noise.walk**2 / DAYS_PER_YEAR
    diagonal = np.arange(_STATES)
    p = np.zeros((_STATES, _STATES, count))
    p[diagonal, diagonal] = stationary
    a = np.zeros((_STATES, columns, count))
    white2 = noise.white.T**2
    innovation, gain = np.empty_like(data), np.empty((days, _STATES, count))
    variance = np.empty((days, count))
    for day in range(days):
        shared = p.sum(axis=0)
        variance[day] = shared.sum(axis=0) + white2[day]
        shared *= decay
        k = gain[day] = shared / variance[day]
        v = innovation[day] = data[day] - a.sum(axis=0)
        a *= decay[:, None]
        a += k[:, None] * v
        p *= decay2
        p -= k[:, None] * shared
        p[diagonal, diagonal] += grown
    present = np.isfinite(variance)
    weight = np.where(present, 1.0 / np.where(present, variance, 1.0), 0.0)
    return _Filtered(innovation, gain, weight, np.log(variance, where=present, out=np.zeros_like(variance)).sum(axis=0))


def _products(filtered: _Filtered) -> tuple[Float, Float]:
    """Inner products (series, column + 1, column + 1) under the inverse covariance, and its log determinant."""
    v = filtered.innovation.transpose(2, 1, 0)
    return (v * filtered.weight.T[:, None]) @ v.transpose(0, 2, 1), filtered.log_determinant


def _fit_of(gram: Float, log_determinant: Float) -> Fit:
    """Solve the normal equations; columns are scaled to one, and those of zeros left out."""
    normal, product, square = gram[:, :-1, :-1].copy(), gram[:, :-1, -1], gram[:, -1, -1]
    diagonal = np.arange(normal.shape[1])
    size = np.sqrt(normal[:, diagonal, diagonal])
    empty = size <= 0.0
    size = np.where(empty, 1.0, size)
    normal /= size[:, :, None] * size[:, None]
    normal[:, diagonal, diagonal] += np.where(empty, 1.0, 0.0)
    inverse = np.asarray(np.linalg.inv(normal), float)
    inverse[:, diagonal, diagonal] -= np.where(empty, 1.0, 0.0)
    inverse /= size[:, :, None] * size[:, None]
    parameters: Float = np.einsum("scd,sd->sc", inverse, product)
    chi2 = square - np.einsum("sc,sc->s", parameters, product)
    log_normal = np.linalg.slogdet(normal)[1] + 2.0 * np.log(size).sum(axis=1)
    log_likelihood: Float = -0.5 * (chi2 + log_determinant + log_normal)
    return Fit(parameters, inverse, log_likelihood)


def _smoothed(filtered: _Filtered) -> tuple[Float, Float]:
    """Products of a step at each day with every column (day, column, series), and with itself (day, series).

    A step of the observation is a kick of the walk, which never decays; r and N are de Jong's.
    """
    days, columns, count = filtered.innovation.shape
    decay = np.append(np.exp(-1.0 / FLICKER_TAU_D), 1.0)[:, None]
    decay2 = decay[:, None] * decay[None]
    r, n = np.zeros((_STATES, columns, count)), np.zeros((_STATES, _STATES, count))
    product, square = np.empty((days, columns, count)), np.empty((days, count))
    for day in range(days - 1, -1, -1):
        k, weight = filtered.gain[day], filtered.weight[day]
        lost = filtered.innovation[day] * weight - (k[:, None] * r).sum(axis=0)
        r *= decay[:, None]
        r += lost
        nk = (n * k[:, None]).sum(axis=0)
        kept = (k * nk).sum(axis=0) + weight
        nk *= decay
        n *= decay2
        n -= nk[:, None]
        n -= nk
        n += kept
        product[day], square[day] = r[_WALK], n[_WALK, _WALK]
    return product, square


def products(series: Float, columns: Float, noise: Noise) -> Float:
    """Inner products (series, column + 1, column + 1) of columns and, last, series under the inverse covariance."""
    return np.concatenate([_products(filtered)[0] for filtered, _ in _filtered(series, columns, noise)])
