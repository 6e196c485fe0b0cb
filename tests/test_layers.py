"""Coherence, heights and lines of sight in rasters: on their scale, without fills and voids, or refused."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from pyproj import CRS

import insar_scene as scenes
from insar_scene import write_raster
from job_builders import job_of
from slipscan.archive.local.archive import Local
from slipscan.archive.local.interferograms import read_interferograms
from slipscan.archive.reading.conventions import CONVENTIONS
from slipscan.archive.reading.dem import heights_of
from slipscan.archive.reading.layers import read_coherences, read_height
from slipscan.archive.reading.rasters import common_grid, read_header
from slipscan.archive.troposphere import gacos
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid
from slipscan.settings import ArchiveSettings

SHAPE = (scenes.ROWS, scenes.COLUMNS)


@pytest.fixture(autouse=True)
def _log_everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def coherences(path: Path, convention: str) -> np.ndarray:
    header = read_header(path)
    return read_coherences([header], common_grid([header]), CONVENTIONS[convention].coherence_scale, convention)[0]


def quality() -> np.ndarray:
    return np.random.default_rng(2).uniform(0.2, 0.95, SHAPE)


@pytest.mark.parametrize(
    ("convention", "values", "tags"),
    [
        ("licsar", np.round(quality() * 255).astype(np.uint8), {}),
        ("licsar", quality().astype(np.float32), {}),
        ("licsar", np.round(quality() * 255).astype(np.uint8), {"scale": 1 / 255}),
        ("gamma", np.round(quality() * 255).astype(np.uint8), {"scale": 1 / 255}),
        ("gamma", np.round(quality() * 1000).astype(np.int16), {"scale": 0.001, "nodata": -32768}),
        ("hyp3", np.where(np.arange(SHAPE[1]) < 9, -9999, quality()).astype(np.float32), {}),
        ("hyp3", np.where(np.arange(SHAPE[1]) < 9, -1, quality()).astype(np.float32), {}),
    ],
)
def test_coherence_is_read_where_its_scale_is_clear(
    convention: str, values: np.ndarray, tags: dict[str, float], tmp_path: Path
) -> None:
    found = coherences(write_raster(tmp_path / "a.tif", values, **tags), convention)
    known = np.isfinite(found)
    assert known.mean() >= 0.8
    np.testing.assert_allclose(found[known], quality()[known], atol=0.0021)


@pytest.mark.parametrize(
    ("convention", "factor", "dtype", "scale"),
    [("gamma", 255, "uint8", "255"), ("hyp3", 100, "float32", "100"), ("gamma", 1000, "int16", "1000"),
     ("licsar", 10000, "int16", "10000")],
)  # fmt: skip
def test_coherence_on_another_scale_names_the_likely_one(
    convention: str, factor: int, dtype: str, scale: str, tmp_path: Path
) -> None:
    path = write_raster(tmp_path / "a.tif", np.round(quality() * factor).astype(dtype))
    with pytest.raises(
        SlipscanError, match=rf"not the scale of the convention {convention} .* may be 0 to {scale}: set"
    ):
        coherences(path, convention)


def test_a_coherence_nowhere_above_a_tenth_is_suspected(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    coherences(write_raster(tmp_path / "a.tif", (quality() / 255).astype(np.float32)), "gamma")
    assert "is above 0.1: is it on another scale?" in caplog.text


def test_voids_of_heights_are_masked_and_the_sea_is_not(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    holes = scenes.height()
    holes[3:5] = 0
    holes[7] = -32767
    header = read_header(write_raster(tmp_path / "mountain.tif", holes))
    found = read_height(header, common_grid([header]))
    assert np.isnan(found).sum() == 3 * SHAPE[1]
    assert "120 of 3000 pixels of" in caplog.text and "masked as voids" in caplog.text
    coast = np.maximum(np.linspace(-200, 1000, SHAPE[1]) * np.ones((SHAPE[0], 1)), 0).astype(np.int16)
    header = read_header(write_raster(tmp_path / "coast.tif", coast))
    np.testing.assert_array_equal(read_height(header, common_grid([header])), coast)


@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_a_dem_is_scaled_and_its_fills_are_not_smeared(dtype: str, tmp_path: Path) -> None:
    lon, lat = scenes.lonlat()
    plane = 1500 + 2000 * (lon - scenes.WEST) + 3000 * (lat - scenes.NORTH)
    raw = np.round(plane / 0.1).astype(dtype)
    raw[10:14, 20:24] = -32768
    grid = Grid(scenes.WEST + 0.0213 + 0.0007 * np.arange(90), scenes.NORTH - 0.009 - 0.0007 * np.arange(80),
                CRS.from_epsg(4326))  # fmt: skip
    found = heights_of(write_raster(tmp_path / "dem.tif", raw, scale=0.1), grid)
    at_lon, at_lat = grid.lonlat()
    truth = 1500 + 2000 * (at_lon - scenes.WEST) + 3000 * (at_lat - scenes.NORTH)
    known = np.isfinite(found)
    assert 0.9 < known.mean() < 1
    # Beside a void the bilinear weights are those of the neighbours that are left: within a pixel's slope, 10 m.
    assert np.max(np.abs(found - truth)[known]) < 10
    assert np.median(np.abs(found - truth)[known]) < 0.1


# Through the archive.


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda frame: frame["E"].unlink(), r"has \*\.geo\.N\.tif and \*\.geo\.U\.tif, but no \*\.geo\.E\.tif: add"),
        (lambda frame: write_raster(frame["N"], np.full(SHAPE, 0.6, np.float32)), "is no unit vector"),
        (
            lambda frame: write_raster(frame["U"], 100 * scenes.los()[2]),
            "the unit vector is -1.01 to 1.01",
        ),
    ],
)
def test_a_line_of_sight_that_is_none(change: Callable[[dict[str, Path]], object], words: str, tmp_path: Path) -> None:
    scenes.write_licsar(tmp_path, scenes.scene([(0, 1)]))
    change({letter: next(tmp_path.rglob(f"*.geo.{letter}.tif")) for letter in "ENU"})
    region = scenes.region("licsar")
    table = Local().search(job_of(region, ArchiveSettings(data_root=str(tmp_path))), "2026-01-01")
    with pytest.raises(SlipscanError, match=words):
        read_interferograms(tmp_path, region.tracks[0].local, region.tracks[0], table)


def test_a_fill_in_the_line_of_sight_is_masked(tmp_path: Path) -> None:
    scenes.write_licsar(tmp_path, scenes.scene([(0, 1)]))
    north = scenes.los()[1]
    north[:5] = -9999
    north[5, :10] = 0.9  # no unit vector
    write_raster(next(tmp_path.rglob("*.geo.N.tif")), north)
    region = scenes.region("licsar")
    table = Local().search(job_of(region, ArchiveSettings(data_root=str(tmp_path))), "2026-01-01")
    dataset = read_interferograms(tmp_path, region.tracks[0].local, region.tracks[0], table)
    for name in ("los_east", "los_north", "los_up"):
        assert np.isnan(dataset[name].values).sum() == 5 * SHAPE[1] + 10


def test_a_coherence_of_100_everywhere_is_no_fill(tmp_path: Path) -> None:
    with pytest.raises(SlipscanError, match="not the scale of the convention gamma"):
        coherences(write_raster(tmp_path / "a.tif", np.full(SHAPE, 100, np.uint8)), "gamma")


def test_a_zenith_delay_is_scaled_and_its_fill_masked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    truth = 2.3 + 0.001 * np.arange(SHAPE[1]) * np.ones((SHAPE[0], 1))
    raw = np.round(truth * 1e4).astype(np.int16)
    raw[:, 0] = -9999
    path = write_raster(tmp_path / "20200103.ztd.tif", raw, scale=1e-4)
    cube = gacos.read(path, (scenes.WEST, scenes.NORTH - 0.1, scenes.WEST + 0.12, scenes.NORTH))
    assert np.isnan(cube.values[0, :, 0]).all()
    np.testing.assert_allclose(cube.values[0, :, 1:], truth[:, 1:], atol=1e-6)


def test_a_cube_of_bands_is_scaled(tmp_path: Path) -> None:
    days = np.stack([np.zeros(SHAPE), np.round(np.full(SHAPE, 2 * np.pi) / 1e-4)]).astype(np.int32)
    path = write_raster(tmp_path / "CNES_DTs_geo_8rlks.tiff", days, scale=1e-4)
    with rasterio.open(path, "r+") as file:
        file.descriptions = ["20200103", "20200115"]
    region = scenes.region("flatsim", path.name)
    table = Local().search(job_of(region, ArchiveSettings(data_root=str(tmp_path))), "2026-01-01")
    found = Local().read(table, job_of(region, ArchiveSettings(data_root=str(tmp_path)), tmp_path), np.zeros)[0]
    np.testing.assert_allclose(found["displacement"].values[1], -scenes.WAVELENGTH / 2, atol=1e-6)
