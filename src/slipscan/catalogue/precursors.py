"""Events that an earthquake followed, against those that none followed: the study that the catalogue is for.

The grid of T, R and M is stated in the configuration before the run, and the whole grid is tested as one: by the
largest excess over it, against random time shifts of the earthquakes of each region within the time that was scanned. A
shift keeps what is not the question: where events and earthquakes are, how they cluster, how many there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slipscan.catalogue.quakes import Quakes, days_of
from slipscan.catalogue.schema import ACTIVE, MERGED
from slipscan.settings import PrecursorSettings

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

LEFT_OUT: Final = ("afterslip", "coseismic", "residue", "hydrological")
"""Types that follow an earthquake, or are none of the earth's slow slip."""
EPOCH_D: Final = 12.0
"""An event that begins an epoch or more before an earthquake is never left out as its afterslip."""
EARTH_KM: Final = 6371.0


@dataclass(frozen=True)
class Versions:
    """Every version of every event that may count, padded: (event, version).

    Attributes
    ----------
    until
        data cut-off, day; infinite where there is no such version
    t05, t50
        days
    counts
        active and of a type that counts
    """

    ids: list[str]
    region: list[str]
    longitude: Floats
    latitude: Floats
    until: Floats
    t05: Floats
    t50: Floats
    counts: Bools


@dataclass(frozen=True)
class Study:
    """What came out.

    Attributes
    ----------
    cells
        a row of the grid: T, R, M, events followed completely, those followed by an earthquake, what shifts give on
        average, ratio, the p-value of this cell alone, and events whose following time is not over (censored)
    p_value
        of the largest excess anywhere in the grid
    followed
        ids of the events that an earthquake followed in the cell of the largest excess
    left_out
        events taken for afterslip
    unknown
        events that no data cut-off before any earthquake in reach knew
    """

    cells: pd.DataFrame
    p_value: float
    followed: list[str]
    left_out: int
    unknown: int


def versions_of(history: pd.DataFrame, events: pd.DataFrame, known_before: bool) -> Versions:
    """The versions of the events, from the layer history; parts of events across borders are left to the whole."""
    whole = events[events["status"] != MERGED]
    rows = history[history["event_id"].isin(whole["id"])].sort_values(["event_id", "version"])
    if not known_before:
        # In hindsight: the last version alone, known since ever.
        rows = rows.drop_duplicates("event_id", keep="last").assign(data_until="0001-01-01")
    groups = list(rows.groupby("event_id", sort=True))
    width = max((len(group) for _, group in groups), default=1)
    until = np.full((len(groups), width), np.inf)
    t05, t50 = np.full_like(until, np.nan), np.full_like(until, np.nan)
    counts = np.zeros(until.shape, bool)
    for number, (_, group) in enumerate(groups):
        size = len(group)
        # A version counts from the day when all before it did: cut-offs only grow.
        until[number, :size] = np.maximum.accumulate(days_of(group["data_until"]))
        t05[number, :size], t50[number, :size] = days_of(group["t05"]), days_of(group["t50"])
        counts[number, :size] = ((group["status"] == ACTIVE) & ~group["type"].isin(LEFT_OUT)).to_numpy()
    last = rows.drop_duplicates("event_id", keep="last")
    return Versions(
        list(last["event_id"]), list(last["region"]), last["longitude"].to_numpy(dtype=float),
        last["latitude"].to_numpy(dtype=float), until, t05, t50, counts,
    )  # fmt: skip


def study(
    events: pd.DataFrame, history: pd.DataFrame, regions: pd.DataFrame, quakes: Quakes, settings: PrecursorSettings
) -> Study:
    """Compare how many events an earthquake followed with what random time shifts give.

    An event is followed in cell (T, R, M) if a mainshock of magnitude M or more comes within R km and T days after
    its t50, as the newest version before the earthquake states it (`known_before`). Whose T days reach past the
    scanned time or the end of the earthquake list without one is censored: it counts neither as followed nor as not.
    """
    known = versions_of(history, events, settings.known_before)
    span = {
        row["region"]: (day(row["scanned_from"]), day(row["scanned_through"])) for row in regions.to_dict("records")
    }
    begin = np.array([span[region][0] for region in known.region])
    end = np.minimum(np.array([span[region][1] for region in known.region]), quakes.until)
    pairs = _pairs(known, quakes, max(max(settings.radii_km), settings.afterslip_km), begin, end)
    grid = [(t, r, m) for t in settings.windows_d for r in settings.radii_km for m in settings.magnitudes]
    real = _Counted(known, quakes, pairs, grid, settings, end)
    observed, complete, followed = real.count(quakes.day[pairs.quake])
    rng = np.random.default_rng(settings.seed)
    shifted = np.empty((settings.shifts, len(grid)))
    names, of_region = np.unique(known.region, return_inverse=True)
    for number in range(settings.shifts):
        offset = rng.uniform(0, 1, len(names))[of_region][pairs.event]
        length = (end - begin)[pairs.event]
        moved = begin[pairs.event] + np.mod(quakes.day[pairs.quake] - begin[pairs.event] + offset * length, length)
        shifted[number] = real.count(moved)[0]
    mean, spread = shifted.mean(axis=0), shifted.std(axis=0)
    scale = np.where(spread > 0, spread, np.inf)
    largest = ((shifted - mean) / scale).max(axis=1, initial=-np.inf)
    excess = (observed - mean) / scale
    best = int(np.argmax(excess))
    ratio = np.divide(observed, mean, out=np.full(len(grid), np.nan), where=mean > 0)
    cells = pd.DataFrame(grid, columns=["T_days", "R_km", "M"]).assign(
        events=complete, followed=observed.astype(int), expected=mean, ratio=ratio,
        p_cell=(1 + (shifted >= observed).sum(axis=0)) / (settings.shifts + 1), censored=real.candidates() - complete,
    )  # fmt: skip
    p_value = float((1 + (largest >= excess[best]).sum()) / (settings.shifts + 1))
    return Study(cells, p_value, [known.ids[i] for i in np.flatnonzero(followed[best])], real.left_out(),
                 real.never_known())  # fmt: skip


