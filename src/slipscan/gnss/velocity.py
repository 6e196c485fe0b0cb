"""Velocities of stations, with errors that know how little a series tells of its own random walk."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from slipscan.gnss.background import Background, flat
from slipscan.gnss.kalman import Noise, fit

Float = NDArray[np.float64]

FLICKER: Final = (0.63, 0.8, 1.0, 1.25, 1.58)
"""Amplitudes that are tried, over that of the series."""
WALK: Final = (0.0, 0.5e-3, 0.75e-3, 1.1e-3, 1.6e-3, 2.3e-3, 3.4e-3, 5e-3)
"""Amplitudes of a random walk that are tried, m yr^-1/2."""
UNKNOWN: Final = 2.0
"""Series, of any amplitude, that stand beside those of the network: a few series do not tell all."""
ROUNDS: Final = 100


def velocities(background: Background) -> tuple[Float, Float]:
    """Rates (station, 3) and their standard deviations, m/yr.

    A random walk of 2 mm yr^-1/2 makes most of the error of a velocity, and ten years tell its amplitude to a third at
    best: errors by the amplitude that fits best are too small more often than too large. So velocity and variance are
    means over a grid of amplitudes of flicker noise and of a walk, by the restricted likelihood of the series. How
    common each amplitude of a walk is, all series of the network tell together (empirical Bayes; the mixture of
    greatest likelihood by expectation maximisation, Laird 1978, doi 10.1080/01621459.1978.10480103).
    """
    position, columns = flat(background.series, background.columns)
    filled, white = np.nan_to_num(position), background.noise.white
    at = np.repeat([[term.kind for term in terms].index("rate") for terms in background.terms], 3)
    rows, flicker = np.arange(len(filled)), _about(background.noise.flicker)
    likelihood, rate, variance = np.empty((3, len(WALK), len(FLICKER), len(filled)))
    for i, walk in enumerate(WALK):
        for j, factor in enumerate(FLICKER):
            one = fit(filled, columns, Noise(white, factor * flicker, np.full(len(filled), walk)))
            likelihood[i, j] = one.log_likelihood
            rate[i, j], variance[i, j] = one.parameters[rows, at], one.covariance[rows, at, at]
    common = _common(logsumexp(likelihood, axis=1))
    log_weight = likelihood + np.log(common)[:, None, None]
    weight = np.exp(log_weight - logsumexp(log_weight, axis=(0, 1)))
    mean = (weight * rate).sum(axis=(0, 1))
    spread = (weight * (variance + (rate - mean) ** 2)).sum(axis=(0, 1))
    return mean.reshape(-1, 3), np.sqrt(spread).reshape(-1, 3)


def _common(likelihood: Float) -> Float:
    """Share (walk,) of the series that have each amplitude, from their log likelihoods (walk, series)."""
    share = np.full(len(likelihood), 1 / len(likelihood))
    for _ in range(ROUNDS):
        log_weight = likelihood + np.log(share)[:, None]
        weight = np.exp(log_weight - logsumexp(log_weight, axis=0))
        share = (weight.sum(axis=1) + UNKNOWN / len(share)) / (likelihood.shape[1] + UNKNOWN)
    return share


def _about(flicker: Float) -> Float:
    """Amplitude (series,) about which others are tried: not none, where a series seems to have none."""
    return np.maximum(flicker, 0.3 * float(np.median(flicker)) + 1e-4)
