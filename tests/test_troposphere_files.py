"""Zenith delays of GACOS and ERA5: files against closed forms, and what is refused."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from job_builders import job_of
from slipscan.archive.joining.observations import assemble
from slipscan.archive.troposphere import correction as troposphere
from slipscan.archive.troposphere import era5, gacos
from slipscan.archive.troposphere.delays import at_pixels
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid
from slipscan.settings import ArchiveSettings, Corrections
from slipscan_loopback.geotiff import write_geotiff
from troposphere_builders import (
    G0,
    LEVELS,
    RD,
    REGION,
    TEMPERATURE,
    WGS84,
    crop,
    isothermal,
    write_gacos,
    zenith,
    zeros,
)

pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")


def test_gacos_node_by_node(tmp_path: Path) -> None:
    write_gacos(tmp_path, "20200103", 2.4)
    cube = gacos.read(tmp_path / "20200103.ztd", (32.3, 40.8, 32.5, 41.0))
    # 32.405 E is 20.5 nodes east of the first, 40.95 N is 25 south: 2.4 - 0.0205 - 0.050.
    np.testing.assert_allclose(at_pixels(cube, np.array(32.405), np.array(40.95), np.array(0.0)), 2.3295, atol=1e-6)


def test_gacos_as_geotiff_is_the_same(tmp_path: Path) -> None:
    write_gacos(tmp_path, "20200103", 2.4)
    values = np.fromfile(tmp_path / "20200103.ztd", "<f4").reshape(60, 50)
    # Pixels whose centres are the nodes.
    write_geotiff(
        tmp_path / "20200115.ztd.tif", values, Grid(32.2 + 0.01 * np.arange(50), 41.2 - 0.01 * np.arange(60), WGS84), 0
    )
    box = (32.3, 40.8, 32.5, 41.0)
    one, other = (gacos.read(tmp_path / name, box) for name in ("20200103.ztd", "20200115.ztd.tif"))
    at = np.array([32.405, 32.35]), np.array([40.95, 40.9]), np.zeros(2)
    np.testing.assert_allclose(at_pixels(one, *at), at_pixels(other, *at), atol=1e-6)


def test_gacos_corrects_any_archive(tmp_path: Path) -> None:
    write_gacos(tmp_path, "20200103", 2.40)
    write_gacos(tmp_path, "20200115", 2.44)
    settings = ArchiveSettings(corrections=Corrections(troposphere="gacos"), troposphere_dir=str(tmp_path))
    row, data = crop(0.010, acquisition_time="15:40:30")
    crops = [(row, data.drop_vars("height"))]  # GACOS has its own topography
    made = troposphere.fetch(crops, job_of(REGION, settings, tmp_path))
    assert made is not None and [file.name for file in made.received][:2] == ["20200103.ztd", "20200103.ztd.rsc"]
    dataset = assemble(crops, job_of(REGION, settings), zeros, delays=made)
    np.testing.assert_allclose(dataset["interferogram"].values, 0.010 + 0.04 / 0.8, atol=1e-6)


def test_gacos_says_what_is_missing(tmp_path: Path) -> None:
    settings = ArchiveSettings(corrections=Corrections(troposphere="gacos"))
    with pytest.raises(SlipscanError, match=r"1 of 1 granules .*dates 2020-01-03, 2020-01-15\): order .*gacos.net"):
        troposphere.fetch([crop()], job_of(REGION, settings, tmp_path))
    write_gacos(tmp_path, "20200103", 2.4)
    settings = ArchiveSettings(corrections=Corrections(troposphere="gacos"), troposphere_dir=str(tmp_path))
    with pytest.raises(
        SlipscanError, match=r"no GACOS delay of 20200115: order them at gacos.net for 15:40 UTC and 32"
    ):
        troposphere.fetch([crop(acquisition_time="15:40:30")], job_of(REGION, settings, tmp_path))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda d: (d / "a.ztd").write_bytes((d / "a.ztd").read_bytes()[:-4]),
            "holds 2999 values, its header says 3000",
        ),
        (lambda d: (d / "a.ztd.rsc").write_text("WIDTH 50\n"), "lacks WIDTH, FILE_LENGTH"),
        (lambda d: write_gacos(d, "a", 2400.0), "zenith delay is 0.3 to 3.5 m"),
        (lambda d: write_gacos(d, "a", 2.4, west=10.0), "lies outside the region"),
    ],
)
def test_bad_gacos_files_are_one_sentence(change: Callable[[Path], object], words: str, tmp_path: Path) -> None:
    write_gacos(tmp_path, "a", 2.4)
    change(tmp_path)
    with pytest.raises(SlipscanError, match=words):
        gacos.read(tmp_path / "a.ztd", (32.3, 40.8, 32.5, 41.0))


def test_dry_air_of_one_temperature_has_a_closed_form() -> None:
    heights = np.array([0.0, 1000.0, 3000.0])
    # P = P0 exp(-g h / Rd T); the refractivity 1e-6 k1 P / T integrates to 1e-6 k1 Rd P / g, g about 9.784 m/s2.
    pressure = 101325.0 * np.exp(-G0 * heights / (RD * TEMPERATURE))
    expected = 1e-6 * 0.776 * RD * pressure / (9.784 * (1 - 2.8e-7 * heights))
    np.testing.assert_allclose(zenith(None, heights), expected, rtol=3e-4)  # geopotential for geometric height
    assert zenith(None, heights)[0] == pytest.approx(2.307, abs=1e-3), "the 2.3 m of every textbook"


def test_the_mean_gravity_makes_the_hydrostatic_delay_the_integral_of_the_refractivity() -> None:
    geometric = np.linspace(0, 90e3, 90001)
    gravity = G0 * (6.371e6 / (6.371e6 + geometric)) ** 2  # 9.806 at sea level at 45 degrees
    pressure = 101325.0 * np.exp(-np.cumsum(gravity) * 1.0 / (RD * TEMPERATURE))
    integral = 1e-6 * 0.776 * float(np.sum(pressure / TEMPERATURE))
    assert zenith(None, np.zeros(1))[0] == pytest.approx(integral, rel=1e-3)


def test_vapour_that_falls_off_exponentially_has_a_closed_form() -> None:
    heights, scale = np.array([0.0, 500.0, 2000.0]), 2000.0
    wet = zenith(scale, heights) - zenith(None, heights)
    vapour = 1000.0 * np.exp(-heights / scale)
    k2 = 0.716 - 0.776 * RD / 461.495
    expected = 1e-6 * (k2 / TEMPERATURE + 3.75e3 / TEMPERATURE**2) * vapour * scale
    # The lowest level of 1000 hPa lies 105 m up, from where vapour is taken as constant: 2.6 % of 105 m at sea level.
    np.testing.assert_allclose(wet[1:], expected[1:], rtol=2e-3)
    assert wet[0] == pytest.approx(expected[0], rel=5e-3)
    assert 0.1 < expected[0] < 0.2


def write_era5(
    path: Path,
    hour: str,
    scale_m: float | None,
    longitude: np.ndarray,
    time: str = "valid_time",
    level: str = "pressure_level",
) -> None:
    z, t, q = isothermal(scale_m)
    latitude = np.arange(41.75, 40.0, -0.25)
    shape = (1, len(LEVELS), len(latitude), len(longitude))
    dims = (time, level, "latitude", "longitude")
    layers = {
        name: (dims, np.broadcast_to(part[None, :, :1, :1], shape).astype("f4"))
        for name, part in zip("ztq", (z, t, q), strict=True)
    }
    coords = {
        time: [np.datetime64(hour, "ns")],
        level: LEVELS / 100,
        "latitude": latitude,
        "longitude": longitude,
        "number": 0,
        "expver": "0001",
    }
    xr.Dataset(layers, coords).to_netcdf(path, engine="netcdf4")


def test_era5_files_correct_any_archive(tmp_path: Path) -> None:
    east = np.arange(31.5, 33.5, 0.25)
    write_era5(tmp_path / "ERA5_20200103_16.nc", "2020-01-03T16:00", None, east)
    write_era5(tmp_path / "ERA5_20200115_16.nc", "2020-01-15T16:00", 2000.0, east, "time", "level")
    settings = ArchiveSettings(corrections=Corrections(troposphere="era5"), troposphere_dir=str(tmp_path))
    crops = [crop(0.010, acquisition_time="15:40:30")]
    made = troposphere.fetch(crops, job_of(REGION, settings, tmp_path))
    assert made is not None and [file.name for file in made.received] == ["ERA5_20200103_16.nc", "ERA5_20200115_16.nc"]
    dataset = assemble(crops, job_of(REGION, settings), zeros, delays=made)
    # Vapour of 10 hPa at sea level delays by 115 mm, at the crop's 500 m by exp(-500 / 2000) of it; u is 0.8.
    wet = zenith(2000.0, np.array([500.0]))[0] - zenith(None, np.array([500.0]))[0]
    np.testing.assert_allclose(dataset["interferogram"].values, 0.010 + wet / 0.8, atol=2e-5)
    assert wet > 0.08


def test_era5_of_longitudes_from_0_to_360(tmp_path: Path) -> None:
    path, hour = tmp_path / "ERA5_20200103_16.nc", datetime.datetime(2020, 1, 3, 16, tzinfo=datetime.UTC)
    write_era5(path, "2020-01-03T16:00", None, np.arange(238.0, 240.0, 0.25))
    cube = era5.read(path, hour, (-121.2, 40.6, -120.8, 41.0))
    assert cube.longitude.min() >= -122 and cube.longitude.max() <= -120
    np.testing.assert_allclose(np.ptp(cube.values, axis=2), 0, atol=1e-12)


def test_era5_says_what_to_request(tmp_path: Path) -> None:
    settings = ArchiveSettings(corrections=Corrections(troposphere="era5"))
    crops = [crop(acquisition_time="23:40:00")]
    with pytest.raises(SlipscanError, match=r"name archive\.troposphere_dir"):
        troposphere.fetch(crops, job_of(REGION, settings, tmp_path))
    settings = ArchiveSettings(corrections=Corrections(troposphere="era5"), troposphere_dir=str(tmp_path))
    words = (
        r"no ERA5_20200104_00.nc, ERA5_20200116_00.nc \(day and hour, UTC\): request reanalysis-era5-pressure-levels.*"
        r"area 41.52/31.87/40.40/32.99"
    )
    with pytest.raises(SlipscanError, match=words):
        troposphere.fetch(crops, job_of(REGION, settings, tmp_path))


def test_era5_of_another_hour_or_of_few_levels_is_refused(tmp_path: Path) -> None:
    path, hour = tmp_path / "ERA5_20200103_16.nc", datetime.datetime(2020, 1, 3, 16, tzinfo=datetime.UTC)
    write_era5(path, "2020-01-03T15:00", None, np.arange(31.5, 33.5, 0.25))
    with pytest.raises(SlipscanError, match="is of 2020-01-03T15:00, not of 2020-01-03T16:00 UTC"):
        era5.read(path, hour, (32.3, 40.9, 32.5, 41.0))
    write_era5(path, "2020-01-03T16:00", None, np.arange(31.5, 33.5, 0.25))
    with xr.load_dataset(path) as whole:
        whole.isel(pressure_level=slice(0, 4)).to_netcdf(path)
    with pytest.raises(SlipscanError, match="levels from 1000 to 850 hPa: request all levels"):
        era5.read(path, hour, (32.3, 40.9, 32.5, 41.0))
