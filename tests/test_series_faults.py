"""Ready series that are broken, cut, or of another unit: refused in one sentence that names file and dataset."""

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
from slipscan.errors import SlipscanError
from slipscan.settings import ArchiveSettings

FLOAT = made.TRUTH.astype(np.float32)


def replace(path: Path, name: str, values: Any, **attributes: Any) -> None:
    """Put a dataset, a group (dict) or nothing (None) in the place of a dataset."""
    with h5py.File(path, "a") as file:
        del file[name]
        if isinstance(values, dict):
            file.create_group(name)
        elif values is not None:
            file[name] = values
            for key, value in attributes.items():
                file[name].attrs[key] = value


def refused_early(directory: Path, convention: str, match: str) -> None:
    """The sentence comes when the header is read, before anything of the manifest is written."""
    region = scenes.region(convention, ".")
    with pytest.raises(SlipscanError, match=match) as raised:
        Local().search(job_of(region, ArchiveSettings(data_root=str(directory))), "2026-01-01")
    assert "\n" not in str(raised.value)


CUBES = [
    (FLOAT[0], r"has the shape \(50, 60\), not \(time, y, x\)"),
    (FLOAT[None], r"has the shape \(1, 7, 50, 60\), not"),
    (FLOAT[:6], "has 6 epochs, but there are 7 dates"),
    (FLOAT[[*range(7), 6]], "has 8 epochs, but there are 7 dates"),
    (np.moveaxis(FLOAT, 0, 2), "has 50 epochs, but there are 7 dates"),
    (FLOAT[:, :1], "has 1 x 60 pixels"),
    (FLOAT.astype(complex), "complex numbers"),
    (FLOAT.astype("S8"), "holds text"),
    (np.zeros((7, 0, 60)), "is empty"),
    (h5py.Empty("f4"), "is empty"),
    ({}, "is a group, not a dataset"),
    (h5py.SoftLink("/elsewhere"), "is a link to /elsewhere"),
    (None, "has no variable"),
]


@pytest.mark.parametrize(("cube", "match"), CUBES, ids=[match for _, match in CUBES])
def test_cubes_that_are_none(cube: Any, match: str, tmp_path: Path) -> None:
    for convention, write, name in (
        ("mintpy", made.write_mintpy, "timeseries"),
        ("licsbas", made.write_licsbas, "cum"),
    ):
        file = write(tmp_path / convention)
        replace(file, name, cube)
        refused_early(
            tmp_path / convention,
            convention,
            rf"({name}\b.*{file.name}|{file.name}\b.*{name}).*{match}|{match}.*{name}",
        )


DATES = [
    (made.DAYS[::-1], "not in ascending order"),
    ([*made.DAYS[:2], *made.DAYS[1:6]], r"comes twice \(2020-01-15, then 2020-01-15\)"),
    (["2020-01-xx"] * 7, "epoch '2020-01-xx', which is no date"),
    ([str(2020 + i / 30) for i in range(7)], "epoch '2020.0', which is no date"),
    (["2020W031", *made.DAYS[1:]], "no date"),
    ([f"00{i}20104" for i in range(7)], "no date"),
    ([made.DAYS], "has the shape"),
    ([], "has the shape"),
    (made.DAYS[:1], "has 1 epoch:"),
]


@pytest.mark.parametrize(("dates", "match"), DATES, ids=[match for _, match in DATES])
def test_dates_that_are_none(dates: list[Any], match: str, tmp_path: Path) -> None:
    for convention, write, name in (("mintpy", made.write_mintpy, "date"), ("licsbas", made.write_licsbas, "imdates")):
        file = write(tmp_path / convention)
        replace(file, name, np.array(dates, "S10"))
        refused_early(tmp_path / convention, convention, f"{file.name}.*{match}")


@pytest.mark.parametrize(
    "dates",
    [
        np.array(scenes.DATES, "S"),
        np.array([f"{day}T154000" for day in made.DAYS], "S"),
        np.array(made.DAYS, object),
        np.array(made.DAYS, np.int64),
        np.array(made.DAYS, np.float64),
    ],
    ids=["ISO", "with a time", "variable length", "int64", "float64"],
)
def test_every_way_to_write_a_date(dates: np.ndarray, tmp_path: Path) -> None:
    for convention, write, name in (("mintpy", made.write_mintpy, "date"), ("licsbas", made.write_licsbas, "imdates")):
        replace(write(tmp_path / convention), name, dates)
        made.check_truth(made.archive(tmp_path / convention, scenes.region(convention, ".")))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"WIDTH": "70"}, "has WIDTH 70, but its datasets are 50 x 60"),
        ({"LENGTH": "60", "WIDTH": "50"}, "has LENGTH 60, but its datasets are 50 x 60"),
        ({"REF_Y": "nan", "REF_X": "3"}, r"attribute REF_Y \('nan'"),
        ({"X_STEP": "0"}, "is not north-up"),
        ({"X_STEP": "0,002"}, r"attribute X_STEP \('0,002'"),
        ({"Y_FIRST": "inf"}, "attribute Y_FIRST"),
        ({"Y_FIRST": None}, "attribute Y_FIRST"),
        ({"Y_FIRST": "4090"}, "not those of its CRS"),
        ({"EPSG": "abc"}, r"unknown CRS \(EPSG abc\)"),
        ({"UNIT": None}, "has UNIT ''"),
        ({"UNIT": "radian"}, "has UNIT 'radian'"),
    ],
)
def test_mintpy_attributes(changes: dict[str, Any], match: str, tmp_path: Path) -> None:
    made.write_mintpy(tmp_path, **changes)
    refused_early(tmp_path, "mintpy", rf"timeseries\.h5.*{match}")


