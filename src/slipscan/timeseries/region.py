"""What a dataset's attributes say about its region; what is absent is said in the log."""

from __future__ import annotations

import logging
import math

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
        polygon = shapely.from_wkt(dataset.attrs["region_polygon"])
    except (shapely.errors.ShapelyError, TypeError) as error:
        raise SlipscanError(f"the attribute region_polygon of {where(dataset)} is no WKT polygon") from error
    if not isinstance(polygon, Polygon) or polygon.is_empty or not polygon.is_valid:
        raise SlipscanError(
            f"the attribute region_polygon of {where(dataset)} is no simple WKT polygon: give one ring of longitude and"
            " latitude"
        )
    if abs(polygon.bounds[1]) > 90 or abs(polygon.bounds[3]) > 90:
        raise SlipscanError(
            f"the attribute region_polygon of {where(dataset)} is not in degrees, longitude before latitude: its second"
            f" coordinates go from {polygon.bounds[1]:g} to {polygon.bounds[3]:g}"
        )
    return polygon


def reference_point(dataset: xr.Dataset) -> tuple[float, float] | None:
    """Return the reference point (degrees), or None, said in the log."""
    limits = {"reference_lon": 360.0, "reference_lat": 90.0}
    held = [name for name in limits if name in dataset.attrs]
    if not held:
        log.warning("the input has no attributes reference_lon and reference_lat: nothing is referenced")
        return None
    for name in limits:
        if name not in held:
            raise SlipscanError(f"{where(dataset)} has the attribute {held[0]} but no {name}: add it, or drop both")
    lon, lat = (number(dataset, name, -limit, limit) for name, limit in limits.items())
    return lon, lat


def number(dataset: xr.Dataset, name: str, low: float, high: float) -> float:
    """Return an attribute that is a number in a range; raises SlipscanError where it is none."""
    given = dataset.attrs[name]
    try:
        value = float(given)
    except (TypeError, ValueError):
        value = math.nan
    if not low <= value <= high:
        held = repr(given) if isinstance(given, str) else given
        raise SlipscanError(
            f"the attribute {name} of {where(dataset)} is {held}: give a number from {low:g} to {high:g}, with a"
            " decimal point"
        )
    return value
