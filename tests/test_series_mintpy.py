"""Ready series of MintPy: signs, units, corners, and every refusal in one sentence."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import insar_scene as scenes
import series_builders as made
from job_builders import job_of
from slipscan.archive.local.archive import Local
from slipscan.archive.local.ready import cube, mintpy, mintpy_header
from slipscan.errors import SlipscanError
from slipscan.geometry import read_grid
from slipscan.settings import ArchiveSettings
from slipscan.stack import since_first_epoch

# MintPy.


def test_mintpy_gives_the_truth_where_its_pixels_are(tmp_path: Path) -> None:
    made.write_mintpy(tmp_path / "mintpy")
    dataset = made.archive(tmp_path, scenes.region("mintpy", "mintpy"))
    assert dataset.attrs["product"] == "stack"
    assert dataset.attrs[cube.CORRECTIONS] == []
    made.check_truth(dataset)
    made.check_los(dataset)
    # X_FIRST is a corner: the first centre of the whole file lies half a pixel to the right of it and below.
    whole = mintpy_header.grid_of(made.GEOGRAPHIC, made.LON.shape, tmp_path)
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
    made.write_mintpy(tmp_path, beside=False, **{**metric, **crs})
    dataset = made.archive(tmp_path, scenes.region("mintpy", "timeseries.h5"))
    grid = read_grid(dataset)
    assert grid.crs.to_epsg() == (32636 if metric else 4326)
    if metric:
        assert (grid.x[0] - 457100) % 200 == pytest.approx(0, abs=1e-6)


def test_mintpy_epochs_up_to_as_of_and_a_reference_in_the_middle(tmp_path: Path) -> None:
    middle = made.TRUTH - made.TRUTH[4]
    made.write_mintpy(tmp_path, values=middle, REF_DATE=made.DAYS[4])
    dataset = made.archive(tmp_path, scenes.region("mintpy", "timeseries.h5"), as_of="2020-02-20")
    assert dataset.sizes["time"] == 5
    made.check_truth(dataset)
    made.check_truth(made.archive(tmp_path, scenes.region("mintpy", "timeseries.h5")))


def test_mintpy_name_tells_the_corrections(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made.write_mintpy(tmp_path, "timeseries_ERA5_demErr.h5")
    dataset = made.archive(tmp_path, scenes.region("mintpy", "timeseries_ERA5_demErr.h5"))
    assert dataset.attrs[cube.CORRECTIONS] == ["ERA5", "demErr"]
    assert "deramped" not in caplog.text

    made.write_mintpy(tmp_path, "timeseries_ERA5_ramp_demErr.h5")
    with caplog.at_level(logging.WARNING):
        dataset = made.archive(tmp_path, scenes.region("mintpy", "timeseries_ERA5_ramp_demErr.h5"))
    assert dataset.attrs[cube.CORRECTIONS] == ["ERA5", "ramp", "demErr"]
    assert "timeseries_ERA5_ramp_demErr.h5 was deramped: slip with long wavelengths was removed" in caplog.text

    made.refused(
        tmp_path, scenes.region("mintpy", "."), r"holds several series \(timeseries_ERA5_demErr.h5, .*name one"
    )


def test_mintpy_empty_and_masked_pixels_are_nan(tmp_path: Path) -> None:
    values = made.TRUTH.copy()
    values[:, 20, 30] = 0  # no data
    values[:, 22, 32] = 0  # the reference pixel
    values[3, 24, 34] = 0  # motion may pass through zero
    made.write_mintpy(tmp_path, values=values, REF_Y="22", REF_X="32")
    mask = np.ones(made.LON.shape, bool)
    mask[26, 36] = False
    made.write_layer(tmp_path / "maskTempCoh.h5", "mask", mask)
    made.write_layer(tmp_path / "temporalCoherence.h5", "temporalCoherence", np.float32(made.LON - 32))
    dataset = made.archive(tmp_path, scenes.region("mintpy", "timeseries.h5"))

    def at(row: int, column: int) -> np.ndarray:
        where = {"x": made.LON[row, column], "y": made.LAT[row, column]}
        return dataset["displacement"].sel(where, method="nearest", tolerance=1e-6).values

    assert np.isnan(at(20, 30)).all() and np.isnan(at(26, 36)).all()
    assert (at(22, 32) == 0).all() and np.isfinite(at(24, 34)).all()
    coherence = dataset["temporal_coherence"]
    np.testing.assert_allclose(
        coherence.values, np.broadcast_to(coherence["x"].values - 32, coherence.shape), atol=1e-6
    )


def test_mintpy_units(tmp_path: Path) -> None:
    made.write_mintpy(tmp_path, values=made.TRUTH * 100, UNIT="cm")
    made.check_truth(made.archive(tmp_path, scenes.region("mintpy", "timeseries.h5")))
    made.write_mintpy(tmp_path, UNIT="m/year")
    made.refused(tmp_path, scenes.region("mintpy", "timeseries.h5"), "has UNIT 'm/year'")


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
    made.write_mintpy(tmp_path, **changes)
    made.refused(tmp_path, scenes.region("mintpy", "timeseries.h5"), match)


def test_mintpy_geometry_of_another_grid_or_orbit(tmp_path: Path) -> None:
    file = made.write_mintpy(tmp_path)
    with h5py.File(tmp_path / "geometryGeo.h5", "a") as geometry:
        geometry.attrs["X_FIRST"] = "32.6"
    made.refused(tmp_path, scenes.region("mintpy", file.name), "geometryGeo.h5 lies on another grid than timeseries.h5")
    made.write_mintpy(tmp_path)
    with h5py.File(tmp_path / "geometryGeo.h5", "a") as geometry:
        geometry["azimuthAngle"][...] = -102
    made.refused(tmp_path, scenes.region("mintpy", file.name), "impossible for a right-looking ascending")


def test_mintpy_without_geometry_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = made.write_mintpy(tmp_path, beside=False)
    dataset = made.archive(tmp_path, scenes.region("mintpy", file.name))
    assert "los_east" not in dataset
    assert "comes without line of sight" in caplog.text


def test_truncated_and_foreign_hdf5(tmp_path: Path) -> None:
    file = made.write_mintpy(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    made.refused(tmp_path, scenes.region("mintpy", file.name), "timeseries.h5 is truncated or no HDF5 file")
    made.refused(tmp_path, scenes.region("licsbas", file.name), "timeseries.h5 is truncated or no HDF5 file")
    with h5py.File(file, "w") as other:
        other["velocity"] = np.zeros((3, 3))
    made.refused(tmp_path, scenes.region("mintpy", file.name), "has no variable date")
    made.refused(tmp_path, scenes.region("licsbas", file.name), "has no variable imdates")
    made.refused(tmp_path, scenes.region("mintpy", "absent.h5"), "there is no MintPy series")


def test_a_series_changed_since_the_manifest_is_refused(tmp_path: Path) -> None:
    made.write_mintpy(tmp_path)
    region, settings = scenes.region("mintpy", "."), ArchiveSettings(data_root=str(tmp_path))
    table = Local().search(job_of(region, settings), made.AS_OF)
    assert table.iloc[0]["granule"] == "timeseries.h5"
    assert table.iloc[0]["expected_checksum"].startswith("sha256:")
    made.write_mintpy(tmp_path, values=2 * made.TRUTH)
    with pytest.raises(SlipscanError, match="is not the file of the manifest"):
        Local().files(table, job_of(region, settings, tmp_path))


def test_only_the_window_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made.write_mintpy(tmp_path)
    small = ((32.56, 40.84), (32.565, 40.84), (32.565, 40.845), (32.56, 40.845), (32.56, 40.84))
    sizes = []
    read = cube.read_epochs
    monkeypatch.setattr(cube, "read_epochs", lambda *args: sizes.append(args[2:4]) or read(*args))
    dataset = made.archive(tmp_path, scenes.region("mintpy", ".", polygon=small, reference_point=(32.56, 40.845)))
    (rows, columns) = sizes[0]
    assert (rows.stop - rows.start, columns.stop - columns.start) == (dataset.sizes["y"], dataset.sizes["x"])
    assert dataset.sizes["y"] < 40 and dataset.sizes["x"] < 50
    made.check_truth(dataset)


def test_epochs_out_of_order(tmp_path: Path) -> None:
    file = made.write_mintpy(tmp_path)
    with h5py.File(file, "a") as opened:
        opened["date"][1] = made.DAYS[0].encode()
    made.refused(tmp_path, scenes.region("mintpy", file.name), "not in ascending order")
    with h5py.File(file, "a") as opened:
        opened["date"][1] = b"20201345"
    made.refused(tmp_path, scenes.region("mintpy", file.name), "epoch '20201345', which is no date")


def test_counting_from_the_first_valid_epoch() -> None:
    values = np.array([[[1.0, np.nan]], [[3.0, 5.0]], [[np.nan, 4.0]]], np.float32)
    assert since_first_epoch(values)
    np.testing.assert_array_equal(values, [[[0, np.nan]], [[2, 0]], [[np.nan, -1]]])
    since_zero = np.array([[[0.0, np.nan]], [[3.0, 5.0]]], np.float32)
    before = since_zero.copy()
    assert not since_first_epoch(since_zero)
    np.testing.assert_array_equal(since_zero, before)
