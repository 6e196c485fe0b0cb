"""OPERA DISP-S1: signs, windows, masks, and what is refused."""

from __future__ import annotations

import dataclasses
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray as xr
from pyproj import CRS
from rasterio import Affine

from job_builders import job_of
from opera_builders import DATES, SCENE, region
from slipscan.archive.extent import Bounds
from slipscan.archive.opera.archive import Opera
from slipscan.errors import SlipscanError
from slipscan.regions import Region
from slipscan.vocabulary import check
from slipscan_loopback import disp

WAVELENGTH = 0.05546576
POSTING = 120.0  # the loopback's files; written by hand below: 30 m


# Reading --------------------------------------------------------------------------------------------------------------

NAME = "OPERA_L3_DISP-S1_IW_F11116_VV_20200103T154030Z_20200115T154030Z_v1.0_20240916T043310Z"
STATIC = "OPERA_L3_DISP-S1-STATIC_F11116_20140403_S1A_v1.0"
ROW = pd.Series(
    {
        "granule": NAME,
        "product_version": "1.0",
        "reference_date": "2020-01-03",
        "secondary_date": "2020-01-15",
        "frame": "F11116",
    }
)
LEFT, TOP, SIZE = 450000.0, 4530000.0, 500
BOUNDS = (32.47, 40.83, 32.53, 40.87)


def write_by_hand(directory: Path, size: int = SIZE, wavelength: float = WAVELENGTH, east: float = -0.6) -> list[Path]:
    """A granule of constants on 30 m of UTM 36N, and its static layers: NetCDF, line of sight, heights."""
    path = directory / f"{NAME}.nc"
    layers = {
        "displacement": (np.nan, 0.0125, "f4"),
        "short_wavelength_displacement": (np.nan, -1.0, "f4"),
        "recommended_mask": (255, 1, "u1"),
        "connected_component_labels": (65535, 2, "u2"),
        "temporal_coherence": (np.nan, 0.9, "f4"),
        "estimated_phase_quality": (np.nan, 0.6, "f4"),
        "corrections/ionospheric_delay": (np.nan, 0.004, "f4"),
        "corrections/solid_earth_tide": (np.nan, -0.007, "f4"),
        "corrections/perpendicular_baseline": (np.nan, 42.0, "f4"),
    }
    with h5py.File(path, "w") as file:
        file["x"], file["y"] = LEFT + 15 + 30.0 * np.arange(size), TOP - 15 - 30.0 * np.arange(size)
        file["spatial_ref"] = 0
        file["spatial_ref"].attrs["crs_wkt"] = CRS.from_epsg(32636).to_wkt()
        for name, (fill, value, dtype) in layers.items():
            layer = file.create_dataset(name, (size, size), dtype, chunks=(256, 256), fillvalue=fill)
            layer.attrs["_FillValue"] = np.dtype(dtype).type(fill)
            layer[2:500, 2:500] = value
        file["recommended_mask"][250, 250], file["displacement"][251, 251] = 0, np.nan
        file["identification/reference_datetime"] = np.bytes_("2020-01-03 15:40:30.000000")
        file["identification/secondary_datetime"] = np.bytes_("2020-01-15 15:40:30.000000")
        file["identification/radar_wavelength"] = wavelength
    north = -0.1
    vector = np.array([east, north, np.sqrt(1 - east**2 - north**2)])
    los = write_tif(directory / f"{STATIC}_line_of_sight_enu.tif", vector, size, nodata=0)
    return [path, los, write_tif(directory / f"{STATIC}_dem.tif", np.array([1234.0]), size)]


def write_tif(path: Path, values: np.ndarray, size: int, nodata: float | None = None, left: float = LEFT) -> Path:
    with rasterio.open(
        path, "w", "GTiff", size, size, len(values), "EPSG:32636", Affine(30, 0, left, 0, -30, TOP), "float32", nodata,
        tiled=True, blockxsize=128, blockysize=128, sparse_ok=True,
    ) as file:  # fmt: skip
        window = rasterio.windows.Window(0, 0, min(size, 500), min(size, 500))
        file.write(
            np.broadcast_to(values[:, None, None], (len(values), window.height, window.width)).astype("f4"),
            window=window,
        )
    return path


def crop(files: list[Path], bounds: Bounds = BOUNDS, place: Region | None = None) -> xr.Dataset | None:
    place = place or region()
    return Opera().crop(ROW, files, job_of(place), bounds)


def test_signs_against_numbers_worked_out_by_hand(tmp_path: Path) -> None:
    got = crop(write_by_hand(tmp_path))
    check(got, "granule")
    good = np.isfinite(got["interferogram"].values)
    assert (~good).sum() == 2  # one by the mask, one by its own NaN
    np.testing.assert_allclose(got["interferogram"].values[good], 0.0125, rtol=1e-6)  # never the short-wavelength one
    np.testing.assert_allclose(got["ionosphere"], 0.004, rtol=1e-6)
    np.testing.assert_allclose(got["tide"], -0.007, rtol=1e-6)
    np.testing.assert_allclose(got["coherence"].values[good], 0.6, rtol=1e-6)  # of the pair, not of the ministack
    np.testing.assert_allclose(got["los_east"], -0.6, rtol=1e-6)
    np.testing.assert_allclose(got["height"], 1234.0)
    assert (got["component"].values[good] == 2).all() and (got["component"].values[~good] == 0).all()
    assert got.attrs["perpendicular_baseline_m"] == 42.0
    named = {name: got.attrs[name] for name in ("reference_date", "secondary_date", "product_version", "frame")}
    assert named == {name: ROW[name] for name in named}
    assert ((got["x"] - LEFT - 15) % 30 == 0).all() and ((TOP - 15 - got["y"]) % 30 == 0).all()
    assert CRS.from_wkt(got["spatial_ref"].attrs["crs_wkt"]).to_epsg() == 32636


