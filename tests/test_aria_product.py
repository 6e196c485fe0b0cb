"""ARIA GUNW: signs, windows, layers at the height of a DEM, and what is refused."""

from __future__ import annotations

import dataclasses
import logging
import math
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray as xr
from rasterio import Affine

from aria_builders import DATES, SCENE, region
from job_builders import job_of
from slipscan.archive.aria.archive import Aria
from slipscan.archive.extent import Bounds
from slipscan.errors import SlipscanError
from slipscan.settings import ArchiveSettings
from slipscan.vocabulary import check
from slipscan_loopback import gunw

WAVELENGTH = 0.05546576
METRES = WAVELENGTH / (4 * math.pi)  # of a radian: 4.4138 mm


# Reading --------------------------------------------------------------------------------------------------------------

NAME = "S1-GUNW-A-R-087-tops-20200115_20200103-154030-00032E_00041N-PP-0000-v3_0_1"
ROW = pd.Series(
    {
        "granule": NAME,
        "product_version": "3.0.1",
        "reference_date": "2020-01-03",
        "secondary_date": "2020-01-15",
        "frame": "5289",
    }
)
STEP = 1 / 1200
BOUNDS = (32.47, 40.83, 32.53, 40.87)


def write_by_hand(path: Path, size: int = 120, phase: float = 2.0, **changes: float) -> Path:
    """A GUNW of constants: phase, ionosphere (rad), tides (rad), incidence 34 deg + 1 per km of height."""
    made = {"wavelength": WAVELENGTH, "azimuth": -168.0, "ionosphere": 0.5, "newer": 0.9, "older": 0.2, **changes}
    scenes = {"reference": "20200115", "secondary": "20200103"}
    with h5py.File(path, "w") as file:
        data, chunks = file.create_group("science/grids/data"), (100, 100)
        data["longitude"] = 32.44 + (np.arange(size) + 0.5) * STEP
        data["latitude"] = 40.90 - (np.arange(size) + 0.5) * STEP
        for name, nodata, value in (
            ("unwrappedPhase", 0, phase),
            ("coherence", 0, 0.7),
            ("connectedComponents", -1, 3),
        ):
            layer = data.create_dataset(name, (size, size), "f4", chunks=chunks, fillvalue=nodata)
            layer.attrs["_FillValue"] = np.float32(nodata)
            layer[2:120, 2:120] = value
        data["connectedComponents"][60, 60] = 0
        heights, lat, lon = np.array([-1500.0, 0, 3000, 9000]), np.arange(411, 405, -1) / 10, np.arange(322, 328) / 10
        shape = (len(heights), len(lat), len(lon))
        geometry = file.create_group("science/grids/imagingGeometry")
        geometry["heightsMeta"], geometry["latitudeMeta"], geometry["longitudeMeta"] = heights, lat, lon
        geometry["incidenceAngle"] = np.broadcast_to(34 + heights[:, None, None] / 1000, shape).astype("f4")
        geometry["azimuthAngle"] = np.full(shape, made["azimuth"], "f4")
        geometry["perpendicularBaseline"] = np.full(shape, -55.0, "f4")
        coarse = file.create_group("science/grids/corrections/derived/ionosphere")
        coarse["latitude"], coarse["longitude"] = 40.90 - np.arange(12) * 0.0091666, 32.44 + np.arange(12) * 0.0091666
        coarse["ionosphere"] = np.full((12, 12), made["ionosphere"], "f4")
        coarse["ionosphere"][:, 8:] = np.nan
        for role, value in (("reference", made["newer"]), ("secondary", made["older"])):
            tide = file.create_group(f"science/grids/corrections/external/tides/solidEarth/{role}")
            tide["height"], tide["latitude"], tide["longitude"] = heights, lat, lon
            tide["solidEarthTide"] = np.full(shape, value, "f4")
            scene = f"S1A_IW_SLC__1SDV_{scenes[role]}T154017_{scenes[role]}T154044_030630_038276_7A3B"
            file[f"science/radarMetaData/inputSLC/{role}/L1InputGranules"] = [scene, ""]
        file["science/radarMetaData/wavelength"] = np.float64(made["wavelength"])
    return path


def crop(path: Path, bounds: Bounds = BOUNDS, dem: Path | None = None) -> xr.Dataset | None:
    settings = ArchiveSettings(dem=None if dem is None else str(dem))
    return Aria().crop(ROW, [path], job_of(region(), settings), bounds)


