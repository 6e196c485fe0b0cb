"""What every method answers of a scene: its strongest event."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Estimate:
    """What a method says of the strongest event of a stack.

    Attributes
    ----------
    map
        (y, x) displacement of the event from the first to the last epoch, line of sight, m; finite everywhere
        (0 where the method knows nothing)
    transient
        (time, y, x) displacement of events at every epoch, m, relative to its temporal mean; finite
    score
        larger = more likely an event: the statistic that a threshold at a false-alarm rate is put on
    t50_d
        day (since 2014-01-01) at which half of the event has happened; NaN where the method knows none
    """

    map: Float32
    transient: Float32
    score: float
    t50_d: float
