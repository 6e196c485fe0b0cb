"""A stack as MintPy's timeseries.h5, geometryGeo.h5 and temporalCoherence.h5.

X_FIRST and Y_FIRST are the upper-left corner of the first pixel, azimuthAngle is anticlockwise from north and of the
vector ground to satellite (MintPy 1.6). The series' name tells corrections made before, as MintPy's own do.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from slipscan.errors import SlipscanError
from slipscan.export.blocks import BLOCK, blocks, dates, delivered, read
from slipscan.geometry import Grid, from_lonlat, read_grid
from slipscan.vocabulary import RADAR_WAVELENGTH_M

log = logging.getLogger(__name__)

LOS = ("los_east", "los_north", "los_up")


def write(dataset: xr.Dataset, variable: str, out: Path) -> None:
    """Write a directory that MintPy reads: metres, positive toward the satellite, NaN = no data; block by block.

    MintPy's tools stop at a pixel that has some epochs only (timeseries2velocity.py solves for all at once): it is NaN
    in all of them, and the log counts such pixels.

    Raises
    ------
    SlipscanError
        no pixel is valid in every epoch
    """
    import h5py

    out.mkdir()
    kept = partial = 0
    attributes = root_attributes(dataset)
    days, grid = dates(dataset), read_grid(dataset)
    name = "_".join(["timeseries", *delivered(dataset, variable)])
    with h5py.File(out / f"{name}.h5", "w") as file:
        file.attrs.update({**attributes, "FILE_TYPE": "timeseries", "UNIT": "m", "REF_DATE": days[0]})
        file["date"] = np.array(days, dtype="S8")
        series = _dataset(file, "timeseries", (len(days), *grid.shape))
        for rows, columns in blocks(grid.shape):
            values = read(dataset[variable], rows, columns)
            valid = np.isfinite(values)
            full = valid.all(axis=0)
            kept, partial = kept + int(full.sum()), partial + int((valid.any(axis=0) & ~full).sum())
            values[:, ~full] = np.nan
            series[:, rows, columns] = values
    if not kept:
        raise SlipscanError("no pixel of the stack is valid in every epoch, as MintPy needs it: export to netcdf")
    if partial:
        log.warning(
            "%d of %d pixels miss some epochs: MintPy needs every epoch of a pixel, so they are left out (netcdf,"
            " geotiff and licsbas keep them)",
            partial,
            kept + partial,
        )
    _write_geometry(dataset, attributes, out / "geometryGeo.h5")
    if "temporal_coherence" in dataset:
        with h5py.File(out / "temporalCoherence.h5", "w") as file:
            file.attrs.update({**attributes, "FILE_TYPE": "temporalCoherence", "UNIT": "1"})
            _dataset(file, "temporalCoherence", grid.shape)[...] = dataset["temporal_coherence"].values


def root_attributes(dataset: xr.Dataset) -> dict[str, str]:
    """Root attributes that MintPy's tools ask for, as text; sizes in the grid's unit."""
    grid = read_grid(dataset)
    dx, _, left, _, dy, top = grid.transform
    unit = "degrees" if grid.crs.is_geographic else "meters"
    days = dates(dataset)
    out = {
        "PROCESSOR": "slipscan",
        "WIDTH": str(len(grid.x)),
        "LENGTH": str(len(grid.y)),
        "X_FIRST": repr(left),
        "Y_FIRST": repr(top),
        "X_STEP": repr(dx),
        "Y_STEP": repr(dy),
        "X_UNIT": unit,
        "Y_UNIT": unit,
        "START_DATE": days[0],
        "END_DATE": days[-1],
        "DATA_TYPE": "float32",
        "NO_DATA_VALUE": "nan",
        "PLATFORM": "Sen",
        "ANTENNA_SIDE": "-1",
        "ALOOKS": "1",
        "RLOOKS": "1",
        "WAVELENGTH": str(dataset.attrs.get("radar_wavelength_m", RADAR_WAVELENGTH_M)),
    }
    if epsg := grid.crs.to_epsg():
        out["EPSG"] = str(epsg)
    if grid.crs.utm_zone:
        out["UTM_ZONE"] = str(grid.crs.utm_zone)
    if direction := dataset.attrs.get("orbit_direction"):
        out["ORBIT_DIRECTION"] = str(direction).upper()
    if orbit := dataset.attrs.get("relative_orbit"):
        out["trackNumber"] = str(orbit)
    if heading := _heading(dataset):
        out["HEADING"] = heading
    return out | _reference(dataset, grid)


def _heading(dataset: xr.Dataset) -> str:
    """Mean flight direction of a right-looking radar, degrees clockwise from north; empty without line of sight."""
    if not set(LOS) <= set(dataset):
        return ""
    east, north = (float(np.nanmedian(dataset[name].values)) for name in LOS[:2])
    return repr(float(np.rad2deg(np.arctan2(north, -east))))


def _reference(dataset: xr.Dataset, grid: Grid) -> dict[str, str]:
    """The reference pixel; without a reference point, or where it lies outside, there is none."""
    if not {"reference_lon", "reference_lat"} <= set(dataset.attrs):
        return {}
    lon, lat = float(dataset.attrs["reference_lon"]), float(dataset.attrs["reference_lat"])
    x, y = from_lonlat(np.array(lon), np.array(lat), grid.crs)
    dx, dy = grid.spacing
    column, row = round((float(x) - grid.x[0]) / dx), round((grid.y[0] - float(y)) / dy)
    if not (0 <= row < len(grid.y) and 0 <= column < len(grid.x)):
        log.warning("the reference point lies outside the stack: MintPy's REF_Y and REF_X are left out")
        return {}
    return {"REF_LAT": repr(lat), "REF_LON": repr(lon), "REF_Y": str(row), "REF_X": str(column)}


def _write_geometry(dataset: xr.Dataset, attributes: dict[str, str], path: Path) -> None:
    """Write geometryGeo.h5: height (m), incidenceAngle, azimuthAngle (degrees), what there is."""
    import h5py

    layers = {"height": dataset["height"].values} if "height" in dataset else {}
    if set(LOS) <= set(dataset):
        layers |= angles(*(dataset[name].values.astype(float) for name in LOS))
    if not layers:
        log.warning("the stack has neither height nor line of sight: no geometryGeo.h5 is written")
        return
    with h5py.File(path, "w") as file:
        file.attrs.update({**attributes, "FILE_TYPE": "geometry"})
        for name, values in layers.items():
            _dataset(file, name, values.shape)[...] = values


def angles(
    east: NDArray[np.floating], north: NDArray[np.floating], up: NDArray[np.floating]
) -> dict[str, NDArray[np.float32]]:
    """Return MintPy's angles of the unit vector ground to satellite, degrees, (y, x) each."""
    incidence = np.rad2deg(np.arctan2(np.hypot(east, north), up))
    azimuth = np.rad2deg(np.arctan2(-east, north))
    return {"incidenceAngle": incidence.astype(np.float32), "azimuthAngle": azimuth.astype(np.float32)}


def _dataset(file: Any, name: str, shape: tuple[int, ...]) -> Any:
    """A compressed float32 dataset whose chunks are small enough for a pixel's history and an epoch's map."""
    chunks = (*(min(16, size) for size in shape[:-2]), *(min(BLOCK, size) for size in shape[-2:]))
    return file.create_dataset(name, shape, np.float32, chunks=chunks, compression="lzf", fillvalue=np.nan)
