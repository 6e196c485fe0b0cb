"""Events that two regions see: chains of different regions that are one event (`chains` follows each region alone)."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from slipscan.catalogue.chains import Times, compatible
from slipscan.catalogue.sightings import Ints, Sightings

KM_PER_DEGREE = 111.195
Shapes = NDArray[np.object_]


def joined(
    sightings: Sightings, last: Ints, region: Ints, active: NDArray[np.bool_], gap_d: float, border_km: float
) -> Ints:
    """Group the chains that are one event across the border of two regions.

    Two chains of different regions, one of them active, are one event if they are close in time as in `chains.chain`,
    their footprints share area or lie within `border_km` (each region sees its side alone), and their sources are of
    no opposite sense. A chain joins at most one chain of another region: an active one first, then the nearest in
    time, so that a series of events on a border does not become one.

    Parameters
    ----------
    last
        (chain) last sighting
    region
        (chain) number of the region
    active
        (chain)

    Returns
    -------
    group
        (chain) number of the first chain (in this order) of its group
    """
    own = np.arange(len(last), dtype=np.int64)
    one, other = _near(sightings.footprint[last], region, own, border_km)
    keep = active[one] | active[other]
    one, other = one[keep], other[keep]
    if not len(one):
        return own
    times = Times.of(sightings)
    keep = times.close(last[one], last[other], gap_d) & compatible(sightings, last[one], last[other])
    one, other = one[keep], other[keep]
    apart = np.abs(times.t50[last[one]] - times.t50[last[other]])
    taken: set[tuple[int, int]] = set()
    links: list[tuple[int, int]] = []
    retracted = ~(active[one] & active[other])
    for pair in np.lexsort((other, one, apart, retracted)).tolist():
        a, b = int(one[pair]), int(other[pair])
        ends = {(a, int(region[b])), (b, int(region[a]))}
        if not ends & taken:
            taken |= ends
            links.append((a, b))
    first, second = np.array(links, np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(len(last), len(last)))
    label = connected_components(graph, directed=False)[1]
    _, lowest = np.unique(label, return_index=True)
    return np.asarray(lowest[label], np.int64)


def _near(shapes: Shapes, region: Ints, chosen: Ints, border_km: float) -> tuple[Ints, Ints]:
    """Pairs (one < other) of chosen footprints of different regions within a distance."""
    bounds = shapely.bounds(shapes[chosen]).reshape(-1, 4)
    margin = _margin(bounds, border_km)
    chosen = chosen[_at_a_border(bounds, margin, region[chosen])]
    none = np.zeros(0, np.int64)
    if not len(chosen):
        return none, none
    shapes = np.array([_unwrapped(shape) for shape in shapes[chosen]], dtype=object)
    bounds = shapely.bounds(shapes).reshape(-1, 4)
    margin = _margin(bounds, border_km)
    west, south, east, north = bounds.T
    tree = shapely.STRtree(shapely.box(west, south, east, north))
    found = []
    for shift in (0.0, 360.0, -360.0):
        wide = shapely.box(west - margin[:, 0] + shift, south - margin[:, 1], east + margin[:, 0] + shift,
                           north + margin[:, 1])  # fmt: skip
        i, j = tree.query(wide)
        keep = region[chosen[i]] < region[chosen[j]]
        i, j = i[keep], j[keep]
        scale = np.cos(np.deg2rad((bounds[i, 1] + bounds[j, 3]) / 2))
        near = [
            _distance_km(shapes[a], shapes[b], shift, float(c)) <= border_km
            for a, b, c in zip(i.tolist(), j.tolist(), scale, strict=True)
        ]
        found.append(np.stack([chosen[i], chosen[j]])[:, np.array(near, bool)])
    pairs = np.unique(np.sort(np.concatenate(found, axis=1), axis=0), axis=1)
    return pairs[0], pairs[1]


def _margin(bounds: NDArray[np.float64], border_km: float) -> NDArray[np.float64]:
    """(footprint, 2) `border_km` in degrees of longitude and latitude."""
    farthest = np.clip(np.abs(bounds[:, [1, 3]]).max(axis=1, initial=0), 0, 89)
    degrees = border_km / KM_PER_DEGREE
    return np.stack([degrees / np.cos(np.deg2rad(farthest)), np.full(len(bounds), degrees)], axis=1)


def _at_a_border(bounds: NDArray[np.float64], margin: NDArray[np.float64], region: Ints) -> NDArray[np.bool_]:
    """(footprint) whether it lies within the box around all footprints of another region.

    Most regions have no neighbour: their footprints need no closer look.
    """
    numbers, inverse = np.unique(region, return_inverse=True)
    low = np.full((len(numbers), 2), np.inf)
    high = np.full((len(numbers), 2), -np.inf)
    np.minimum.at(low, inverse, bounds[:, :2] - margin)
    np.maximum.at(high, inverse, bounds[:, 2:] + margin)
    # What touches 180 degrees may have its neighbour on the other side.
    wraps = (low[:, 0] <= -180) | (high[:, 0] >= 180)
    low[wraps, 0], high[wraps, 0] = -540, 540
    tree = shapely.STRtree(shapely.box(low[:, 0], low[:, 1], high[:, 0], high[:, 1]))
    mine = shapely.box(*(bounds + np.concatenate([-margin, margin], axis=1)).T)
    i, j = tree.query(mine)
    out = np.zeros(len(bounds), bool)
    out[i[inverse[i] != j]] = True
    return out


def _unwrapped(shape: shapely.Geometry) -> shapely.Geometry:
    """A footprint that was split at 180 degrees, with its western part moved beside the eastern one."""
    west, _, east, _ = shape.bounds
    if east - west <= 180:
        return shape
    return shapely.transform(shape, lambda xy: xy + np.stack([360.0 * (xy[:, 0] < 0), 0 * xy[:, 1]], axis=1))


def _distance_km(one: shapely.Geometry, other: shapely.Geometry, shift: float, scale: float) -> float:
    """Distance of two footprints near each other, `one` moved by `shift` degrees of longitude."""

    def flat(offset: float, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        return (xy + np.array([offset, 0.0])) * np.array([scale * KM_PER_DEGREE, KM_PER_DEGREE])

    a = shapely.transform(one, lambda xy: flat(shift, xy))
    b = shapely.transform(other, lambda xy: flat(0.0, xy))
    return float(shapely.distance(a, b))
