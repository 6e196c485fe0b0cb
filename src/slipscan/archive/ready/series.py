"""A ready displacement series of someone else: NetCDF or Zarr that follows the stack contract.

Also what the readers of other tools' series (mintpy, licsbas, flatsim) share with it: the window, epochs as days, the
first epoch, and the checks. Each offers `main_file`, `files`, `manifest_rows` and `read_series` like this module.
"""

from __future__ import annotations

import contextlib
import datetime
import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from slipscan.archive import hdf5
from slipscan.archive.extent import Bounds, check_overlap, lonlat_bounds, projected
from slipscan.conform import conform
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid, check_los, read_grid, write_grid
from slipscan.outputs import sha256_file
from slipscan.regions import Region, Track
from slipscan.screening import screened
from slipscan.store import open_dataset
from slipscan.vocabulary import annotate, check

if TYPE_CHECKING:
    import h5py

log = logging.getLogger(__name__)

LOS = ("los_east", "los_north", "los_up")
CORRECTIONS = "corrections_as_delivered"
"""Attribute of a stack: names of what was taken out before slipscan got it."""


def manifest_rows(path: Path, as_of: str) -> list[dict[str, str]]:
    """Describe a series as one manifest row: first epoch, last epoch up to `as_of`; none if all are later.

    Raises
    ------
    SlipscanError
        the file cannot be read, or has no time axis
    """
    return rows_of_days(path, _days(_open(path)).tolist(), as_of)


def rows_of_days(path: Path, days: Sequence[str], as_of: str) -> list[dict[str, str]]:
    """Describe the series in a file (or Zarr directory) with epochs on `days` (ISO) as one manifest row, or none."""
    days = [day for day in days if day <= as_of]
    if not days:
        return []
    return [
        {
            "granule": path.name,
            "reference_date": min(days),
            "secondary_date": max(days),
            "expected_bytes": str(path.stat().st_size) if path.is_file() else "",
            "expected_checksum": f"sha256:{sha256_file(path)}" if path.is_file() else "",
        }
    ]


def main_file(path: Path) -> Path:
    """Return the file (or Zarr directory) that the manifest names and pins."""
    return path


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
    dataset = dataset.isel(time=_days(dataset) <= manifest.iloc[-1]["secondary_date"])
    whole = read_grid(dataset, str(path))
    rows, columns = window(whole, bounds, region, track)
    out = screened(dataset.drop_attrs(deep=False).isel(x=columns, y=rows), in_memory=True, where=str(path))
    out = _checked(out, dataset["time"].values, cut(whole, rows, columns), track, path)
    if names := dataset.attrs.get(CORRECTIONS):
        out.attrs[CORRECTIONS] = names.split() if isinstance(names, str) else [str(name) for name in names]
    return out


def stack_of(
    displacement: NDArray[np.float32],
    layers: Mapping[str, NDArray[np.float32]],
    days: Sequence[str],
    grid: Grid,
    track: Track,
    path: Path,
) -> xr.Dataset:
    """Make product 'stack' of arrays, checked.

    Parameters
    ----------
    displacement
        (time, y, x) m, positive toward the satellite, NaN = no data
    layers
        line of sight (unit vector ground to satellite), height, temporal_coherence: (y, x) each, what there is
    days
        (time,) epochs, ISO
    grid
        of the arrays
    track
        for the check of the line of sight
    path
        for sentences

    Raises
    ------
    SlipscanError
        epochs out of order, a line of sight that the track cannot have
    """
    if not set(LOS) <= set(layers):
        log.warning("%s comes without line of sight: no source inversion, no projection of GNSS", path)
    variables: dict[str, Any] = {"displacement": (("time", "y", "x"), displacement)}
    variables |= {name: (("y", "x"), values) for name, values in layers.items()}
    return _checked(xr.Dataset(variables), np.asarray(days, "datetime64[D]"), grid, track, path)


