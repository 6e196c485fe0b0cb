"""Which transients of different tracks are one event (docs/science.md section 10.5)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.features import rasterize, shapes
from rasterio.transform import Affine
from shapely.geometry import MultiPolygon, Polygon, shape

from slipscan.geometry import Grid, to_lonlat
from slipscan.longitudes import near
from slipscan.source.sources import local_crs

JOIN_DISTANCE_KM = 20.0
"""Footprints of two tracks closer than it (10 km around each) may be one event: each track sees other lobes."""

AGREE: Final = 3.0
"""Standard errors by which the middles of one event may differ in two tracks, and the gap: one that is taken for two is
twice in the catalogue, at two wrong dates."""


@dataclass(frozen=True)
class TrackTransient:
    """One transient of one track.

    Attributes
    ----------
    track
        number of the track among those joined
    number
        of the transient in its store
    t05, t50, t95
        datetime64[ns]
    statistic
        of its cluster
    footprint
        polygons in longitude and latitude
    t50_error_d
        of its middle, days; NaN: not known
    """

    track: int
    number: int
    t05: np.datetime64
    t50: np.datetime64
    t95: np.datetime64
    statistic: float
    footprint: MultiPolygon
    t50_error_d: float = math.nan


def footprint_polygons(footprint: NDArray[np.integer], grid: Grid) -> MultiPolygon:
    """The outline of the pixels of a footprint (y, x) that are 1, in longitude and latitude.

    Continuous across 180 degrees, and on one side of it for all footprints of a grid.
    """
    mask = (np.asarray(footprint) == 1).astype("uint8")
    outlines = [shape(outline) for outline, _ in shapes(mask, mask=mask == 1, transform=Affine(*grid.transform))]
    merged = shapely.union_all(outlines)
    middle, _ = to_lonlat(np.asarray(grid.x.mean()), np.asarray(grid.y.mean()), grid.crs)

    def to_degrees(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        longitude, latitude = to_lonlat(xy[:, 0], xy[:, 1], grid.crs)
        return np.column_stack([near(longitude, float(middle)), latitude])

    return multi(shapely.transform(merged, to_degrees))


def footprint_pixels(footprint: shapely.Geometry, grid: Grid) -> NDArray[np.bool_]:
    """The pixels (y, x) of a grid whose middles an outline in longitude and latitude holds."""
    to_metres = Transformer.from_crs(4326, grid.crs, always_xy=True)
    outline = shapely.transform(footprint, lambda xy: np.column_stack(to_metres.transform(xy[:, 0], xy[:, 1])))
    return np.asarray(rasterize([outline], grid.shape, transform=Affine(*grid.transform)) == 1)


def multi(geometry: shapely.Geometry) -> MultiPolygon:
    """A geometry's polygons as a MultiPolygon in a fixed order, also when there is only one, or none."""
    parts = shapely.get_parts(shapely.normalize(geometry))
    return MultiPolygon([part for part in parts if isinstance(part, Polygon)])


@lru_cache(maxsize=256)
def _to_local(longitude: float, latitude: float) -> Transformer:
    return Transformer.from_crs(4326, local_crs(longitude, latitude), always_xy=True)


def in_metres(geometry: shapely.Geometry, longitude: float, latitude: float) -> shapely.Geometry:
    """A geometry in longitude and latitude, in the local frame about a point."""
    to_metres = _to_local(longitude, latitude)
    return shapely.transform(geometry, lambda xy: np.column_stack(to_metres.transform(xy[:, 0], xy[:, 1])))


def linked_in_time(
    one: tuple[np.datetime64, np.datetime64], other: tuple[np.datetime64, np.datetime64], gap_d: float
) -> bool:
    """Whether the gap between two intervals is shorter than `gap_d` or than half the shorter one."""
    day = np.timedelta64(1, "D")
    gap = (max(one[0], other[0]) - min(one[1], other[1])) / day
    shorter = min((interval[1] - interval[0]) / day for interval in (one, other))
    return bool(gap < max(gap_d, shorter / 2))


def join(transients: Sequence[TrackTransient], gap_d: float) -> list[list[TrackTransient]]:
    """Group transients into events.

    Two transients of different tracks are linked when the gap between them in time is shorter than `gap_d`
    days or half the shorter duration, their middles agree within `gap_d` and `AGREE` errors, and their footprints lie
    within `JOIN_DISTANCE_KM`; what is linked through others is one event too, so that an event may hold several
    transients of a track, if their middles agree, too: those that agree best are linked first, and a weak transient
    of one track never makes one event of two of another.

    Returns
    -------
    events
        in the order of the strongest member's t50, then of the members
    """
    group = {i: [i] for i in range(len(transients))}
    pairs = [
        (i, j) for i, j in itertools.combinations(group, 2) if _linked(transients[i], transients[j], gap_d)
    ]  # fmt: skip

    def apart(pair: tuple[int, int]) -> tuple[float, list[tuple[int, int]]]:
        one, other = (transients[i] for i in pair)
        return _apart(one, other, gap_d), sorted((t.track, t.number) for t in (one, other))

    for i, j in sorted(pairs, key=apart):
        own, other = group[i], group[j]
        told_apart = any(
            transients[a].track == transients[b].track and _apart(transients[a], transients[b], gap_d) > 1.0
            for a, b in itertools.product(own, other)
        )
        if own is not other and not told_apart:
            own.extend(other)
            group |= dict.fromkeys(other, own)
    events = [[transients[i] for i in sorted(one)] for one in {id(one): one for one in group.values()}.values()]
    return sorted(events, key=lambda g: (strongest(g).t50, [(member.track, member.number) for member in g]))


def strongest(group: Sequence[TrackTransient]) -> TrackTransient:
    """The member with the largest statistic, the first one where equal."""
    return max(group, key=lambda member: member.statistic)


def _linked(one: TrackTransient, other: TrackTransient, gap_d: float) -> bool:
    if one.track == other.track:
        return False  # detect has decided that these are two
    if not linked_in_time((one.t05, one.t95), (other.t05, other.t95), gap_d) or _apart(one, other, gap_d) > 1.0:
        return False
    origin = one.footprint.centroid
    first, second = (in_metres(t.footprint, origin.x, origin.y) for t in (one, other))
    return bool(shapely.distance(first, second) <= JOIN_DISTANCE_KM * 1e3)


def _apart(one: TrackTransient, other: TrackTransient, gap_d: float) -> float:
    """Time between two middles, over the most by which those of one event differ; 0: their errors are not known."""
    error = math.hypot(one.t50_error_d, other.t50_error_d)
    apart = abs((one.t50 - other.t50) / np.timedelta64(1, "D"))
    return 0.0 if math.isnan(error) else float(apart / max(gap_d + AGREE * error, 1e-9))
