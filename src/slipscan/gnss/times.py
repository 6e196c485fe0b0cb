"""When an event may have been: GNSS sees days where InSAR sees its passes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

REACH_D = 24.0
"""The middle of an event is looked for so far from InSAR's, and a quarter of its duration more, or twice its error."""
SPREAD_D = 12.0
"""Standard deviation of InSAR's middle: a pass, and an eighth of the duration more, or its error if that is larger."""
STEP_D = 3.0
SHORT_D = (1.0, 4.0, 10.0)
"""Durations that InSAR cannot tell from one pass to the next."""
LONGER = 1.5


@dataclass(frozen=True)
class Times:
    """Times of an event, all tried.

    Attributes
    ----------
    t50, duration_d
        (time,) days since 2014-01-01, and days from t05 to t95
    log_prior
        (time,) logarithm of their weights, which sum to one
    """

    t50: Float
    duration_d: Float
    log_prior: Float


def around(t05: float, t95: float, error_d: float = 0.0) -> Times:
    """Times that an event of InSAR's t05 and t95 (days since 2014-01-01) may have had, its middle being uncertain."""
    duration = max(t95 - t05, 1.0)
    spread = max(SPREAD_D + duration / 8, error_d)
    reach, step = max(REACH_D + duration / 4, 2 * error_d), max(STEP_D, duration / 10)
    shifts = step * np.arange(-np.floor(reach / step), np.floor(reach / step) + 1)
    wanted = (*SHORT_D, duration / 2, duration, LONGER * duration)
    durations: list[float] = []
    for value in sorted(wanted):
        if value <= LONGER * duration and (not durations or value > 1.3 * durations[-1]):
            durations.append(value)
    shift, length = (v.ravel() for v in np.meshgrid(shifts, durations))
    log_prior = -0.5 * (shift / spread) ** 2
    log_prior -= np.log(np.exp(log_prior).sum())
    return Times(0.5 * (t05 + t95) + shift, length, log_prior)
