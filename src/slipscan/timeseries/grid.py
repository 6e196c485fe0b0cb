"""From the native grid of interferograms to the metric (UTM) grid of the region.

A target pixel of 1.5 native ones or more is their average. A smaller one takes the nearest native pixel: with
few pixels to average, interpolation would mix phase ambiguities (n x half a wavelength) across the edge of an
unwrapping error into values that no later check can tell from motion.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import shapely
import xarray as xr
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.warp import Resampling
from shapely.geometry import Polygon

from slipscan.geometry import Grid, metric_grid, to_lonlat, utm_crs
from slipscan.longitudes import near
from slipscan.timeseries.resample import resampler

LOS = ("los_east", "los_north", "los_up")
AVERAGE_FROM = 1.5
"""Ratio of target to native pixel from which pixels are averaged."""
PIXELS_AT_ONCE = 2**18
"""Pixels whose coordinates are held at a time."""


def target_grid(native: Grid, polygon: Polygon | None, pixel_m: float) -> Grid:
    """Return the metric grid of a region: its polygon's box, or the whole data without a polygon."""
    if polygon is not None:
        lon, lat = np.asarray(polygon.exterior.coords).T[:2]
    else:
        corners = np.meshgrid(native.x[[0, -1]], native.y[[0, -1]])
        lon, lat = to_lonlat(corners[0], corners[1], native.crs)
        lon = near(lon, float(lon[0, 0]))
    return metric_grid(lon, lat, pixel_m)


def inside(polygon: Polygon | None, grid: Grid) -> NDArray[np.bool_]:
    """Mark the pixels whose centre lies in a polygon (longitude, latitude), (y, x); all without a polygon."""
    marked = np.ones(grid.shape, bool)
    if polygon is not None:
        shapely.prepare(polygon)
        middle = (polygon.bounds[0] + polygon.bounds[2]) / 2
        for rows, part in parts_of(grid):
            lon, lat = part.lonlat()
            marked[rows] = shapely.contains_xy(polygon, near(lon, middle), lat)
    return marked


def parts_of(grid: Grid) -> Iterator[tuple[slice, Grid]]:
    """Yield blocks of rows of a grid, whose coordinates are not needed all at once."""
    for rows in row_blocks(len(grid.y), max(1, PIXELS_AT_ONCE // len(grid.x))):
        yield rows, Grid(grid.x, grid.y[rows], grid.crs)


def native_spacing_m(native: Grid) -> float:
    """Return the larger side of a native pixel at the grid's centre, m."""
    dx, dy = native.spacing
    x, y = float(native.x[len(native.x) // 2]), float(native.y[len(native.y) // 2])
    lon, lat = to_lonlat(np.array(x), np.array(y), native.crs)
    to_utm = Transformer.from_crs(native.crs, utm_crs(float(lon), float(lat)), always_xy=True)
    east, north = to_utm.transform(np.array([x, x + dx, x]), np.array([y, y, y - dy]))
    sides = np.hypot(np.asarray(east)[1:] - east[0], np.asarray(north)[1:] - north[0])
    return float(sides.max())


def choose_resampling(native: Grid, pixel_m: float) -> Resampling:
    """Return 'average' for target pixels of 1.5 native ones or more, else 'nearest'."""
    return Resampling.average if pixel_m >= AVERAGE_FROM * native_spacing_m(native) else Resampling.nearest


def project(values: NDArray[np.floating], source: Grid, target: Grid, resampling: Resampling) -> NDArray[np.float32]:
    """Project layers from one grid to another.

    Parameters
    ----------
    values
        (layer, y, x) on `source`, NaN = no data
    source, target
        grids of any CRS
    resampling
        'average' or 'nearest'; NaN pixels take no part in an average

    Returns
    -------
    projected
        (layer, y, x) on `target`, float32
    """
    out = np.full((len(values), *target.shape), np.nan, np.float32)
    for rows, block in parts_of(target):
        take = resampler(source, block, np.ones(block.shape, bool), resampling, target.spacing)
        for index in range(len(values)):
            layer = np.asarray(values[index : index + 1, take.rows, take.columns], np.float32)
            out[index, rows] = take(layer).reshape(block.shape)
    return out


def project_geometry(
    dataset: xr.Dataset, native: Grid, target: Grid, resampling: Resampling
) -> dict[str, NDArray[np.float32]]:
    """Project line of sight (renormalised to unit length) and height where there are, (y, x) each."""
    names = [name for name in (*LOS, "height") if name in dataset]
    values = [np.asarray(dataset[name].values) for name in names]
    projected = dict(zip(names, project(np.asarray(values), native, target, resampling), strict=True)) if names else {}
    if set(LOS) <= set(projected):
        length = np.sqrt(sum(projected[name].astype(np.float64) ** 2 for name in LOS))
        for name in LOS:
            projected[name] = (projected[name] / length).astype(np.float32)
    return projected


def row_blocks(rows: int, size: int) -> list[slice]:
    """Divide rows into blocks of at most `size` that differ by one row at most, whatever the number of cores."""
    count = max(1, -(-rows // size))
    edges = [round(rows * number / count) for number in range(count + 1)]
    return [slice(start, stop) for start, stop in itertools.pairwise(edges)]


def tiles(shape: tuple[int, int], side: int) -> list[tuple[slice, slice]]:
    """Divide a grid into tiles of at most `side` x `side` pixels, row by row."""
    down, across = row_blocks(shape[0], side), row_blocks(shape[1], side)
    return [(rows, columns) for rows in down for columns in across]