@pytest.mark.parametrize("unit", ["Meters", "metre", "M"])
def test_mintpy_units_as_people_write_them(unit: str, tmp_path: Path) -> None:
    made.write_mintpy(tmp_path, UNIT=unit)
    made.check_truth(made.archive(tmp_path, scenes.region("mintpy", ".")))


def test_longitudes_from_180_to_360(tmp_path: Path) -> None:
    """The polygon near 32 E is asked for; a file of 392 E is the same place, as 205 E is 155 W."""
    made.write_mintpy(tmp_path / "m", X_FIRST=str(scenes.WEST + 360))
    made.check_truth(made.archive(tmp_path / "m", scenes.region("mintpy", ".")))
    made.write_licsbas(tmp_path / "l", corner_lon=scenes.WEST + scenes.STEP / 2 + 360)
    made.check_truth(made.archive(tmp_path / "l", scenes.region("licsbas", ".")))


@pytest.mark.parametrize(
    ("name", "layer", "match"),
    [
        ("height", np.zeros((20, 60)), "height of .*geometryGeo.h5 is 20 x 60, timeseries.h5 50 x 60 pixels"),
        ("incidenceAngle", np.zeros((7, 50, 60)), "incidenceAngle of .* is 7 x 50 x 60"),
        ("azimuthAngle", {}, "azimuthAngle of .*geometryGeo.h5 is a group"),
    ],
)
def test_mintpy_layers_of_another_size(name: str, layer: Any, match: str, tmp_path: Path) -> None:
    made.write_mintpy(tmp_path)
    replace(tmp_path / "geometryGeo.h5", name, layer)
    refused_early(tmp_path, "mintpy", match)


def test_mintpy_angles_in_radians_and_heights_of_a_fill(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made.write_mintpy(tmp_path)
    height = scenes.height()
    height[:10] = -32768
    replace(tmp_path / "geometryGeo.h5", "height", height)
    dataset = made.archive(tmp_path, scenes.region("mintpy", "."))
    assert np.isnan(dataset["height"].values[:5]).all() and np.isfinite(dataset["height"].values[12:]).all()
    assert "hold -32768 (height is" in caplog.text
    angles = np.deg2rad(scenes.INCIDENCE + 0.01 * made.LON)
    replace(tmp_path / "geometryGeo.h5", "incidenceAngle", angles)
    made.refused(tmp_path, scenes.region("mintpy", "."), "incidenceAngle of .* incidence angle is 18 to 60 degrees")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"E.geo": np.zeros((50, 50), "f4")}, "E.geo of .*cum.h5 is 50 x 50, cum 50 x 60 pixels"),
        ({"hgt": np.zeros(3000, "f4")}, "hgt of .*cum.h5 is 3000, cum 50 x 60"),
        ({"mask": np.zeros((60, 50), "f4")}, "mask of .*cum.h5 is 60 x 50"),
        ({"post_lat": np.nan}, "post_lat of .*cum.h5 is nan"),
        ({"corner_lon": "32,5"}, "corner_lon of .*cum.h5 cannot be read"),
        ({"corner_lat": 4090.0}, "not those of its CRS"),
    ],
)
def test_licsbas_layers_and_numbers(changes: dict[str, Any], match: str, tmp_path: Path) -> None:
    made.write_licsbas(tmp_path, **changes)
    refused_early(tmp_path, "licsbas", match)


def test_a_part_of_the_line_of_sight_is_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made.write_licsbas(tmp_path, **{"U.geo": None})
    assert "los_east" not in made.archive(tmp_path, scenes.region("licsbas", "."))
    assert "comes without line of sight (los_up)" in caplog.text


def test_a_mask_file_without_mask_is_refused(tmp_path: Path) -> None:
    made.write_mintpy(tmp_path)
    with h5py.File(tmp_path / "maskTempCoh.h5", "w") as file:
        file["waterMask"] = np.ones(made.LON.shape, bool)
    refused_early(tmp_path, "mintpy", "maskTempCoh.h5 has no variable mask")


