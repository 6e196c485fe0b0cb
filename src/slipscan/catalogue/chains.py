"""Which sightings of a region are one event: the fold's first half, region by region.

A chain is one event as its region's scans saw it, one sighting each at most, and perhaps a retraction. Regions know
nothing of each other here (`borders` joins what they share), so that no region's chains hang on another's scans.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from slipscan.catalogue.sightings import Floats, Ints, Sightings

OPPOSITE = -0.5
"""Sources whose unit moment tensors have a smaller product move the ground in opposite senses: two events."""


@dataclass(frozen=True)
class Chains:
    """What became of every sighting.

    Attributes
    ----------
    of_sighting
        (sighting) number of its chain; chains are numbered by region and birth
    retracted, retracted_by
        (retraction) chain, and number of the increment that no longer held it
    """

    of_sighting: Ints
    retracted: Ints
    retracted_by: Ints


@dataclass(frozen=True)
class Times:
    """(sighting) t05, t50, t95 as day numbers, and duration in days."""

    t05: Ints
    t50: Ints
    t95: Ints
    duration: Floats

    @classmethod
    def of(cls, sightings: Sightings) -> Times:
        """Those of a table."""
        t05, t50, t95 = (sightings.days(name) for name in ("t05", "t50", "t95"))
        return cls(t05, t50, t95, sightings.number("duration_d"))

    def close(self, one: Ints, other: Ints, gap_d: float) -> NDArray[np.bool_]:
        """(pair) whether the gap is shorter than `gap_d` or half the shorter duration (docs/science.md 10.5)."""
        gap = np.maximum(self.t05[one], self.t05[other]) - np.minimum(self.t95[one], self.t95[other])
        limit = np.maximum(gap_d, 0.5 * np.fmin(self.duration[one], self.duration[other]))
        return np.asarray((gap <= 0) | (gap < limit))


def compatible(sightings: Sightings, one: Ints, other: Ints) -> NDArray[np.bool_]:
    """(pair) whether two sources may be one: not of opposite sense; what has no source goes with any."""
    alike = np.einsum("pi,pi->p", sightings.mechanism[one], sightings.mechanism[other])
    return np.asarray(alike >= OPPOSITE)


def chain(sightings: Sightings, match_gap_d: float) -> Chains:
    """Follow every event of every region through the region's increments.

    A sighting continues the chain that it matches: first one whose last sighting has the same times, footprint and
    source, then the best pairs of those close in time (gap shorter than max(`match_gap_d`, half the shorter
    duration)), with footprints that share some area and sources of no opposite sense; best: active before retracted,
    nearest in t50, largest common area. What matches none begins a chain. An active chain that an increment does not
    hold, though each of its tracks was scanned in a window that covers its t50, is retracted there.
    """
    follower = _Follower(sightings, match_gap_d)
    for members in _by_region(sightings).values():
        follower.region(members)
    return Chains(follower.of_sighting, np.array(follower.retracted, np.int64), np.array(follower.by, np.int64))


def _by_region(sightings: Sightings) -> dict[str, list[int]]:
    """Numbers of the increments of every region, in order, by sorted region."""
    members: dict[str, list[int]] = defaultdict(list)
    for number, increment in enumerate(sightings.increments):
        members[increment.region].append(number)
    return {region: members[region] for region in sorted(members)}


class _Follower:
    """The state while increments are followed: which sighting each chain of the region was seen in last."""

    def __init__(self, sightings: Sightings, match_gap_d: float) -> None:
        self.sightings, self.gap_d, self.times = sightings, match_gap_d, Times.of(sightings)
        self.of_sighting = np.full(len(sightings), -1, np.int64)
        self.retracted: list[int] = []
        self.by: list[int] = []
        self.born = 0
        self.order, self.first = _rows_of_increments(sightings)
        self.alike = _alike(sightings)
        number, texts = sightings.codes("tracks")
        self.tracks = number
        self.names = [frozenset(part.strip() for part in text.split(",")) for text in texts]

    def region(self, members: list[int]) -> None:
        """Follow the increments of one region."""
        last: list[int] = []
        active: set[int] = set()
        known: dict[int, int] = {}
        begin = self.born
        for number in members:
            rows = self.order[self.first[number] : self.first[number + 1]]
            held = self._same(rows, last, known)
            held |= self._near(rows[self.of_sighting[rows] < 0], last, active, held, begin)
            for row in rows.tolist():
                if self.of_sighting[row] < 0:
                    self.of_sighting[row] = begin + len(last)
                    held.add(len(last))
                    last.append(row)
                else:
                    last[int(self.of_sighting[row]) - begin] = row
            active |= held
            gone = [one for one in sorted(active - held) if self._looked_at(last[one], number)]
            active.difference_update(gone)
            self.retracted += [begin + one for one in gone]
            self.by += [number] * len(gone)
            known = {int(self.alike[row]): one for one, row in enumerate(last)}
        self.born = begin + len(last)

    def _same(self, rows: Ints, last: list[int], known: dict[int, int]) -> set[int]:
        """Sightings that are what a chain's last one was; the chains that got one."""
        held: set[int] = set()
        if not known:
            return held
        begin = self.born
        for row, alike in zip(rows.tolist(), self.alike[rows].tolist(), strict=True):
            one = known.get(alike)
            if one is not None and one not in held:
                self.of_sighting[row] = begin + one
                held.add(one)
        return held

    def _near(self, rows: Ints, last: list[int], active: set[int], held: set[int], begin: int) -> set[int]:
        """Pair sightings with chains, one to one, best pairs first; the chains that got one."""
        free = np.array([one for one in range(len(last)) if one not in held], np.int64)
        if not len(rows) or not len(free):
            return set()
        before = np.array(last, np.int64)[free]
        shapes = self.sightings.footprint
        i, j = shapely.STRtree(shapes[before]).query(shapes[rows])
        keep = self.times.close(rows[i], before[j], self.gap_d) & compatible(self.sightings, rows[i], before[j])
        i, j = i[keep], j[keep]
        area = shapely.area(shapely.intersection(shapes[rows[i]], shapes[before[j]]))
        i, j, area = i[area > 0], j[area > 0], area[area > 0]
        inactive = np.array([int(free[one]) not in active for one in j], bool)
        apart = np.abs(self.times.t50[rows[i]] - self.times.t50[before[j]])
        taken: set[int] = set()
        got: set[int] = set()
        for pair in np.lexsort((i, j, -area, apart, inactive)).tolist():
            row, one = int(i[pair]), int(free[j[pair]])
            if row not in taken and one not in got:
                taken.add(row)
                got.add(one)
                self.of_sighting[rows[row]] = begin + one
        return got

    def _looked_at(self, row: int, number: int) -> bool:
        """Whether an increment scanned each of the sighting's tracks in a window that covers its t50."""
        t50 = np.datetime64(int(self.times.t50[row]), "D").item().isoformat()
        covered = {
            str(scan["track"])
            for scan in self.sightings.increments[number].scans
            if str(scan["window_start"])[:10] <= t50 <= str(scan["window_end"])[:10]
        }
        return self.names[self.tracks[row]] <= covered


