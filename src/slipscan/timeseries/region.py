"""What a dataset's attributes say about its region; what is absent is said in the log."""

from __future__ import annotations

import logging

import shapely
import xarray as xr
from shapely.geometry import Polygon

from slipscan.errors import SlipscanError

log = logging.getLogger(__name__)


def where(dataset: xr.Dataset) -> str:
    """Name the region and track of a dataset for a sentence."""
    attrs = dataset.attrs
    return f"region {attrs.get('region', '(unnamed)')} track {attrs.get('track', '(unnamed)')}"


def region_polygon(dataset: xr.Dataset) -> Polygon | None:
    """Return the polygon of attribute region_polygon (WKT, degrees), or None, said in the log."""
    if "region_polygon" not in dataset.attrs:
        log.info("the input has no attribute region_polygon: its whole extent is taken")
        return None
    try:
        return shapely.from_wkt(dataset.attrs["region_polygon"])
    except shapely.errors.ShapelyError as error:
        raise SlipscanError(f"the attribute region_polygon of {where(dataset)} is no WKT polygon") from error


def reference_point(dataset: xr.Dataset) -> tuple[float, float] | None:
    """Return the reference point (degrees), or None, said in the log."""
    try:
        return float(dataset.attrs["reference_lon"]), float(dataset.attrs["reference_lat"])
    except KeyError:
        log.warning("the input has no attributes reference_lon and reference_lat: nothing is referenced")
        return None