@dataclass(frozen=True)
class Pairs:
    """Events and earthquakes near each other: (pair) numbers and distance in km."""

    event: Ints
    quake: Ints
    km: Floats


def _pairs(known: Versions, quakes: Quakes, reach_km: float, begin: Floats, end: Floats) -> Pairs:
    """Pairs within reach, of earthquakes in the scanned time of the event's region."""
    found = []
    for event in range(len(known.ids)):
        km = distance_km(known.longitude[event], known.latitude[event], quakes.longitude, quakes.latitude)
        near = np.flatnonzero((km <= reach_km) & (quakes.day >= begin[event]) & (quakes.day < end[event]))
        found.append(np.stack([np.full(len(near), event), near, km[near]]))
    event_, quake, km = np.concatenate(found, axis=1) if found else np.zeros((3, 0))
    return Pairs(event_.astype(np.int64), quake.astype(np.int64), km)


class _Counted:
    """Counts over the grid, for any times of the earthquakes."""

    def __init__(
        self, known: Versions, quakes: Quakes, pairs: Pairs, grid: list[tuple[float, float, float]],
        settings: PrecursorSettings, end: Floats,
    ) -> None:  # fmt: skip
        self.known, self.pairs, self.grid, self.settings, self.end = known, pairs, grid, settings, end
        self.magnitude = quakes.magnitude[pairs.quake]
        self.main = quakes.mainshock[pairs.quake]
        final = np.maximum(np.isfinite(known.until).sum(axis=1) - 1, 0)
        rows = np.arange(len(known.ids))
        self.t50, self.t05 = known.t50[rows, final], known.t05[rows, final]
        self.last_counts = known.counts[rows, final]
        self.real = quakes.day[pairs.quake]

    def _after_an_earthquake(self, day_: Floats) -> Bools:
        """(event) begins right after an earthquake near by: taken for its afterslip."""
        pairs, settings = self.pairs, self.settings
        since = self.t05[pairs.event] - day_
        hit = (since > -EPOCH_D) & (since <= settings.afterslip_d) & (pairs.km <= settings.afterslip_km)
        hit &= self.magnitude >= settings.afterslip_magnitude
        out = np.zeros(len(self.known.ids), bool)
        out[pairs.event[hit]] = True
        return out

    def count(self, day_: Floats) -> tuple[Floats, Ints, Bools]:
        """(cell) events followed, events at risk, and (cell, event) who was followed, at these times of the pairs."""
        known, pairs = self.known, self.pairs
        version = (known.until[pairs.event] < day_[:, None]).sum(axis=1) - 1
        seen = version >= 0
        at = np.maximum(version, 0)
        wait = day_ - known.t50[pairs.event, at]
        kept = seen & self.main & (wait > 0) & known.counts[pairs.event, at]
        after = self._after_an_earthquake(day_)
        kept &= ~after[pairs.event]
        followed = np.zeros((len(self.grid), len(known.ids)), bool)
        complete = np.zeros(len(self.grid), np.int64)
        possible = self.last_counts & ~after
        for cell, (window, radius, magnitude) in enumerate(self.grid):
            hit = kept & (wait <= window) & (pairs.km <= radius) & (self.magnitude >= magnitude)
            followed[cell, pairs.event[hit]] = True
            whole = possible & (self.t50 + window <= self.end)
            # An event whose time is not over counts where an earthquake came already.
            complete[cell] = int((whole | followed[cell]).sum())
        return followed.sum(axis=1).astype(float), complete, followed

    def candidates(self) -> int:
        """Events that could count."""
        return int((self.last_counts & ~self._after_an_earthquake(self.real)).sum())

    def left_out(self) -> int:
        """Events taken for afterslip."""
        return int((self.last_counts & self._after_an_earthquake(self.real)).sum())

    def never_known(self) -> int:
        """Events with an earthquake in reach after t50, none of which came after a data cut-off that knew the event."""
        later = self.real > self.t50[self.pairs.event]
        known = self.known.until[self.pairs.event, 0] < self.real
        some = np.bincount(self.pairs.event[later], minlength=len(self.known.ids))
        in_time = np.bincount(self.pairs.event[later & known], minlength=len(self.known.ids))
        return int(((some > 0) & (in_time == 0)).sum())


def day(date: str) -> float:
    """Day number of an ISO date."""
    return float(np.datetime64(date, "D").astype(np.int64))


def distance_km(longitude: float, latitude: float, longitudes: Floats, latitudes: Floats) -> Floats:
    """Great-circle distances (haversine)."""
    lon, lat, lons, lats = (np.deg2rad(v) for v in (longitude, latitude, longitudes, latitudes))
    half = np.sin((lats - lat) / 2) ** 2 + np.cos(lat) * np.cos(lats) * np.sin((lons - lon) / 2) ** 2
    return np.asarray(2 * EARTH_KM * np.arcsin(np.sqrt(np.clip(half, 0, 1))))
