"""Series of places with white noise of every epoch and a random walk, as the temporal noise model has them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from slipscan.fit.model import days_since_2014, design_matrix
from slipscan.fit.temporal import random_walk
from slipscan.noise.temporal_places import Places

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Drawn:
    """Places, their days (time,), background (time, column) and the white variances that are true (time,), m2."""

    places: Places
    days: Float
    design: Float
    white: Float


def dates(epochs: int, missing: float = 0.0, seed: int = 0) -> NDArray[np.datetime64]:
    """Every 12 days from 2018 on, some of them missing."""
    every = np.arange(round(epochs * (1 + missing)))
    kept = np.sort(np.random.default_rng(seed).permutation(every)[:epochs])
    return np.datetime64("2018-01-01", "ns") + kept * np.timedelta64(12, "D")


def drawn(
    epochs: int, count: int, red: float, seed: int, *, seasonal: float = 0.0, missing: float = 0.0, gaps: float = 0.0
) -> Drawn:
    """Gaussian series of some places, each at a scale of its own, with rate and season of their own.

    `red` is over the median white variance, 1/yr; `seasonal` is the amplitude of the logarithm of the white standard
    deviation, `missing` the share of the epochs that are not there, `gaps` that of single values.
    """
    generator = np.random.default_rng([seed, epochs, count])
    time = dates(epochs, missing, seed)
    days, (design, _) = days_since_2014(time), design_matrix(time)
    log_std = 0.4 * generator.standard_normal(epochs) + seasonal * np.cos(2 * np.pi * days / 365.25)
    white = (5e-3 * np.exp(log_std)) ** 2
    covariance = np.diag(white) + red * np.median(white) * random_walk(torch.from_numpy(days)).numpy()
    series = np.linalg.cholesky(covariance) @ generator.standard_normal((epochs, count))
    series = series * np.exp(0.2 * generator.standard_normal(count))
    series += design @ (0.01 * generator.standard_normal((design.shape[1], count)))
    series[generator.random(series.shape) < gaps] = np.nan
    return Drawn(Places(series, np.arange(count) * 16 // count), days, design, white)


def structure_function(series: Float, lengths: tuple[int, ...]) -> Float:
    """RMS difference of weighted means over so many epochs before and after (length,), of series (time, place)."""
    weight = 1 / np.mean(series**2, axis=1)
    total = np.concatenate([[0.0], np.cumsum(weight)])
    moment = np.concatenate([np.zeros((1, series.shape[1])), np.cumsum(weight[:, None] * series, axis=0)])
    out = []
    for length in lengths:
        first = np.arange(length, len(series) - length + 1)
        before = (moment[first] - moment[first - length]) / (total[first] - total[first - length])[:, None]
        after = (moment[first + length] - moment[first]) / (total[first + length] - total[first])[:, None]
        out.append(np.sqrt(np.mean((after - before) ** 2)))
    return np.array(out)
