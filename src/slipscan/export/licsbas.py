"""A stack as LiCSBAS's cum.h5, with info/ and results/ as its later steps read them.

Millimetres, positive toward the satellite; LiCSBAS knows longitude and latitude only, and corner_lat, corner_lon are
the CENTRE of the upper-left pixel. Layout: LiCSBAS13_sb_inv.py, LiCSBAS16_filt_ts.py, LiCSBAS_plot_ts.py (LiCSBAS2).
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pyproj import CRS

from slipscan.errors import SlipscanError
from slipscan.export.blocks import BLOCK, blocks, dates, read
from slipscan.fit.model import DAYS_PER_YEAR
from slipscan.geometry import Grid, from_lonlat, read_grid, to_lonlat
from slipscan.vocabulary import RADAR_WAVELENGTH_M

log = logging.getLogger(__name__)

MILLIMETRES = 1000.0
METRES_PER_DEGREE = 111_320.0
LAYERS = {"los_east": "E.geo", "los_north": "N.geo", "los_up": "U.geo", "height": "hgt"}
RESULTS = ("vel", "vintercept", "mask", "n_gap", "hgt")
"""Layers that LiCSBAS keeps as float32 files in results/ too."""


@dataclass(frozen=True)
class Lattice:
    """A geographic grid, and for each of its pixels the nearest one of a stack's grid.

    Attributes
    ----------
    grid
        longitude, latitude
    source
        the stack's own grid
    """

    grid: Grid
    source: Grid

    def read(self, array: xr.DataArray, rows: slice, columns: slice) -> NDArray[np.float32]:
        """Read a window of a variable on the geographic grid, (..., y, x) float32, NaN outside the stack."""
        if self.source is self.grid:
            return read(array, rows, columns)
        row, column = self._nearest(rows, columns)
        inside = (row >= 0) & (row < len(self.source.y)) & (column >= 0) & (column < len(self.source.x))
        out = np.full((*array.shape[:-2], *row.shape), np.nan, np.float32)
        if inside.any():
            top, left = int(row[inside].min()), int(column[inside].min())
            part = read(array, slice(top, int(row[inside].max()) + 1), slice(left, int(column[inside].max()) + 1))
            out[..., inside] = part[..., row[inside] - top, column[inside] - left]
        return out

    def _nearest(self, rows: slice, columns: slice) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Row and column of the stack's pixel in which each centre of a window lies, (y, x) each."""
        lon, lat = np.meshgrid(self.grid.x[columns], self.grid.y[rows])
        x, y = from_lonlat(lon, lat, self.source.crs)
        dx, dy = self.source.spacing
        row = np.rint((self.source.y[0] - y) / dy).astype(np.int64)
        return row, np.rint((x - self.source.x[0]) / dx).astype(np.int64)


def lattice(source: Grid) -> Lattice:
    """Return the geographic grid that covers a stack with pixels of its size, at steps of 1e-6 degrees."""
    if source.crs.is_geographic and source.crs.to_epsg() == 4326:
        return Lattice(source, source)
    dx, dy = source.spacing
    x = np.concatenate([source.x, source.x, np.full(len(source.y), source.x[0]), np.full(len(source.y), source.x[-1])])
    y = np.concatenate([np.full(len(source.x), source.y[0]), np.full(len(source.x), source.y[-1]), source.y, source.y])
    lon, lat = to_lonlat(x, y, source.crs)
    step_lat, step_lon = dy, dx
    if not source.crs.is_geographic:
        step_lat = round(dy / METRES_PER_DEGREE, 6)
        step_lon = round(dx / METRES_PER_DEGREE / math.cos(math.radians(float(np.mean(lat)))), 6)
    west, north = math.floor(lon.min() / step_lon) * step_lon, math.ceil(lat.max() / step_lat) * step_lat
    columns = math.ceil((lon.max() - west) / step_lon) + 1
    rows = math.ceil((north - lat.min()) / step_lat) + 1
    grid = Grid(west + step_lon * np.arange(columns), north - step_lat * np.arange(rows), CRS.from_epsg(4326))
    log.info(
        "LiCSBAS knows longitude and latitude only: %s is resampled by nearest neighbour to EPSG:4326, %d x %d of"
        " %g x %g degrees",
        source.crs.to_string(),
        rows,
        columns,
        step_lat,
        step_lon,
    )
    return Lattice(grid, source)


def write(dataset: xr.Dataset, variable: str, out: Path) -> None:
    """Write a directory that LiCSBAS reads as TS_GEOCml*; block by block."""
    import h5py

    out.mkdir()
    place, days = lattice(read_grid(dataset)), dates(dataset)
    grid = place.grid
    with h5py.File(out / "cum.h5", "w") as file:
        file["imdates"] = np.array([int(day) for day in days], np.int32)
        file["corner_lat"], file["corner_lon"] = float(grid.y[0]), float(grid.x[0])
        file["post_lat"], file["post_lon"] = -grid.spacing[1], grid.spacing[0]
        full = _write_blocks(file, dataset, variable, place)
        reference = _reference_pixel(dataset, grid, full)
        area = f"{reference[1]}:{reference[1] + 1}/{reference[0]}:{reference[0] + 1}"
        file["refarea"] = area
        (out / "results").mkdir()
        for name in RESULTS:
            if name in file:
                file[name][...].astype("<f4").tofile(out / "results" / name)
    (out / "info").mkdir()
    (out / "info" / "13parameters.txt").write_text(_parameters(dataset, grid, len(days), area), encoding="utf-8")
    (out / "info" / "13ref.txt").write_text(f"{area}\n", encoding="utf-8")


