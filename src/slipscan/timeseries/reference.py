"""Referencing to the robust median of an area, before any inversion (docs/science.md section 10.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from slipscan.errors import SlipscanError
from slipscan.geometry import Grid, from_lonlat, utm_crs


def reference_area(grid: Grid, lon: float, lat: float, radius_m: float) -> NDArray[np.bool_]:
    """Mark the pixels of a grid whose centre lies within `radius_m` of a point (degrees), (y, x).

    Raises
    ------
    SlipscanError
        there is no such pixel: the reference point lies outside the data
    """
    local = utm_crs(lon, lat)
    east0, north0 = from_lonlat(np.array(lon), np.array(lat), local)
    area = np.zeros(grid.shape, bool)
    # Only the window around the point is transformed; a wider circle bounds it.
    turn = np.linspace(0, 2 * np.pi, 33)
    around = 1.5 * radius_m * np.cos(turn), 1.5 * radius_m * np.sin(turn)
    x, y = Transformer.from_crs(local, grid.crs, always_xy=True).transform(east0 + around[0], north0 + around[1])
    rows = np.flatnonzero((grid.y >= np.min(y)) & (grid.y <= np.max(y)))
    columns = np.flatnonzero((grid.x >= np.min(x)) & (grid.x <= np.max(x)))
    if len(rows) and len(columns):
        window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        xx, yy = np.meshgrid(grid.x[window[1]], grid.y[window[0]])
        east, north = Transformer.from_crs(grid.crs, local, always_xy=True).transform(xx, yy)
        area[window] = np.hypot(east - east0, north - north0) <= radius_m
    if not area.any():
        remedy = "move the region's reference_point into the data, or raise timeseries.reference_radius_m"
        if _holds(grid, lat, lon):
            remedy = "longitude and latitude are swapped"
        raise SlipscanError(
            f"there is no pixel within {radius_m:g} m of the reference point ({lon:.4f} E, {lat:.4f} N): {remedy}"
        )
    return area


def _holds(grid: Grid, lon: float, lat: float) -> bool:
    """Whether a point (degrees) lies on a grid."""
    if abs(lat) > 90:
        return False
    x, y = from_lonlat(np.array(lon), np.array(lat), grid.crs)
    return bool(grid.x.min() <= x <= grid.x.max() and grid.y.min() <= y <= grid.y.max())


def reference_medians(
    values: NDArray[np.floating], area: NDArray[np.bool_], min_pixels: int
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return the median of every layer over the valid pixels of the reference area, and their number.

    Parameters
    ----------
    values
        (layer, y, x) interferograms or epochs, m, NaN = no data
    area
        (y, x)
    min_pixels
        valid pixels needed

    Returns
    -------
    median, count
        (layer,) m, to be subtracted, NaN where there are too few valid pixels; (layer,)
    """
    inside = values[:, area].astype(np.float64)
    count = np.isfinite(inside).sum(axis=1)
    median = np.full(len(inside), np.nan)
    enough = (count >= min_pixels) & (count > 0)
    median[enough] = np.nanmedian(inside[enough], axis=1)
    return median, count


def check_most(count: NDArray[np.intp], empty: Callable[[int], bool], names: Sequence[str], min_pixels: int) -> None:
    """Refuse layers (interferograms or epochs) of which half or more have too few valid pixels in the reference area.

    Parameters
    ----------
    count
        (layer,) valid pixels in the reference area
    empty
        whether a layer has no valid pixel at all: then no other reference helps
    names
        (layer,) how the sentence calls a layer
    min_pixels
        valid pixels needed

    Raises
    ------
    SlipscanError
        half of the layers or more have too few
    """
    poor = np.flatnonzero(count < max(min_pixels, 1)).tolist()
    if 2 * len(poor) < len(count):
        return
    without = [layer for layer in poor if empty(layer)]
    if 2 * len(without) >= len(poor):
        raise SlipscanError(
            f"{names[without[0]]}{_others(without, count)} has no valid pixel at all: remove what is empty, or make it"
            " again"
        )
    raise SlipscanError(
        f"{names[poor[0]]}{_others(poor, count)} has {count[poor[0]]} valid pixels in the reference area, fewer than"
        f" timeseries.min_reference_pixels = {min_pixels}: move the region's reference_point to coherent ground, or"
        " raise timeseries.reference_radius_m"
    )


def _others(layers: Sequence[int], count: NDArray[np.intp]) -> str:
    return f", like {len(layers) - 1} others of {len(count)}," if len(layers) > 1 else ""
