"""The local metric frame in which sources are described."""

from __future__ import annotations

from pyproj import CRS


def local_crs(longitude: float, latitude: float) -> CRS:
    """Make the metric frame about a point: transverse Mercator, scale 1, true north at the point."""
    return CRS.from_proj4(
        f"+proj=tmerc +lat_0={latitude!r} +lon_0={longitude!r} +k=1 +x_0=0 +y_0=0 +ellps=WGS84 +units=m +type=crs"
    )
