"""Stacking: the mean of a few epochs after an interval less that of as many before it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from slipbench.baselines.histories import candidates
from slipbench.baselines.peak import smooth, stepwise
from slipbench.baselines.prepare import prepare
from slipbench.estimate import Estimate
from slipscan.field import Observation

Float = NDArray[np.float64]

EPOCHS = 5


def find_largest_difference(observation: Observation) -> Estimate:
    """Largest running difference of the means of up to five epochs; ramps and delays stay in.

    For every interval, rate and season are fitted beside a step there, and only they are taken out. Intervals
    are compared in units of their own noise (fewer epochs near the ends), which gives the score.

    Raises
    ------
    SlipscanError
        a stack without data or of fewer than 5 epochs
    """
    prepared = prepare(observation)
    weights = difference_filters(prepared.days, prepared.design)
    flat = prepared.series.reshape(len(prepared.days), -1)
    # Neighbouring epochs share nothing, so an interval's noise is the root of the sum of its squared weights.
    size = np.sqrt((weights**2).sum(axis=1))[:, None, None]
    differences = (weights @ flat).reshape(-1, *prepared.shape)
    statistic = np.abs(smooth(differences, prepared)) / size
    best = int(statistic.max(axis=(1, 2)).argmax())
    return stepwise(differences[best], float(statistic[best].max() / np.median(prepared.epoch_std)), prepared)


def difference_filters(days: Float, design: Float) -> Float:
    """Weights (interval, time) of the running difference after the background, fitted beside a step, is out."""
    n = len(days)
    steps = candidates(days, (0.0,), n).columns
    out = np.zeros((n - 1, n))
    for c in range(n - 1):
        before, after = slice(max(0, c + 1 - EPOCHS), c + 1), slice(c + 1, c + 1 + EPOCHS)
        out[c, after] = 1 / len(days[after])
        out[c, before] = -1 / len(days[before])
        background = np.linalg.pinv(np.column_stack([design, steps[:, c]]))[:-1]
        out[c] -= (out[c] @ design) @ background
    return out
