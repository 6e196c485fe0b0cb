"""When an event was, by all tracks that saw it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from slipscan import events
from slipscan.source.join import TrackTransient, strongest
from slipscan.source.maps import TrackMaps


@dataclass(frozen=True)
class Times:
    """Times of an event and their errors.

    Attributes
    ----------
    dates
        t05, t50, t95
    errors_d
        their standard errors, days; NaN: not known
    """

    dates: tuple[np.datetime64, np.datetime64, np.datetime64]
    errors_d: tuple[float, float, float]

    @property
    def duration_d(self) -> float:
        """From t05 to t95, days."""
        return float((self.dates[2] - self.dates[0]) / np.timedelta64(1, "D"))


def shortest(track: TrackMaps, one: TrackTransient) -> tuple[np.datetime64, np.datetime64]:
    """Begin and end of a transient that is as short as its errors allow."""
    early, _, late = (np.timedelta64(round(86400 * d), "s") for d in np.nan_to_num(_errors(track, one.number)))
    begin, end = one.t05 + early, one.t95 - late
    return (begin, end) if begin <= end else (one.t50, one.t50)


def times_of(tracks: Sequence[TrackMaps], group: Sequence[TrackTransient]) -> Times:
    """Means over the tracks, each by its strongest transient and its error; where errors are unknown, the strongest's.

    Where tracks differ by more than their errors say, the error is as much larger (Birge 1932).
    """
    each = [strongest([one for one in group if one.track == track]) for track in sorted({one.track for one in group})]
    errors = np.array([_errors(tracks[one.track], one.number) for one in each])
    if len(each) == 1 or not (errors > 0).all():
        best = strongest(group)
        return Times((best.t05, best.t50, best.t95), _errors(tracks[best.track], best.number))
    start = min(one.t05 for one in each)
    days = np.array([[(when - start) / np.timedelta64(1, "D") for when in (one.t05, one.t50, one.t95)] for one in each])
    weight = errors**-2
    mean = (weight * days).sum(axis=0) / weight.sum(axis=0)
    excess = (weight * (days - mean) ** 2).sum(axis=0) / (len(each) - 1)
    error = np.sqrt(np.maximum(excess, 1.0) / weight.sum(axis=0))
    # Each is a mean of its own: they may cross.
    t05, t50, t95 = (start + np.timedelta64(round(86400e9 * day), "ns") for day in np.maximum.accumulate(mean))
    return Times((t05, t50, t95), (float(error[0]), float(error[1]), float(error[2])))


def _errors(track: TrackMaps, number: int) -> tuple[float, float, float]:
    names = [f"{name}_error" for name in events.DATES]
    if not set(names) <= set(track.dataset):
        return math.nan, math.nan, math.nan
    t05, t50, t95 = (float(track.dataset[name].values[number]) for name in names)
    return t05, t50, t95
