"""GeoTIFFs of one track read onto their common extent."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.errors import NotGeoreferencedWarning, RasterioError, RasterioIOError
from rasterio.windows import Window

from slipscan.archive.extent import Bounds, projected
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid

ALIGNMENT = 0.1
"""Rasters may be off the common lattice by this share of a pixel, no more."""


@dataclass(frozen=True)
class Raster:
    """The header of a single-band, north-up GeoTIFF: upper-left corner, posting, size, CRS, nodata."""

    path: Path
    left: float
    top: float
    dx: float
    dy: float
    width: int
    height: int
    crs: CRS
    nodata: float | None


def read_header(path: Path) -> Raster:
    """Read the header of a GeoTIFF.

    Raises
    ------
    SlipscanError
        unreadable, without CRS, rotated or not north-up
    """
    try:
        with _open(path) as source:
            transform, crs, nodata = source.transform, source.crs, source.nodata
            width, height = source.width, source.height
    except (RasterioError, RasterioIOError, OSError) as error:
        raise SlipscanError(f"{path} cannot be read as a GeoTIFF ({one_line(error)}): fetch it again") from error
    if crs is None:
        raise SlipscanError(f"{path} has no CRS: slipscan needs geocoded GeoTIFFs")
    if transform.b or transform.d or transform.a <= 0 or transform.e >= 0:
        raise SlipscanError(f"{path} is rotated or not north-up: warp it to a north-up grid first")
    return Raster(
        path=path,
        left=transform.c,
        top=transform.f,
        dx=transform.a,
        dy=-transform.e,
        width=width,
        height=height,
        crs=CRS.from_user_input(crs.to_wkt()),
        nodata=nodata,
    )


def _open(path: Path) -> Any:
    """Open a raster; that it lacks georeferencing is said by `read_header`, not by a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return rasterio.open(path)


def common_grid(rasters: Sequence[Raster], bounds: Bounds | None = None) -> Grid:
    """Return the extent that all rasters share, cropped to `bounds` (longitude, latitude, degrees).

    HyP3's extents differ from pair to pair, on one lattice.

    Raises
    ------
    SlipscanError
        another posting, CRS or lattice; no common extent, or none within `bounds`
    """
    first = rasters[0]
    left, top, right, bottom = 0, 0, first.width, first.height
    for raster in rasters:
        column, row = _offset(raster, first)
        left, top = max(left, column), max(top, row)
        right, bottom = min(right, column + raster.width), min(bottom, row + raster.height)
        if right - left < 2 or bottom - top < 2:
            raise SlipscanError(f"{raster.path} has no common extent with {first.path}: remove one of them")
    if bounds is not None:
        west, south, east, north = projected(bounds, first.crs)
        left = max(left, math.floor((west - first.left) / first.dx))
        right = min(right, math.ceil((east - first.left) / first.dx))
        top = max(top, math.floor((first.top - north) / first.dy))
        bottom = min(bottom, math.ceil((first.top - south) / first.dy))
        if right - left < 2 or bottom - top < 2:
            raise SlipscanError(f"the region's polygon covers less than two pixels of {first.path}: enlarge it")
    return Grid(
        x=first.left + (np.arange(left, right) + 0.5) * first.dx,
        y=first.top - (np.arange(top, bottom) + 0.5) * first.dy,
        crs=first.crs,
    )


def _offset(raster: Raster, first: Raster) -> tuple[int, int]:
    """Column and row of a raster's upper-left corner on the lattice of the first; raises SlipscanError."""
    if raster.crs != first.crs:
        raise SlipscanError(
            f"{raster.path} has CRS {raster.crs.to_string()}, {first.path} has {first.crs.to_string()}:"
            " a track's files must share one CRS"
        )
    drift_x = abs(raster.dx - first.dx) * max(raster.width, first.width)
    drift_y = abs(raster.dy - first.dy) * max(raster.height, first.height)
    if drift_x > ALIGNMENT * first.dx or drift_y > ALIGNMENT * first.dy:
        raise SlipscanError(
            f"{raster.path} has a posting of {raster.dx:g} x {raster.dy:g}, {first.path} of {first.dx:g} x"
            f" {first.dy:g}: a track's files must share one posting"
        )
    column, row = (raster.left - first.left) / first.dx, (first.top - raster.top) / first.dy
    if abs(column - round(column)) > ALIGNMENT or abs(row - round(row)) > ALIGNMENT:
        raise SlipscanError(f"{raster.path} lies between the pixels of {first.path}: resample it to the same lattice")
    return round(column), round(row)


def read_on(raster: Raster, grid: Grid) -> NDArray[np.float32]:
    """Read a raster on a grid that `common_grid` made; NaN where the file declares no data.

    Returns
    -------
    values
        (y, x) float32, in the file's unit

    Raises
    ------
    SlipscanError
        the file is truncated or otherwise unreadable
    """
    column = round((float(grid.x[0]) - raster.left) / raster.dx - 0.5)
    row = round((raster.top - float(grid.y[0])) / raster.dy - 0.5)
    rows, columns = grid.shape
    try:
        with _open(raster.path) as source:
            values = source.read(1, window=Window(column, row, columns, rows)).astype(np.float32)
    except (RasterioError, RasterioIOError, OSError) as error:
        raise SlipscanError(f"{raster.path} cannot be read to its end ({one_line(error)}): fetch it again") from error
    if raster.nodata is not None and not math.isnan(raster.nodata):
        values[values == np.float32(raster.nodata)] = np.nan
    return np.asarray(values, np.float32)


def one_line(error: Exception) -> str:
    """Return the first line of an error's message."""
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(". ")
