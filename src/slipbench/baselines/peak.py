"""One detector for all methods that give a field or a map: score, map and time of the strongest event."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from slipbench.baselines.histories import best_history
from slipbench.baselines.prepare import Prepared, smoothed
from slipbench.estimate import Estimate

Float = NDArray[np.float64]

SMOOTHING_M = 750.0
"""Sigma of the Gaussian, that is 1.8 km at half height: less than any buried source, more than a noisy pixel."""
HALF_WINDOW = 4
"""Epochs on either side of an interval that a contrast is taken over."""
_CORE = 0.3
"""Pixels above this part of the smoothed peak make the pattern that the data are projected on."""


def detect(transient: Float, prepared: Prepared) -> Estimate:
    """Describe the strongest event of a transient field.

    The score is the largest contrast (mean of four epochs after an interval less that of four before), smoothed
    in space, over the median noise of an epoch. That unit comes from the data, not from the field: a method
    that answers nearly zero gets a score of nearly zero.

    Parameters
    ----------
    transient
        (time, y, x) m
    prepared
        the stack it was made from
    """
    field = np.where(prepared.covered, transient - transient.mean(axis=0), 0.0)
    contrasts = smooth(np.asarray(contrast(field, HALF_WINDOW), float), prepared)
    total = field[-1] - field[0]
    return Estimate(
        map=total.astype(np.float32),
        transient=field.astype(np.float32),
        score=float(np.abs(contrasts).max() / np.median(prepared.epoch_std)),
        t50_d=time_of(total, prepared),
    )


def contrast(field: NDArray[np.floating], half_window: int) -> NDArray[np.floating]:
    """Mean of the epochs after every interval less that of the epochs before it, (interval, y, x).

    `half_window` epochs on either side, fewer at the ends. Over all intervals it sums to half_window times the total
    change (the ends apart).
    """
    n = len(field)
    total = np.concatenate([np.zeros((1, *field.shape[1:])), np.cumsum(field, axis=0, dtype=float)])
    middle = np.arange(1, n)
    low, high = np.maximum(middle - half_window, 0), np.minimum(middle + half_window, n)
    after = (total[high] - total[middle]) / (high - middle)[:, None, None]
    return after - (total[middle] - total[low]) / (middle - low)[:, None, None]


def stepwise(total: Float, score: float, prepared: Prepared) -> Estimate:
    """The answer of a method that knows a map (y, x) only: it happens at once, when the data fit that best."""
    total = np.where(prepared.covered, total, 0.0)
    t50 = time_of(total, prepared)
    course = (prepared.days >= (t50 if np.isfinite(t50) else prepared.days.mean())).astype(float)
    transient = (course - course.mean())[:, None, None] * total
    return Estimate(total.astype(np.float32), transient.astype(np.float32), score, t50)


def smooth(fields: Float, prepared: Prepared) -> Float:
    """Gaussian means of fields (n, y, x) over about 1.5 km, pixels without data left out."""
    return smoothed(fields, prepared.covered, SMOOTHING_M / prepared.pixel_m)


def time_of(total: Float, prepared: Prepared) -> float:
    """Day at which half of an event has happened: the best step or ramp in the projection of the data on its map.

    Parameters
    ----------
    total
        (y, x) map of the event, m

    Returns
    -------
    t50_d
        days since 2014-01-01; NaN for a map of zeros
    """
    pattern = smooth(total[None], prepared)[0]
    pattern = np.where(np.abs(pattern) >= _CORE * np.abs(pattern).max(), pattern, 0.0)
    if not pattern.any():
        return float("nan")
    projection = np.tensordot(prepared.cleaned, pattern, 2)
    tried, best, statistic = best_history(projection, prepared)
    return float(tried.t50_d[best]) if statistic != 0 else float("nan")