def _write_blocks(file: Any, dataset: xr.Dataset, variable: str, place: Lattice) -> NDArray[np.bool_]:
    """Write everything with pixels; returns where every epoch is valid, (y, x)."""
    shape, count = place.grid.shape, dataset.sizes["time"]
    cum = _dataset(file, "cum", (count, *shape))
    gap = _dataset(file, "gap", (count - 1, *shape), np.int8) if count > 1 else None
    names = ["vel", "vintercept", "mask", "n_gap", *(key for name, key in LAYERS.items() if name in dataset)]
    layers = {name: _dataset(file, name, shape) for name in names}
    years = (dataset["time"].values - dataset["time"].values[0]) / np.timedelta64(1, "D") / DAYS_PER_YEAR
    broken = _segment_gaps(dataset)
    full = np.zeros(shape, bool)
    for rows, columns in blocks(shape):
        values = place.read(dataset[variable], rows, columns) * np.float32(MILLIMETRES)
        valid = np.isfinite(values)
        cum[:, rows, columns] = values
        layers["vel"][rows, columns], layers["vintercept"][rows, columns] = trend(values, years)
        has_data = valid.any(axis=0)
        layers["mask"][rows, columns] = np.where(has_data, 1, np.nan)
        layers["n_gap"][rows, columns] = np.where(has_data, broken.sum(), np.nan)
        if gap is not None:
            gap[:, rows, columns] = np.broadcast_to(broken[:, None, None], (count - 1, *has_data.shape))
        for name, key in LAYERS.items():
            if name in dataset:
                layers[key][rows, columns] = place.read(dataset[name], rows, columns)
        full[rows, columns] = valid.all(axis=0)
    return full


def _segment_gaps(dataset: xr.Dataset) -> NDArray[np.int8]:
    """1 between epochs that no interferogram connects (a network in several parts), (time - 1,)."""
    if "segment" not in dataset.coords:
        return np.zeros(dataset.sizes["time"] - 1, np.int8)
    return (np.diff(dataset["segment"].values) != 0).astype(np.int8)


def trend(values: NDArray[np.float32], years: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Fit a line to each pixel's valid epochs.

    Parameters
    ----------
    values
        (time, y, x) mm, NaN = no data
    years
        (time,) since the first epoch

    Returns
    -------
    rate, intercept
        (y, x) mm/yr and mm; NaN with fewer than two valid epochs
    """
    shape = values.shape[1:]
    count, sum_t, sum_v, sum_tt, sum_tv = (np.zeros(shape) for _ in range(5))
    for t, layer in zip(years.tolist(), values, strict=True):  # epoch by epoch: no copy of the block
        valid = np.isfinite(layer)
        v = np.where(valid, layer, 0).astype(float)
        count += valid
        sum_t += t * valid
        sum_tt += t * t * valid
        sum_v += v
        sum_tv += t * v
    with np.errstate(invalid="ignore", divide="ignore"):
        rate = (count * sum_tv - sum_t * sum_v) / (count * sum_tt - sum_t**2)
        intercept = (sum_v - rate * sum_t) / count
    enough = count >= 2
    return (
        np.where(enough, rate, np.nan).astype(np.float32),
        np.where(enough, intercept, np.nan).astype(np.float32),
    )


def _reference_pixel(dataset: xr.Dataset, grid: Grid, full: NDArray[np.bool_]) -> tuple[int, int]:
    """Row and column of the pixel with all epochs nearest to the stack's reference point, or to its centre."""
    if not full.any():
        raise SlipscanError("no pixel of the stack is valid in every epoch: LiCSBAS needs one as reference")
    lon = float(dataset.attrs.get("reference_lon", grid.x[len(grid.x) // 2]))
    lat = float(dataset.attrs.get("reference_lat", grid.y[len(grid.y) // 2]))
    rows, columns = np.nonzero(full)
    distance = (grid.y[rows] - lat) ** 2 + ((grid.x[columns] - lon) * math.cos(math.radians(lat))) ** 2
    nearest = int(np.argmin(distance))
    return int(rows[nearest]), int(columns[nearest])


def _parameters(dataset: xr.Dataset, grid: Grid, count: int, area: str) -> str:
    """Text of 13parameters.txt: what step 16 reads of it, and the sizes."""
    dx, dy = grid.spacing
    metres_x = dx * METRES_PER_DEGREE * math.cos(math.radians(float(np.mean(grid.y))))
    lines = {
        "range_samples": len(grid.x),
        "azimuth_lines": len(grid.y),
        "wavelength": dataset.attrs.get("radar_wavelength_m", RADAR_WAVELENGTH_M),
        "n_im_all": count,
        "n_im": count,
        "ref_area": area,
        "pixel_spacing_r": f"{metres_x:.2f} m",
        "pixel_spacing_a": f"{dy * METRES_PER_DEGREE:.2f} m",
    }
    return "".join(f"{key}:  {value}\n" for key, value in lines.items())


def _dataset(file: Any, name: str, shape: tuple[int, ...], dtype: type = np.float32) -> Any:
    chunks = (*(min(16, size) for size in shape[:-2]), *(min(BLOCK, size) for size in shape[-2:]))
    return file.create_dataset(name, shape, dtype, chunks=chunks, compression="gzip", compression_opts=1)
