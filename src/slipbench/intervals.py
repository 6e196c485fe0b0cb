"""Figures of many scenes with their bootstrap intervals: the SNR at which half of the events are found, and medians."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import norm

Float = NDArray[np.float64]

BOOTSTRAPS: Final = 100
INTERVAL: Final = (5.0, 95.0)
MIN_EVENTS: Final = 8
"""Fewer events than that make no SNR50 and no median NRMSE."""
LARGEST_SNR: Final = 500.0
PRIOR_SLOPE: Final = (3.0, 3.0)
"""Mean and standard deviation of the prior on the logistic slope; detection curves have slopes of 2 to 6."""
NEWTON_STEPS: Final = 40
LONGEST_STEP: Final = 2.0
FLATTEST: Final = 0.1
Statistic = Callable[..., Float]
"""Of (sample, scene) columns: (sample,)."""


def snr50(log_snr: Float, found: Float, share: float = 0.5) -> Float:
    """SNR at which half of the events, or another share, are found, of several samples: logistic regression on log SNR.

    A weak prior on the slope keeps the fit finite where detection is a clean step.

    Parameters
    ----------
    log_snr, found
        (sample, event); found is 0 or 1
    share
        of the events

    Returns
    -------
    snr50
        (sample,); inf where detection does not reach that share below SNR 500
    """
    slope = np.full(len(found), PRIOR_SLOPE[0])
    offset = np.full(len(found), -PRIOR_SLOPE[0] * math.log(10.0))
    for _ in range(NEWTON_STEPS):
        chance = expit(offset[:, None] + slope[:, None] * log_snr)
        weight = chance * (1 - chance)
        error = chance - found
        down = np.stack([error.sum(1), (error * log_snr).sum(1) + (slope - PRIOR_SLOPE[0]) / PRIOR_SLOPE[1] ** 2])
        cross = (weight * log_snr).sum(1)
        one, two = weight.sum(1) + 1e-6, (weight * log_snr**2).sum(1) + 1 / PRIOR_SLOPE[1] ** 2
        step = np.stack([two * down[0] - cross * down[1], one * down[1] - cross * down[0]]) / (one * two - cross**2)
        # Steps of limited size: a full one overshoots where nearly all or nearly nothing is found.
        step *= np.minimum(1.0, LONGEST_STEP / np.maximum(np.abs(step).max(axis=0), 1e-12))
        offset, slope = offset - step[0], slope - step[1]
    middle = np.where(slope > FLATTEST, (logit(share) - offset) / np.maximum(slope, FLATTEST), np.inf)
    return np.where((middle < math.log(LARGEST_SNR)) & (found.sum(1) > 0), np.exp(np.minimum(middle, 50.0)), np.inf)


def median(values: Float) -> float:
    """Of the finite values; NaN without one."""
    values = values[np.isfinite(values)]
    return float(np.median(values)) if len(values) else math.nan


def with_interval(name: str, statistic: Statistic, *columns: Float) -> dict[str, float]:
    """A statistic of some scenes with its bootstrap interval; NaN for too few scenes."""
    if len(columns[0]) < MIN_EVENTS:
        return {name: math.nan, f"{name}_low": math.nan, f"{name}_high": math.nan}
    low, high = np.percentile(_resampled(statistic, columns, 0), INTERVAL, method="nearest")
    (value,) = statistic(*(c[None] for c in columns))
    return {name: float(value), f"{name}_low": float(low), f"{name}_high": float(high)}


def wilson(count: int, total: int) -> tuple[float, float]:
    """90 % interval of a share (Wilson 1927, J. Am. Stat. Assoc. 22, 209)."""
    z, p = float(norm.ppf(0.95)), count / total
    middle = (p + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * math.sqrt(p * (1 - p) / total + z**2 / (4 * total**2))
    return middle - half, middle + half


def ratio_with_interval(
    name: str, statistic: Statistic, columns: tuple[Float, ...], others: tuple[Float, ...]
) -> dict[str, float]:
    """A statistic of some scenes over that of others, which are resampled apart; NaN for too few or no value."""
    none = {name: math.nan, f"{name}_low": math.nan, f"{name}_high": math.nan}
    if min(len(columns[0]), len(others[0])) < MIN_EVENTS:
        return none
    with np.errstate(invalid="ignore"):
        (value,) = statistic(*(c[None] for c in columns)) / statistic(*(c[None] for c in others))
        drawn = _resampled(statistic, columns, 1) / _resampled(statistic, others, 2)
    drawn = drawn[~np.isnan(drawn)]
    if math.isnan(value) or not len(drawn):
        return none
    low, high = np.percentile(drawn, INTERVAL, method="nearest")
    return {name: float(value), f"{name}_low": float(low), f"{name}_high": float(high)}


def _resampled(statistic: Statistic, columns: tuple[Float, ...], seed: int) -> Float:
    """The statistic of bootstrap samples."""
    count = len(columns[0])
    rows = np.random.default_rng(seed).integers(count, size=(BOOTSTRAPS, count))
    return statistic(*(c[rows] for c in columns))
