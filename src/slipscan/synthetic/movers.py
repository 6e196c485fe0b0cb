"""What can be planted in the ground of a synthetic region."""

from __future__ import annotations

import datetime
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float = NDArray[np.float64]


def days_of(date: datetime.date) -> float:
    """Days since 2014-01-01."""
    return float((date - datetime.date(2014, 1, 1)).days)


class Mover(Protocol):
    """What moves the ground: a pattern times a course."""

    def displacement(self, lon: ArrayLike, lat: ArrayLike) -> Float:
        """Displacement (P, 3) east, north, up, metres, where the course is 1."""
        ...

    def course(self, days: ArrayLike) -> Float:
        """What was reached (time,) at days since 2014-01-01."""
        ...
