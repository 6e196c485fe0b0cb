"""Whether the coordinates of a grid are those of its CRS, and metres on the ground."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from pyproj import Geod
from pyproj.exceptions import ProjError

from slipscan.errors import SlipscanError
from slipscan.geometry import Array, Grid, to_lonlat

SMALLEST_PIXEL_M, LARGEST_PIXEL_M = 1.0, 1e5
NOT_METRIC = 0.03
"""Share by which a pixel's side may differ from its length on the ground: UTM differs by under 1 %."""
NOT_SQUARE = 1.1
LENGTHS = {
    "m": 1.0, "metre": 1.0, "meter": 1.0, "metres": 1.0, "meters": 1.0, "km": 1e3, "kilometre": 1e3, "kilometer": 1e3,
    "ft": 0.3048, "foot": 0.3048, "feet": 0.3048, "us-ft": 0.3048006, "us survey foot": 0.3048006,
}  # fmt: skip
"""Units of coordinates."""


def check_place(grid: Grid, units: Mapping[str, object], where: str) -> None:
    """Refuse coordinates that cannot be those of the CRS.

    Parameters
    ----------
    grid
        as read
    units
        what the axes' attributes say, None where they say nothing
    where
        the file's path, for the sentence

    Raises
    ------
    SlipscanError
        units other than the CRS's, places off the Earth, pixels under a metre or over 100 km: degrees or kilometres in
        a CRS of metres, or the reverse
    """
    axis_unit = grid.crs.axis_info[0] if grid.crs.axis_info else None
    for axis, unit in units.items():
        text = str(unit or "").strip().lower()
        if (
            axis_unit is not None
            and text in LENGTHS
            and (
                grid.crs.is_geographic
                or not math.isclose(LENGTHS[text], axis_unit.unit_conversion_factor, rel_tol=1e-4)
            )
        ):
            raise SlipscanError(
                f"the coordinate '{axis}' in {where} is in '{unit}', but its CRS ({grid.crs.name}) is in"
                f" {axis_unit.unit_name}: convert the coordinate"
            )
        if text.startswith("degree") and grid.crs.is_projected:
            raise SlipscanError(
                f"the coordinate '{axis}' in {where} is in '{unit}', but its CRS ({grid.crs.name}) is projected: give"
                " the CRS of the coordinates (EPSG:4326), or reproject the data"
            )
    sides = ground_pixel(grid)
    if sides is None or sides.min() < SMALLEST_PIXEL_M or sides.max() > LARGEST_PIXEL_M:
        size = "" if sides is None else f": pixels of {sides[0, 0]:.3g} x {sides[0, 1]:.3g} m"
        raise SlipscanError(
            f"the coordinates in {where} (x from {grid.x[0]:.8g} to {grid.x[-1]:.8g}, y from {grid.y[-1]:.8g} to"
            f" {grid.y[0]:.8g}) are not those of its CRS ({grid.crs.name}){size}; correct the CRS or the coordinates"
        )


def ground_pixel(grid: Grid) -> Array | None:
    """Sides of a pixel on the ground, along x and y, at the middle (first) and the corners, (place, side) m.

    None where a place is off the Earth.
    """
    dx, dy = grid.spacing
    x = np.array([grid.x[len(grid.x) // 2], *grid.x[[0, -1, 0, -1]]])
    y = np.array([grid.y[len(grid.y) // 2], *grid.y[[0, 0, -1, -1]]])
    try:
        lon, lat = to_lonlat(
            np.stack([x, x + dx, x]), np.stack([y, y, y + np.where(y == grid.y[0], -dy, dy)]), grid.crs
        )
    except ProjError:
        return None
    if not np.isfinite(lon).all() or np.abs(lat).max() > 90 or np.abs(lon).max() > 360:
        return None
    along = [Geod(ellps="WGS84").inv(lon[0], lat[0], lon[side], lat[side])[2] for side in (1, 2)]
    return np.stack(along, axis=-1)


def not_metric(grid: Grid) -> str | None:
    """Why areas and distances cannot be counted in a grid's own coordinates, or None: they are metres on the ground."""
    if grid.crs.is_geographic:
        return "its CRS is geographic"
    sides = ground_pixel(grid)
    if sides is None:
        return f"its coordinates lie outside its CRS ({grid.crs.name})"
    dx, dy = grid.spacing
    ratio = sides / np.array([dx, dy])
    worst = int(np.abs(ratio - 1).max(axis=1).argmax())
    if np.abs(ratio - 1).max() > NOT_METRIC:
        return (
            f"its pixels of {dx:.6g} x {dy:.6g} of the CRS ({grid.crs.name}) are {sides[worst, 0]:.6g} x"
            f" {sides[worst, 1]:.6g} m on the ground"
        )
    if max(dx, dy) > NOT_SQUARE * min(dx, dy):
        return f"its pixels are not square ({dx:.6g} x {dy:.6g} m)"
    return None


def check_metric(grid: Grid, where: str = "the stack") -> None:
    """Refuse a grid whose coordinates are not metres on the ground."""
    if problem := not_metric(grid):
        raise SlipscanError(
            f"this stage needs a metric grid, but of {where} {problem}: reproject it to UTM (`slipscan timeseries`"
            " does)"
        )


def pixel_area_km2(grid: Grid) -> float:
    """Area of a cell of a metric grid, km2; raises SlipscanError for another."""
    check_metric(grid)
    dx, dy = grid.spacing
    return dx * dy / 1e6
