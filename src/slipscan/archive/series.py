"""A ready displacement series of someone else: NetCDF or Zarr that follows the stack contract."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from slipscan.archive.extent import Bounds, check_overlap, lonlat_bounds, projected
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid, check_los, read_grid, write_grid
from slipscan.regions import Region, Track
from slipscan.store import open_dataset, sha256_file
from slipscan.vocabulary import annotate, check, variable_table

log = logging.getLogger(__name__)

METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001}
"""The units of length that are understood; here, at the edge, they become metres."""


def manifest_rows(path: Path, as_of: str) -> list[dict[str, str]]:
    """Describe a series as one manifest row: first epoch, last epoch up to `as_of`; none if all are later.

    Raises
    ------
    SlipscanError
        the file cannot be read, or has no time axis
    """
    days = _days(_open(path), path)
    days = days[days <= as_of]
    if not len(days):
        return []
    return [
        {
            "granule": path.name,
            "reference_date": min(days.tolist()),
            "secondary_date": max(days.tolist()),
            "expected_bytes": str(path.stat().st_size) if path.is_file() else "",
            "expected_checksum": f"sha256:{sha256_file(path)}" if path.is_file() else "",
        }
    ]


def files(path: Path) -> list[Path]:
    """List the files of a series: one NetCDF, or all of a Zarr directory, sorted; raises SlipscanError."""
    if not path.exists():
        raise SlipscanError(f"there is no displacement series {path}: check the track's 'path'")
    return [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())


def read_series(path: Path, region: Region, track: Track, manifest: pd.DataFrame, bounds: Bounds) -> xr.Dataset:
    """Read a ready series up to the manifest's last date, cropped to `bounds`.

    Parameters
    ----------
    path
        NetCDF file or Zarr directory with displacement (time, y, x), its units (m, cm or mm), coordinates and CRS;
        other variables of the stack product are taken along, all else is dropped (said in the log)
    region, track
        for sentences, the polygon and the check of the line of sight
    manifest
        one row; epochs after its secondary_date are left out
    bounds
        west, south, east, north, degrees

    Returns
    -------
    dataset
        product 'stack' on the series' own grid, in metres toward the satellite

    Raises
    ------
    SlipscanError
        unreadable; no displacement; missing or unknown units; no CRS; the polygon lies outside the data
    """
    dataset = _open(path)
    if "displacement" not in dataset:
        raise SlipscanError(f"the series {path} has no variable 'displacement' (time, y, x)")
    dataset = dataset.isel(time=_days(dataset, path) <= manifest.iloc[-1]["secondary_date"])
    for axis in ("x", "y"):
        if axis in dataset.coords:
            dataset = dataset.sortby(axis, ascending=axis == "x")
    whole = read_grid(dataset, str(path))
    columns, rows = _window(whole, bounds, region, track)
    dataset = dataset.isel(x=columns, y=rows)
    grid = Grid(whole.x[columns], whole.y[rows], whole.crs)

    variables = _stack_variables(dataset, path)
    time = dataset["time"].values.astype("datetime64[ns]")
    out = xr.Dataset(variables, coords={"time": time, "reference_time": time[0]})
    if "segment" in dataset.coords:
        out = out.assign_coords(segment=("time", dataset["segment"].values.astype(np.int64)))
    out = annotate(write_grid(out, grid), "stack")
    check(out, "stack", str(path))
    if {"los_east", "los_north", "los_up"} <= set(out):
        east, north, up = (out[name].values for name in ("los_east", "los_north", "los_up"))
        check_los(east, north, up, track.orbit_direction, str(path))
    return out


def _open(path: Path) -> xr.Dataset:
    if not path.exists():
        raise SlipscanError(f"there is no displacement series {path}: check the track's 'path'")
    return open_dataset(path)


def _days(dataset: xr.Dataset, path: Path) -> np.ndarray:
    """Epochs as ISO days, (time,) str; raises SlipscanError where there is no time axis."""
    if "time" not in dataset.coords or not np.issubdtype(dataset["time"].dtype, np.datetime64):
        raise SlipscanError(f"the series {path} has no coordinate 'time' of dates")
    return np.atleast_1d(dataset["time"].values).astype("datetime64[D]").astype(str)


def _stack_variables(dataset: xr.Dataset, path: Path) -> dict[str, xr.DataArray]:
    """Take the variables of the stack product, in its units; say in the log what is dropped."""
    table = variable_table("stack")
    dropped = sorted(set(map(str, dataset.data_vars)) - set(table) - {"spatial_ref", "crs"})
    if dropped:
        log.info("%s: variables that are not part of a stack are dropped: %s", path, ", ".join(dropped))
    return {
        name: _in_contract_units(dataset[name], variable.dims, variable.units, path)
        for name, variable in table.items()
        if name in dataset
    }


def _in_contract_units(array: xr.DataArray, dims: tuple[str, ...], units: str, path: Path) -> xr.DataArray:
    """Convert lengths to metres and the array to float32; a missing or unknown unit is an error."""
    given = array.attrs.get("units")
    factor = METRES.get(str(given)) if units == "m" else {units: 1.0}.get(str(given))
    if factor is None:
        known = ", ".join(METRES) if units == "m" else units
        raise SlipscanError(
            f"the variable '{array.name}' in {path} has units {given!r}: write one of {known} into its attributes"
        )
    if set(array.dims) != set(dims):
        raise SlipscanError(f"the variable '{array.name}' in {path} has dimensions {array.dims}, not {dims}")
    return (
        (array.transpose(*dims).astype(np.float64) * factor)
        .astype(np.float32)
        .drop_vars([name for name in array.coords if name not in dims])
    )


def _window(grid: Grid, bounds: Bounds, region: Region, track: Track) -> tuple[slice, slice]:
    """Columns and rows of a grid within `bounds`; raises SlipscanError where the polygon lies outside."""
    check_overlap(region, track, lonlat_bounds(grid))
    west, south, east, north = projected(bounds, grid.crs)
    columns = np.flatnonzero((grid.x >= west) & (grid.x <= east))
    rows = np.flatnonzero((grid.y >= south) & (grid.y <= north))
    if not (len(columns) and len(rows)):
        raise SlipscanError(f"region {region.id}'s polygon covers no pixel of the data of track {track.id}")
    return slice(int(columns[0]), int(columns[-1]) + 1), slice(int(rows[0]), int(rows[-1]) + 1)
