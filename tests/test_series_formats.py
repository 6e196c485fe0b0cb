"""Ready series of MintPy, LiCSBAS and FLATSIM: signs, units, corners and centres, and every refusal in one sentence."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

import insar_scene as scenes
from job_builders import job_of
from series_builders import (
    AS_OF,
    DAYS,
    GEOGRAPHIC,
    LAT,
    LON,
    TRUTH,
    archive,
    check_truth,
    refused,
    write_cube,
    write_flatsim,
    write_layer,
    write_licsbas,
    write_mintpy,
)
from slipscan.archive.local.archive import Local
from slipscan.archive.local.ready import cube, mintpy, mintpy_header
from slipscan.errors import SlipscanError
from slipscan.geometry import read_grid
from slipscan.settings import ArchiveSettings
from slipscan.stack import since_first_epoch


def check_los(dataset: xr.Dataset) -> None:
    for name, expected in zip(("los_east", "los_north", "los_up"), scenes.los(), strict=True):
        np.testing.assert_allclose(dataset[name].values, expected.mean(), atol=1e-6)


# MintPy.


def test_mintpy_gives_the_truth_where_its_pixels_are(tmp_path: Path) -> None:
    write_mintpy(tmp_path / "mintpy")
    dataset = archive(tmp_path, scenes.region("mintpy", "mintpy"))
    assert dataset.attrs["product"] == "stack"
    assert dataset.attrs[cube.CORRECTIONS] == []
    check_truth(dataset)
    check_los(dataset)
    # X_FIRST is a corner: the first centre of the whole file lies half a pixel to the right of it and below.
    whole = mintpy_header.grid_of(GEOGRAPHIC, LON.shape, tmp_path)
    assert (whole.x[0], whole.y[0]) == pytest.approx((32.501, 40.899), abs=1e-12)
    np.testing.assert_allclose(dataset["height"].values[0, :3], scenes.height()[0, :3], atol=1e-3)


def test_mintpy_azimuth_is_anticlockwise_from_north() -> None:
    """By hand: incidence 30, azimuth 90 points west: (-0.5, 0, 0.866); azimuth -90 (descending) points east."""
    los = mintpy.los_of_angles(np.array([[30.0, 30.0, 0.0]]), np.array([[90.0, -90.0, 90.0]]))
    np.testing.assert_allclose(los["los_east"], [[-0.5, 0.5, np.nan]], atol=1e-7)
    np.testing.assert_allclose(los["los_north"], [[0, 0, np.nan]], atol=1e-7)
    np.testing.assert_allclose(los["los_up"], [[0.8660254, 0.8660254, np.nan]], atol=1e-7)


@pytest.mark.parametrize(
    "crs", [{"EPSG": "32636", "X_UNIT": "meters"}, {"UTM_ZONE": "36N", "X_UNIT": "meters"}, {"EPSG": "4326"}]
)
def test_mintpy_crs_of_epsg_or_utm_zone(crs: dict[str, str], tmp_path: Path) -> None:
    metric = {"X_FIRST": "457000", "Y_FIRST": "4528000", "X_STEP": "200", "Y_STEP": "-200"} if len(crs) == 2 else {}
    write_mintpy(tmp_path, beside=False, **{**metric, **crs})
    dataset = archive(tmp_path, scenes.region("mintpy", "timeseries.h5"))
    grid = read_grid(dataset)
    assert grid.crs.to_epsg() == (32636 if metric else 4326)
    if metric:
        assert (grid.x[0] - 457100) % 200 == pytest.approx(0, abs=1e-6)


def test_mintpy_epochs_up_to_as_of_and_a_reference_in_the_middle(tmp_path: Path) -> None:
    middle = TRUTH - TRUTH[4]
    write_mintpy(tmp_path, values=middle, REF_DATE=DAYS[4])
    dataset = archive(tmp_path, scenes.region("mintpy", "timeseries.h5"), as_of="2020-02-20")
    assert dataset.sizes["time"] == 5
    check_truth(dataset)
    check_truth(archive(tmp_path, scenes.region("mintpy", "timeseries.h5")))


def test_mintpy_name_tells_the_corrections(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_mintpy(tmp_path, "timeseries_ERA5_demErr.h5")
    dataset = archive(tmp_path, scenes.region("mintpy", "timeseries_ERA5_demErr.h5"))
    assert dataset.attrs[cube.CORRECTIONS] == ["ERA5", "demErr"]
    assert "deramped" not in caplog.text

    write_mintpy(tmp_path, "timeseries_ERA5_ramp_demErr.h5")
    with caplog.at_level(logging.WARNING):
        dataset = archive(tmp_path, scenes.region("mintpy", "timeseries_ERA5_ramp_demErr.h5"))
    assert dataset.attrs[cube.CORRECTIONS] == ["ERA5", "ramp", "demErr"]
    assert "timeseries_ERA5_ramp_demErr.h5 was deramped: slip with long wavelengths was removed" in caplog.text

    refused(tmp_path, scenes.region("mintpy", "."), r"holds several series \(timeseries_ERA5_demErr.h5, .*name one")


def test_mintpy_empty_and_masked_pixels_are_nan(tmp_path: Path) -> None:
    values = TRUTH.copy()
    values[:, 20, 30] = 0  # no data
    values[:, 22, 32] = 0  # the reference pixel
    values[3, 24, 34] = 0  # motion may pass through zero
    write_mintpy(tmp_path, values=values, REF_Y="22", REF_X="32")
    mask = np.ones(LON.shape, bool)
    mask[26, 36] = False
    write_layer(tmp_path / "maskTempCoh.h5", "mask", mask)
    write_layer(tmp_path / "temporalCoherence.h5", "temporalCoherence", np.float32(LON - 32))
    dataset = archive(tmp_path, scenes.region("mintpy", "timeseries.h5"))

    def at(row: int, column: int) -> np.ndarray:
        where = {"x": LON[row, column], "y": LAT[row, column]}
        return dataset["displacement"].sel(where, method="nearest", tolerance=1e-6).values

    assert np.isnan(at(20, 30)).all() and np.isnan(at(26, 36)).all()
    assert (at(22, 32) == 0).all() and np.isfinite(at(24, 34)).all()
    coherence = dataset["temporal_coherence"]
    np.testing.assert_allclose(
        coherence.values, np.broadcast_to(coherence["x"].values - 32, coherence.shape), atol=1e-6
    )


def test_mintpy_units(tmp_path: Path) -> None:
    write_mintpy(tmp_path, values=TRUTH * 100, UNIT="cm")
    check_truth(archive(tmp_path, scenes.region("mintpy", "timeseries.h5")))
    write_mintpy(tmp_path, UNIT="m/year")
    refused(tmp_path, scenes.region("mintpy", "timeseries.h5"), "has UNIT 'm/year'")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"X_FIRST": None, "Y_FIRST": None}, r"is in radar coordinates \(no X_FIRST\): geocode"),
        ({"Y_STEP": "0.002"}, "is not north-up"),
        ({"X_UNIT": "meters"}, "does not tell its CRS"),
        ({"X_UNIT": None}, "does not tell its CRS"),
        ({"EPSG": "32636"}, "has X_UNIT degrees but EPSG 32636"),
        ({"EPSG": "1"}, r"unknown CRS \(EPSG 1\)"),
        ({"X_STEP": "narrow"}, r"no readable attribute X_STEP \('narrow'"),
    ],
)
def test_mintpy_refuses_what_it_cannot_place(changes: dict[str, Any], match: str, tmp_path: Path) -> None:
    write_mintpy(tmp_path, **changes)
    refused(tmp_path, scenes.region("mintpy", "timeseries.h5"), match)


def test_mintpy_geometry_of_another_grid_or_orbit(tmp_path: Path) -> None:
    file = write_mintpy(tmp_path)
    with h5py.File(tmp_path / "geometryGeo.h5", "a") as geometry:
        geometry.attrs["X_FIRST"] = "32.6"
    refused(tmp_path, scenes.region("mintpy", file.name), "geometryGeo.h5 lies on another grid than timeseries.h5")
    write_mintpy(tmp_path)
    with h5py.File(tmp_path / "geometryGeo.h5", "a") as geometry:
        geometry["azimuthAngle"][...] = -102
    refused(tmp_path, scenes.region("mintpy", file.name), "impossible for a right-looking ascending")


def test_mintpy_without_geometry_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = write_mintpy(tmp_path, beside=False)
    dataset = archive(tmp_path, scenes.region("mintpy", file.name))
    assert "los_east" not in dataset
    assert "comes without line of sight" in caplog.text


def test_truncated_and_foreign_hdf5(tmp_path: Path) -> None:
    file = write_mintpy(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    refused(tmp_path, scenes.region("mintpy", file.name), "timeseries.h5 is truncated or no HDF5 file")
    refused(tmp_path, scenes.region("licsbas", file.name), "timeseries.h5 is truncated or no HDF5 file")
    with h5py.File(file, "w") as other:
        other["velocity"] = np.zeros((3, 3))
    refused(tmp_path, scenes.region("mintpy", file.name), "has no variable date")
    refused(tmp_path, scenes.region("licsbas", file.name), "has no variable imdates")
    refused(tmp_path, scenes.region("mintpy", "absent.h5"), "there is no MintPy series")


def test_a_series_changed_since_the_manifest_is_refused(tmp_path: Path) -> None:
    write_mintpy(tmp_path)
    region, settings = scenes.region("mintpy", "."), ArchiveSettings(data_root=str(tmp_path))
    table = Local().search(job_of(region, settings), AS_OF)
    assert table.iloc[0]["granule"] == "timeseries.h5"
    assert table.iloc[0]["expected_checksum"].startswith("sha256:")
    write_mintpy(tmp_path, values=2 * TRUTH)
    with pytest.raises(SlipscanError, match="is not the file of the manifest"):
        Local().files(table, job_of(region, settings, tmp_path))


def test_only_the_window_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mintpy(tmp_path)
    small = ((32.56, 40.84), (32.565, 40.84), (32.565, 40.845), (32.56, 40.845), (32.56, 40.84))
    sizes = []
    read = cube.read_epochs
    monkeypatch.setattr(cube, "read_epochs", lambda *args: sizes.append(args[2:4]) or read(*args))
    dataset = archive(tmp_path, scenes.region("mintpy", ".", polygon=small, reference_point=(32.56, 40.845)))
    (rows, columns) = sizes[0]
    assert (rows.stop - rows.start, columns.stop - columns.start) == (dataset.sizes["y"], dataset.sizes["x"])
    assert dataset.sizes["y"] < 40 and dataset.sizes["x"] < 50
    check_truth(dataset)


def test_epochs_out_of_order(tmp_path: Path) -> None:
    file = write_mintpy(tmp_path)
    with h5py.File(file, "a") as opened:
        opened["date"][1] = DAYS[0].encode()
    refused(tmp_path, scenes.region("mintpy", file.name), "not in ascending order")
    with h5py.File(file, "a") as opened:
        opened["date"][1] = b"20201345"
    refused(tmp_path, scenes.region("mintpy", file.name), "epoch '20201345', which is no date")


def test_counting_from_the_first_valid_epoch() -> None:
    values = np.array([[[1.0, np.nan]], [[3.0, 5.0]], [[np.nan, 4.0]]], np.float32)
    assert since_first_epoch(values)
    np.testing.assert_array_equal(values, [[[0, np.nan]], [[2, 0]], [[np.nan, -1]]])
    since_zero = np.array([[[0.0, np.nan]], [[3.0, 5.0]]], np.float32)
    before = since_zero.copy()
    assert not since_first_epoch(since_zero)
    np.testing.assert_array_equal(since_zero, before)


# LiCSBAS.


def test_licsbas_gives_the_truth_where_its_pixels_are(tmp_path: Path) -> None:
    write_licsbas(tmp_path / "TS_GEOC")
    dataset = archive(tmp_path, scenes.region("licsbas", "TS_GEOC"))
    check_truth(dataset)
    check_los(dataset)
    assert dataset.attrs[cube.CORRECTIONS] == []
    check_truth(archive(tmp_path, scenes.region("licsbas", "TS_GEOC/cum.h5"), as_of=scenes.DATES[4]))


def test_licsbas_layers_beside_it(tmp_path: Path) -> None:
    write_licsbas(tmp_path / "TS_GEOCml1", with_los=False)
    (tmp_path / "GEOCml1").mkdir()
    for letter, part in zip("EN", scenes.los()[:2], strict=True):
        part.astype("<f4").tofile(tmp_path / "GEOCml1" / f"{letter}.geo")
    scenes.write_tif(tmp_path / "GEOCml1" / "087A_04900_131313.geo.U.tif", scenes.los()[2])
    mask = np.ones(LON.shape, np.float32)
    mask[20, 30] = 0
    (tmp_path / "TS_GEOCml1" / "results").mkdir()
    mask.tofile(tmp_path / "TS_GEOCml1" / "results" / "mask")
    dataset = archive(tmp_path, scenes.region("licsbas", "TS_GEOCml1"))
    check_los(dataset)
    values = dataset["displacement"]
    assert np.isnan(values.sel(x=LON[20, 30], y=LAT[20, 30], method="nearest")).all()
    assert int(np.isnan(values).sum()) == len(DAYS)

    (tmp_path / "GEOCml1" / "E.geo").write_bytes(b"1234")
    refused(tmp_path, scenes.region("licsbas", "TS_GEOCml1"), r"E.geo has 4 bytes, not 50 x 60 float32")


def test_licsbas_filter_is_recorded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    flags = {"filtwidth_yr": 0.1, "filtwidth_km": 2.0, "hgt_linear_flag": 0, "mask": np.ones(LON.shape, np.float32)}
    write_licsbas(tmp_path, "cum_filt.h5", deramp_flag="bl", **flags)
    dataset = archive(tmp_path, scenes.region("licsbas", "cum_filt.h5"))
    assert dataset.attrs[cube.CORRECTIONS] == ["filter", "ramp"]
    assert "was filtered (filter, ramp)" in caplog.text and "removed with the ramps" in caplog.text
    write_licsbas(tmp_path, "cum_filt.h5", deramp_flag=np.array([]), **flags)
    assert archive(tmp_path, scenes.region("licsbas", "cum_filt.h5")).attrs[cube.CORRECTIONS] == ["filter"]


def test_licsbas_refusals(tmp_path: Path) -> None:
    write_licsbas(tmp_path, corner_lat=None)
    refused(tmp_path, scenes.region("licsbas", "."), r"radar coordinates \(no corner_lat\)")
    write_licsbas(tmp_path, post_lat=scenes.STEP)
    refused(tmp_path, scenes.region("licsbas", "."), "is not north-up")
    write_licsbas(tmp_path, **{"E.geo": -scenes.los()[0]})
    refused(tmp_path, scenes.region("licsbas", "."), "impossible for a right-looking ascending")
    refused(tmp_path / "..", scenes.region("licsbas", "absent"), "there is no LiCSBAS series")


# FLATSIM.


@pytest.mark.parametrize("los", ["CosNEU", "CosENU"])
def test_flatsim_gives_the_truth(los: str, tmp_path: Path) -> None:
    write_flatsim(tmp_path, los)
    dataset = archive(tmp_path, scenes.region("flatsim", "."))
    values = dataset["displacement"]
    assert np.isnan(values.sel(x=LON[20, 30], y=LAT[20, 30], method="nearest")).all()
    assert int(np.isnan(values).sum()) == len(DAYS)
    lon, lat = np.meshgrid(dataset["x"], dataset["y"])
    np.testing.assert_allclose(values.values, np.where(np.isnan(values), np.nan, scenes.truth(lon, lat)), atol=1e-8)
    check_los(dataset)


def test_flatsim_phase_by_hand(tmp_path: Path) -> None:
    """One cycle of 2 pi away from the satellite is half a wavelength of motion away: -27.73288 mm toward."""
    layers = np.zeros((2, *LON.shape))
    layers[0] = 1.0
    layers[1] = 1.0 + 2 * np.pi
    write_cube(tmp_path / "CNES_DTs_geo_8rlks.tiff", layers, ["20200103", "20200115"])
    dataset = archive(tmp_path, scenes.region("flatsim", "CNES_DTs_geo_8rlks.tiff"))
    np.testing.assert_allclose(dataset["displacement"].values[1], -0.02773288, atol=1e-8)


def test_flatsim_dates_from_a_list(tmp_path: Path) -> None:
    write_flatsim(tmp_path, named=False)
    refused(tmp_path, scenes.region("flatsim", "."), "have no dates: put list_images.txt beside it")
    lines = [f"{i + 1} {day} 0.0 2020.{i:04d} 0 {10.0 * i}" for i, day in enumerate(DAYS)]
    listed = tmp_path / "TS" / "list_images.txt"
    listed.write_text("# 20000101 number date\n" + "\n".join(lines))
    dataset = archive(tmp_path, scenes.region("flatsim", "."), as_of="2020-02-10")
    assert [str(day)[:10] for day in dataset["time"].values] == list(scenes.DATES[:4])
    listed.write_text("\n".join(lines[:-1]))
    refused(tmp_path, scenes.region("flatsim", "."), "lists 6 dates, but .* has 7 bands")


def test_flatsim_refusals(tmp_path: Path) -> None:
    write_flatsim(tmp_path / "a", sign=-1)
    refused(tmp_path, scenes.region("flatsim", "a"), "line of sight in .* wrong convention")
    write_flatsim(tmp_path / "b")
    cube = tmp_path / "b" / "TS" / "CNES_DTs_geo_8rlks.tiff"
    cube.write_bytes(cube.read_bytes()[:40_000])
    refused(tmp_path, scenes.region("flatsim", "b"), "CNES_DTs_geo_8rlks.tiff cannot be read")
    cube.rename(cube.with_name("CNES_DTs_radar_8rlks.tiff"))
    refused(
        tmp_path, scenes.region("flatsim", "b"), r"no FLATSIM cube DTs_geo \(only DTs_radar, in radar coordinates\)"
    )
    refused(tmp_path, scenes.region("flatsim", "b/TS/CNES_DTs_radar_8rlks.tiff"), "is in radar coordinates")


@pytest.mark.parametrize(
    ("convention", "write"), [("mintpy", write_mintpy), ("licsbas", write_licsbas), ("flatsim", write_flatsim)]
)
def test_polygon_outside_and_nothing_up_to_as_of(convention: str, write: Any, tmp_path: Path) -> None:
    write(tmp_path)
    elsewhere = tuple((lon, lat - 5) for lon, lat in scenes.POLYGON)
    refused(tmp_path, scenes.region(convention, ".", polygon=elsewhere), "polygon lies outside the data of track 087A")
    region = scenes.region(convention, ".")
    assert Local().search(job_of(region, ArchiveSettings(data_root=str(tmp_path))), "2019-01-01").empty
