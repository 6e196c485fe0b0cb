"""Heights of a user's DEM, of any CRS and posting, on the cells of a grid."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from slipscan.archive.reading.cubes import ROWS, bilinear
from slipscan.archive.reading.layers import mask_voids
from slipscan.archive.reading.rasters import Raster, read_header, read_on
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid
from slipscan.plausible import Screen

MARGIN = 2
"""Pixels of the DEM beyond a block of cells, for the interpolation."""


def heights_of(path: Path, grid: Grid) -> NDArray[np.float32]:
    """Read heights (m) from a GeoTIFF of any CRS at the cells of a grid, bilinear; NaN beyond it.

    Fills and voids are masked before the interpolation, which would smear them. A block of rows at a time.

    Raises
    ------
    SlipscanError
        unreadable, several bands, without CRS, no heights in metres, or it does not touch the grid
    """
    dem, out, screen = read_header(path), np.full(grid.shape, np.nan, np.float32), Screen("height", f"the DEM {path}")
    for start in range(0, len(grid.y), ROWS):
        rows = slice(start, start + ROWS)
        cells = Grid(grid.x, grid.y[rows], grid.crs)
        part = _around(dem, cells, grid.spacing)
        if part is not None:
            out[rows] = bilinear(mask_voids(screen(read_on(dem, part)), screen.where), part, cells)
    screen.report()
    if not np.isfinite(out).any():
        raise SlipscanError(f"the DEM {path} has no height in the region: give one that covers it")
    return out


def _around(dem: Raster, cells: Grid, spacing: tuple[float, float]) -> Grid | None:
    """The pixels of a DEM around cells; None where fewer than two rows or columns of it lie there."""
    x, y = np.asarray(cells.x), np.asarray(cells.y)
    edges = (x[0] - spacing[0] / 2, y[-1] - spacing[1] / 2, x[-1] + spacing[0] / 2, y[0] + spacing[1] / 2)
    west, south, east, north = Transformer.from_crs(cells.crs, dem.crs, always_xy=True).transform_bounds(*edges)
    left = max(0, math.floor((west - dem.left) / dem.dx) - MARGIN)
    right = min(dem.width, math.ceil((east - dem.left) / dem.dx) + MARGIN)
    top = max(0, math.floor((dem.top - north) / dem.dy) - MARGIN)
    bottom = min(dem.height, math.ceil((dem.top - south) / dem.dy) + MARGIN)
    if min(right - left, bottom - top) < 2:
        return None
    return Grid(
        dem.left + (np.arange(left, right) + 0.5) * dem.dx, dem.top - (np.arange(top, bottom) + 0.5) * dem.dy, dem.crs
    )
