"""A ready displacement series of someone else: NetCDF or Zarr, as xarray or rioxarray write it (`conform.conform`).

The readers of other tools' series (mintpy, licsbas, flatsim) offer `main_file`, `files`, `manifest_rows` and
`read_series` like this module.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import xarray as xr

from slipscan.archive.job import Job
from slipscan.archive.local.ready import cube, days
from slipscan.conform import conform
from slipscan.errors import SlipscanError
from slipscan.geometry import read_grid
from slipscan.store import open_dataset


def manifest_rows(path: Path, as_of: str) -> list[dict[str, str]]:
    """Describe a series as one manifest row: first epoch, last epoch up to `as_of`; none if all are later.

    Raises
    ------
    SlipscanError
        the file cannot be read, or breaks the contract of a stack
    """
    return days.rows_of_days(path, _days(_open(path)), as_of)


def main_file(path: Path) -> Path:
    """Return the file (or Zarr directory) that the manifest names and pins."""
    return path


def files(path: Path) -> list[Path]:
    """List the files of a series: one NetCDF, or all of a Zarr directory, sorted; raises SlipscanError."""
    if not path.exists():
        raise SlipscanError(f"there is no displacement series {path}: check the track's 'path'")
    return [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())


def read_series(path: Path, job: Job, manifest: pd.DataFrame) -> xr.Dataset:
    """Read a ready series up to the manifest's last date, cropped to the region.

    Parameters
    ----------
    path
        NetCDF file or Zarr directory with displacement (time, y, x), its units (m, cm or mm), coordinates and CRS;
        other variables of the stack product are taken along, all else is dropped (said in the log)
    job
        its region and track are for sentences, the polygon and the check of the line of sight
    manifest
        one row; epochs after its secondary_date are left out

    Returns
    -------
    dataset
        product 'stack' on the series' own grid, in metres toward the satellite, counted from its first epoch

    Raises
    ------
    SlipscanError
        what `conform` and `cube.checked` refuse; the polygon lies outside the data
    """
    dataset = _open(path)
    whole = read_grid(dataset, str(path))
    rows, columns = cube.window(whole, job)
    count = days.up_to(_days(dataset), str(manifest.iloc[-1]["secondary_date"]))
    out = dataset.isel(time=slice(count), y=rows, x=columns).drop_attrs(deep=False)
    out = cube.checked(out, cube.cut(whole, rows, columns), job.track, path)
    if names := dataset.attrs.get(cube.CORRECTIONS):
        out.attrs[cube.CORRECTIONS] = names.split() if isinstance(names, str) else [str(name) for name in names]
    return out


def _open(path: Path) -> xr.Dataset:
    if not path.exists():
        raise SlipscanError(f"there is no displacement series {path}: check the track's 'path'")
    return conform(open_dataset(path), "stack", str(path))


def _days(dataset: xr.Dataset) -> list[str]:
    return [str(day) for day in dataset["time"].values.astype("datetime64[D]")]
