"""The positions of several stations on one axis of days, outlying ones down-weighted or dropped."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from slipscan.fit.scatter import MAD_TO_STD
from slipscan.gnss.tenv3 import Station

log = logging.getLogger(__name__)
Float = NDArray[np.float64]

RUNNING = 15
"""Positions of a running median: it follows a step at once and a spike not at all."""
LOCAL = 401
"""Positions over which the scatter about it is taken."""
DROPPED, DOUBTED = 6.0, 2.5
"""Robust deviations from which a position is dropped, or its white noise grows (Huber's weights)."""
MIN_POSITIONS = 100


@dataclass(frozen=True)
class DailySeries:
    """Positions of stations on a common axis of days.

    Attributes
    ----------
    names, longitude, latitude
        (station,) degrees
    start
        datetime64[D] of day 0
    position
        (station, 3, day) east, north, up in metres from the median of each monument; NaN where there is none
    excess
        (station, day) factor, 1 or more, of the white noise of a day
    monument
        (station, day) number; -1 where there is no position
    """

    names: tuple[str, ...]
    longitude: Float
    latitude: Float
    start: np.datetime64
    position: Float
    excess: Float
    monument: NDArray[np.int64]

    @property
    def days(self) -> NDArray[np.datetime64]:
        """(day,) datetime64[D]."""
        return self.start + np.arange(self.position.shape[2])

    @property
    def present(self) -> NDArray[np.bool_]:
        """(station, day) whether there is a position."""
        return self.monument >= 0

    def day_of(self, time: np.datetime64 | str) -> int:
        """Number of a date's day, which may lie outside."""
        return int((np.datetime64(str(time)).astype("datetime64[D]") - self.start) / np.timedelta64(1, "D"))

    def chosen(self, stations: NDArray[np.integer] | Sequence[int]) -> DailySeries:
        """Some of the stations."""
        at = np.asarray(stations, int)
        return DailySeries(
            tuple(self.names[i] for i in at), self.longitude[at], self.latitude[at], self.start,
            self.position[at], self.excess[at], self.monument[at],
        )  # fmt: skip


def daily_series(
    stations: Sequence[Station],
    since: np.datetime64 | None = None,
    until: np.datetime64 | None = None,
    least: int = MIN_POSITIONS,
) -> DailySeries | None:
    """Put stations on one axis of days.

    Stations with fewer than `least` positions between `since` and `until` (inclusive; default: all) are left
    out, and said in the log.

    Returns
    -------
    series
        None where no station is left
    """
    kept, days = [], []
    for station in stations:
        day = station.time.astype("datetime64[D]")
        inside = np.ones(len(day), bool)
        if since is not None:
            inside &= day >= since.astype("datetime64[D]")
        if until is not None:
            inside &= day <= until.astype("datetime64[D]")
        if inside.sum() < least:
            log.warning("station left out: %s has %d positions, %d are needed", station.name, inside.sum(), least)
            continue
        kept.append((station, inside))
        days.append(day[inside])
    if not kept:
        return None
    start, end = min(d[0] for d in days), max(d[-1] for d in days)
    count = int((end - start) / np.timedelta64(1, "D")) + 1
    position = np.full((len(kept), 3, count), np.nan)
    excess = np.ones((len(kept), count))
    monument = np.full((len(kept), count), -1)
    for row, ((station, inside), day) in enumerate(zip(kept, days, strict=True)):
        part = station.monument[inside]
        enu, factor = _cleaned(station.enu[inside], part)
        at = ((day - start) / np.timedelta64(1, "D")).astype(int)[np.isfinite(factor)]
        fine = np.isfinite(factor)
        position[row][:, at] = enu[fine].T
        excess[row, at], monument[row, at] = factor[fine], part[fine]
    names = tuple(station.name for station, _ in kept)
    places = np.array([(station.longitude, station.latitude) for station, _ in kept])
    return DailySeries(names, places[:, 0], places[:, 1], start, position, excess, monument)


def _cleaned(enu: Float, monument: NDArray[np.int64]) -> tuple[Float, Float]:
    """Positions (time, 3) less the median of their monument, and factors (time,) of their noise, NaN to drop them."""
    enu = enu.copy()
    factor = np.ones(len(enu))
    for part in np.unique(monument):
        rows = np.flatnonzero(monument == part)
        # Numbers of 10^6 m would cost digits; the offsets mean nothing.
        enu[rows] -= np.median(enu[rows], axis=0)
        away = np.abs(enu[rows] - median_filter(enu[rows], size=(RUNNING, 1), mode="reflect"))
        scatter = np.stack([_local_median(column) for column in away.T], axis=1)
        far = (away / np.maximum(MAD_TO_STD * scatter, 1e-6)).max(axis=1)
        factor[rows] = np.where(far > DROPPED, np.nan, np.maximum(1.0, far / DOUBTED))
    return enu, factor


def _local_median(values: Float) -> Float:
    """Median over the `LOCAL` values around each, taken at nodes."""
    nodes = np.arange(0, len(values) + LOCAL // 4, LOCAL // 4).tolist()
    half = LOCAL // 2
    medians = [np.median(values[max(0, min(n, len(values) - 1) - half) : n + half + 1]) for n in nodes]
    return np.asarray(np.interp(np.arange(len(values)), nodes, medians))