def test_signs_against_numbers_worked_out_by_hand(tmp_path: Path) -> None:
    got = crop(write_by_hand(tmp_path / f"{NAME}.nc"))
    check(got, "granule")
    # Reference = newer date: +2 rad is 8.83 mm toward the satellite from the older to the newer date.
    np.testing.assert_allclose(got["interferogram"], 2 * METRES, rtol=1e-6)
    np.testing.assert_allclose(got["tide"], (0.9 - 0.2) * METRES, rtol=1e-5)  # newer minus older
    np.testing.assert_allclose(got["ionosphere"], 0.5 * METRES, rtol=1e-6)  # the sign of the phase; no holes
    np.testing.assert_allclose(got["coherence"], 0.7, rtol=1e-6)
    # The satellite stands in the west-south-west, -168 degrees from east, 34 degrees from the vertical (at 0 m).
    incidence, azimuth = np.deg2rad(34), np.deg2rad(-168)
    expected = (np.sin(incidence) * np.cos(azimuth), np.sin(incidence) * np.sin(azimuth), np.cos(incidence))
    for name, value in zip(("los_east", "los_north", "los_up"), expected, strict=True):
        np.testing.assert_allclose(got[name], value, atol=1e-6)
    assert expected[0] < 0 and "height" not in got
    assert set(np.unique(got["component"])) == {0, 3} and got["component"].dtype == np.int16
    assert got.attrs["perpendicular_baseline_m"] == pytest.approx(55.0)  # the file's is from newer to older
    named = {name: got.attrs[name] for name in ("reference_date", "secondary_date", "product_version", "frame")}
    assert named == {k: ROW[k] for k in named}


def test_the_window_lies_on_the_file_s_own_lattice(tmp_path: Path) -> None:
    got = crop(write_by_hand(tmp_path / f"{NAME}.nc"))
    west, _, east, north = BOUNDS
    assert got["x"][0] - STEP / 2 <= west + 1e-9 < got["x"][0] + STEP / 2 + 1e-9
    assert got["x"][-1] + STEP / 2 >= east - 1e-9 and got["y"][0] + STEP / 2 >= north - 1e-9 > got["y"][-1]
    columns = (got["x"].values - 32.44) / STEP - 0.5
    np.testing.assert_allclose(columns, np.round(columns), atol=1e-6)
    edge = crop(tmp_path / f"{NAME}.nc", (32.0, 40.0, 33.0, 41.0))
    assert edge.sizes == {"y": 120, "x": 120}
    assert np.isnan(edge["interferogram"][0]).all() and (edge["component"][0] == 0).all()  # nodata 0 and -1
    assert np.isnan(edge["coherence"][0]).all()


def test_layers_follow_the_height_of_a_dem(tmp_path: Path) -> None:
    """A DEM in UTM, 1500 m everywhere but a step to 4500 m in the east."""
    dem = tmp_path / "dem.tif"
    heights = np.full((600, 600), 1500, np.float32)
    heights[:, 300:] = 4500
    transform = Affine(40, 0, 446000, 0, -40, 4534000)
    with rasterio.open(dem, "w", "GTiff", 600, 600, 1, "EPSG:32636", transform, "float32") as file:
        file.write(heights, 1)
    got = crop(write_by_hand(tmp_path / f"{NAME}.nc"), dem=dem)
    low, high = got["height"] == 1500, got["height"] == 4500
    assert low.sum() > 500 and high.sum() > 500
    incidence = np.rad2deg(np.arccos(got["los_up"]))
    np.testing.assert_allclose(incidence.values[low.values], 35.5, atol=2e-3)
    np.testing.assert_allclose(incidence.values[high.values], 38.5, atol=2e-3)
    with pytest.raises(SlipscanError, match="no height in the region"):
        crop(write_by_hand(tmp_path / f"{NAME}.nc"), (32.47, 40.83, 32.53, 40.87), dem=_elsewhere(tmp_path))


def _elsewhere(directory: Path) -> Path:
    path = directory / "elsewhere.tif"
    with rasterio.open(path, "w", "GTiff", 9, 9, 1, "EPSG:4326", Affine(0.1, 0, 10, 0, -0.1, 50), "float32") as file:
        file.write(np.ones((9, 9), np.float32), 1)
    return path


