"""From native pixels to those of a tile: where every target pixel finds its values, found once for all layers.

GDAL's warp finds it again for every layer, which costs more than all of the inversion, and to an eighth of a native
pixel only (with `tolerance=0` too, through rasterio), by an interpolation that depends on the block.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.warp import Resampling
from scipy import sparse

from slipscan.geometry import Grid
from slipscan.longitudes import near
from slipscan.timeseries.network import Index

Float32 = NDArray[np.float32]
EDGE = 1e-6
"""Native pixels by which a footprint may reach into the next one before it counts (rounding of the projection)."""


@dataclass(frozen=True)
class Resampler:
    """Takes the layers of a window of the native grid to pixels of the target grid.

    Attributes
    ----------
    rows, columns
        the window of the native grid; empty where the pixels lie outside of it
    pixels
        number of target pixels
    nearest
        (pixel,) position in the flattened window, or -1; None for an average
    shares
        (pixel, native pixel of the window) area of the native pixel in the target one; None for the nearest
    """

    rows: slice
    columns: slice
    pixels: int
    nearest: Index | None
    shares: sparse.csr_array | None

    def __call__(self, layers: Float32) -> Float32:
        """Project layers (layer, y, x) of the window to (layer, pixel); NaN = no data."""
        out = np.full((len(layers), self.pixels), np.nan, np.float32)
        flat = layers.reshape(len(layers), -1)
        if self.nearest is not None and flat.shape[1]:
            np.take(flat, np.maximum(self.nearest, 0), axis=1, out=out)
            out[:, self.nearest < 0] = np.nan
        elif self.shares is not None and flat.shape[1]:
            valid = np.isfinite(flat)
            total = self.shares @ np.where(valid, flat, np.float32(0)).T
            area = self.shares @ valid.T.astype(np.float32)
            np.divide(total.T, area.T, out=out, where=area.T > 0)
        return out


def resampler(
    native: Grid, tile: Grid, mask: NDArray[np.bool_], resampling: Resampling, spacing: tuple[float, float]
) -> Resampler:
    """Find where the pixels of a tile find their values.

    Parameters
    ----------
    native, tile
        grids of any CRS
    mask
        (y, x) pixels of the tile that are wanted
    resampling
        'average': the mean of the native pixels over the box around the target pixel, by area; 'nearest': the
        native pixel that holds the target pixel's centre
    spacing
        (dx, dy) of the target grid, which a tile of one row or column does not tell
    """
    xx, yy = np.meshgrid(tile.x, tile.y)
    x, y = xx[mask], yy[mask]
    if resampling == Resampling.nearest:
        column, row = _to_native(native, tile, x, y)
        return _nearest(native, np.floor(row).astype(np.intp), np.floor(column).astype(np.intp))
    half_x, half_y = spacing[0] / 2, spacing[1] / 2
    corners = [_to_native(native, tile, x + i * half_x, y + j * half_y) for i in (-1, 1) for j in (-1, 1)]
    columns, rows = np.array(corners).transpose(1, 0, 2)
    return _average(native, (rows.min(axis=0), rows.max(axis=0)), (columns.min(axis=0), columns.max(axis=0)))


def _to_native(
    native: Grid, tile: Grid, x: NDArray[np.floating], y: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Columns and rows of points in the native grid, in pixels from its upper left corner."""
    if native.crs != tile.crs:
        x, y = Transformer.from_crs(tile.crs, native.crs, always_xy=True).transform(x, y)
        if native.crs.is_geographic:
            x = near(np.asarray(x), float(native.x[len(native.x) // 2]))
    dx, dy = native.spacing
    return (np.asarray(x) - native.x[0]) / dx + 0.5, (native.y[0] - np.asarray(y)) / dy + 0.5


def _window(first: Index, last: Index, size: int) -> slice:
    """Pixels of an axis that are needed."""
    if not len(first) or last.max() < 0 or first.min() >= size:
        return slice(0, 0)
    return slice(max(int(first.min()), 0), min(int(last.max()) + 1, size))


def _nearest(native: Grid, row: Index, column: Index) -> Resampler:
    inside = (row >= 0) & (row < len(native.y)) & (column >= 0) & (column < len(native.x))
    rows = _window(row[inside], row[inside], len(native.y))
    columns = _window(column[inside], column[inside], len(native.x))
    position = (row - rows.start) * (columns.stop - columns.start) + (column - columns.start)
    return Resampler(rows, columns, len(row), np.where(inside, position, -1), None)


def _average(native: Grid, row: tuple[NDArray[np.float64], ...], column: tuple[NDArray[np.float64], ...]) -> Resampler:
    """Shares of native pixels in the box between edges, which are given in pixels."""
    (top, bottom), (left, right) = row, column
    pixels = len(top)
    if not pixels:
        return Resampler(slice(0, 0), slice(0, 0), 0, None, None)
    first_row, first_column = np.floor(top + EDGE).astype(np.intp), np.floor(left + EDGE).astype(np.intp)
    last_row, last_column = np.ceil(bottom - EDGE).astype(np.intp) - 1, np.ceil(right - EDGE).astype(np.intp) - 1
    rows = _window(first_row, last_row, len(native.y))
    columns = _window(first_column, last_column, len(native.x))
    width = columns.stop - columns.start
    values, positions, targets = [], [], []
    for down in range(int((last_row - first_row).max()) + 1):
        y = first_row + down
        height = np.minimum(bottom, y + 1) - np.maximum(top, y)
        for across in range(int((last_column - first_column).max()) + 1):
            x = first_column + across
            share = height * (np.minimum(right, x + 1) - np.maximum(left, x))
            here = (y <= last_row) & (x <= last_column)
            here &= (y >= rows.start) & (y < rows.stop) & (x >= columns.start) & (x < columns.stop)
            values.append(share[here])
            positions.append(((y - rows.start) * width + x - columns.start)[here])
            targets.append(np.flatnonzero(here))
    entries = (np.concatenate(values).astype(np.float32), (np.concatenate(targets), np.concatenate(positions)))
    shape = (pixels, (rows.stop - rows.start) * width)
    return Resampler(rows, columns, pixels, None, sparse.coo_array(entries, shape=shape).tocsr())
