"""The answer "nothing happened": what any error measure has to beat."""

from __future__ import annotations

import numpy as np

from slipbench.baselines.prepare import valid_pixels
from slipbench.estimate import Estimate
from slipscan.field import Observation


def find_nothing(observation: Observation) -> Estimate:
    """No displacement anywhere, a score of 0 and no time.

    Raises
    ------
    SlipscanError
        a stack without data or of fewer than 5 epochs
    """
    valid_pixels(observation)
    shape = observation.displacement.shape
    return Estimate(np.zeros(shape[1:], np.float32), np.zeros(shape, np.float32), 0.0, float("nan"))
