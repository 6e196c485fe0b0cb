"""Which sightings of a region are one event: the fold's first half, region by region.

A chain is one event as its region's scans saw it, one sighting each at most, and perhaps a retraction. Regions know
nothing of each other here (`borders` joins what they share), so that no region's chains hang on another's scans.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from slipscan.catalogue.sightings import Floats, Ints, Sightings

OPPOSITE = -0.5
"""Sources whose unit moment tensors have a smaller product move the ground in opposite senses: two events."""
SHARE_AREA = "2********"
"""Of two polygons whose insides meet in an area (DE-9IM)."""


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

    The first increments of all regions are followed at once, then all second ones, and so on: regions know nothing
    of each other, so the result is that of one region after the other.
    """
    follower = _Follower(sightings, match_gap_d)
    for rows, increments in _rounds(sightings):
        follower.follow(rows, increments)
    return follower.chains()


class _Follower:
    """The state while increments are followed: which sighting each chain was seen in last.

    Chains are numbered in the order of their birth, over all regions, until `chains` sorts them by region.
    """

    def __init__(self, sightings: Sightings, match_gap_d: float) -> None:
        self.sightings, self.gap_d, self.times = sightings, match_gap_d, Times.of(sightings)
        self.of_sighting = np.full(len(sightings), -1, np.int64)
        self.last = np.zeros(0, np.int64)
        self.active = np.zeros(0, bool)
        self.retracted: list[Ints] = []
        self.by: list[Ints] = []
        of_increment = regions_of(sightings)
        self.regions = int(of_increment.max(initial=-1)) + 1
        self.region = of_increment[sightings.increment]
        self.alike = _alike(sightings, self.region)
        self.chain_alike = np.full(len(sightings) + 1, -1, np.int64)
        self.tracks, texts = sightings.codes("tracks")
        self.names = [frozenset(part.strip() for part in text.split(",")) for text in texts]

    def follow(self, rows: Ints, increments: dict[int, int]) -> None:
        """Follow one increment of some regions: its sightings, and its number by the number of the region."""
        scanned = np.zeros(self.regions, bool)
        scanned[list(increments)] = True
        known = np.flatnonzero(scanned[self.region[self.last]])
        held = np.zeros(len(self.last), bool)
        held[self._same(rows, known)] = True
        held[self._near(rows[self.of_sighting[rows] < 0], known[~held[known]])] = True
        old = rows[self.of_sighting[rows] >= 0]
        self.last[self.of_sighting[old]] = old
        lost = known[self.active[known] & ~held[known]]
        self.active |= held
        for region, group in _grouped(self.region[self.last[lost]], lost):
            gone = group[self._looked_at(self.last[group], increments[region])]
            self.active[gone] = False
            self.retracted.append(gone)
            self.by.append(np.full(len(gone), increments[region]))
        new = rows[self.of_sighting[rows] < 0]
        self.of_sighting[new] = len(self.last) + np.arange(len(new))
        self.last = np.concatenate([self.last, new])
        self.active = np.concatenate([self.active, np.ones(len(new), bool)])

    def chains(self) -> Chains:
        """What became of all, chains numbered by region and birth."""
        order = np.argsort(self.region[self.last], kind="stable")
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        none = [np.zeros(0, np.int64)]
        gone, by = np.concatenate(none + self.retracted), np.concatenate(none + self.by)
        return Chains(place[self.of_sighting], place[gone], by)

    def _same(self, rows: Ints, known: Ints) -> Ints:
        """Continue the chains whose last sighting was the same; those chains."""
        before = self.alike[self.last[known]]
        self.chain_alike[before] = known
        chain = self.chain_alike[self.alike[rows]]
        self.chain_alike[before] = -1
        hit = np.flatnonzero(chain >= 0)
        got, first = np.unique(chain[hit], return_index=True)
        self.of_sighting[rows[hit[first]]] = got
        return got

    def _near(self, rows: Ints, free: Ints) -> list[int]:
        """Pair sightings with chains, one to one, best pairs first; the chains that got one."""
        got: set[int] = set()
        if not len(rows) or not len(free):
            return []
        i, j, area = self._pairs(rows, self.last[free])
        apart = np.abs(self.times.t50[rows[i]] - self.times.t50[self.last[free[j]]])
        best = np.lexsort((i, j, -area, apart, ~self.active[free[j]]))
        taken: set[int] = set()
        for row, one in zip(rows[i[best]].tolist(), free[j[best]].tolist(), strict=True):
            if row not in taken and one not in got:
                taken.add(row)
                got.add(one)
                self.of_sighting[row] = one
        return list(got)

    def _pairs(self, rows: Ints, before: Ints) -> tuple[Ints, Ints, Floats]:
        """Pairs of sightings that may be one event, and the area that they share where one has a choice (else 0)."""
        shapes = self.sightings.footprint
        i, j = shapely.STRtree(shapes[before]).query(shapes[rows])
        keep = self.region[rows[i]] == self.region[before[j]]
        keep &= self.times.close(rows[i], before[j], self.gap_d)
        i, j = i[keep], j[keep]
        keep = compatible(self.sightings, rows[i], before[j])
        keep &= shapely.relate_pattern(shapes[rows[i]], shapes[before[j]], SHARE_AREA)
        i, j = i[keep], j[keep]
        choice = (np.bincount(i, minlength=1)[i] > 1) | (np.bincount(j, minlength=1)[j] > 1)
        area = np.zeros(len(i))
        area[choice] = shapely.area(shapely.intersection(shapes[rows[i[choice]]], shapes[before[j[choice]]]))
        return i, j, area

    def _looked_at(self, rows: Ints, number: int) -> NDArray[np.bool_]:
        """(row) whether an increment scanned each of the sighting's tracks in a window that covers its t50."""
        t50 = self.times.t50[rows]
        covered: dict[str, NDArray[np.bool_]] = defaultdict(lambda: np.zeros(len(rows), bool))
        for scan in self.sightings.increments[number].scans:
            start, end = (np.datetime64(str(scan[f"window_{which}"])[:10], "D").astype(np.int64)
                          for which in ("start", "end"))  # fmt: skip
            covered[str(scan["track"])] |= (start <= t50) & (t50 <= end)
        out = np.ones(len(rows), bool)
        for code, places in _grouped(self.tracks[rows], np.arange(len(rows))):
            for name in self.names[code]:
                out[places] &= covered[name][places]
        return out


