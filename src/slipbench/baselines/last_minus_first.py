"""The last epoch less the first: what a single interferogram across the whole series shows."""

from __future__ import annotations

import numpy as np

from slipbench.baselines.peak import smooth, stepwise
from slipbench.baselines.prepare import prepare
from slipbench.estimate import Estimate
from slipscan.field import Observation


def subtract_first_epoch(observation: Observation) -> Estimate:
    """Difference of every pixel's last and first epoch with data; delays, rate and all.

    The score is its largest value after smoothing, over the median noise of an epoch. A rate that is not known
    beforehand stays in: two epochs cannot tell.

    Raises
    ------
    SlipscanError
        a stack without data or of fewer than 5 epochs
    """
    prepared = prepare(observation)
    first = prepared.valid.argmax(axis=0)[None]
    last = len(prepared.days) - 1 - prepared.valid[::-1].argmax(axis=0)[None]
    total = np.take_along_axis(prepared.series, last, 0)[0] - np.take_along_axis(prepared.series, first, 0)[0]
    total = np.where(prepared.covered, total, 0.0)
    score = float(np.abs(smooth(total[None], prepared)).max() / np.median(prepared.epoch_std))
    return stepwise(total, score, prepared)
