"""Coarse layers of a product on the pixels of a grid: linear in latitude, longitude and height."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from slipscan.geometry import Grid
from slipscan.longitudes import near

Array = NDArray[np.floating]
ROWS = 512
"""Rows that are interpolated at once: the memory stays bounded however tall the window is."""


@dataclass(frozen=True)
class Cube:
    """A layer on nodes of height (m), latitude and longitude (degrees): values (height, latitude, longitude)."""

    values: Array
    height: Array
    latitude: Array
    longitude: Array

    def replaced(self, values: Array) -> Cube:
        """Return other values on the same nodes."""
        return replace(self, values=values)

    def at(self, grid: Grid, height: Array | None) -> Array:
        """Interpolate to the cells of a geographic grid at their heights (y, x) m, or at 0 m; (y, x).

        Beyond the outermost nodes: see `weights`; beyond the outermost heights the value there is taken.
        """
        across = weights(near(self.longitude, float(grid.x[0])), grid.x)
        out = np.empty(grid.shape)
        for start in range(0, len(grid.y), ROWS):
            rows = slice(start, start + ROWS)
            down = weights(self.latitude, grid.y[rows])
            if height is None:
                level = np.tensordot(weights(self.height, np.zeros(1))[0], self.values, axes=1)
                out[rows] = down @ level @ across.T
            else:
                levels = np.stack([down @ level @ across.T for level in self.values])
                out[rows] = _between(levels, self.height, np.nan_to_num(height[rows]))
        return out


def _between(levels: Array, nodes: Array, height: Array) -> Array:
    """Interpolate (level, y, x) to one height per pixel."""
    order = np.argsort(nodes)
    nodes, levels = nodes[order], levels[order]
    if len(nodes) == 1:
        return np.asarray(levels[0])
    below = np.clip(np.searchsorted(nodes, height, side="right") - 1, 0, len(nodes) - 2)
    share = np.clip((height - nodes[below]) / (nodes[below + 1] - nodes[below]), 0, 1)
    lower, upper = (np.take_along_axis(levels, (below + step)[None], axis=0)[0] for step in (0, 1))
    return np.asarray((1 - share) * lower + share * upper)


def weights(nodes: Array, at: Array) -> Array:
    """Linear interpolation as a matrix, (at, nodes); rows sum to 1.

    Half a step beyond the outermost nodes, to the edge of their cells, the line goes on; from there the value stays.
    """
    order = np.argsort(nodes)
    rising = np.asarray(nodes, float)[order]
    out = np.zeros((len(at), len(rising)))
    if len(rising) == 1:
        out[:] = 1
        return out
    below = np.clip(np.searchsorted(rising, at, side="right") - 1, 0, len(rising) - 2)
    share = np.clip((at - rising[below]) / (rising[below + 1] - rising[below]), -0.5, 1.5)
    pixel = np.arange(len(at))
    out[pixel, order[below]] = 1 - share
    out[pixel, order[below + 1]] = share
    return out


def plane_at(values: Array, latitude: Array, longitude: Array, grid: Grid) -> Array:
    """Interpolate a (latitude, longitude) layer to the cells of a geographic grid, (y, x)."""
    return np.asarray(weights(latitude, grid.y) @ values @ weights(near(longitude, float(grid.x[0])), grid.x).T)


def fill_nearest(values: Array) -> Array:
    """Replace NaN by the nearest valid node; at least one must be valid."""
    gaps = ~np.isfinite(values)
    if not gaps.any():
        return values
    from scipy.ndimage import distance_transform_edt

    nearest = distance_transform_edt(gaps, return_distances=False, return_indices=True)
    return np.asarray(values[tuple(nearest)])


def bilinear(values: NDArray[np.float32], source: Grid, grid: Grid) -> NDArray[np.float32]:
    """Interpolate (y, x) from one grid to another of any CRS; NaN counts for nothing, and is beyond the source."""
    from affine import Affine
    from rasterio.warp import Resampling, reproject

    out = np.full(grid.shape, np.nan, np.float32)
    reproject(
        values,
        out,
        src_transform=Affine(*source.transform),
        src_crs=source.crs.to_wkt(),
        src_nodata=np.nan,
        dst_transform=Affine(*grid.transform),
        dst_crs=grid.crs.to_wkt(),
        dst_nodata=np.nan,
        resampling=Resampling.bilinear,
        num_threads=1,
        tolerance=0,
    )
    return out