def _grouped(key: Ints, values: Ints) -> Iterator[tuple[int, Ints]]:
    """The values of each key, in their order, by sorted key."""
    order = np.argsort(key, kind="stable")
    begin = np.flatnonzero(first_of(key[order]))
    for one, part in zip(key[order][begin].tolist(), np.split(values[order], begin[1:]), strict=False):
        yield int(one), part


def regions_of(sightings: Sightings) -> Ints:
    """(increment) number of its region, by sorted name."""
    names = sorted({increment.region for increment in sightings.increments})
    place = {name: number for number, name in enumerate(names)}
    return np.array([place[increment.region] for increment in sightings.increments], np.int64)


def _rounds(sightings: Sightings) -> Iterator[tuple[Ints, dict[int, int]]]:
    """The n-th increments of all regions, n rising: their sightings, and their numbers by the number of the region.

    Sightings are sorted by region and, inside an increment, in an order that does not hang on that of the file.
    """
    region = regions_of(sightings)
    order = np.argsort(region, kind="stable")
    turn = np.empty(len(order), np.int64)
    turn[order] = _counted(region[order])
    shapes = shapely.bounds(sightings.footprint).reshape(-1, 4)
    places = (sightings.number("longitude"), sightings.number("latitude"))
    dates = (sightings.days("t50"), sightings.days("t05"), sightings.days("t95"))
    keys = (sightings.number("statistic"), *shapes.T, *places[::-1], *dates[::-1])
    rows = np.lexsort((*keys, region[sightings.increment], turn[sightings.increment]))
    ends = np.searchsorted(turn[sightings.increment][rows], np.arange(turn.max(initial=-1) + 1), side="right")
    begin = 0
    for (_, numbers), end in zip(_grouped(turn, np.arange(len(turn))), ends.tolist(), strict=True):
        yield rows[begin:end].astype(np.int64), dict(zip(region[numbers].tolist(), numbers.tolist(), strict=True))
        begin = end


def _counted(key: Ints) -> Ints:
    """(row) 0, 1, ... within each run of a sorted key."""
    begin = np.flatnonzero(first_of(key))
    return np.arange(len(key)) - np.repeat(begin, np.diff(np.append(begin, len(key))))


def _alike(sightings: Sightings, region: Ints) -> Ints:
    """(sighting) a number that two of a region share if times, footprint and source are the same."""
    columns = [region, sightings.footprints[0]]
    columns += [sightings.codes(name)[0] for name in ("t05", "t50", "t95", "type")]
    columns += [np.round(sightings.mechanism @ np.array([1, 7, 31, 101, 307, 911]), 9).view(np.int64)]
    stacked = np.stack(columns, axis=1)
    order = np.lexsort(stacked.T)
    ordered = stacked[order]
    new = np.concatenate([[True], (ordered[1:] != ordered[:-1]).any(axis=1)])[: len(ordered)]
    out = np.empty(len(ordered), np.int64)
    out[order] = np.cumsum(new)
    return out


def first_of(sorted_keys: Ints) -> NDArray[np.bool_]:
    """(row) whether a sorted key is not that of the row before."""
    return np.concatenate([[True], sorted_keys[1:] != sorted_keys[:-1]])[: len(sorted_keys)]
