"""From a statistic to lobes: connected places of one sign above a threshold, of many candidates at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

Float = NDArray[np.floating]
Whole = NDArray[np.integer]

OVERLAP_INTERVALS = 4
"""Intervals within which the strongest response of a lobe lies from that of the cluster: beside an unknown rate and
season, events half a year apart look alike, but each is strongest at its own time."""


@dataclass(frozen=True)
class Above:
    """Places above the threshold, of many candidates, sorted by candidate and place.

    Attributes
    ----------
    candidate, place
        (entry,) numbers
    value
        (entry,) statistic
    """

    candidate: Whole
    place: Whole
    value: Float


@dataclass(frozen=True)
class Lobes:
    """Connected places of one sign.

    Attributes
    ----------
    candidate, strength
        (lobe,) number, and sum of the squares of the statistic
    start
        (lobe + 1,) where each begins in `place` and `value`
    place, value
        (entry,) sorted by lobe
    """

    candidate: Whole
    strength: Float
    start: Whole
    place: Whole
    value: Float

    def places(self, lobe: int) -> Whole:
        """The places of a lobe."""
        return self.place[self.start[lobe] : self.start[lobe + 1]]

    def values(self, lobe: int) -> Float:
        """The statistic there."""
        return self.value[self.start[lobe] : self.start[lobe + 1]]


def lobes_of(above: Above, shape: tuple[int, int], min_places: int) -> Lobes:
    """Group places that touch (by side or corner), have the same sign and the same candidate.

    Parameters
    ----------
    above
        all places above the threshold
    shape
        (y, x) places
    min_places
        smaller lobes are left out
    """
    rows, cols = shape
    # A border, so that the last place of a row and the first of the next do not touch.
    y, x = np.divmod(above.place, cols)
    wide = cols + 2
    key = (above.candidate * (rows + 2) + y + 1) * wide + x + 1
    order = np.argsort(key, kind="stable")
    key, sign = key[order], np.sign(above.value[order])
    pairs = []
    for offset in (1, wide - 1, wide, wide + 1):
        at = np.searchsorted(key, key + offset)
        found = np.flatnonzero((at < len(key)) & (key[np.minimum(at, len(key) - 1)] == key + offset))
        found = found[sign[found] == sign[at[found]]]
        pairs.append(np.stack([found, at[found]]))
    first, second = np.concatenate(pairs, axis=1) if len(key) else np.empty((2, 0), int)
    graph = coo_array((np.ones(len(first), bool), (first, second)), shape=(len(key), len(key)))
    count, label = connected_components(graph, directed=False)
    size = np.bincount(label, minlength=count)
    kept = size >= min_places
    number = np.cumsum(kept) - 1
    entries = np.flatnonzero(kept[label])
    entries = entries[np.argsort(number[label[entries]], kind="stable")]
    lobe = number[label[entries]]
    chosen = order[entries]
    start = np.concatenate([[0], np.cumsum(size[kept])]).astype(np.int64)
    strength = np.bincount(lobe, above.value[chosen].astype(float) ** 2, minlength=int(kept.sum()))
    candidate = above.candidate[chosen][start[:-1]] if len(chosen) else np.empty(0, np.int64)
    return Lobes(candidate, np.asarray(strength, float), start, above.place[chosen], above.value[chosen].astype(float))


def centres(lobes: Lobes, shape: tuple[int, int]) -> tuple[Float, Float]:
    """Centre (lobe, 2) and radius (lobe,) of a circle that holds each lobe, places."""
    position = np.stack(np.divmod(lobes.place, shape[1]), axis=1).astype(float)
    number = np.repeat(np.arange(len(lobes.strength)), np.diff(lobes.start))
    size = np.maximum(np.diff(lobes.start), 1)
    centre = np.stack([np.bincount(number, position[:, i], len(size)) / size for i in (0, 1)], axis=1)
    away = np.hypot(*(position - centre[number]).T)
    radius = np.zeros(len(size))
    np.maximum.at(radius, number, away)
    return centre, radius


def near_groups(centre: Float, radius: Float, distance: float) -> NDArray[np.int32]:
    """Group number of lobes whose circles come within a distance of one another, directly or through others."""
    apart = np.hypot(*(centre[:, None] - centre[None]).transpose(2, 0, 1)) - radius[:, None] - radius[None]
    return np.asarray(connected_components(coo_array(apart <= distance), directed=False)[1])


def joined(
    lobes: Lobes,
    chosen: Whole,
    responses: list[Float],
    at: int,
    shape: tuple[int, int],
    distance: float,
    correlation: float,
) -> NDArray[np.int32]:
    """Group number of each chosen lobe: near one another, and with histories that overlap and correlate, signs apart.

    Parameters
    ----------
    chosen
        numbers of the lobes, of one candidate
    responses
        per lobe (middle,), the statistic for every middle of a ramp projected on the lobe's own: filtered in time, they
        tell more of a history than the series themselves
    at
        the middle of the candidate
    shape, distance
        (y, x) places; largest distance between two lobes of one event, places
    correlation
        smallest
    """
    n = len(chosen)
    if n == 1:
        return np.zeros(1, np.int32)
    histories = np.stack(responses)
    norms = np.linalg.norm(histories, axis=1)
    in_time = np.abs(np.abs(histories).argmax(axis=1) - at) <= OVERLAP_INTERVALS
    alike = histories @ histories.T / np.maximum(np.outer(norms, norms), 1e-300) >= correlation
    alike &= in_time[:, None] & in_time[None]
    trees = [cKDTree(np.stack(np.divmod(lobes.places(int(lobe)), shape[1]), axis=1)) for lobe in chosen]
    link = np.zeros((n, n), bool)
    for i in range(n):
        for j in range(i + 1, n):
            if alike[i, j]:
                reach = trees[i].query(trees[j].data, distance_upper_bound=distance + 1e-9)[0]
                link[i, j] = bool(np.isfinite(reach).any())
    return np.asarray(connected_components(coo_array(link), directed=False)[1])
