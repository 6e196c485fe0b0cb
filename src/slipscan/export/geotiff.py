"""A stack as GeoTIFFs: one a variable, a band per epoch whose description is its date."""

from __future__ import annotations

import errno
import zlib
from pathlib import Path

import rasterio
import xarray as xr
from affine import Affine
from rasterio.windows import Window

from slipscan.export.blocks import BLOCK, blocks, read
from slipscan.geometry import read_grid


def write(dataset: xr.Dataset, variable: str, out: Path) -> None:
    """Write a directory of VARIABLE.tif: the units of the stack (metres toward the satellite), NaN = no data."""
    out.mkdir()
    for name in map(str, dataset.data_vars):
        _write_variable(dataset, name, out / f"{name}.tif")


def _write_variable(dataset: xr.Dataset, name: str, path: Path) -> None:
    """Write one variable block by block, and read it back: GDAL says nothing where it closes a file on a full disk."""
    grid, array = read_grid(dataset), dataset[name]
    written: list[int] = []
    count = array.sizes.get("time", 1)
    rows, columns = grid.shape
    tiled = {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK} if min(grid.shape) >= BLOCK else {}
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=columns,
        height=rows,
        count=count,
        dtype="float32",
        crs=grid.crs.to_wkt(),
        transform=Affine(*grid.transform),
        nodata=float("nan"),
        compress="deflate",
        predictor=3,
        interleave="band",
        bigtiff="if_safer",
        **tiled,
    ) as file:
        for part_rows, part_columns in blocks(grid.shape):
            values = read(array, part_rows, part_columns).reshape(count, part_rows.stop - part_rows.start, -1)
            file.write(values, window=Window.from_slices(part_rows, part_columns))
            written.append(zlib.crc32(values.tobytes()))
        if "time" in array.dims:
            for band, day in enumerate(dataset["time"].values.astype("datetime64[D]"), 1):
                file.set_band_description(band, str(day))
        file.update_tags(**{key: str(array.attrs[key]) for key in ("units", "long_name", "sign") if key in array.attrs})
    with rasterio.open(path) as file:
        windows = [Window.from_slices(*part) for part in blocks(grid.shape)]
        if any(zlib.crc32(file.read(window=w).tobytes()) != crc for w, crc in zip(windows, written, strict=True)):
            raise OSError(errno.EIO, "what was written cannot be read back", str(path))