def test_no_data_is_neither_a_component_nor_coherent(tmp_path: Path) -> None:
    got = crop(write_by_hand(tmp_path), (32.0, 40.0, 33.0, 41.0))
    assert got.sizes == {"y": SIZE, "x": SIZE}
    edge = got.isel(y=0)
    assert (
        np.isnan(edge["interferogram"]).all() and np.isnan(edge["coherence"]).all() and (edge["component"] == 0).all()
    )


def test_coherence_falls_back_on_that_of_the_ministack(tmp_path: Path) -> None:
    files = write_by_hand(tmp_path)
    with h5py.File(files[0], "a") as file:
        del file["estimated_phase_quality"], file["corrections"]
    got = crop(files[:2])
    assert np.nanmax(got["coherence"]) == pytest.approx(0.9)
    assert not {"ionosphere", "tide", "height"} & set(got.data_vars)


@pytest.mark.parametrize("direction", ["ascending", "descending"])
def test_the_true_scene_comes_back(tmp_path: Path, direction: str) -> None:
    scene = dataclasses.replace(SCENE, orbit_direction=direction)
    reference, secondary = DATES[0], DATES[4]
    path = tmp_path / disp.file_name(scene, reference, secondary)
    disp.write(path, scene, reference, secondary, POSTING)
    static = disp.write_static(tmp_path, scene, POSTING)
    row = pd.Series({**ROW, "granule": path.stem, "secondary_date": secondary.isoformat()})
    place = region(scene)
    got = Opera().crop(row, [path, *static], job_of(place), (32.4, 40.7, 32.6, 41.0))
    xx, yy = np.meshgrid(got["x"], got["y"])
    from pyproj import Transformer

    lon, lat = Transformer.from_crs(CRS.from_wkt(got["spatial_ref"].attrs["crs_wkt"]), 4326, always_xy=True).transform(
        xx, yy
    )
    valid = np.isfinite(got["interferogram"].values)
    assert valid.mean() > 0.7

    def same(name: str, truth: np.ndarray, atol: float) -> None:
        """Equal but for a constant: every layer is zero at the product's own reference point."""
        difference = (got[name].values - truth)[valid]
        np.testing.assert_allclose(difference, np.median(difference), atol=atol)

    same("interferogram", scene.interferogram(lon, lat, reference, secondary), 5e-5)
    for name in ("tide", "ionosphere"):
        part = getattr(scene, name)
        same(name, part(lon, lat, secondary) - part(lon, lat, reference), 5e-5)
    for name, part in zip(("los_east", "los_north", "los_up"), scene.los(lon, lat), strict=True):
        np.testing.assert_allclose(got[name].values[valid], part[valid], atol=1e-3)
    np.testing.assert_allclose(got["height"].values[valid], scene.height(lon, lat)[valid], atol=0.01)


def test_only_the_window_is_read(tmp_path: Path) -> None:
    files = write_by_hand(tmp_path, size=8000)
    tracemalloc.start()
    got = crop(files)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert got.sizes["x"] < 200 and np.isfinite(got["interferogram"]).mean() > 0.99
    assert peak < 10e6  # one layer is 256 MB


def test_no_valid_pixel_in_the_window_gives_nothing(tmp_path: Path) -> None:
    files = write_by_hand(tmp_path, size=1500)
    assert crop(files, (32.72, 40.60, 32.76, 40.64)) is None  # inside the frame, without data
    assert crop(files, (10.0, 50.0, 10.1, 50.1)) is None


def test_broken_files_are_one_sentence(tmp_path: Path) -> None:
    files = write_by_hand(tmp_path)
    for path in files[:2]:
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(SlipscanError, match=rf"{path.name}.*fetch it again"):
            crop(files)
        path.write_bytes(whole)
    with h5py.File(files[0], "a") as file:
        del file["recommended_mask"]
    with pytest.raises(SlipscanError, match="has no variable /recommended_mask"):
        crop(files)
    with pytest.raises(SlipscanError, match="1 NetCDF files and 0 lines of sight"):
        crop([files[0], files[2]])


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SlipscanError, match=r"radar wavelength of 0\.24 m"):
        crop(write_by_hand(tmp_path, wavelength=0.24))
    with pytest.raises(SlipscanError, match="impossible for a right-looking ascending"):
        crop(write_by_hand(tmp_path, east=0.6))
    files = write_by_hand(tmp_path)
    write_tif(files[1], np.array([-0.6, -0.1, 0.79]), SIZE, left=LEFT + 11)
    with pytest.raises(SlipscanError, match="is not on the lattice of its frame's displacements"):
        crop(files)
    place = region()
    with pytest.raises(SlipscanError, match="has the secondary date 2020-01-15, by the manifest it is 2020-02-08"):
        Opera().crop(
            pd.Series({**ROW, "secondary_date": "2020-02-08"}),
            files,
            job_of(place),
            BOUNDS,
        )
