"""From the native grid of interferograms to the metric (UTM) grid of the region.

A target pixel of 1.5 native ones or more is their average. A smaller one takes the nearest native pixel: with
few pixels to average, interpolation would mix phase ambiguities (n x half a wavelength) across the edge of an
unwrapping error into values that no later check can tell from motion.
"""

from __future__ import annotations

import itertools

import numpy as np
import shapely
import xarray as xr
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.warp import Resampling, reproject
from shapely.geometry import Polygon

from slipscan.geometry import Grid, metric_grid, to_lonlat, utm_crs

LOS = ("los_east", "los_north", "los_up")
AVERAGE_FROM = 1.5
"""Ratio of target to native pixel from which pixels are averaged."""


def target_grid(native: Grid, polygon: Polygon | None, pixel_m: float) -> Grid:
    """Return the metric grid of a region: its polygon's box, or the whole data without a polygon."""
    if polygon is not None:
        lon, lat = np.asarray(polygon.exterior.coords).T[:2]
    else:
        corners = np.meshgrid(native.x[[0, -1]], native.y[[0, -1]])
        lon, lat = to_lonlat(corners[0], corners[1], native.crs)
    return metric_grid(lon, lat, pixel_m)


def inside(polygon: Polygon | None, grid: Grid) -> NDArray[np.bool_]:
    """Mark the pixels whose centre lies in a polygon (longitude, latitude), (y, x); all without a polygon."""
    if polygon is None:
        return np.ones(grid.shape, bool)
    shapely.prepare(polygon)
    return np.asarray(shapely.contains_xy(polygon, *grid.lonlat()))


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
        of rasterio; NaN pixels take no part in an average

    Returns
    -------
    projected
        (layer, y, x) on `target`, float32
    """
    out = np.full((len(values), *target.shape), np.nan, np.float32)
    for index, layer in enumerate(values):
        # Layer by layer, since GDAL masks the layers of one call together; tolerance 0 makes the result
        # independent of the block that a pixel is projected in.
        reproject(
            np.ascontiguousarray(layer, np.float32),
            out[index],
            src_transform=Affine(*source.transform),
            src_crs=source.crs.to_wkt(),
            src_nodata=np.nan,
            dst_transform=Affine(*target.transform),
            dst_crs=target.crs.to_wkt(),
            dst_nodata=np.nan,
            resampling=resampling,
            num_threads=1,
            tolerance=0,
        )
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


def rows_of(grid: Grid, rows: slice) -> Grid:
    """Return a grid of some rows (at least two) of a grid."""
    return Grid(grid.x, grid.y[rows], grid.crs)


def source_rows(source: Grid, target: Grid) -> slice:
    """Return the rows of `source` that `target` needs, with a margin: none, or two and more."""
    dx, dy = target.spacing
    across = np.linspace(target.x[0] - dx, target.x[-1] + dx, 21)
    edge_y = np.repeat([target.y[0] + dy, target.y[-1] - dy], len(across))
    to_source = Transformer.from_crs(target.crs, source.crs, always_xy=True)
    _, y = to_source.transform(np.tile(across, 2), edge_y)
    step = source.spacing[1]
    first = int(np.floor((source.y[0] - np.max(y)) / step)) - 2
    last = int(np.ceil((source.y[0] - np.min(y)) / step)) + 2
    if last < 0 or first >= len(source.y):
        return slice(0, 0)
    return slice(min(max(first, 0), len(source.y) - 2), max(min(last + 1, len(source.y)), 2))


def row_blocks(rows: int, size: int) -> list[slice]:
    """Divide rows into blocks of about `size`, two rows at least, whatever the number of cores."""
    count = max(1, rows // max(size, 2))
    edges = [round(rows * number / count) for number in range(count + 1)]
    return [slice(start, stop) for start, stop in itertools.pairwise(edges)]
