"""What every method sees of a scene, and what it must answer: the contract of the skill benchmark."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slipscan import seriesmodel
from slipscan.errors import SlipscanError

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Observation:
    """A stack as a method sees it; no truth.

    Attributes
    ----------
    time
        (time,) datetime64[ns], strictly ascending
    displacement
        (time, y, x) cumulative line-of-sight displacement, m, positive toward the satellite, about any
        reference epoch; NaN = no data
    height
        (y, x) m
    los
        (3,) unit vector ground to satellite: east, north, up
    pixel_m
        side of a cell, m; rows run from north to south
    background_known
        rate and season were taken out beforehand; else a method estimates them itself
    """

    time: NDArray[np.datetime64]
    displacement: Float32
    height: Float32
    los: Float
    pixel_m: float
    background_known: bool

    def __post_init__(self) -> None:
        if self.displacement.ndim != 3 or 0 in self.displacement.shape:
            raise SlipscanError(f"a stack has the dimensions (time, y, x), none of them 0: {self.displacement.shape}")
        if len(self.time) != len(self.displacement):
            raise SlipscanError(f"a stack of {len(self.displacement)} epochs came with {len(self.time)} dates")
        if not (np.diff(self.time) > np.timedelta64(0)).all():
            raise SlipscanError("the dates of a stack are not in ascending order, or one occurs twice: sort them")

    @property
    def days(self) -> Float:
        """(time,) days since 2014-01-01."""
        return seriesmodel.days_since_2014(self.time)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.displacement.shape[1], self.displacement.shape[2]

    @property
    def design(self) -> Float:
        """Columns of the series model that every pixel has beside events, (time, column): offset (+ rate, season)."""
        if self.background_known:
            return np.ones((len(self.time), 1))
        return seriesmodel.design_matrix(self.time)[0]


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
