"""Rasters that tools write in their own ways: read as what they say, masked and counted, or refused in one sentence."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import CRS
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp

import insar_scene as scenes
from insar_scene import PLACE, write_raster
from slipscan.archive.reading.layers import read_phases
from slipscan.archive.reading.rasters import common_grid, read_header
from slipscan.errors import SlipscanError

SHAPE = (scenes.ROWS, scenes.COLUMNS)


def phase() -> np.ndarray:
    """From -20 to 20 rad, nowhere 0, in steps of 0.001."""
    return np.round(np.random.default_rng(1).uniform(-20, 20, SHAPE), 3).astype(np.float32) + np.float32(0.0005)


def read(*paths: Path) -> np.ndarray:
    headers = [read_header(path) for path in paths]
    return read_phases(headers, common_grid(headers), 1.0)


# What a band says of its numbers.


@pytest.mark.parametrize("dtype", ["int16", "int32", "uint16", "float64"])
def test_scale_and_offset_give_the_phase_back(dtype: str, tmp_path: Path) -> None:
    offset = -32.0 if dtype == "uint16" else 0.0
    truth = phase()
    raw = np.round((truth - offset) / 0.001).astype(dtype)
    fill = {"int16": -32768, "int32": -2147483648, "uint16": 65535, "float64": -9999.0}[dtype]
    raw[0] = fill
    found = read(write_raster(tmp_path / "a.tif", raw, nodata=fill, scale=0.001, offset=offset))[0]
    assert np.isnan(found[0]).all()
    np.testing.assert_allclose(found[1:], truth[1:], atol=0.00051)


def test_zero_of_scaled_whole_numbers_is_data_where_another_value_is_none(tmp_path: Path) -> None:
    raw = np.round(phase() * 1000).astype(np.int16)
    raw[5, 5] = 0
    assert read(write_raster(tmp_path / "a.tif", raw, nodata=-32768, scale=0.001))[0, 5, 5] == 0
    assert np.isnan(read(write_raster(tmp_path / "b.tif", raw, scale=0.001))[0, 5, 5])


def test_a_fill_that_the_scale_hides_is_masked(tmp_path: Path) -> None:
    raw = np.round(phase() * 1000).astype(np.int16)
    raw[:, :7] = -32768
    raw[0, 20:] = -9999
    found = read(write_raster(tmp_path / "a.tif", raw, scale=0.001))[0]
    assert np.isnan(found).sum() == SHAPE[0] * 7 + SHAPE[1] - 20
    np.testing.assert_allclose(np.nanmax(np.abs(found)), 20, atol=0.1)


@pytest.mark.parametrize("tag", [None, 0.0, 1e20])
def test_a_fill_without_its_tag_is_masked_and_counted(
    tag: float | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    values = phase()
    values[:10] = -9999
    values[10] = -3.4028234663852886e38
    found = read(write_raster(tmp_path / "a.tif", values, nodata=tag))[0]
    assert np.isnan(found[:11]).all()
    np.testing.assert_array_equal(found[11:], values[11:])
    assert "660 of 3000 pixels of" in caplog.text and "-9999, -3.40282e+38" in caplog.text


def test_many_files_with_a_fill_are_counted_together(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    values = phase()
    values[0] = 1e20
    read(*(write_raster(tmp_path / f"{number}.tif", values) for number in range(9)))
    assert caplog.text.count("hold 1e+20") == 3
    assert "the same in 6 more files of 9 (360 pixels)" in caplog.text


@pytest.mark.parametrize("alpha", [False, True])
def test_a_mask_beside_the_values_is_respected(alpha: bool, tmp_path: Path) -> None:
    valid = np.full(SHAPE, 255, np.uint8)
    valid[:20] = 0
    if alpha:
        bands = np.stack([phase(), valid.astype(np.float32)])
        path = write_raster(tmp_path / "a.tif", bands)
        with rasterio.open(path, "r+") as file:
            file.colorinterp = [ColorInterp.gray, ColorInterp.alpha]
    else:
        path = write_raster(tmp_path / "a.tif", phase())
        with rasterio.open(path, "r+") as file:
            file.write_mask(valid)
    found = read(path)[0]
    assert np.isnan(found[:20]).all() and np.isfinite(found[20:]).all()


# What is no unwrapped phase.

BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "two bands": (lambda p: write_raster(p, np.stack([phase(), phase()])), r"a\.tif has 2 bands, one is needed: keep"),
    "complex": (
        lambda p: write_raster(p, np.exp(1j * phase()).astype(np.complex64)),
        "complex numbers .* the unwrapped phase",
    ),
    "picture": (lambda p: write_raster(p, np.ones((3, *SHAPE), np.uint8), photometric="RGB"), "is a picture"),
    "lost scale": (
        lambda p: write_raster(p, np.round(phase() * 10).astype(np.int16)),
        "nothing but whole numbers .* scale was",
    ),
    "whole floats": (lambda p: write_raster(p, np.round(phase() * 40)), "nothing but whole numbers"),
    "micro": (
        lambda p: write_raster(p, phase() * 1e3),
        "but unwrapped phase is -900 to 900 rad",
    ),
    "unit": (
        lambda p: write_raster(p, phase(), units="mm"),
        "has the unit 'mm' in its band, but phase in",
    ),
    "scale 0": (lambda p: write_raster(p, phase(), scale=0.0), r"a\.tif has the scale 0 "),
    "empty": (lambda p: p.touch(), r"a\.tif is empty \(0 bytes\): fetch it again"),
    "text": (lambda p: p.write_text("<html>Please log in</html>"), r"a\.tif cannot be read as a GeoTIFF"),
    "directory": (lambda p: p.mkdir(), r"a\.tif cannot be read as a GeoTIFF"),
    "no place": (lambda p: write_raster(p, phase(), transform=Affine.identity()), "has a CRS but no transform"),
    "no CRS": (lambda p: write_raster(p, phase(), crs=None), "has no CRS: .*gdal_edit"),
    "south up": (lambda p: write_raster(p, phase(), transform=PLACE @ Affine.scale(1, -1)), "not north-up: warp it"),
    "rotated": (lambda p: write_raster(p, phase(), transform=PLACE @ Affine.rotation(12)), "is rotated"),
    "local CRS": (
        lambda p: write_raster(p, phase(), crs='LOCAL_CS["site",UNIT["metre",1]]'),
        "'site', .* no place",
    ),
}


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("name", sorted(BAD))
def test_what_is_no_unwrapped_phase_is_one_sentence(name: str, tmp_path: Path) -> None:
    make, words = BAD[name]
    make(tmp_path / "a.tif")
    with pytest.raises(SlipscanError, match=words) as raised:
        read(tmp_path / "a.tif")
    assert "\n" not in str(raised.value) and "a.tif" in str(raised.value)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_radar_coordinates_are_named_as_such(tmp_path: Path) -> None:
    points = [GroundControlPoint(row, column, 32 + column / 100, 41 - row / 100) for row in (0, 9) for column in (0, 9)]
    profile = {"driver": "GTiff", "count": 1, "height": 10, "width": 10, "dtype": "float32"}
    with rasterio.open(tmp_path / "a.tif", "w", **profile, gcps=points, crs="EPSG:4326") as file:
        file.write(np.ones((1, 10, 10), np.float32))
    with pytest.raises(SlipscanError, match=r"a\.tif is in radar coordinates"):
        read_header(tmp_path / "a.tif")


def test_wrapped_phase_is_refused_where_all_are_and_named_where_one_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wrapped = np.angle(np.exp(1j * phase())).astype(np.float32)
    bad = [write_raster(tmp_path / f"w{number}.tif", wrapped) for number in range(2)]
    with pytest.raises(SlipscanError, match=r"all 2 interferograms .* reach from -pi to pi .* wrapped"):
        read(*bad)
    read(write_raster(tmp_path / "u.tif", phase()), bad[0])
    assert "1 interferograms reach from -pi to pi and not beyond" in caplog.text and "w0.tif" in caplog.text


def test_phase_in_metres_is_suspected(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = [write_raster(tmp_path / f"{number}.tif", phase() * np.float32(0.0044)) for number in range(3)]
    read(*files)
    assert "is their phase in metres?" in caplog.text


# The common extent.


def test_a_short_interferogram_is_named_and_one_beside_the_rest_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = [read_header(write_raster(tmp_path / f"{number}.tif", phase())) for number in range(4)]
    short = read_header(write_raster(tmp_path / "short.tif", phase()[:, :20]))
    assert common_grid([short, *whole]).shape == (50, 20)
    assert "1 files cover clearly less than most do and cut the common extent to 50 x 20 pixels" in caplog.text
    assert "short.tif (33 %)" in caplog.text
    caplog.clear()
    almost = read_header(
        write_raster(tmp_path / "almost.tif", phase()[:, 1:], transform=PLACE @ Affine.translation(1, 0))
    )
    assert common_grid([*whole, almost]).shape == (50, 59)
    assert not caplog.messages
    beside = read_header(write_raster(tmp_path / "beside.tif", phase(), transform=PLACE @ Affine.translation(80, 0)))
    with pytest.raises(SlipscanError, match=r"beside\.tif has no common extent with .*\d\.tif: remove one"):
        common_grid([beside, *whole])


def test_a_crs_written_in_another_way_is_the_same(tmp_path: Path) -> None:
    esri = CRS.from_epsg(32636).to_wkt("WKT1_ESRI")
    transform = Affine(80, 0, 500000, 0, -80, 4500000)
    files = [write_raster(tmp_path / "a.tif", phase(), crs="EPSG:32636", transform=transform),
             write_raster(tmp_path / "b.tif", phase(), crs=esri, transform=transform)]  # fmt: skip
    assert read(*files).shape == (2, *SHAPE)
    other = write_raster(tmp_path / "c.tif", phase(), crs="EPSG:32637", transform=transform)
    with pytest.raises(SlipscanError, match=r"c\.tif has CRS EPSG:32637, .*a\.tif has EPSG:32636"):
        read(files[0], other)


@pytest.fixture(autouse=True)
def _log_everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