def _rows_of_increments(sightings: Sightings) -> tuple[Ints, Ints]:
    """Sightings by increment and, inside, in an order that does not hang on that of the file; where each begins."""
    shapes = shapely.bounds(sightings.footprint).reshape(-1, 4)
    places = (sightings.number("longitude"), sightings.number("latitude"))
    dates = (sightings.days("t50"), sightings.days("t05"), sightings.days("t95"))
    order = np.lexsort((sightings.number("statistic"), *shapes.T, *places[::-1], *dates[::-1], sightings.increment))
    counts = np.bincount(sightings.increment, minlength=len(sightings.increments))
    return order.astype(np.int64), np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _alike(sightings: Sightings) -> Ints:
    """(sighting) a number that two share if times, footprint and source are the same."""
    columns = [sightings.footprints[0], *(sightings.codes(name)[0] for name in ("t05", "t50", "t95", "type"))]
    columns += [np.round(sightings.mechanism @ np.array([1, 7, 31, 101, 307, 911]), 9).view(np.int64)]
    stacked = np.stack(columns, axis=1) if len(sightings) else np.zeros((0, 6), np.int64)
    order = np.lexsort(stacked.T)
    ordered = stacked[order]
    new = np.concatenate([[True], (ordered[1:] != ordered[:-1]).any(axis=1)])[: len(ordered)]
    out = np.empty(len(ordered), np.int64)
    out[order] = np.cumsum(new)
    return out


def first_of(sorted_keys: Ints) -> NDArray[np.bool_]:
    """(row) whether a sorted key is not that of the row before."""
    return np.concatenate([[True], sorted_keys[1:] != sorted_keys[:-1]])[: len(sorted_keys)]
