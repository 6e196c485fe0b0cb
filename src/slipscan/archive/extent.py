"""Which part of the data a region needs: boxes in degrees."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from shapely import Polygon, box

from slipscan.errors import SlipscanError
from slipscan.geometry import Array, Grid
from slipscan.longitudes import TURN, near
from slipscan.regions import Region, Track

Bounds = tuple[float, float, float, float]
"""West, south, east, north, degrees; east beyond 180 where the box crosses the antimeridian."""

Indices = NDArray[np.intp]

MARGIN_DEG = 0.03
"""About 3 km beyond the box of polygon and reference point, for resampling and the reference area."""


def crop_bounds(region: Region) -> Bounds:
    """Return the box of a region's polygon and reference point, with a margin."""
    lon = [vertex[0] for vertex in region.polygon] + [region.reference_point[0]]
    lat = [vertex[1] for vertex in region.polygon] + [region.reference_point[1]]
    margin_lon = MARGIN_DEG / float(np.cos(np.deg2rad(max(map(abs, lat)))))
    return min(lon) - margin_lon, min(lat) - MARGIN_DEG, max(lon) + margin_lon, max(lat) + MARGIN_DEG


def projected(bounds: Bounds, crs: CRS) -> Bounds:
    """Return the box in another CRS that holds a box in degrees."""
    west, south, east, north = Transformer.from_crs(4326, crs, always_xy=True).transform_bounds(*bounds)
    return west, south, east, north


def lonlat_bounds(grid: Grid) -> Bounds:
    """Return the box in degrees that holds a grid's outer edges; `east` is the larger also across 180 degrees."""
    dx, dy = grid.spacing
    edges = (grid.x[0] - dx / 2, grid.y[-1] - dy / 2, grid.x[-1] + dx / 2, grid.y[0] + dy / 2)
    west, south, east, north = Transformer.from_crs(grid.crs, 4326, always_xy=True).transform_bounds(*edges)
    return west, south, east + TURN * (east < west), north


def beside(bounds: Bounds, longitude: float) -> Bounds:
    """Return a box in degrees with its middle within half a turn of a longitude."""
    west, south, east, north = bounds
    middle = (west + east) / 2
    turn = float(near(middle, longitude)) - middle
    return west + turn, south, east + turn, north


def touches(one: Bounds, other: Bounds) -> bool:
    """Whether two boxes in degrees touch, on whatever side of 180 degrees each is told."""
    return bool(box(*beside(one, (other[0] + other[2]) / 2)).intersects(box(*other)))


def nodes_around(latitude: Array, longitude: Array, bounds: Bounds, margin_deg: float) -> tuple[Indices, Indices]:
    """Return which latitudes and which longitudes lie in a box with a margin (degrees).

    Across 180 degrees the columns are in the box's order: those of a global file from its end, then from its beginning.
    """
    west, south, east, north = bounds
    longitude = near(longitude, (west + east) / 2)
    columns = np.flatnonzero((longitude > west - margin_deg) & (longitude < east + margin_deg))
    jump = np.flatnonzero(np.abs(np.diff(longitude[columns])) > TURN / 2)
    return (
        np.flatnonzero((latitude > south - margin_deg) & (latitude < north + margin_deg)),
        np.roll(columns, -int(jump[0]) - 1) if len(jump) else columns,
    )


def check_overlap(region: Region, track: Track, data: Bounds) -> None:
    """Refuse a polygon that lies outside the data.

    Raises
    ------
    SlipscanError
        the region's polygon does not touch the box `data`
    """
    polygon = Polygon(region.polygon)
    data = beside(data, (polygon.bounds[0] + polygon.bounds[2]) / 2)
    if not polygon.intersects(box(*data)):
        raise SlipscanError(
            f"region {region.id}'s polygon lies outside the data of track {track.id}"
            f" (data: {_text(data)}, polygon: {_text(polygon.bounds)}): correct the polygon or the track's path"
        )


def _text(bounds: Bounds) -> str:
    """Write a box as text."""
    west, south, east, north = bounds
    return f"{west:.3f} to {east:.3f} E, {south:.3f} to {north:.3f} N"