@pytest.mark.parametrize("direction", ["ascending", "descending"])
def test_the_true_scene_comes_back(tmp_path: Path, direction: str) -> None:
    scene = dataclasses.replace(SCENE, orbit_direction=direction)
    older, newer, frame = DATES[0], DATES[3], gunw.frames(scene)[0]
    path = tmp_path / gunw.file_name(scene, older, newer, frame)
    gunw.write(path, scene, older, newer, frame)
    row = pd.Series({**ROW, "granule": path.stem, "secondary_date": newer.isoformat()})
    place = region(scene)
    got = Aria().crop(row, [path], job_of(place), (32.4, 40.7, 32.6, 41.0))
    lon, lat = np.meshgrid(got["x"], got["y"])
    valid = np.isfinite(got["interferogram"].values)
    assert valid.mean() > 0.9
    truth = scene.interferogram(lon, lat, older, newer)
    np.testing.assert_allclose(got["interferogram"].values[valid], truth[valid], atol=1e-6)
    for name in ("tide", "ionosphere"):
        part = getattr(scene, name)
        np.testing.assert_allclose(got[name], part(lon, lat, newer) - part(lon, lat, older), atol=1e-6)
    for name, part in zip(("los_east", "los_north", "los_up"), scene.los(lon, lat, 0.0), strict=True):
        np.testing.assert_allclose(got[name], part, atol=2e-6)
    np.testing.assert_array_equal(got["component"].values[valid], scene.component(lon, lat)[valid])
    baseline = scene.perpendicular_baseline(newer) - scene.perpendicular_baseline(older)
    assert got.attrs["perpendicular_baseline_m"] == pytest.approx(baseline, rel=1e-5)


def test_only_the_window_is_read(tmp_path: Path) -> None:
    path = write_by_hand(tmp_path / f"{NAME}.nc", size=8000)
    tracemalloc.start()
    got = crop(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert got.sizes["x"] < 80 and np.isfinite(got["interferogram"]).all()
    assert peak < 8e6  # one layer is 256 MB


def test_no_valid_pixel_in_the_window_gives_nothing(tmp_path: Path) -> None:
    path = write_by_hand(tmp_path / f"{NAME}.nc", size=400)
    assert crop(path, (32.60, 40.60, 32.66, 40.66)) is None  # inside the frame, without data
    assert crop(path, (10.0, 50.0, 10.1, 50.1)) is None
    assert crop(path, (32.5, 40.85, 32.5001, 40.8501)) is None


def test_a_truncated_file_is_one_sentence(tmp_path: Path) -> None:
    path = write_by_hand(tmp_path / f"{NAME}.nc")
    whole = path.read_bytes()
    for share in (0.1, 0.9):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(SlipscanError, match=rf"{NAME}\.nc is truncated or no HDF5 file \(.*fetch it again"):
            crop(path)
    path.write_bytes(b"<html>please sign in</html>")
    with pytest.raises(SlipscanError, match="fetch it again"):
        crop(path)


@pytest.mark.parametrize(
    "name",
    [
        "science/grids/data/unwrappedPhase",
        "science/grids/imagingGeometry/azimuthAngle",
        "science/radarMetaData/wavelength",
    ],
)
def test_a_missing_variable_is_named(tmp_path: Path, name: str) -> None:
    path = write_by_hand(tmp_path / f"{NAME}.nc")
    with h5py.File(path, "a") as file:
        del file[name]
    with pytest.raises(SlipscanError, match=rf"{NAME}\.nc has no variable /{name}"):
        crop(path)


def test_corrections_that_a_file_lacks_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_by_hand(tmp_path / f"{NAME}.nc")
    with h5py.File(path, "a") as file:
        del file["science/grids/corrections"]
    with caplog.at_level(logging.INFO):
        got = crop(path)
    assert not {"tide", "ionosphere"} & set(got.data_vars)
    assert "has no solid Earth tide" in caplog.text and "has no ionosphere" in caplog.text


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / f"{NAME}.nc"
    with pytest.raises(SlipscanError, match=r"radar wavelength of 0\.24 m, the track of 0\.0554658 m"):
        crop(write_by_hand(path, wavelength=0.24))
    with pytest.raises(SlipscanError, match="impossible for a right-looking ascending"):
        crop(write_by_hand(path, azimuth=-12.0))
    swapped = pd.Series({**ROW, "reference_date": "2020-01-15", "secondary_date": "2020-01-03"})
    place = region()
    with pytest.raises(SlipscanError, match="has its reference acquisition on 20200115, by its name it is 2020-01-03"):
        Aria().crop(swapped, [write_by_hand(path)], job_of(place), BOUNDS)
