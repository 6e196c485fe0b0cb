"""Longitudes across 180 degrees.

Within slipscan the polygon of a region is continuous: one that crosses the antimeridian runs on past 180. Data and
points come in -180 to 180 or in whatever their file has, and are brought near to it where they meet. What leaves
slipscan is cut at 180 degrees (RFC 7946, section 3.1.9).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

Float = NDArray[np.floating]
TURN = 360.0


def near(longitude: Float | float, centre: float) -> Float:
    """Bring each longitude within half a turn of a centre; one that lies there is left as it is, to the last bit."""
    longitude = np.asarray(longitude)
    return np.asarray(longitude - TURN * np.round((longitude - centre) / TURN), longitude.dtype)


def shifted(longitude: Float, centre: float) -> Float:
    """Bring an axis of longitudes as a whole within half a turn of a centre."""
    longitude = np.asarray(longitude)
    if not longitude.size:
        return longitude
    middle = (float(longitude.min()) + float(longitude.max())) / 2
    return np.asarray(longitude - TURN * round((middle - centre) / TURN), longitude.dtype)


def in_range(longitude: float) -> float:
    """Bring a longitude to -180 to 180; one that lies there is left as it is."""
    return float(near(longitude, 0.0)) if abs(longitude) > TURN / 2 else longitude


def continuous(ring: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Make a ring continuous, its west end in -180 to 180.

    An edge of more than 180 degrees of longitude is one that goes the short way round.
    """
    vertices = np.array(ring, float)
    vertices[:, 0] = np.unwrap(vertices[:, 0], period=TURN) if (np.ptp(vertices[:, 0]) > TURN / 2) else vertices[:, 0]
    west = float(vertices[:, 0].min())
    vertices[:, 0] -= TURN * np.floor((west + TURN / 2) / TURN)
    return [(float(lon), float(lat)) for lon, lat in vertices]


def continuous_polygon(polygon: Polygon, centre: float) -> Polygon:
    """A polygon without jumps of longitude, near a centre; holes are filled."""
    ring = np.array(continuous([(x, y) for x, y, *_ in polygon.exterior.coords]))
    return Polygon(np.column_stack([shifted(ring[:, 0], centre), ring[:, 1]]))


def joined(parts: MultiPolygon) -> BaseGeometry:
    """Join the parts of a polygon that was cut at 180 degrees; others are left as they are."""
    west, _, east, _ = parts.bounds
    if east - west <= TURN / 2:
        return parts
    moved = shapely.transform(parts, lambda xy: np.column_stack([xy[:, 0] + TURN * (xy[:, 0] < 0), xy[:, 1]]))
    # The cut leaves vertices on the line, which are none of the polygon's own; no other is moved.
    return shapely.union_all(shapely.get_parts(moved))
