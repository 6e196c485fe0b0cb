"""Offset, ramp and height correction of every epoch, then a running median in time: common practice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from slipbench.baselines.histories import without_background
from slipbench.baselines.peak import detect
from slipbench.baselines.prepare import prepare
from slipbench.estimate import Estimate
from slipscan.field import Observation

Float = NDArray[np.float64]

WINDOW = 7
"""Epochs. Odd: the median of an even number has no middle and would depend on the sign of the data."""


def correct_and_filter(observation: Observation) -> Estimate:
    """Robust removal of offset, ramp and height delay per epoch, a running median of seven epochs, the detector.

    Raises
    ------
    SlipscanError
        a stack without data or of fewer than 5 epochs
    """
    prepared = prepare(observation)
    return detect(running_median(without_background(prepared)), prepared)


def running_median(series: Float) -> Float:
    """Median over a centred window of epochs, (time, y, x); the series is mirrored at its ends."""
    half = WINDOW // 2
    padded = np.pad(series, ((half, half), (0, 0), (0, 0)), mode="symmetric")
    return np.stack([np.median(padded[t : t + WINDOW], axis=0) for t in range(len(series))])
