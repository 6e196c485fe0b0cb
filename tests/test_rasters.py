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
from slipscan.archive import local
from slipscan.archive.conventions import CONVENTIONS
from slipscan.archive.dem import heights_of
from slipscan.archive.layers import read_coherences, read_height, read_phases
from slipscan.archive.rasters import common_grid, read_header
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid
from slipscan.settings import ArchiveSettings

PLACE = Affine(scenes.STEP, 0, scenes.WEST, 0, -scenes.STEP, scenes.NORTH)
SHAPE = (scenes.ROWS, scenes.COLUMNS)


def write(
    path: Path,
    values: np.ndarray,
    nodata: float | None = None,
    scale: float = 1.0,
    offset: float = 0.0,
    units: str | None = None,
    transform: Affine = PLACE,
    crs: object = "EPSG:4326",
    **profile: object,
) -> Path:
    bands = values if values.ndim == 3 else values[None]
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver="GTiff", count=len(bands), height=bands.shape[1], width=bands.shape[2], dtype=bands.dtype,
        crs=crs, transform=transform, nodata=nodata, **profile,
    ) as file:  # fmt: skip
        file.write(bands)
        file.scales, file.offsets = [scale] * len(bands), [offset] * len(bands)
        if units:
            file.units = [units] * len(bands)
    return path


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
    found = read(write(tmp_path / "a.tif", raw, nodata=fill, scale=0.001, offset=offset))[0]
    assert np.isnan(found[0]).all()
    np.testing.assert_allclose(found[1:], truth[1:], atol=0.00051)


def test_zero_of_scaled_whole_numbers_is_data_where_another_value_is_none(tmp_path: Path) -> None:
    raw = np.round(phase() * 1000).astype(np.int16)
    raw[5, 5] = 0
    assert read(write(tmp_path / "a.tif", raw, nodata=-32768, scale=0.001))[0, 5, 5] == 0
    assert np.isnan(read(write(tmp_path / "b.tif", raw, scale=0.001))[0, 5, 5])


def test_a_fill_that_the_scale_hides_is_masked(tmp_path: Path) -> None:
    raw = np.round(phase() * 1000).astype(np.int16)
    raw[:, :7] = -32768
    raw[0, 20:] = -9999
    found = read(write(tmp_path / "a.tif", raw, scale=0.001))[0]
    assert np.isnan(found).sum() == SHAPE[0] * 7 + SHAPE[1] - 20
    np.testing.assert_allclose(np.nanmax(np.abs(found)), 20, atol=0.1)


