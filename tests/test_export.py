"""Exports: what other tools read, and the way back through archive 'local' with the same values."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import rasterio
import xarray as xr

import insar_scene as scenes
from export_builders import GEOGRAPHIC, UTM, denoised_of, exported, read_back, same_grid, stack
from slipscan.archive.local.ready import cube
from slipscan.errors import SlipscanError
from slipscan.export import mintpy
from slipscan.export.stack import export
from slipscan.geometry import Grid, from_lonlat
from slipscan.stack import with_denoised
from slipscan.store import write_zarr


def whole_pixels(values: np.ndarray) -> np.ndarray:
    """What MintPy can take: NaN in every epoch of a pixel that lacks one."""
    return np.where(np.isfinite(values).all(axis=0), values, np.float32(np.nan))


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
