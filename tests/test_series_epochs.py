"""Epochs of a ready series: empty ones are left out by name, and which one it is counted from does not matter."""

from __future__ import annotations

import logging
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import insar_scene as scenes
from series_builders import DAYS, LAT, LON, TRUTH, archive, refused, write_cube, write_licsbas, write_mintpy
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid, utm_crs, write_grid
from slipscan.settings import TimeseriesSettings
from slipscan.store import open_zarr, write_zarr
from slipscan.timeseries import stage
from slipscan.vocabulary import annotate

COUNT = len(DAYS)
SETTINGS = TimeseriesSettings(pixel_m=500.0)
CONVENTIONS = ["mintpy", "licsbas", "flatsim", "displacement"]


def write(directory: Path, convention: str, values: np.ndarray) -> str:
    """A series of displacement (time, y, x) m as one of the tools writes it; returns its path."""
    if convention == "mintpy":
        return write_mintpy(directory, values=values).name
    if convention == "licsbas":
        with h5py.File(write_licsbas(directory), "a") as file:
            file["cum"][...] = values * 1000
        return "cum.h5"
    if convention == "flatsim":
        phase = -4 * np.pi / scenes.WAVELENGTH * values
        write_cube(directory / "CNES_DTs_geo_8rlks.tiff", phase, list(scenes.DATES))
        return "CNES_DTs_geo_8rlks.tiff"
    grid = Grid(LON[0], LAT[:, 0], utm_crs(33, 40).from_epsg(4326))
    dataset = xr.Dataset({"displacement": (("time", "y", "x"), values.astype("f4"), {"units": "m"})})
    write_grid(dataset.assign_coords(time=np.array(scenes.DATES, "datetime64[ns]")), grid).to_netcdf(directory / "s.nc")
    return "s.nc"


def days(dataset: xr.Dataset) -> list[str]:
    return [str(day)[:10] for day in dataset["time"].values]


