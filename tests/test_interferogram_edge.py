"""Interferograms made by someone else: read however they are written, or refused in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import insar_scene as scenes
from slipscan.errors import SlipscanError
from slipscan.settings import TimeseriesSettings
from slipscan.store import open_zarr
from slipscan.timeseries import stage

SETTINGS = TimeseriesSettings(
    pixel_m=500.0,
    reference_radius_m=800.0,
    min_reference_pixels=5,
    min_temporal_coherence=0,
    unwrapping_errors="report",
)
DATES = np.array(scenes.DATES, "datetime64[ns]")
PAIRS = np.array(scenes.scene().pairs).T
Change = Callable[[xr.Dataset], xr.Dataset]


def interferograms() -> xr.Dataset:
    """The scene's interferograms (m), as a user of xarray would put them together."""
    lon, lat = scenes.lonlat()
    truth = scenes.truth(lon, lat)
    return xr.Dataset(
        {
            "interferogram": (("pair", "lat", "lon"), truth[PAIRS[1]] - truth[PAIRS[0]], {"units": "m"}),
            "crs": ((), 0, {"epsg_code": "EPSG:4326"}),
        },
        coords={
            "lon": ("lon", lon[0]),
            "lat": ("lat", lat[:, 0]),
            "reference_date": ("pair", DATES[PAIRS[0]]),
            "secondary_date": ("pair", DATES[PAIRS[1]]),
        },
        attrs={"reference_lon": scenes.REFERENCE[0], "reference_lat": scenes.REFERENCE[1]},
    )


def stack_of(dataset: xr.Dataset, directory: Path) -> xr.Dataset:
    dataset.to_netcdf(directory / "in.nc")
    stage.write_stack(directory / "in.nc", directory / "stack.zarr", SETTINGS)
    return open_zarr(directory / "stack.zarr").load()


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d,
        lambda d: d.isel(lat=slice(None, None, -1)).transpose("lon", "pair", "lat"),
        lambda d: d.assign(interferogram=(1000 * d["interferogram"]).assign_attrs(units="mm")),
        lambda d: d.reset_coords(["reference_date", "secondary_date"]).assign_coords(band=1),
        lambda d: d.assign_attrs(reference_lon=str(scenes.REFERENCE[0])),
    ],
)
def test_the_truth_however_it_is_written(change: Change, tmp_path: Path) -> None:
    stack = stack_of(change(interferograms()), tmp_path)
    plain = tmp_path / "plain"
    plain.mkdir()
    expected = stack_of(interferograms(), plain)
    np.testing.assert_array_equal(stack["time"].values, DATES)
    np.testing.assert_allclose(stack["displacement"], expected["displacement"], atol=1e-8)
    assert float(stack["displacement"][-1].max()) == pytest.approx(0.06, rel=0.02)


def dates(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Change:
    return lambda d: d.assign_coords({name: ("pair", change(d[name].values.copy()))})


def put(index: int, value: str) -> Callable[[np.ndarray], np.ndarray]:
    def change(values: np.ndarray) -> np.ndarray:
        values[index] = np.datetime64(value)
        return values

    return change


def integers(values: np.ndarray) -> np.ndarray:
    return np.array([int(str(value)[:10].replace("-", "")) for value in values])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (dates("reference_date", integers), "'reference_date' in .* is no date but a number \\(such as 20200103\\)"),
        (dates("secondary_date", put(4, "NaT")), "'secondary_date' .* has 1 of 15 dates that are none"),
        (dates("secondary_date", put(0, "1970-01-02")), "1970-01-02, before the first SAR satellite"),
        (dates("secondary_date", put(0, "2020-01-03")), "2020-01-03 to 2020-01-03 has a reference that is not older"),
        (dates("secondary_date", put(0, "2019-12-22")), "2019-12-22 has a reference that is not older"),
        (dates("secondary_date", put(1, "2020-01-15")), "2020-01-03 to 2020-01-15 is there twice"),
        (dates("secondary_date", put(1, "2020-01-15T15:08:20")), "two epochs of one pass"),
        (lambda d: d.drop_vars("secondary_date"), "have no coordinate 'secondary_date' \\(pair\\) of dates"),
        (lambda d: d.isel(pair=slice(0, 0)), "is empty: its axis 'pair' has length 0"),
        (lambda d: d.isel(lat=[0, 1, 2, 5, 6]), "'y' .* is not regular"),
        (lambda d: d.isel(lon=[0]), "'x' .* has 1 value"),
        (lambda d: d.drop_vars("crs"), "there is no CRS"),
        (lambda d: d.assign(crs=((), 0, {"epsg_code": 32636})), "are not those of its CRS"),
        (lambda d: d.assign_attrs(reference_lon="32,51"), "reference_lon of .* is '32,51': give a number"),
        (lambda d: d.assign_attrs(reference_lat=np.nan), "reference_lat of .* is nan: give a number"),
        (lambda d: d.assign_attrs(reference_lat=132.5), "reference_lat of .* 132.5: give a number from -90 to 90"),
        (lambda d: d.assign_attrs(reference_lon=40.887, reference_lat=32.513), "longitude and latitude are swapped"),
        (lambda d: d.assign_attrs(reference_lon=30.0), "no pixel within 800 m of the reference point"),
        (lambda d: d.assign_attrs(reference_lon=[32.5, 32.6]), "reference_lon of .* give a number"),
        (
            lambda d: d.drop_attrs(deep=False).assign_attrs(reference_lat=40.9),
            "has the attribute reference_lat but no reference_lon",
        ),
        (lambda d: d.assign_attrs(radar_wavelength_m="0,0555"), "radar_wavelength_m of .* is '0,0555'"),
        (lambda d: d.assign_attrs(radar_wavelength_m=55.5), "radar_wavelength_m of .* from 0.02 to 0.3"),
        (lambda d: d.assign_attrs(region_polygon="POINT (32 41)"), "is no simple WKT polygon"),
        (lambda d: d.assign_attrs(region_polygon=5), "is no WKT polygon"),
        (
            lambda d: d.assign_attrs(region_polygon="POLYGON ((5e5 4e6, 6e5 4e6, 6e5 5e6, 5e5 4e6))"),
            "is not in degrees, longitude before latitude",
        ),
        (lambda d: d.assign(interferogram=1000 * d["interferogram"]), "another quantity, unit, scale"),
        (lambda d: d.assign(interferogram=np.nan * d["interferogram"]), "has no valid pixel"),
    ],
)
def test_what_is_refused(change: Change, sentence: str, tmp_path: Path) -> None:
    with xr.set_options(keep_attrs=True), pytest.raises(SlipscanError, match=sentence) as caught:
        stack_of(change(interferograms()), tmp_path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "stack.zarr").exists()


def test_a_fill_without_a_tag_is_masked_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dataset = interferograms()
    dataset["interferogram"].values[:, 30, 40] = -9999.0
    stack = stack_of(dataset, tmp_path)
    assert "15 of 45000 pixels of 'interferogram' in" in caplog.text
    assert float(np.abs(stack["displacement"]).max()) == pytest.approx(0.06, rel=0.05)
