"""Exports: what other tools read, and the way back through archive 'local' with the same values."""

from __future__ import annotations

import logging
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray as xr
from pyproj import CRS

import insar_scene as scenes
from job_builders import job_of
from slipscan.archive.local.archive import Local
from slipscan.archive.local.ready import cube
from slipscan.errors import SlipscanError
from slipscan.export import licsbas, mintpy
from slipscan.export.stack import export
from slipscan.geometry import Grid, from_lonlat, read_grid, to_lonlat, utm_crs, write_grid
from slipscan.regions import Region
from slipscan.settings import ArchiveSettings
from slipscan.stack import with_denoised
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
    """A product whose transient is a quarter of the displacement, beside a rate of 1 m/yr and no offset."""
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


def whole_pixels(values: np.ndarray) -> np.ndarray:
    """What MintPy can take: NaN in every epoch of a pixel that lacks one."""
    return np.where(np.isfinite(values).all(axis=0), values, np.float32(np.nan))


def same_grid(one: xr.Dataset, other: xr.Dataset) -> None:
    np.testing.assert_allclose(one["x"], other["x"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(one["y"], other["y"], rtol=0, atol=1e-9)
    assert read_grid(one).crs.to_epsg() == read_grid(other).crs.to_epsg()
    assert list(one["time"].values) == list(other["time"].values)


@pytest.mark.parametrize("grid", [UTM, GEOGRAPHIC], ids=["utm", "geographic"])
def test_mintpy_there_and_back(grid: Grid, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dataset = stack(grid)
    exported(dataset, "mintpy", tmp_path)
    back = read_back(tmp_path, "mintpy", "mintpy")
    same_grid(back, dataset)
    np.testing.assert_array_equal(back["displacement"], whole_pixels(dataset["displacement"].values))
    assert "1 of" in caplog.text and "miss some epochs" in caplog.text
    np.testing.assert_array_equal(back["temporal_coherence"], dataset["temporal_coherence"])
    np.testing.assert_array_equal(back["height"], dataset["height"])
    for name in cube.LOS:
        np.testing.assert_allclose(back[name], dataset[name], atol=1e-6)


def test_mintpy_attributes(tmp_path: Path) -> None:
    out = exported(stack(), "mintpy", tmp_path)
    with h5py.File(out / "timeseries.h5") as file:
        attributes = dict(file.attrs)
        assert [date.decode() for date in file["date"]] == [date.replace("-", "") for date in scenes.DATES]
    assert all(isinstance(value, str) for value in attributes.values())
    # The upper-left corner is half a pixel out of the first centre.
    assert (float(attributes["X_FIRST"]), float(attributes["Y_FIRST"])) == (458000.0, 4528000.0)
    assert (float(attributes["X_STEP"]), float(attributes["Y_STEP"])) == (500.0, -500.0)
    assert (attributes["X_UNIT"], attributes["EPSG"], attributes["UTM_ZONE"]) == ("meters", "32636", "36N")
    assert (attributes["UNIT"], attributes["REF_DATE"]) == ("m", "20200103")
    assert float(attributes["HEADING"]) == pytest.approx(scenes.HEADING, abs=1e-4)
    x, y = from_lonlat(np.array(scenes.REFERENCE[0]), np.array(scenes.REFERENCE[1]), UTM.crs)
    assert int(attributes["REF_X"]) == int((x - 458000) // 500) and int(attributes["REF_Y"]) == int(
        (4528000 - y) // 500
    )


def test_mintpy_angles_by_hand() -> None:
    """(-0.5, 0, 0.866) points west: incidence 30, azimuth 90; (0.5, 0, 0.866) east: -90; (0, 0.5, 0.866) north: 0."""
    east, north, up = np.array([-0.5, 0.5, 0.0]), np.array([0.0, 0.0, 0.5]), np.full(3, np.sqrt(0.75))
    angles = mintpy.angles(east, north, up)
    np.testing.assert_allclose(angles["incidenceAngle"], 30, atol=1e-5)
    np.testing.assert_allclose(angles["azimuthAngle"], [90, -90, 0], atol=1e-5)


def test_denoised_says_what_it_is(tmp_path: Path) -> None:
    dataset = stack(corrections_as_delivered=["ERA5"])
    out = exported(dataset, "mintpy", tmp_path, "denoised")
    assert sorted(path.name for path in out.iterdir()) == [
        "geometryGeo.h5",
        "temporalCoherence.h5",
        "timeseries_ERA5_denoised.h5",
    ]
    back = read_back(tmp_path, "mintpy", "mintpy")
    assert back.attrs[cube.CORRECTIONS] == ["ERA5", "denoised"]
    expected = whole_pixels(with_denoised(dataset, denoised_of(dataset))["denoised"].values)
    # A series is read as counted from its first epoch.
    np.testing.assert_allclose(back["displacement"], expected - expected[0], atol=1e-7)


@pytest.mark.parametrize("grid", [UTM, GEOGRAPHIC], ids=["utm", "geographic"])
def test_licsbas_there_and_back(grid: Grid, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dataset = stack(grid)
    with caplog.at_level(logging.INFO):
        exported(dataset, "licsbas", tmp_path)
    back = read_back(tmp_path, "licsbas", "licsbas")
    assert ("nearest neighbour to EPSG:4326" in caplog.text) == (grid is UTM)
    if grid is GEOGRAPHIC:
        same_grid(back, dataset)
    # Every pixel holds what the stack has in the cell that its centre lies in, by the stack's own edges.
    lon, lat = np.meshgrid(back["x"], back["y"])
    x, y = from_lonlat(lon, lat, grid.crs)
    left, top = grid.transform[2], grid.transform[5]
    column = np.floor((x - left) / grid.spacing[0]).astype(int)
    row = np.floor((top - y) / grid.spacing[1]).astype(int)
    inside = (column >= 0) & (column < len(grid.x)) & (row >= 0) & (row < len(grid.y))
    assert inside.mean() > 0.8
    for name, tolerance in (("displacement", 1e-8), ("height", 0), ("los_east", 0), ("los_up", 0)):
        expected = dataset[name].values[..., row.clip(0, len(grid.y) - 1), column.clip(0, len(grid.x) - 1)].copy()
        expected[..., ~inside] = np.nan
        np.testing.assert_allclose(back[name].values, expected, rtol=0, atol=tolerance)
    whole = np.unique(row[inside] * len(grid.x) + column[inside])
    assert len(whole) > 0.97 * grid.shape[0] * grid.shape[1]  # hardly a pixel is lost


def test_licsbas_files_that_later_steps_read(tmp_path: Path) -> None:
    dataset = stack(GEOGRAPHIC).assign_coords(segment=("time", [0, 0, 0, 1, 1, 1, 1]))
    out = exported(dataset, "licsbas", tmp_path)
    with h5py.File(out / "cum.h5") as file:
        assert {"imdates", "cum", "gap", "vel", "vintercept", "refarea", "mask", "hgt", "E.geo", "U.geo"} <= set(file)
        assert float(file["corner_lat"][()]) == pytest.approx(scenes.NORTH - scenes.STEP / 2)
        assert float(file["corner_lon"][()]) == pytest.approx(scenes.WEST + scenes.STEP / 2)
        assert float(file["post_lat"][()]) == pytest.approx(-scenes.STEP)
        first, last, top, bottom = (int(part) for part in file["refarea"][()].decode().replace("/", ":").split(":"))
        assert (last - first, bottom - top) == (1, 1)
        assert GEOGRAPHIC.x[first] == pytest.approx(scenes.REFERENCE[0], abs=scenes.STEP / 2 + 1e-9)
        assert GEOGRAPHIC.y[top] == pytest.approx(scenes.REFERENCE[1], abs=scenes.STEP / 2 + 1e-9)
        assert list(file["gap"][:, 7, 7]) == [0, 0, 1, 0, 0, 0]
        assert file["cum"].shape == (7, scenes.ROWS, scenes.COLUMNS)
        rate = file["vel"][()]
    assert np.isnan(rate[0, 0])
    results = {path.name: np.fromfile(path, "<f4").reshape(rate.shape) for path in (out / "results").iterdir()}
    assert set(results) == {"vel", "vintercept", "mask", "n_gap", "hgt"}
    np.testing.assert_array_equal(results["vel"], rate)
    assert results["n_gap"][7, 7] == 1 and np.isnan(results["mask"][0, 0]) and results["mask"][7, 7] == 1
    text = (out / "info" / "13parameters.txt").read_text()
    assert "range_samples:  60\n" in text and f"wavelength:  {scenes.WAVELENGTH}" in text
    assert "pixel_spacing_a: " in text.replace("  ", " ")


def test_trend_by_hand() -> None:
    years = np.array([0.0, 1.0, 2.0])
    nan = np.nan
    values = np.array([[[1.0, 1.0, nan]], [[3.0, nan, nan]], [[5.0, 9.0, 2.0]]], np.float32)
    rate, intercept = licsbas.trend(values, years)
    np.testing.assert_allclose(rate, [[2, 4, nan]])
    np.testing.assert_allclose(intercept, [[1, 1, nan]])


@pytest.mark.parametrize("grid", [UTM, GEOGRAPHIC], ids=["utm", "geographic"])
def test_netcdf_there_and_back(grid: Grid, tmp_path: Path) -> None:
    dataset = stack(grid, corrections_as_delivered=["ERA5", "ramp"])
    out = exported(dataset, "netcdf", tmp_path)
    back = read_back(tmp_path, "displacement", out.name)
    same_grid(back, dataset)
    for name in dataset.data_vars:
        np.testing.assert_array_equal(back[name], dataset[name])
    assert back.attrs[cube.CORRECTIONS] == ["ERA5", "ramp"]

    with xr.open_dataset(out, engine="netcdf4") as opened:
        assert opened.attrs["Conventions"] == "CF-1.11"
        assert opened["displacement"].attrs["units"] == "m"
        assert opened["displacement"].attrs["sign"] == "positive toward the satellite"
        mapping = opened["displacement"].attrs.get("grid_mapping") or opened["displacement"].encoding["grid_mapping"]
        assert opened[mapping].attrs["crs_wkt"]
        standard = opened["x"].attrs["standard_name"]
        assert standard == ("projection_x_coordinate" if grid is UTM else "longitude")
    with rasterio.open(f"netcdf:{out}:displacement") as opened:
        assert opened.crs.to_epsg() == grid.crs.to_epsg()
        assert opened.count == len(scenes.DATES)
        assert opened.transform.almost_equals(rasterio.Affine(*grid.transform), 1e-6)
        np.testing.assert_array_equal(opened.read(4), dataset["displacement"].values[3])


def test_geotiffs_in_any_gis(tmp_path: Path) -> None:
    dataset = stack()
    out = exported(dataset, "geotiff", tmp_path, "transient")
    names = {path.name for path in out.iterdir()}
    assert {"transient.tif", "height.tif", "los_east.tif", "rate.tif"} <= names
    assert not {"displacement.tif", "denoised.tif", "removed.tif"} & names
    with rasterio.open(out / "transient.tif") as file:
        assert file.descriptions == scenes.DATES
        assert file.crs.to_epsg() == 32636
        assert file.tags()["units"] == "m" and file.tags()["sign"] == "positive toward the satellite"
        assert np.isnan(file.nodata)
        np.testing.assert_array_equal(file.read(), denoised_of(dataset)["transient"])
        assert file.index(UTM.x[7], UTM.y[3]) == (3, 7)
    with rasterio.open(out / "height.tif") as file:
        np.testing.assert_array_equal(file.read(1), dataset["height"])


@pytest.mark.parametrize("kind", ["mintpy", "licsbas", "geotiff"])
def test_blocks_make_no_difference(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A grid larger than a block: read back whole."""
    monkeypatch.setattr("slipscan.export.blocks.blocks.__defaults__", (25,))
    dataset = stack(GEOGRAPHIC)
    out = exported(dataset, kind, tmp_path)
    if kind == "geotiff":
        with rasterio.open(out / "displacement.tif") as file:
            np.testing.assert_array_equal(file.read(), dataset["displacement"])
        return
    back = read_back(tmp_path, kind, out.name)
    expected = whole_pixels(dataset["displacement"].values) if kind == "mintpy" else dataset["displacement"].values
    np.testing.assert_allclose(back["displacement"], expected, rtol=0, atol=1e-8)


def test_geographic_lattice_covers_the_stack() -> None:
    place = licsbas.lattice(UTM)
    corners = np.meshgrid(UTM.x[[0, -1]], UTM.y[[0, -1]])
    lon, lat = to_lonlat(*corners, UTM.crs)
    assert place.grid.x[0] <= lon.min() and place.grid.x[-1] >= lon.max()
    assert place.grid.y[-1] <= lat.min() and place.grid.y[0] >= lat.max()
    assert place.grid.spacing[1] * 111_320 == pytest.approx(500, rel=1e-3)


def test_refusals_leave_nothing_behind(tmp_path: Path) -> None:
    write_zarr(stack(), tmp_path / "stack.zarr")
    out = tmp_path / "out"
    for kind, variable, match in (
        ("shapefile", "displacement", "there is no export 'shapefile': choose one of mintpy, licsbas, netcdf, geotiff"),
        ("mintpy", "height", "there is no variable 'height' to export"),
        ("mintpy", "denoised", "stands in the denoised product: give it with --denoised"),
    ):
        with pytest.raises(SlipscanError, match=match):
            export(tmp_path / "stack.zarr", kind, out, variable)
    with pytest.raises(SlipscanError, match="there is no Zarr store"):
        export(tmp_path / "absent.zarr", "mintpy", out)
    blank = stack()
    blank["displacement"][:] = np.nan
    write_zarr(blank, tmp_path / "blank.zarr")
    for kind in ("licsbas", "mintpy"):
        with pytest.raises(SlipscanError, match="has no valid pixel"):
            export(tmp_path / "blank.zarr", kind, out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["blank.zarr", "stack.zarr"]
    out.mkdir()
    (out / "precious").touch()
    with pytest.raises(SlipscanError, match="out exists: it is left as it is"):
        export(tmp_path / "stack.zarr", "netcdf", out)
    assert (out / "precious").exists()