def _checked(out: xr.Dataset, time: NDArray[Any], grid: Grid, track: Track, path: Path) -> xr.Dataset:
    """Set the coordinates of a stack and check it against its contract."""
    time = time.astype("datetime64[ns]")
    out = out.assign_coords(time=time, reference_time=time[0])
    out = annotate(write_grid(out, grid), "stack")
    check(out, "stack", str(path))
    if set(LOS) <= set(out):
        east, north, up = (out[name].values for name in LOS)
        check_los(east, north, up, track.orbit_direction, str(path))
    return out


def since_first_epoch(values: NDArray[np.float32], path: Path) -> None:
    """Count displacement (time, y, x) from each pixel's first valid epoch, in place; nothing to do where that is 0.

    Other tools count from an epoch in the middle, or from the origin of a linear fit.
    """
    first = values[0].copy()
    if not np.any(np.isfinite(first) & (first != 0)):
        return
    log.info("%s is not zero in its first epoch: displacement is counted from each pixel's first valid epoch", path)
    for layer in values[1:]:
        fill = np.isnan(first) & np.isfinite(layer)
        first[fill] = layer[fill]
    values -= first


def iso_day(digits: str, path: Path) -> str:
    """Return YYYYMMDD (or YYYY-MM-DD) as ISO day; raises SlipscanError for what is no date."""
    try:
        return datetime.date.fromisoformat(digits.strip()).isoformat()
    except ValueError as error:
        raise SlipscanError(f"{path} has an epoch {digits!r}, which is no date: correct or remove it") from error


def epochs_up_to(days: Sequence[str], last: str, path: Path) -> int:
    """Return how many epochs (ISO days) are not after `last`; raises SlipscanError where they are out of order."""
    if any(one >= other for one, other in itertools.pairwise(days)):
        raise SlipscanError(f"the epochs in {path} are not in ascending order, or one comes twice: sort its bands")
    return sum(day <= last for day in days)


@contextlib.contextmanager
def opened_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file to read; a file that is missing, truncated or lacks a dataset raises SlipscanError."""
    if not path.is_file():
        raise SlipscanError(f"there is no file {path}: check the track's 'path'")
    try:
        with hdf5.opened(path) as file:
            yield file
    except KeyError as error:
        raise SlipscanError(f"{path} lacks what its convention needs ({error.args[0]}): wrong file?") from error


def read_epochs(dataset: h5py.Dataset, count: int, rows: slice, columns: slice, metres: float) -> NDArray[np.float32]:
    """Read a window of the first epochs of an HDF5 dataset (time, y, x), times `metres`, as float32.

    In steps of the dataset's chunks: beside the result only one such step is held.
    """
    out = np.empty((count, rows.stop - rows.start, columns.stop - columns.start), np.float32)
    step = dataset.chunks[0] if dataset.chunks else 1
    for start in range(0, count, step):
        part = slice(start, min(start + step, count))
        out[part] = dataset[part, rows, columns].astype(np.float64) * metres
    return out


def _open(path: Path) -> xr.Dataset:
    if not path.exists():
        raise SlipscanError(f"there is no displacement series {path}: check the track's 'path'")
    return conform(open_dataset(path), "stack", str(path))


def _days(dataset: xr.Dataset) -> NDArray[np.str_]:
    """Epochs as ISO days, (time,) str."""
    return dataset["time"].values.astype("datetime64[D]").astype(str)


def window(grid: Grid, bounds: Bounds, region: Region, track: Track) -> tuple[slice, slice]:
    """Return rows and columns of a grid within `bounds`; raises SlipscanError where the polygon lies outside."""
    check_overlap(region, track, lonlat_bounds(grid))
    west, south, east, north = projected(bounds, grid.crs)
    columns = np.flatnonzero((grid.x >= west) & (grid.x <= east))
    rows = np.flatnonzero((grid.y >= south) & (grid.y <= north))
    if not (len(columns) and len(rows)):
        raise SlipscanError(f"region {region.id}'s polygon covers no pixel of the data of track {track.id}")
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def cut(grid: Grid, rows: slice, columns: slice) -> Grid:
    """Return some rows and columns of a grid."""
    return Grid(grid.x[columns], grid.y[rows], grid.crs)
