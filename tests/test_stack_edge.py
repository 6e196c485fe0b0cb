"""What is no stack, at the edge where it comes in: one sentence before any stage works, or a mask that is counted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from pyproj import CRS

from slipscan.errors import SlipscanError
from slipscan.export.stack import opened
from slipscan.geometry import read_grid
from slipscan.stack import open_stack
from slipscan.timeseries.series import stack_from_series

Change = Callable[[xr.Dataset], xr.Dataset]
TIME = np.datetime64("2018-01-04", "ns") + np.arange(8) * np.timedelta64(12, "D")


def stack(crs: str = "EPSG:32636", step: float = 200.0, x0: float = 500_000.0, y0: float = 4_500_000.0) -> xr.Dataset:
    values = np.random.default_rng(0).normal(0, 0.01, (8, 5, 6)).astype("f4")
    return xr.Dataset(
        {"displacement": (("time", "y", "x"), values, {"units": "m"})},
        coords={
            "time": TIME,
            "y": y0 - step * np.arange(5),
            "x": x0 + step * np.arange(6),
            "spatial_ref": ((), 0, {"crs_wkt": CRS.from_user_input(crs).to_wkt()}),
        },
    )


def refused(dataset: xr.Dataset, directory: Path, sentence: str, **options: bool) -> None:
    dataset.to_netcdf(directory / "stack.nc")
    with pytest.raises(SlipscanError, match=sentence) as caught:
        open_stack(directory / "stack.nc", **options)
    assert "\n" not in str(caught.value)
    assert "stack.nc" in str(caught.value)


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ({"crs": "EPSG:2227", "step": 656.0}, "are 199.* m on the ground: reproject it to UTM"),
        ({"crs": "EPSG:3857", "x0": 3.5e6, "y0": 8.4e6}, "are 100.* m on the ground"),
        ({"crs": "EPSG:3395", "x0": 3.5e6, "y0": 5.0e6}, "m on the ground"),
        ({"crs": "ESRI:54009", "x0": 3.0e6, "y0": 5.0e6}, "m on the ground"),
        ({"crs": "EPSG:6933", "x0": 3.0e6, "y0": 5.0e6}, "m on the ground"),
        ({"crs": "EPSG:4326", "step": 0.01, "x0": 32.0, "y0": 41.0}, "its CRS is geographic"),
        ({"crs": "+proj=utm +zone=36 +units=km", "step": 0.2, "x0": 500.0, "y0": 4500.0}, "m on the ground"),
        ({"crs": "EPSG:4978"}, "Geocentric CRS .* has no map coordinates: reproject the data to UTM"),
        ({"crs": "EPSG:5773"}, "Vertical CRS"),
        ({"step": 0.002, "x0": 32.0, "y0": 41.0}, "are not those of its CRS .*UTM zone 36N.*: pixels of 0.00199"),
        ({"crs": "EPSG:4326"}, "are not those of its CRS \\(WGS 84\\)"),
        ({"x0": 5.0e8}, "are not those of its CRS"),
    ],
)
def test_grids_that_are_not_metric(place: dict, sentence: str, tmp_path: Path) -> None:
    refused(stack(**place), tmp_path, sentence)


@pytest.mark.parametrize(
    "place",
    [
        {"crs": "EPSG:3035", "x0": 6.3e6, "y0": 2.2e6},  # Turkey at the edge of Europe's equal-area grid
        {"crs": "EPSG:32636", "x0": 900_000.0},  # in the next zone
        {"crs": "EPSG:5070", "x0": -2.2e6, "y0": 2.0e6},  # California in the grid of the conterminous US
        {"crs": "EPSG:3031", "x0": 3.0e5, "y0": -1.3e6},  # Erebus
        {"crs": "EPSG:32636+5773"},  # with heights
    ],
)
def test_grids_that_are(place: dict, tmp_path: Path) -> None:
    stack(**place).to_netcdf(tmp_path / "stack.nc")
    assert read_grid(open_stack(tmp_path / "stack.nc")).spacing == (200.0, 200.0)


def axis(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Change:
    return lambda d: d.assign_coords({name: change(d[name].values.copy())})


def moved(index: int, by: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(values: np.ndarray) -> np.ndarray:
        values[index] += by
        return values

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda d: d.isel(y=[0, 1, 3, 4]), "'y' .* is not regular: from 4499800 to 4499400 it goes by -400"),
        (axis("x", moved(2, 6.0)), "'x' .* is not regular"),
        (axis("x", moved(0, 200.0)), "'x' .* is not regular"),  # a duplicate
        (axis("y", moved(4, np.nan)), "'y' .* is no axis of finite numbers"),
        (axis("x", lambda x: np.array([f"{v:.0f}" for v in x])), "'x' .* is no axis of finite numbers"),
        (lambda d: d.isel(x=[2]), "'x' .* has 1 value: a grid needs two rows and two columns"),
        (lambda d: d.isel(y=[2]), "'y' .* has 1 value"),
        (lambda d: d.isel(y=slice(0, 0)), "is empty: its axis 'y' has length 0"),
        (lambda d: d.isel(time=slice(0, 0)), "is empty: its axis 'time' has length 0"),
        (lambda d: d.drop_vars("x"), "the coordinate 'x' .* is missing"),
        (axis("y", lambda y: y[0] - 90.0 * np.arange(5)), "are not square \\(200 x 90 m\\)"),
        (lambda d: d.assign_coords(x=d["x"].assign_attrs(units="km")), "'x' .* is in 'km', but its CRS .* metre"),
        (lambda d: d.assign_coords(y=d["y"].assign_attrs(units="degrees_north")), "but its CRS .* is projected"),
        (lambda d: d.drop_vars("spatial_ref"), "there is no CRS"),
        (lambda d: d.drop_vars("spatial_ref").assign_attrs(epsg=999999), "cannot be read \\('999999' in 'epsg'\\)"),
        (lambda d: d.drop_vars("spatial_ref").assign_attrs(proj4="+proj=nonsense"), "cannot be read"),
        (
            lambda d: d.assign_coords(spatial_ref=((), 0, {"grid_mapping_name": "transverse_mercator"})),
            "parameters of grid mapping 'spatial_ref' .* lack a central meridian",
        ),
    ],
)
def test_axes_and_crs(change: Change, sentence: str, tmp_path: Path) -> None:
    refused(change(stack()), tmp_path, sentence)


def at(index: int, value: str) -> np.ndarray:
    times = TIME.copy()
    times[index] = np.datetime64(value, "ns")
    return times


@pytest.mark.parametrize(
    ("times", "sentence"),
    [
        (np.arange(8) * 12.0, "'time' .* is no date but a number \\(such as 0\\)"),
        (np.array([f"2018-0{m}-04" for m in range(1, 9)]), "'time' .* is no date but .*'2018-01-04'"),
        (at(7, "NaT"), "has 1 of 8 dates that are none \\(NaT\\)"),
        (at(0, "1970-01-01"), "has the date 1970-01-01, before the first SAR satellite"),
        (at(7, "2108-04-09"), "has the date 2108-04-09, later than today"),
        (TIME.astype("datetime64[s]") - np.datetime64("2018", "s") + np.datetime64("0018", "s"), "0018-01-04"),
        (TIME[::-1], "has values out of order: it must be strictly ascending"),
        (at(1, "2018-01-04"), "has duplicate values"),
        (at(1, "2018-01-04T00:00:25"), "2018-01-04T00:00:25, two epochs of one pass: merge its frames"),
        (at(1, "2018-01-04T23:00:00"), "two epochs of one pass"),
    ],
)
def test_times(times: np.ndarray, sentence: str, tmp_path: Path) -> None:
    refused(stack().assign_coords(time=times), tmp_path, sentence)


def test_frames_of_one_pass_across_midnight(tmp_path: Path) -> None:
    times = at(0, "2018-01-15T23:59:50")
    times[1] = np.datetime64("2018-01-16T00:00:15")
    refused(stack().assign_coords(time=times), tmp_path, "two epochs of one pass")


def test_another_calendar(tmp_path: Path) -> None:
    dataset = stack()
    dataset["time"] = ("time", np.arange(8.0), {"units": "days since 2018-01-04", "calendar": "noleap"})
    refused(dataset, tmp_path, "is no date but a date of the calendar 'noleap'")


def test_a_series_of_another_satellite_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stack().assign_coords(time=TIME - np.timedelta64(20 * 365, "D")).to_netcdf(tmp_path / "stack.nc")
    open_stack(tmp_path / "stack.nc")
    assert "begins on 1998-01-09, before Sentinel-1A" in caplog.text


def displacement(change: Callable[[xr.DataArray], xr.DataArray]) -> Change:
    return lambda d: d.assign(displacement=change(d["displacement"]))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (displacement(lambda v: v.drop_attrs()), "has units None, not 'm': write m, cm or mm"),
        (displacement(lambda v: v.assign_attrs(units="ft")), "has units 'ft', not 'm'"),
        (displacement(lambda v: v.astype("U8").assign_attrs(v.attrs)), "is .*, not float32: write real numbers"),
        (displacement(lambda v: v.isel(y=0, drop=True)), "has dimensions"),
        (displacement(lambda v: v.expand_dims(layer=2)), "has dimensions"),
        (displacement(lambda v: v * np.nan), "has no valid pixel"),
        (displacement(lambda v: v * np.inf), "has no valid pixel"),
        (displacement(lambda v: v * 1000), "holds values from .* another quantity, unit, scale"),
        (lambda d: d.rename(displacement="unw"), "'displacement' .* is missing \\(its variables: unw\\)"),
        (lambda d: d.assign(height=(("y", "x"), np.ones((5, 6)), {"units": "feet"})), "'height' .* has units 'feet'"),
        (lambda d: d.assign(los_east=(("y", "x"), np.ones((5, 6)))), "has los_east but not all of"),
        (
            lambda d: d.assign({f"los_{c}": (("y", "x"), np.full((5, 6), 0.9)) for c in ("east", "north", "up")}),
            "is no unit vector",
        ),
        (lambda d: d.assign_attrs(product="transients"), "is of product 'transients', not 'stack'"),
        (lambda d: d.assign_coords(segment=("time", np.linspace(0, 1, 8))), "'segment' .* numbers the parts"),
    ],
)
@pytest.mark.parametrize("in_memory", [True, False])
def test_values_and_units(change: Change, sentence: str, in_memory: bool, tmp_path: Path) -> None:
    with np.errstate(invalid="ignore"):
        dataset = change(stack())
    for variable in dataset.variables.values():
        variable.attrs = {"units": "1", **variable.attrs} if variable.dims == ("y", "x") else variable.attrs
    refused(dataset, tmp_path, sentence, in_memory=in_memory)


def test_complex_values(tmp_path: Path) -> None:
    dataset = stack()
    dataset["displacement"] = dataset["displacement"].astype("complex64", keep_attrs=True)
    dataset.to_zarr(tmp_path / "stack.nc", zarr_format=2)
    with pytest.raises(SlipscanError, match="is complex64, not float32"):
        open_stack(tmp_path / "stack.nc")


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("fill", [-9999.0, 1e20, np.inf])
def test_a_fill_without_a_tag_is_masked_and_counted(
    fill: float, in_memory: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = stack()
    dataset["displacement"].values[:, 1, 2] = fill
    dataset.to_netcdf(tmp_path / "stack.nc")
    opened = open_stack(tmp_path / "stack.nc", in_memory=in_memory)
    assert "8 of 240 pixels of 'displacement' in" in caplog.text
    expected = stack()["displacement"].values
    expected[:, 1, 2] = np.nan
    np.testing.assert_array_equal(opened["displacement"].values, expected)
    np.testing.assert_array_equal(opened["displacement"].isel(y=1, x=2).values, np.nan)


def test_what_a_user_keeps_beside_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    dataset = stack().assign(velocity=(("y", "x"), np.zeros((5, 6)), {"units": "furlongs"}))
    dataset.assign_coords(band=1).to_netcdf(tmp_path / "stack.nc")
    assert set(open_stack(tmp_path / "stack.nc").variables) == {"displacement", "time", "y", "x", "spatial_ref"}
    assert "is not used: band, velocity" in caplog.text


@pytest.mark.parametrize("numbered", [True, False])
def test_dates_beside_numbered_epochs(numbered: bool, tmp_path: Path) -> None:
    dataset = stack().rename(time="acquired").swap_dims(acquired="epoch")
    if numbered:
        dataset = dataset.assign_coords(epoch=np.arange(8))
    dataset.to_netcdf(tmp_path / "stack.nc")
    np.testing.assert_array_equal(open_stack(tmp_path / "stack.nc")["time"].values, TIME)


def test_a_file_of_any_name_and_a_torn_one(tmp_path: Path) -> None:
    stack().to_netcdf(tmp_path / "series.cdf")
    xr.testing.assert_equal(open_stack(tmp_path / "series.cdf")["displacement"].drop_vars("spatial_ref"),
                            stack()["displacement"].drop_vars("spatial_ref"))  # fmt: skip
    whole = (tmp_path / "series.cdf").read_bytes()
    (tmp_path / "torn.nc").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SlipscanError, match=r"torn\.nc cannot be read"):
        open_stack(tmp_path / "torn.nc")


def test_coordinates_in_float32_are_put_at_equal_distances(tmp_path: Path) -> None:
    dataset = stack(step=30.0, x0=500_010.3, y0=4_500_010.7)
    dataset.assign_coords(y=dataset["y"].astype("f4"), x=dataset["x"].astype("f4")).to_netcdf(tmp_path / "stack.nc")
    grid = read_grid(open_stack(tmp_path / "stack.nc"))
    np.testing.assert_allclose(np.diff(grid.y), -30.0, atol=0.13)
    assert np.ptp(np.diff(grid.y)) < 1e-6
    np.testing.assert_allclose(grid.y, dataset["y"], atol=0.3)


@pytest.mark.parametrize("crs", ["EPSG:3857", "EPSG:4326"])
def test_timeseries_projects_what_is_not_metric(crs: str, tmp_path: Path) -> None:
    from slipscan.settings import TimeseriesSettings

    place = {"step": 400.0, "x0": 3.5e6, "y0": 8.4e6} if crs == "EPSG:3857" else {"step": 0.004, "x0": 32.0, "y0": 41.0}
    stack(crs, **place).to_netcdf(tmp_path / "stack.nc")
    opened_ = open_stack(tmp_path / "stack.nc", in_memory=False, metric=False)
    out = stack_from_series(opened_, TimeseriesSettings(pixel_m=100))
    assert read_grid(out).crs.is_projected and read_grid(out).spacing == (100.0, 100.0)
    assert opened(tmp_path / "stack.nc", "displacement")["displacement"].shape == (8, 5, 6)


@pytest.mark.parametrize(
    ("days", "sentence"),
    [
        ([0], "a series of 1 epoch is too short: slipscan needs 5"),
        ([0, 100, 200, 300, 400, 500], "the 6 epochs of .* are too few for offset, rate and season: slipscan needs 7"),
    ],
)
def test_series_that_are_too_short(days: list[int], sentence: str, tmp_path: Path) -> None:
    times = TIME[0] + np.array(days) * np.timedelta64(1, "D")
    stack().isel(time=slice(len(days))).assign_coords(time=times).to_netcdf(tmp_path / "stack.nc")
    with pytest.raises(SlipscanError, match=sentence):
        open_stack(tmp_path / "stack.nc")
    assert opened(tmp_path / "stack.nc", "displacement").sizes["time"] == len(days)


@pytest.mark.parametrize("units", ["m", "mm"])
@pytest.mark.parametrize("kind", ["nc", "zarr"])
def test_a_large_stack_stays_on_the_disk(units: str, kind: str, tmp_path: Path) -> None:
    dataset, path = stack(), tmp_path / f"stack.{kind}"
    dataset["displacement"].attrs["units"] = units
    dataset.to_netcdf(path) if kind == "nc" else dataset.to_zarr(path, zarr_format=2)
    opened_ = open_stack(path, in_memory=False)
    assert not opened_["displacement"].variable._in_memory
    part = opened_["displacement"].isel(time=slice(2, 4), y=slice(1, 3))
    assert not opened_["displacement"].variable._in_memory
    expected = stack()["displacement"].values[2:4, 1:3] * (1e-3 if units == "mm" else 1)
    np.testing.assert_allclose(part.values, expected, rtol=1e-6)