def expected(dataset: xr.Dataset, first: int = 0) -> np.ndarray:
    lon, lat = np.meshgrid(dataset["x"], dataset["y"])
    truth = scenes.truth(lon, lat)
    return truth - truth[first]


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("epoch", [0, 3, COUNT - 1])
@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_an_empty_epoch_is_left_out_by_name(
    convention: str, epoch: int, value: float, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    values = TRUTH.copy()
    values[epoch] = value
    name = write(tmp_path, convention, values)
    dataset = archive(tmp_path, scenes.region(convention, name))
    if epoch == 0 and value == 0:
        assert days(dataset) == list(scenes.DATES)  # zero by right
        return
    kept = [other for other in range(COUNT) if other != epoch]
    assert days(dataset) == [scenes.DATES[other] for other in kept]
    assert (
        f"1 of {COUNT} epochs of {tmp_path / name}" in caplog.text and f"left out: {scenes.DATES[epoch]}" in caplog.text
    )
    assert str(dataset["reference_time"].values)[:10] == scenes.DATES[kept[0]]
    np.testing.assert_allclose(dataset["displacement"].values, expected(dataset, kept[0])[kept], atol=1e-7)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_most_epochs_empty_is_an_error(convention: str, tmp_path: Path) -> None:
    values = TRUTH.copy()
    values[2:6] = np.nan
    refused(
        tmp_path,
        scenes.region(convention, write(tmp_path, convention, values)),
        f"4 of {COUNT} epochs of .* hold no data in the region .the first: {scenes.DATES[2]}",
    )


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(epoch=st.integers(0, COUNT - 1), constant=st.floats(-0.5, 0.5), convention=st.sampled_from(CONVENTIONS))
def test_results_do_not_depend_on_what_a_series_is_counted_from(
    epoch: int, constant: float, convention: str, tmp_path: Path
) -> None:
    """An epoch in the middle, one that is not among them (a constant), a map: the origin of a fit."""
    noise = np.random.default_rng(0).normal(0, 0.003, TRUTH.shape)
    noise[0] = 0
    values = TRUTH + noise
    other = values - values[epoch] + constant * (1 + LON - scenes.WEST)
    region = scenes.region(convention, write(tmp_path, convention, values))
    one = archive(tmp_path, region)["displacement"].values
    write(tmp_path, convention, other)
    np.testing.assert_allclose(archive(tmp_path, region)["displacement"].values, one, atol=2e-7)
    assert (one[0] == 0).all()


def test_a_series_of_one_epoch_is_refused(tmp_path: Path) -> None:
    write_mintpy(tmp_path)
    region = scenes.region("mintpy", ".")
    with pytest.raises(SlipscanError, match="has one epoch"):
        archive(tmp_path, region, as_of=scenes.DATES[0])


# The time-series stage, for stacks that come in there.

GRID = Grid(458250.0 + 500 * np.arange(18), 4527750.0 - 500 * np.arange(20), utm_crs(32.5, 40.8))


def stack(values: np.ndarray, **attributes: object) -> xr.Dataset:
    dataset = xr.Dataset(
        {"displacement": (("time", "y", "x"), values), "inversion_std": (("time", "y", "x"), np.abs(values) + 0.001)},
        coords={"time": np.array(scenes.DATES, "datetime64[ns]")},
    )
    reference = {"reference_lon": scenes.REFERENCE[0], "reference_lat": scenes.REFERENCE[1]}
    out = annotate(write_grid(dataset, GRID), "stack")
    return out.assign_attrs({**reference, "region": "TEST", "track": "087A", **attributes})


def run(tmp_path: Path, dataset: xr.Dataset) -> xr.Dataset:
    write_zarr(dataset, tmp_path / "in.zarr")
    stage.write_stack(tmp_path / "in.zarr", tmp_path / "out.zarr", SETTINGS)
    return open_zarr(tmp_path / "out.zarr").load()


def scene() -> np.ndarray:
    return scenes.truth(*GRID.lonlat())


def near_reference() -> np.ndarray:
    lon, lat = GRID.lonlat()
    return np.hypot((lon - scenes.REFERENCE[0]) * 0.76, lat - scenes.REFERENCE[1]) < 0.04


@pytest.mark.parametrize("where", ["everywhere", "at the reference"])
@pytest.mark.parametrize("epoch", [0, 3])
def test_an_epoch_without_reference_is_left_out_with_the_true_cause(
    where: str, epoch: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    values = scene()
    values[epoch, near_reference() if where == "at the reference" else slice(None)] = np.nan
    with caplog.at_level(logging.WARNING):
        out = run(tmp_path, stack(values))
    why = {
        "everywhere": "no valid pixel in the region's polygon",
        "at the reference": "fewer than 10 valid pixels in the",
    }
    assert f"1 of {COUNT} epochs of region TEST track 087A are left out, with {why[where]}" in caplog.text
    assert f": {scenes.DATES[epoch]}" in caplog.text
    kept = [other for other in range(COUNT) if other != epoch]
    assert days(out) == [scenes.DATES[other] for other in kept]
    assert str(out["reference_time"].values)[:10] == scenes.DATES[kept[0]]
    whole = run(tmp_path, stack(scene()))["displacement"].values
    np.testing.assert_allclose(
        out["displacement"].values, np.where(np.isnan(values), np.nan, whole - whole[kept[0]])[kept], atol=1e-6
    )
    np.testing.assert_allclose(out["inversion_std"].values, np.abs(values[kept]) + 0.001, atol=1e-7)


def test_most_epochs_empty_or_without_reference(tmp_path: Path) -> None:
    values = scene()
    values[1:5] = np.nan
    with pytest.raises(SlipscanError, match=f"epoch {scenes.DATES[1]} .*like 3 others of 7, has no valid pixel at all"):
        run(tmp_path, stack(values))
    values = scene()
    values[1:5, near_reference()] = np.nan
    with pytest.raises(SlipscanError, match=r"has 0 valid pixels in the reference area.*move the region's"):
        run(tmp_path, stack(values))


def test_an_empty_epoch_of_a_stack_without_reference_point(tmp_path: Path) -> None:
    values = scene()
    values[3] = np.nan
    dataset = stack(values)
    del dataset.attrs["reference_lon"], dataset.attrs["reference_lat"]
    out = run(tmp_path, dataset)
    assert days(out) == [*scenes.DATES[:3], *scenes.DATES[4:]]
    dataset["displacement"][:4] = np.nan
    with pytest.raises(SlipscanError, match=r"4 of 7 epochs of .* have no valid pixel in the region's polygon"):
        run(tmp_path, dataset)


def test_a_stack_that_is_not_zero_in_its_first_epoch_is_made_relative_to_it(tmp_path: Path) -> None:
    whole = run(tmp_path, stack(scene()))["displacement"].values
    shifted = stack(scene() + 0.01 - scene()[4])
    out = run(tmp_path, shifted.assign_coords(reference_time=np.datetime64(scenes.DATES[4], "ns")))
    assert str(out["reference_time"].values)[:10] == scenes.DATES[0]
    assert (out["displacement"].values[0] == 0).all()
    np.testing.assert_allclose(out["displacement"].values, whole, atol=1e-6)
