"""Coarse layers of a product on the pixels of a grid: linear in latitude, longitude and height."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slipscan.errors import SlipscanError
from slipscan.geometry import Grid

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
        across = weights(self.longitude, grid.x)
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
    return np.asarray(weights(latitude, grid.y) @ values @ weights(longitude, grid.x).T)


def fill_nearest(values: Array) -> Array:
    """Replace NaN by the nearest valid node; at least one must be valid."""
    gaps = ~np.isfinite(values)
    if not gaps.any():
        return values
    from scipy.ndimage import distance_transform_edt

    nearest = distance_transform_edt(gaps, return_distances=False, return_indices=True)
    return np.asarray(values[tuple(nearest)])


def heights_of(path: Path, grid: Grid) -> NDArray[np.float32]:
    """Read heights (m) from a GeoTIFF of any CRS at the cells of a geographic grid, bilinear; NaN beyond it.

    Raises
    ------
    SlipscanError
        unreadable, without CRS, or it does not touch the grid
    """
    import rasterio
    from rasterio.enums import Resampling
    from rasterio.errors import RasterioError
    from rasterio.vrt import WarpedVRT

    rows, columns = grid.shape
    try:
        with (
            rasterio.open(path) as source,
            WarpedVRT(
                source,
                crs="EPSG:4326",
                transform=rasterio.Affine(*grid.transform),
                width=columns,
                height=rows,
                resampling=Resampling.bilinear,
                dtype="float32",
                nodata=np.nan,
            ) as warped,
        ):
            heights = warped.read(1)
    except (RasterioError, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(". ")
        raise SlipscanError(f"the DEM {path} cannot be read ({reason}): give a GeoTIFF with heights in m") from error
    if not np.isfinite(heights).any():
        raise SlipscanError(f"the DEM {path} has no height in the region: give one that covers it")
    return np.asarray(heights, np.float32)
