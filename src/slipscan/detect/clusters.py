"""From lobes to clusters: those near one another that share a history are one. The strongest, and that of each tile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray
from torch import from_numpy

from slipscan.detect.bands import Band
from slipscan.detect.lobes import Lobes, centres, joined, near_groups
from slipscan.detect.places import Group, at_places
from slipscan.detect.ramp import Ramp
from slipscan.detect.statistic import Filters

Float = NDArray[np.floating]
Whole = NDArray[np.integer]

TILE_KM: Final = 50.0
"""Side of the tiles whose strongest clusters are counted in null stacks: wider than most of them."""


@dataclass(frozen=True)
class Cluster:
    """Lobes taken as one: in which band, at which candidate, its places and the statistic there."""

    band: int
    candidate: int
    places: Whole
    values: Float
    statistic: float


@dataclass(frozen=True)
class BandLobes:
    """The lobes of a band, and the filters that they were found with.

    Attributes
    ----------
    number
        of the band
    groups, filters
        places with the ramps that were found near them, and their filters
    distance, correlation
        largest, in places, and smallest with which lobes are joined
    """

    number: int
    band: Band
    lobes: Lobes
    tried: Sequence[Ramp]
    groups: list[Group]
    filters: list[Filters]
    distance: float
    correlation: float

    @cached_property
    def circles(self) -> tuple[Float, Float]:
        """Centre (lobe, 2) and radius (lobe,) of a circle that holds each lobe, places."""
        return centres(self.lobes, self.band.shape)

    def strongest(self, least: float, chosen: Whole | None = None) -> Cluster | None:
        """The strongest cluster among some lobes (None: all), if its statistic is above `least`."""
        lobes, cells = self.lobes, self.band.place_km2 / self.band.cell_km2
        chosen = np.arange(len(lobes.strength)) if chosen is None else chosen
        order = chosen[np.argsort(lobes.candidate[chosen], kind="stable")]
        edges = np.flatnonzero(np.diff(lobes.candidate[order])) + 1
        contenders = [(cells * float(lobes.strength[some].sum()), some) for some in np.split(order, edges) if len(some)]
        best: Cluster | None = None
        for total, some in sorted(contenders, key=lambda contender: -contender[0]):
            if total <= least**2:
                break
            near = near_groups(self.circles[0][some], self.circles[1][some], self.distance)
            for group in np.unique(near):
                members = some[near == group]
                if cells * lobes.strength[members].sum() <= least**2:
                    continue
                found = self._cluster(members)
                if found.statistic > least:
                    best, least = found, found.statistic
        return best

    def _cluster(self, members: Whole) -> Cluster:
        """The strongest of lobes that are near one another, those that share a history taken as one."""
        lobes, band, tried = self.lobes, self.band, self.tried
        candidate = int(lobes.candidate[members[0]])
        alike = [i for i, ramp in enumerate(tried) if ramp.duration_d == tried[candidate].duration_d]
        responses = []
        for lobe in members if len(members) > 1 else ():
            response = at_places(band, self.groups, self.filters, alike, lobes.places(int(lobe)))
            responses.append((response.double() @ from_numpy(lobes.values(int(lobe)))).numpy())
        at = alike.index(candidate)
        group = joined(lobes, members, responses, at, band.shape, self.distance, self.correlation)
        strength = np.bincount(group, lobes.strength[members])
        chosen = members[group == int(strength.argmax())]
        places = np.concatenate([lobes.places(int(lobe)) for lobe in chosen])
        values = np.concatenate([lobes.values(int(lobe)) for lobe in chosen])
        statistic = float(np.sqrt(strength.max() * band.place_km2 / band.cell_km2))
        return Cluster(self.number, candidate, places, values, statistic)


def strongest(found: Sequence[BandLobes], chosen: Sequence[Whole] | None = None) -> Cluster | None:
    """The strongest cluster in any band, among some lobes of each (None: all)."""
    best: Cluster | None = None
    for number, lobed in enumerate(found):
        least = 0.0 if best is None else best.statistic
        best = lobed.strongest(least, None if chosen is None else chosen[number]) or best
    return best


def strongest_of_tiles(found: Sequence[BandLobes], shape: tuple[int, int], pixel_km: float) -> list[float]:
    """The statistic of the strongest cluster of every tile, 0 where there is none, tiles row by row.

    A cluster belongs to the tile of its middle. It is taken whole, wherever its lobes lie, and what lies near it, in
    any band, is part of it.

    Parameters
    ----------
    shape, pixel_km
        of the coarse grid
    """
    tiles = tiles_of(shape, pixel_km)
    out = np.zeros(tiles)
    middles = [(lobed.circles[0] + 0.5) * 2**lobed.band.level for lobed in found]
    of_lobe = [tile_of(middle, tiles, shape) for middle in middles]
    left = [np.arange(len(middle)) for middle in middles]
    while (best := strongest(found, left)) is not None:
        lobed = found[best.band]
        side = 2**lobed.band.level
        position = (np.stack(np.divmod(best.places, lobed.band.shape[1]), axis=1) + 0.5) * side
        middle = np.average(position, axis=0, weights=best.values**2)
        reach = np.hypot(*(position - middle).T).max() + lobed.distance * side
        tile = tile_of(middle[None], tiles, shape)[0]
        row, column = divmod(int(tile), int(tiles[1]))
        out[row, column] = max(out[row, column], best.statistic)
        for number, some in enumerate(left):
            near = np.hypot(*(middles[number][some] - middle).T) <= reach
            left[number] = some[~near & (of_lobe[number][some] != tile)]
    return [float(statistic) for statistic in out.ravel()]


def tiles_of(shape: tuple[int, int], pixel_km: float) -> Whole:
    """Number of tiles (2,) down and across the coarse grid."""
    return np.array([max(1, round(size * pixel_km / TILE_KM)) for size in shape])


def tile_of(middle: Float, tiles: Whole, shape: tuple[int, int]) -> Whole:
    """Number of the tile (point,) in which points (point, 2) of the coarse grid lie."""
    row, column = np.clip((middle * tiles / np.array(shape)).astype(int), 0, tiles - 1).T
    return np.asarray(row * tiles[1] + column)
