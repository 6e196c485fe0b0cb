"""Referencing to the robust median of an area, before any inversion (SCIENCE.md, section 10.3)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from slipscan.errors import SlipscanError
from slipscan.geometry import Grid, from_lonlat, utm_crs
from slipscan.timeseries.grid import parts_of


def reference_area(grid: Grid, lon: float, lat: float, radius_m: float) -> NDArray[np.bool_]:
    """Mark the pixels of a grid whose centre lies within `radius_m` of a point (degrees), (y, x).

    Raises
    ------
    SlipscanError
        there is no such pixel: the reference point lies outside the data
    """
    east0, north0 = from_lonlat(np.array(lon), np.array(lat), utm_crs(lon, lat))
    area = np.zeros(grid.shape, bool)
    for rows, part in parts_of(grid):
        east, north = from_lonlat(*part.lonlat(), utm_crs(lon, lat))
        area[rows] = np.hypot(east - east0, north - north0) <= radius_m
    if not area.any():
        raise SlipscanError(
            f"there is no pixel within {radius_m:g} m of the reference point ({lon:.4f} E, {lat:.4f} N): move the"
            " region's reference_point into the data, or raise timeseries.reference_radius_m"
        )
    return area


def reference_offsets(
    values: NDArray[np.floating], area: NDArray[np.bool_], min_pixels: int, names: Sequence[str]
) -> NDArray[np.float64]:
    """Return the median of every layer over the valid pixels of the reference area.

    Parameters
    ----------
    values
        (layer, y, x) interferograms or epochs, m, NaN = no data
    area
        (y, x)
    min_pixels
        valid pixels needed
    names
        (layer,) how the sentence calls a layer

    Returns
    -------
    offset
        (layer,) m, to be subtracted

    Raises
    ------
    SlipscanError
        fewer valid pixels than `min_pixels` in a layer
    """
    inside = values[:, area]
    count = np.isfinite(inside).sum(axis=1)
    poor = np.flatnonzero(count < min_pixels)
    if len(poor):
        raise SlipscanError(
            f"{names[poor[0]]} has {count[poor[0]]} valid pixels in the reference area, fewer than"
            f" timeseries.min_reference_pixels = {min_pixels}: move the region's reference_point to coherent ground, or"
            " raise timeseries.reference_radius_m"
        )
    return np.nanmedian(inside.astype(np.float64), axis=1)
