"""How the noise of stations is correlated: what is common to all moves them as an event would.

No common mode is subtracted, which would take a part of every event along; its covariance is used instead.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pyproj import Geod
from scipy.fft import dct, idct

from slipscan.fit.scatter import MAD_TO_STD

Float = NDArray[np.float64]

CLIPPED = 3.0
"""Standardised onsets are clipped there: an event of all stations is no noise."""
EVERY_D = 3
MIN_DAYS = 200
SHARES = (0.0, 0.25, 0.5, 0.75, 0.9, 0.95)
LENGTHS_KM = (5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
HIGHEST = 0.98
_LEAST = 1e-3
FOLD_D = 365
"""Days of a fold: neighbouring days tell the same."""


def distances_km(longitude: Float, latitude: Float) -> Float:
    """Between all pairs of points (point,), along the ellipsoid."""
    i, j = np.meshgrid(np.arange(len(longitude)), np.arange(len(longitude)), indexing="ij")
    metres = Geod(ellps="WGS84").inv(longitude[i], latitude[i], longitude[j], latitude[j])[2]
    return np.asarray(metres, float).reshape(i.shape) / 1e3


def station_correlation(z: Float, distance_km: Float) -> Float:
    """Correlation of the stations' noise, per component.

    Parameters
    ----------
    z
        (station, 3, day) standardised onsets; NaN where a station tells nothing
    distance_km
        (station, station)

    Returns
    -------
    correlation
        (3, station, station), positive definite: lambda times the observed one and 1 - lambda times
        a + b exp(-distance / L), with the lambda that predicts each half of the days best from the other, of onsets
        that are white in time
    """
    share = _observed_share(half_differenced(z)[:, :, ::EVERY_D], distance_km)
    observed, model = _parts(np.clip(z[:, :, ::EVERY_D], -CLIPPED, CLIPPED), distance_km)
    return _proper(share * observed + (1 - share) * model)


def _observed_share(z: Float, distance_km: Float) -> float:
    """The share of the observed correlation that predicts each half of the days best from the other."""
    clipped = np.clip(z, -CLIPPED, CLIPPED)
    fold = (np.arange(z.shape[2]) * EVERY_D // FOLD_D) % 2
    halves = [clipped[:, :, fold == f] for f in (0, 1)]
    parts = [_parts(half, distance_km) for half in halves]
    scores = []
    for share in SHARES:
        mixed = [_proper(share * observed + (1 - share) * model) for observed, model in parts]
        scores.append(sum(_log_likelihood(halves[1 - f], mixed[f]) for f in (0, 1)))
    return SHARES[int(np.argmax(scores))]


def half_differenced(z: Float) -> Float:
    """Onsets (station, 3, day) differenced half a time, over their robust scatter.

    Half a difference multiplies the amplitude of a wave by the root of its frequency (Hosking 1981, Biometrika 68,
    165), here without a shift of its phase.

    In flicker noise the spectrum of onsets is that of flicker noise, too: six years are a few dozen independent
    numbers, and any pair of stations seems alike. Their half differences are white.
    """
    days = np.arange(z.shape[2])
    out = np.full_like(z, np.nan)
    for at in np.ndindex(z.shape[:2]):
        there = np.isfinite(z[at])
        if there.any():
            filled = np.interp(days, days[there], z[at][there])
            white = idct(dct(filled) * np.sqrt(days))
            out[at][there] = white[there] / max(MAD_TO_STD * float(np.median(np.abs(white[there]))), 1e-12)
    return out


def robust_correlation(z: Float, distance_km: Float) -> Float:
    """As `station_correlation`, by distance alone and from signs: what moved some stations for a while counts little.

    Of Gaussian numbers that correlate by r the signs correlate by (2 / pi) asin r.
    """
    raw, common = _observed(np.sign(z[:, :, ::EVERY_D]))
    raw = np.sin(0.5 * np.pi * raw)
    return _proper(np.stack([_by_distance(r, distance_km, c) for r, c in zip(raw, common, strict=True)]))


def _parts(z: Float, distance_km: Float) -> tuple[Float, Float]:
    """The observed correlation (3, station, station), and a model of it by distance."""
    raw, common = _observed(z)
    model = np.stack([_by_distance(r, distance_km, c) for r, c in zip(raw, common, strict=True)])
    return np.where(common * EVERY_D >= MIN_DAYS, raw, model), model


def _observed(z: Float) -> tuple[Float, Float]:
    """Correlation (3, station, station) of numbers (station, 3, day), and how many days of both it is from."""
    there = np.isfinite(z)
    filled = np.where(there, z, 0.0).transpose(1, 0, 2)
    counted = there.transpose(1, 0, 2).astype(float)
    common = counted @ counted.transpose(0, 2, 1)
    own = (filled**2) @ counted.transpose(0, 2, 1)  # of the one station, on the days of both
    size = np.sqrt(np.maximum(own * own.transpose(0, 2, 1), 1e-12))
    return filled @ filled.transpose(0, 2, 1) / size, common


def _by_distance(raw: Float, distance_km: Float, common: Float) -> Float:
    """Weighted fit of a + b exp(-distance / L), a and b not negative."""
    pairs = np.triu_indices(len(raw), 1)
    weight = np.sqrt(np.where(common[pairs] * EVERY_D >= MIN_DAYS, common[pairs], 0.0))
    best, best_misfit = (0.0, 0.0, LENGTHS_KM[0]), np.inf
    for length in LENGTHS_KM:
        decay = np.exp(-distance_km[pairs] / length)
        both = np.stack([np.ones_like(decay), decay], axis=1) * weight[:, None]
        for columns in ([0, 1], [0], [1]):
            found = np.linalg.lstsq(both[:, columns], raw[pairs] * weight, rcond=None)[0]
            misfit = float(np.sum((both[:, columns] @ found - raw[pairs] * weight) ** 2))
            if (found >= 0).all() and misfit < best_misfit - 1e-12:
                a, b = (dict(zip(columns, found.tolist(), strict=True)).get(c, 0.0) for c in (0, 1))
                best, best_misfit = (a, b, length), misfit
    a, b, length = best
    total = min(1.0, HIGHEST / max(a + b, 1e-12))
    out = total * (a + b * np.exp(-distance_km / length))
    np.fill_diagonal(out, 1.0)
    return np.asarray(out)


def _proper(correlation: Float) -> Float:
    """The same with no eigenvalue under a thousandth, and ones on the diagonal."""
    values, vectors = np.linalg.eigh(correlation)
    full = (vectors * np.maximum(values, _LEAST)[:, None]) @ vectors.transpose(0, 2, 1)
    size = np.sqrt(np.einsum("cii->ci", full))
    return np.asarray(full / (size[:, :, None] * size[:, None]))


def _log_likelihood(z: Float, correlation: Float) -> float:
    """Of standardised onsets under a correlation, over all days; days of the same stations together."""
    total = 0.0
    for component in range(3):
        there = np.isfinite(z[:, component])
        patterns, which = np.unique(there, axis=1, return_inverse=True)
        for number, pattern in enumerate(patterns.T):
            if pattern.sum() < 2:
                continue
            factor = np.linalg.cholesky(correlation[component][np.ix_(pattern, pattern)])
            white = np.linalg.solve(factor, z[pattern, component][:, which.ravel() == number])
            total -= 0.5 * float(np.sum(white**2)) + white.shape[1] * float(np.log(np.diag(factor)).sum())
    return total
