"""Footprints on the sphere: polygons in longitude and latitude that may cross 180 degrees."""

from __future__ import annotations

import math
from typing import cast

import numpy as np
from numpy.typing import NDArray
from shapely.affinity import translate
from shapely.geometry import MultiPolygon, Polygon, box
from shapely.geometry.base import BaseGeometry

_WORLD = box(-180, -90, 180, 90)
_NEXT_WORLD = box(180, -90, 540, 90)


def split_at_antimeridian(footprint: BaseGeometry) -> BaseGeometry:
    """Split a footprint where it crosses 180 degrees, so that planar software draws it rightly.

    Parameters
    ----------
    footprint
        Polygon or MultiPolygon, longitude and latitude in degrees. An edge longer than 180 degrees of
        longitude is taken as one that goes the short way round; longitudes may also run past 180.

    Returns
    -------
    footprint
        the same object where nothing crosses, else a MultiPolygon within -180..180 degrees. A footprint
        around a pole is not meant.
    """
    polygons = [g for g in getattr(footprint, "geoms", [footprint]) if isinstance(g, Polygon)]
    if not any(map(_crosses, polygons)):
        return footprint
    return MultiPolygon([part for polygon in polygons for part in _split(polygon)])


def _longitudes(ring: BaseGeometry) -> NDArray[np.float64]:
    return np.asarray(ring.coords)[:, 0]


def _crosses(polygon: Polygon) -> bool:
    if polygon.is_empty:
        return False
    longitude = _longitudes(polygon.exterior)
    outside = longitude.min() < -180 or longitude.max() > 180
    return bool(outside or np.abs(np.diff(longitude)).max() > 180)


def _split(polygon: Polygon) -> list[Polygon]:
    """Cut one polygon into its parts on either side of 180 degrees."""
    shell = _unwrapped(polygon.exterior)
    shell[:, 0] -= 360 * math.floor((shell[:, 0].min() + 180) / 360)
    centre = (shell[:, 0].min() + shell[:, 0].max()) / 2
    holes = [_unwrapped(ring) for ring in polygon.interiors]
    for hole in holes:
        hole[:, 0] -= 360 * round((hole[:, 0].mean() - centre) / 360)
    whole = Polygon(shell, holes)
    east, west = whole.intersection(_WORLD), whole.intersection(_NEXT_WORLD)
    parts = [east, translate(west, xoff=-360.0)]
    return [
        cast(Polygon, g)
        for part in parts
        for g in getattr(part, "geoms", [part])
        if isinstance(g, Polygon) and g.area > 0
    ]


def _unwrapped(ring: BaseGeometry) -> NDArray[np.float64]:
    """Vertices (vertex, 2) of a ring with longitudes made continuous."""
    vertices = np.array(ring.coords, dtype=float)[:, :2]
    vertices[:, 0] = np.unwrap(vertices[:, 0], period=360)
    return vertices
