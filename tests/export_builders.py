"""A stack to export, and the way back through archive 'local'."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from pyproj import CRS

import insar_scene as scenes
from job_builders import job_of
from slipscan.archive.local.archive import Local
from slipscan.export.stack import export
from slipscan.geometry import Grid, read_grid, utm_crs, write_grid
from slipscan.regions import Region
from slipscan.settings import ArchiveSettings
from slipscan.store import write_zarr
from slipscan.vocabulary import annotate

AS_OF = "2026-01-01"
UTM = Grid(458250.0 + 500 * np.arange(20), 4527750.0 - 500 * np.arange(22), utm_crs(32.5, 40.8))
GEOGRAPHIC = Grid(
    scenes.WEST + (np.arange(scenes.COLUMNS) + 0.5) * scenes.STEP,
    scenes.NORTH - (np.arange(scenes.ROWS) + 0.5) * scenes.STEP,
    CRS.from_epsg(4326),
)
WEST, SOUTH, EAST, NORTH = 32.40, 40.70, 32.75, 41.00
ALL = ((WEST, SOUTH), (EAST, SOUTH), (EAST, NORTH), (WEST, NORTH), (WEST, SOUTH))


def stack(grid: Grid = UTM, **attributes: object) -> xr.Dataset:
    """The scene's truth on a grid, with geometry and two pixels without data."""
    values = scenes.truth(*grid.lonlat())
    values[:, 0, 0] = np.nan
    values[2:, 5, 5] = np.nan
    ones = np.ones(grid.shape)
    east, north, up = (float(part.mean()) for part in scenes.los())
    yx, tyx = ("y", "x"), ("time", "y", "x")
    variables = {
        "displacement": (tyx, values),
        "inversion_std": (tyx, 0.001 + 0 * values),
        "temporal_coherence": (yx, np.linspace(0, 1, ones.size).reshape(ones.shape)),
        "height": (yx, 100 + 10 * np.add.outer(np.arange(len(grid.y)), np.arange(len(grid.x)))),
        "los_east": (yx, east * ones),
        "los_north": (yx, north * ones),
        "los_up": (yx, up * ones),
    }
    time = pd.to_datetime(list(scenes.DATES))
    dataset = write_grid(xr.Dataset(variables, coords={"time": time, "reference_time": time[0]}), grid)
    dataset.attrs = {
        "orbit_direction": "ascending",
        "relative_orbit": 87,
        "radar_wavelength_m": scenes.WAVELENGTH,
        "reference_lon": scenes.REFERENCE[0],
        "reference_lat": scenes.REFERENCE[1],
        **attributes,
    }
    return annotate(dataset, "stack")


def denoised_of(dataset: xr.Dataset) -> xr.Dataset:
    """A product whose transient is a quarter of the displacement, of two candidates, beside a rate of 1 m/yr."""
    values = dataset["displacement"].values
    out = dataset.drop_vars(list(dataset.data_vars))
    ones = np.ones(values.shape[1:])
    out["transient"], out["denoised_std"] = (
        (("time", "y", "x"), 0.25 * values),
        (("time", "y", "x"), 0.002 + 0 * values),
    )
    out["offset"] = (("part", "y", "x"), 0 * ones[None])
    for name in ("rate", "evidence"):
        out[name] = (("y", "x"), ones)
    out["candidate_map"] = (("candidate", "y", "x"), np.stack([ones, 2 * ones]))
    out["candidate_evidence"] = ("candidate", np.array([9.0, 4.0]))
    return annotate(out, "denoised")


def exported(dataset: xr.Dataset, kind: str, directory: Path, variable: str = "displacement") -> Path:
    write_zarr(dataset, directory / "stack.zarr")
    write_zarr(denoised_of(dataset), directory / "denoised.zarr")
    out = directory / (f"{kind}.nc" if kind == "netcdf" else kind)
    export(directory / "stack.zarr", kind, out, variable, directory / "denoised.zarr")
    return out


def read_back(directory: Path, convention: str, path: str) -> xr.Dataset:
    region: Region = scenes.region(convention, path, polygon=ALL)
    job = job_of(region, ArchiveSettings(data_root=str(directory)), directory)
    table = Local().search(job, AS_OF)
    Local().files(table, job)
    return Local().read(table, job, np.zeros)[0]


def same_grid(one: xr.Dataset, other: xr.Dataset) -> None:
    np.testing.assert_allclose(one["x"], other["x"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(one["y"], other["y"], rtol=0, atol=1e-9)
    assert read_grid(one).crs.to_epsg() == read_grid(other).crs.to_epsg()
    assert list(one["time"].values) == list(other["time"].values)