def test_licsbas_says_which_series_is_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made.write_licsbas(tmp_path, "cum_filt.h5", filtwidth_yr=0.1)
    refused_early(tmp_path, "licsbas", r"holds no cum.h5, only the filtered cum_filt.h5.*name cum_filt.h5")
    made.write_licsbas(tmp_path)
    with caplog.at_level(logging.INFO):
        made.check_truth(made.archive(tmp_path, scenes.region("licsbas", ".")))
    assert "cum.h5 is taken, not the filtered cum_filt.h5 beside it" in caplog.text
    assert "has no mask" in caplog.text


@pytest.mark.parametrize("factor", [1000.0, 0.001, 1e6], ids=["mm said to be m", "m said to be mm", "um"])
@pytest.mark.parametrize("signal", [0.0, 1.0])
def test_displacement_in_another_unit(factor: float, signal: float, tmp_path: Path) -> None:
    """A quiet scene, too: 2 mm of noise that is said to be 2 m lies within the range of a displacement."""
    values = (np.random.default_rng(1).normal(0, 0.002, made.TRUTH.shape) + signal * made.TRUTH) * factor
    for convention, write, name, unit in (
        ("mintpy", made.write_mintpy, "timeseries", 1), ("licsbas", made.write_licsbas, "cum", 1000),
    ):  # fmt: skip
        replace(write(tmp_path / convention), name, (values * unit).astype("f4"))
        made.refused(
            tmp_path / convention,
            scenes.region(convention, "."),
            "its unit is another than it says|another quantity, unit, scale",
        )


@pytest.mark.parametrize("fill", [-9999.0, 9999.0, 1e20, -32768.0, np.finfo(np.float32).max])
def test_fills_without_a_tag_are_masked(fill: float, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for convention, write, name, scale in (
        ("mintpy", made.write_mintpy, "timeseries", 1), ("licsbas", made.write_licsbas, "cum", 1000),
    ):  # fmt: skip
        values = (made.TRUTH * scale).astype("f4")
        values[:, 20, 30] = values[3, 22, 32] = fill
        replace(write(tmp_path / convention), name, values)
        dataset = made.archive(tmp_path / convention, scenes.region(convention, "."))
        assert int(np.isnan(dataset["displacement"]).sum()) == len(made.DAYS) + 1
        assert f"{len(made.DAYS) + 1} of" in caplog.text and "masked as no data" in caplog.text
        caplog.clear()


def test_packed_cubes_and_fill_tags(tmp_path: Path) -> None:
    """0.1 mm in int16, as LiCSAlert and others pack, with a tag for what is no data; float64 too."""
    packed = np.rint(made.TRUTH * 10000).astype("i2")
    packed[:, 20, 30] = -32768
    file = made.write_mintpy(tmp_path)
    replace(file, "timeseries", packed, scale_factor=0.0001, _FillValue=np.int16(-32768))
    dataset = made.archive(tmp_path, scenes.region("mintpy", "."))
    values = dataset["displacement"]
    assert np.isnan(values.sel(x=made.LON[20, 30], y=made.LAT[20, 30], method="nearest")).all()
    lon, lat = np.meshgrid(dataset["x"], dataset["y"])
    expected = scenes.truth(lon, lat)
    np.testing.assert_allclose(values.values[np.isfinite(values)], expected[np.isfinite(values)], atol=6e-5)
    replace(file, "timeseries", made.TRUTH.astype(">f8"))
    made.check_truth(made.archive(tmp_path, scenes.region("mintpy", ".")))


def test_flatsim_lists_bands_and_units(tmp_path: Path) -> None:
    made.write_flatsim(tmp_path / "a", named=False)
    listed = tmp_path / "a" / "TS" / "list_images.txt"
    listed.write_bytes("\n".join(made.DAYS).encode() + b"\n# M\xfcnchen")
    refused_early(tmp_path / "a", "flatsim", "list_images.txt cannot be read as text")
    listed.write_text("\n".join([*made.DAYS[:5], made.DAYS[4], made.DAYS[6]]))
    refused_early(tmp_path / "a", "flatsim", "comes twice")
    made.write_flatsim(tmp_path / "b")
    los = next((tmp_path / "b").rglob("*CosNEU*"))
    made.write_cube(los, np.ones((2, *made.LON.shape)), None)
    refused_early(tmp_path / "b", "flatsim", "CosNEU.* has 2 bands, not the 3 of a unit vector")
    made.write_cube(los, np.ones((3, 20, 60)), None)
    refused_early(
        tmp_path / "b", "flatsim", r"CosNEU.* lies on another grid \(20 x 60 pixels\) than the cube \(50 x 60\)"
    )
    los.write_bytes(b"")
    refused_early(tmp_path / "b", "flatsim", "CosNEU.* is empty")
