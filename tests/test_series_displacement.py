"""Series of convention 'displacement': NetCDF and Zarr as people write them; what has two meanings is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import insar_scene as scenes
from series_builders import LAT, LON, TRUTH, archive, check_truth, refused
from slipscan.geometry import Grid, utm_crs, write_grid

REGION = scenes.region("displacement", "s.nc")


def series(**attributes: object) -> xr.Dataset:
    grid = Grid(LON[0], LAT[:, 0], utm_crs(33, 40).from_epsg(4326))
    displacement = (("time", "y", "x"), TRUTH.copy(), {"units": "m", **attributes})
    return write_grid(
        xr.Dataset({"displacement": displacement}, coords={"time": np.array(scenes.DATES, "datetime64[ns]")}), grid
    )


def said(**attributes: object) -> Callable[[xr.Dataset], xr.Dataset]:
    return lambda made: made.assign(displacement=made["displacement"].assign_attrs(attributes))


def scaled(factor: float) -> Callable[[xr.Dataset], xr.Dataset]:
    return lambda made: made.assign(displacement=(made["displacement"] * factor).assign_attrs(units="m"))


@pytest.mark.parametrize(
    ("unit", "factor"), [("mm", 1000), ("Millimeters", 1000), ("cm", 100), ("Meters", 1), ("metres", 1), (" m ", 1)]
)
def test_units_as_people_write_them(unit: str, factor: float, tmp_path: Path) -> None:
    made = series()
    made["displacement"] = (made["displacement"] * factor).assign_attrs(units=unit)
    made.to_netcdf(tmp_path / "s.nc")
    check_truth(archive(tmp_path, REGION))


WAYS: dict[str, Callable[[xr.Dataset], xr.Dataset]] = {
    "lat and lon": lambda made: made.rename(y="lat", x="lon"),
    "latitude ascending": lambda made: made.rename(y="latitude", x="longitude").sortby("latitude"),
    "Time, transposed": lambda made: made.rename(time="Time").transpose("x", "y", "Time"),
    "date": lambda made: made.rename(time="date"),
    "0 to 360": lambda made: made.assign_coords(x=made["x"] + 360),
    "one pass a day, with its time": lambda made: made.assign_coords(time=made["time"] + np.timedelta64(56400, "s")),
    "from the fourth epoch": lambda made: made.assign(
        displacement=(made["displacement"] - made["displacement"][3]).assign_attrs(units="m")
    ),
    "sign said": lambda made: made.assign(
        displacement=made["displacement"].assign_attrs(sign="Positive towards satellite")
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_ordinary_ways_of_writing_a_series(way: str, tmp_path: Path) -> None:
    WAYS[way](series()).to_netcdf(tmp_path / "s.nc")
    check_truth(archive(tmp_path, REGION), tolerance=1e-7)


def twice_a_day(made: xr.Dataset) -> xr.Dataset:
    times = made["time"].values.copy()
    times[3] = times[2] + np.timedelta64(25, "s")
    return made.assign_coords(time=times)


FAULTS: dict[str, tuple[Callable[[xr.Dataset], xr.Dataset], str]] = {
    "away": (
        lambda made: made.assign(
            displacement=made["displacement"].assign_attrs(sign="positive away from the satellite")
        ),
        "has the sign 'positive away from the satellite': make it positive toward",
    ),
    "no unit": (said(units=""), "has units ''"),
    "rad": (said(units="rad"), "has units 'rad'"),
    "mm said to be m": (scaled(1000), "another than it says|another quantity"),
    "m said to be km": (scaled(0.001), "another than it says"),
    "two stamps a day": (twice_a_day, "two epochs of one pass"),
    "descending": (lambda made: made.isel(time=slice(None, None, -1)), "out of order"),
    "text": (lambda made: made.assign(displacement=made["displacement"].astype("S8")), "write real numbers"),
    "no series": (
        lambda made: made.rename(displacement="los"),
        r"is missing \(its variables: los",
    ),
    "days of another calendar": (
        lambda made: made.assign_coords(
            time=xr.date_range("2020-01-03", periods=7, calendar="360_day", use_cftime=True)
        ),
        "calendar '360_day'",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_series_that_are_refused(fault: str, tmp_path: Path) -> None:
    change, match = FAULTS[fault]
    change(series()).to_netcdf(tmp_path / "s.nc")
    refused(tmp_path, REGION, match)


@pytest.mark.parametrize("fill", [9999.0, -9999.0, 1e20, 1.7e308])
def test_fills_without_a_tag(fill: float, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = series()
    made["displacement"][:, 20, 30] = fill
    made["displacement"][2, 24, 34] = fill
    made.to_netcdf(tmp_path / "s.nc")
    dataset = archive(tmp_path, REGION)
    assert int(np.isnan(dataset["displacement"]).sum()) == 8
    assert "8 of" in caplog.text and "masked as no data" in caplog.text
