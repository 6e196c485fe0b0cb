"""Where an event is: its footprint, the frame about it, and the places of its sources in degrees."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import shapely
from shapely.geometry import MultiPolygon

from slipscan.geometry import to_lonlat
from slipscan.source.faults import MappedFault
from slipscan.source.join import TrackTransient, in_metres, multi
from slipscan.source.models import Area
from slipscan.source.posterior import Posterior
from slipscan.source.sources import local_crs

GRID: Final = 60
BEYOND: Final = 1.2
MARGIN_M, MARGIN = 1e3, 0.15
"""A source may lie outside its footprint: its place spreads so much more than the footprint, plus so many metres and so
much of a diameter."""
ELONGATED: Final = 2.0
"""Ratio of axes from which a footprint tells a strike."""


def area_of(
    members: Sequence[TrackTransient], fault: MappedFault | None = None, strike_deg: float | None = None
) -> tuple[MultiPolygon, tuple[float, float], Area]:
    """The footprint of an event's transients, the origin (longitude, latitude) of its frame, and where to search."""
    footprint = multi(shapely.union_all([member.footprint for member in members]))
    origin = (float(footprint.centroid.x), float(footprint.centroid.y))
    size = 2.0 * math.sqrt(float(in_metres(footprint, *origin).area) / math.pi)
    axes, elongated = _axes(in_metres(footprint, *origin), size)
    return footprint, origin, Area(0.0, 0.0, size, fault, elongated if strike_deg is None else strike_deg, axes)


def _axes(
    footprint: shapely.Geometry, size: float
) -> tuple[tuple[tuple[float, float], tuple[float, float]], float | None]:
    """Axes of the search of `models.Area`, and the azimuth (degrees) of a footprint that is long; None: it is not."""
    west, south, east, north = footprint.bounds
    x, y = (axis.ravel() for axis in np.meshgrid(np.linspace(west, east, GRID), np.linspace(south, north, GRID)))
    inside = shapely.contains_xy(footprint, x, y)
    points = np.stack([x[inside], y[inside]]) if inside.sum() >= 3 else np.array([[west, east], [south, north]])
    value, vector = np.linalg.eigh(np.cov(points))
    value = np.maximum(value, 0.0)
    wide = vector * np.sqrt(BEYOND**2 * value + (MARGIN_M + MARGIN * size) ** 2)
    long = bool(value[1] > ELONGATED**2 * value[0])
    azimuth = math.degrees(math.atan2(vector[0, 1], vector[1, 1])) % 180.0 if long else None
    (ee, en), (ne, nn) = wide.tolist()
    return ((ee, en), (ne, nn)), azimuth


def place_of(posterior: Posterior, row: int, origin: tuple[float, float]) -> dict[str, float]:
    """Longitude and latitude of the centre of a particle."""
    east, north = (np.array(posterior.shape[name][row]) for name in ("east", "north"))
    lon, lat = to_lonlat(east, north, local_crs(*origin))
    return {"longitude": float(lon), "latitude": float(lat)}
