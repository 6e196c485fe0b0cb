"""The fault of the Ismetpasa twin: one plane of the North Anatolian Fault, its frame, and what slip on it moves."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pyproj import CRS

from slipscan import geometry

Float = NDArray[np.float64]

CENTRE: Final = (32.6258, 40.8698)
"""Longitude, latitude of a point of the trace."""
STRIKE_DEG, DIP_DEG, RAKE_DEG = 261.5, 85.0, 180.0
FRAME: Final = CRS.from_proj4(f"+proj=tmerc +lon_0={CENTRE[0]} +lat_0={CENTRE[1]} +k=1 +datum=WGS84 +units=m")
"""Transverse Mercator about CENTRE: its north is true north, its origin the point of the trace."""
AZIMUTH = math.radians(STRIKE_DEG - 180)
"""Of the direction along the fault that counts as positive, radians from north."""


def frame_position(along_m: float, across_m: float) -> tuple[float, float]:
    """East and north (FRAME) of distances along the fault (azimuth 81.5) and across it (north positive)."""
    sin, cos = math.sin(AZIMUTH), math.cos(AZIMUTH)
    return along_m * sin - across_m * cos, along_m * cos + across_m * sin


def lonlat(along_m: float, across_m: float) -> tuple[float, float]:
    """Longitude and latitude of distances along and across the fault."""
    east, north = frame_position(along_m, across_m)
    lon, lat = geometry.to_lonlat(np.array(east), np.array(north), FRAME)
    return float(lon), float(lat)


def local_coordinates(lon: ArrayLike, lat: ArrayLike) -> tuple[Float, ...]:
    """East and north (FRAME), and distances along (azimuth 81.5) and across the fault (north positive), metres."""
    x, y = geometry.from_lonlat(np.asarray(lon, float), np.asarray(lat, float), FRAME)
    east, north = x.astype(np.float64), y.astype(np.float64)
    sin, cos = math.sin(AZIMUTH), math.cos(AZIMUTH)
    return east, north, east * sin + north * cos, north * sin - east * cos


def right_lateral(
    east: Float, north: Float, top_centre: tuple[float, float], depth_top: float, length: float, width: float,
    slip: float,
) -> Float:  # fmt: skip
    """Displacement (P, 3) of right-lateral slip of a rectangle on the fault."""
    import torch  # takes seconds to start: dates and the truth of a scenario do without

    from slipscan.forward.okada import okada_surface

    points = (torch.from_numpy(np.ascontiguousarray(v)) for v in (east, north))
    return okada_surface(
        *points, east0=top_centre[0], north0=top_centre[1], depth_top=depth_top, strike_deg=STRIKE_DEG,
        dip_deg=DIP_DEG, length=length, width=width, rake_deg=RAKE_DEG, slip=slip,
    )[0].numpy()  # fmt: skip
