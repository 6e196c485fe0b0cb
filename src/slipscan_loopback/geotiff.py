"""GeoTIFFs and lattices as the archives of interferograms deliver them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slipscan.atomic import written_beside
from slipscan.geometry import Array, Grid
from slipscan.outputs import OWN


def padded(grid: Grid, west: int, north: int, east: int, south: int) -> Grid:
    """Return a grid with more cells on each side, on the same lattice."""
    dx, dy = grid.spacing
    columns = np.arange(-west, len(grid.x) + east)
    rows = np.arange(-north, len(grid.y) + south)
    return Grid(float(grid.x[0]) + columns * dx, float(grid.y[0]) - rows * dy, grid.crs)


def draws(*parts: object, count: int = 8) -> list[int]:
    """Bytes 0-255 that a text decides: variety between products that is the same in every run."""
    return list(hashlib.sha256("/".join(map(str, parts)).encode()).digest()[:count])


def write_geotiff(
    path: Path,
    values: Array | NDArray[np.integer],
    grid: Grid,
    nodata: float | None,
    tags: dict[str, str] | None = None,
    **creation: object,
) -> None:
    """Write one band; whole or not at all.

    Parameters
    ----------
    values
        (y, x); the band has their type
    tags
        metadata of the file; AREA_OR_POINT=Point is how GAMMA's tools mark theirs (the same cells either way)
    creation
        creation options of GDAL's GTiff driver
    """
    import rasterio
    from affine import Affine

    rows, columns = grid.shape
    with written_beside(path, OWN) as beside:
        profile = {
            "driver": "GTiff",
            "width": columns,
            "height": rows,
            "count": 1,
            "crs": grid.crs.to_wkt(),
            "transform": Affine(*grid.transform),
            "dtype": values.dtype.name,
            "nodata": nodata,
            **creation,
        }
        with rasterio.open(beside, "w", **profile) as file:
            if tags:
                file.update_tags(**tags)
            file.write(values, 1)