@pytest.mark.parametrize("tag", [None, 0.0, 1e20])
def test_a_fill_without_its_tag_is_masked_and_counted(
    tag: float | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    values = phase()
    values[:10] = -9999
    values[10] = -3.4028234663852886e38
    found = read(write(tmp_path / "a.tif", values, nodata=tag))[0]
    assert np.isnan(found[:11]).all()
    np.testing.assert_array_equal(found[11:], values[11:])
    assert "660 of 3000 pixels of" in caplog.text and "-9999, -3.40282e+38" in caplog.text


def test_many_files_with_a_fill_are_counted_together(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    values = phase()
    values[0] = 1e20
    read(*(write(tmp_path / f"{number}.tif", values) for number in range(9)))
    assert caplog.text.count("hold 1e+20") == 3
    assert "the same in 6 more files of 9 (360 pixels)" in caplog.text


@pytest.mark.parametrize("alpha", [False, True])
def test_a_mask_beside_the_values_is_respected(alpha: bool, tmp_path: Path) -> None:
    valid = np.full(SHAPE, 255, np.uint8)
    valid[:20] = 0
    if alpha:
        bands = np.stack([phase(), valid.astype(np.float32)])
        path = write(tmp_path / "a.tif", bands)
        with rasterio.open(path, "r+") as file:
            file.colorinterp = [ColorInterp.gray, ColorInterp.alpha]
    else:
        path = write(tmp_path / "a.tif", phase())
        with rasterio.open(path, "r+") as file:
            file.write_mask(valid)
    found = read(path)[0]
    assert np.isnan(found[:20]).all() and np.isfinite(found[20:]).all()


# What is no unwrapped phase.

BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "two bands": (lambda p: write(p, np.stack([phase(), phase()])), r"a\.tif has 2 bands, one is needed: keep"),
    "complex": (
        lambda p: write(p, np.exp(1j * phase()).astype(np.complex64)),
        "complex numbers .* the unwrapped phase",
    ),
    "picture": (lambda p: write(p, np.ones((3, *SHAPE), np.uint8), photometric="RGB"), "is a picture"),
    "lost scale": (
        lambda p: write(p, np.round(phase() * 10).astype(np.int16)),
        "nothing but whole numbers .* scale was",
    ),
    "whole floats": (lambda p: write(p, np.round(phase() * 40)), "nothing but whole numbers"),
    "micro": (lambda p: write(p, phase() * 1e3), "3000 pixels, but unwrapped phase is -900 to 900 rad: it is another"),
    "unit": (lambda p: write(p, phase(), units="mm"), r"a\.tif has the unit 'mm' in its band, but phase in radians is"),
    "scale 0": (lambda p: write(p, phase(), scale=0.0), r"a\.tif has the scale 0 "),
    "empty": (lambda p: p.touch(), r"a\.tif is empty \(0 bytes\): fetch it again"),
    "text": (lambda p: p.write_text("<html>Please log in</html>"), r"a\.tif cannot be read as a GeoTIFF"),
    "directory": (lambda p: p.mkdir(), r"a\.tif cannot be read as a GeoTIFF"),
    "no place": (lambda p: write(p, phase(), transform=Affine.identity()), "has a CRS but no transform"),
    "no CRS": (lambda p: write(p, phase(), crs=None), "has no CRS: .*gdal_edit"),
    "south up": (lambda p: write(p, phase(), transform=PLACE @ Affine.scale(1, -1)), "not north-up: warp it"),
    "rotated": (lambda p: write(p, phase(), transform=PLACE @ Affine.rotation(12)), "is rotated"),
    "local CRS": (lambda p: write(p, phase(), crs='LOCAL_CS["site",UNIT["metre",1]]'), "'site', which is of no place"),
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
    bad = [write(tmp_path / f"w{number}.tif", wrapped) for number in range(2)]
    with pytest.raises(SlipscanError, match=r"all 2 interferograms .* reach from -pi to pi .* wrapped"):
        read(*bad)
    read(write(tmp_path / "u.tif", phase()), bad[0])
    assert "1 interferograms reach from -pi to pi and not beyond" in caplog.text and "w0.tif" in caplog.text


def test_phase_in_metres_is_suspected(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = [write(tmp_path / f"{number}.tif", phase() * np.float32(0.0044)) for number in range(3)]
    read(*files)
    assert "is their phase in metres?" in caplog.text


# Coherence and heights.


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
    found = coherences(write(tmp_path / "a.tif", values, **tags), convention)
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
    path = write(tmp_path / "a.tif", np.round(quality() * factor).astype(dtype))
    with pytest.raises(
        SlipscanError, match=rf"not the scale of the convention {convention} .* may be 0 to {scale}: set"
    ):
        coherences(path, convention)


def test_a_coherence_nowhere_above_a_tenth_is_suspected(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    coherences(write(tmp_path / "a.tif", (quality() / 255).astype(np.float32)), "gamma")
    assert "is above 0.1: is it on another scale?" in caplog.text


def test_voids_of_heights_are_masked_and_the_sea_is_not(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    holes = scenes.height()
    holes[3:5] = 0
    holes[7] = -32767
    header = read_header(write(tmp_path / "mountain.tif", holes))
    found = read_height(header, common_grid([header]))
    assert np.isnan(found).sum() == 3 * SHAPE[1]
    assert "120 of 3000 pixels of" in caplog.text and "masked as voids" in caplog.text
    coast = np.maximum(np.linspace(-200, 1000, SHAPE[1]) * np.ones((SHAPE[0], 1)), 0).astype(np.int16)
    header = read_header(write(tmp_path / "coast.tif", coast))
    np.testing.assert_array_equal(read_height(header, common_grid([header])), coast)


@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_a_dem_is_scaled_and_its_fills_are_not_smeared(dtype: str, tmp_path: Path) -> None:
    lon, lat = scenes.lonlat()
    plane = 1500 + 2000 * (lon - scenes.WEST) + 3000 * (lat - scenes.NORTH)
    raw = np.round(plane / 0.1).astype(dtype)
    raw[10:14, 20:24] = -32768
    grid = Grid(scenes.WEST + 0.0213 + 0.0007 * np.arange(90), scenes.NORTH - 0.009 - 0.0007 * np.arange(80),
                CRS.from_epsg(4326))  # fmt: skip
    found = heights_of(write(tmp_path / "dem.tif", raw, scale=0.1), grid)
    at_lon, at_lat = grid.lonlat()
    truth = 1500 + 2000 * (at_lon - scenes.WEST) + 3000 * (at_lat - scenes.NORTH)
    known = np.isfinite(found)
    assert 0.9 < known.mean() < 1
    # Beside a void the bilinear weights are those of the neighbours that are left: within a pixel's slope, 10 m.
    assert np.max(np.abs(found - truth)[known]) < 10
    assert np.median(np.abs(found - truth)[known]) < 0.1


# The common extent.


def test_a_short_interferogram_is_named_and_one_beside_the_rest_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = [read_header(write(tmp_path / f"{number}.tif", phase())) for number in range(4)]
    short = read_header(write(tmp_path / "short.tif", phase()[:, :20]))
    assert common_grid([short, *whole]).shape == (50, 20)
    assert "1 files cover clearly less than most do and cut the common extent to 50 x 20 pixels" in caplog.text
    assert "short.tif (33 %)" in caplog.text
    caplog.clear()
    almost = read_header(write(tmp_path / "almost.tif", phase()[:, 1:], transform=PLACE @ Affine.translation(1, 0)))
    assert common_grid([*whole, almost]).shape == (50, 59)
    assert not caplog.messages
    beside = read_header(write(tmp_path / "beside.tif", phase(), transform=PLACE @ Affine.translation(80, 0)))
    with pytest.raises(SlipscanError, match=r"beside\.tif has no common extent with .*\d\.tif: remove one"):
        common_grid([beside, *whole])


def test_a_crs_written_in_another_way_is_the_same(tmp_path: Path) -> None:
    esri = CRS.from_epsg(32636).to_wkt("WKT1_ESRI")
    transform = Affine(80, 0, 500000, 0, -80, 4500000)
    files = [write(tmp_path / "a.tif", phase(), crs="EPSG:32636", transform=transform),
             write(tmp_path / "b.tif", phase(), crs=esri, transform=transform)]  # fmt: skip
    assert read(*files).shape == (2, *SHAPE)
    other = write(tmp_path / "c.tif", phase(), crs="EPSG:32637", transform=transform)
    with pytest.raises(SlipscanError, match=r"c\.tif has CRS EPSG:32637, .*a\.tif has EPSG:32636"):
        read(files[0], other)


# Through the archive.


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda frame: frame["E"].unlink(), r"has \*\.geo\.N\.tif and \*\.geo\.U\.tif, but no \*\.geo\.E\.tif: add"),
        (lambda frame: write(frame["N"], np.full(SHAPE, 0.6, np.float32)), "is no unit vector"),
        (lambda frame: write(frame["U"], 100 * scenes.los()[2]), "but component of the unit vector is -1.01 to 1.01"),
    ],
)
def test_a_line_of_sight_that_is_none(change: Callable[[dict[str, Path]], object], words: str, tmp_path: Path) -> None:
    scenes.write_licsar(tmp_path, scenes.scene([(0, 1)]))
    change({letter: next(tmp_path.rglob(f"*.geo.{letter}.tif")) for letter in "ENU"})
    region = scenes.region("licsar")
    table = local.search(region, region.tracks[0], ArchiveSettings(data_root=str(tmp_path)), "2026-01-01")
    with pytest.raises(SlipscanError, match=words):
        local.read_interferograms(tmp_path, region.tracks[0].local, region.tracks[0], table)


def test_a_fill_in_the_line_of_sight_is_masked(tmp_path: Path) -> None:
    scenes.write_licsar(tmp_path, scenes.scene([(0, 1)]))
    north = scenes.los()[1]
    north[:5] = -9999
    north[5, :10] = 0.9  # no unit vector
    write(next(tmp_path.rglob("*.geo.N.tif")), north)
    region = scenes.region("licsar")
    table = local.search(region, region.tracks[0], ArchiveSettings(data_root=str(tmp_path)), "2026-01-01")
    dataset = local.read_interferograms(tmp_path, region.tracks[0].local, region.tracks[0], table)
    for name in ("los_east", "los_north", "los_up"):
        assert np.isnan(dataset[name].values).sum() == 5 * SHAPE[1] + 10


@pytest.fixture(autouse=True)
def _log_everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
