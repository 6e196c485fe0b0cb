"""A stack made by someone else: every ordinary way of writing it opens as the same stack, without a Python warning."""

import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyproj import CRS

from slipscan.geometry import read_grid
from slipscan.stack import open_stack
from slipscan.store import write_zarr

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import rioxarray  # noqa: F401

pytestmark = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")

TIME = np.datetime64("2018-01-04", "ns") + np.arange(7) * np.timedelta64(12, "D")
X, Y = 500_100.0 + 200 * np.arange(6), 4_500_100.0 - 200 * np.arange(5)
STEP = 2.0**-13
"""Values are multiples of it, so that every way of writing them is exact in float32."""
VALUES = np.random.default_rng(0).integers(-400, 400, (7, 5, 6)) * STEP
VALUES[2, 1, 3] = np.nan
UTM = CRS.from_epsg(32636)
UNITS = {"m": 1, "metre": 1, "meters": 1, "cm": 100, "mm": 1000}


def plain() -> xr.Dataset:
    return xr.Dataset(
        {"displacement": (("time", "y", "x"), VALUES, {"units": "m"})}, coords={"time": TIME, "y": Y, "x": X}
    )


def with_crs(dataset: xr.Dataset, how: str, name: str, as_data: bool, referred: str) -> xr.Dataset:
    on_dataset = {
        "dataset wkt": ("crs_wkt", UTM.to_wkt()),
        "dataset epsg": ("epsg", 32636),
        "dataset crs": ("crs", UTM),
    }
    if how in on_dataset:
        key, value = on_dataset[how]
        return dataset.assign_attrs({key: str(value) if value is UTM else value})
    if how == "rioxarray":
        return dataset.rio.write_crs(UTM, grid_mapping_name=name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a PROJ string loses
        attrs = {
            "crs_wkt": {"crs_wkt": UTM.to_wkt()},
            "spatial_ref": {"spatial_ref": UTM.to_wkt("WKT1_GDAL")},
            "epsg": {"epsg": 32636},
            "proj4": {"proj4": UTM.to_proj4()},
            "cf": {key: value for key, value in UTM.to_cf().items() if key != "crs_wkt"},
        }[how]
    dataset[name] = xr.DataArray(np.int32(0), attrs=attrs)
    if not as_data:
        dataset = dataset.set_coords(name)
    where = dataset["displacement"].encoding if referred == "encoding" else dataset["displacement"].attrs
    return dataset if referred == "nowhere" and name != "transverse_mercator" else _refer(dataset, where, name)


def _refer(dataset: xr.Dataset, where: dict, name: str) -> xr.Dataset:
    where["grid_mapping"] = name
    return dataset


ways = st.fixed_dictionaries(
    {
        "crs": st.sampled_from(
            ["rioxarray", "crs_wkt", "spatial_ref", "epsg", "proj4", "cf", "dataset wkt", "dataset epsg", "dataset crs"]
        ),
        "name": st.sampled_from(["spatial_ref", "crs", "transverse_mercator"]),
        "as_data": st.booleans(),
        "referred": st.sampled_from(["attribute", "encoding", "nowhere"]),
        "units": st.sampled_from(sorted(UNITS)),
        "dtype": st.sampled_from(["float32", "float64", "int16"]),
        "order": st.permutations(["time", "y", "x"]),
        "flip": st.sets(st.sampled_from(["x", "y"])),
        "axes": st.sampled_from([("x", "y"), ("easting", "northing"), ("X", "Y"), ("x_utm", "y_utm")]),
        "aside": st.booleans(),
        "band": st.booleans(),
        "time": st.sampled_from(["s", "ms", "us", "ns", "hours", "noon reference"]),
        "extras": st.booleans(),
        "chunks": st.sampled_from([None, (3, 2, 4), (7, 5, 6), (1, 5, 6)]),
        "file": st.sampled_from(
            ["NETCDF4", "NETCDF3_CLASSIC", "NETCDF3_64BIT", "deflate", "zarr 2", "zarr 3", "zarr 2 not consolidated",
             "zarr 3 not consolidated"]
        ),
        "in_memory": st.booleans(),
    }
)  # fmt: skip


def written(way: dict, directory: Path) -> Path:
    """The truth as the way writes it."""
    dataset = plain()
    scale = UNITS[way["units"]]
    encoding = {}
    dataset["displacement"] = (dataset["displacement"] * scale).assign_attrs(units=way["units"])
    if way["dtype"] == "int16":
        encoding = {"dtype": "int16", "scale_factor": STEP * scale, "_FillValue": -32768}
    elif way["dtype"] == "float32":
        dataset["displacement"] = dataset["displacement"].astype("float32", keep_attrs=True)
    dataset = with_crs(dataset, way["crs"], way["name"], way["as_data"], way["referred"])
    dataset["displacement"].encoding |= encoding
    if way["time"] in ("s", "ms", "us", "ns"):
        dataset["time"] = dataset["time"].astype(f"datetime64[{way['time']}]")
    else:
        unit = {"hours": "hours since 2000-01-01", "noon reference": "days since 2018-01-01 12:00:00"}[way["time"]]
        dataset["time"].encoding = {"units": unit, "calendar": "standard", "dtype": "float64"}
    if way["extras"]:
        dataset["velocity"] = (("y", "x"), np.zeros((5, 6)), {"units": "mm/yr"})
        dataset["temporal_baseline"] = ("time", np.arange(7.0), {"units": "days"})
        dataset = dataset.assign_coords(band=1, month=("time", np.arange(7)))
    encoding = dict(dataset["displacement"].encoding)
    array = dataset["displacement"].transpose(*way["order"])
    if way["band"]:
        array = array.expand_dims("layer", axis=1)
    dataset["displacement"] = array
    dataset["displacement"].encoding = encoding
    dataset = dataset.isel({axis: slice(None, None, -1) for axis in way["flip"]})
    dataset = named(dataset, way["axes"], way["aside"])
    if way["chunks"] and not way["file"].startswith("NETCDF3"):
        dataset = dataset.chunk(dict(zip(dataset["displacement"].dims[-3:], way["chunks"], strict=True)))
    return saved(dataset, way["file"], directory)


def named(dataset: xr.Dataset, axes: tuple[str, str], aside: bool) -> xr.Dataset:
    """Rename the axes, or put the names only beside dimensions that are called otherwise."""
    for own, name in zip(("x", "y"), axes, strict=True):
        dataset[own].attrs = {"standard_name": f"projection_{own}_coordinate", "units": "metre"}
        if name == own:
            continue
        dataset = dataset.rename({own: name})
        if aside:
            dataset = dataset.swap_dims({name: f"n{own}"})
    return dataset


def saved(dataset: xr.Dataset, file: str, directory: Path) -> Path:
    if file.startswith("zarr"):
        path = directory / "stack.zarr"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset.to_zarr(path, zarr_format=int(file[5]), consolidated="not" not in file)
        return path
    path = directory / "stack.nc"
    if file == "deflate":
        dataset["displacement"].encoding |= {"zlib": True, "shuffle": True}
    dataset.to_netcdf(path, format="NETCDF4" if file == "deflate" else file, engine="netcdf4")
    return path


@given(way=ways)
@settings(
    max_examples=60,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
def test_every_ordinary_way_opens_as_the_same_stack(way: dict) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = written(way, Path(directory))
        stack = open_stack(path, in_memory=way["in_memory"])  # a Python warning is an error here
        assert set(stack.data_vars) == {"displacement"}
        assert set(stack.coords) == {"time", "y", "x", "spatial_ref"}
        assert stack["displacement"].dims == ("time", "y", "x")
        assert stack["displacement"].dtype == np.float32 and stack["displacement"].attrs["units"] == "m"
        assert stack["time"].dtype == "datetime64[ns]"
        np.testing.assert_array_equal(stack["time"].values, TIME)
        np.testing.assert_array_equal(stack["x"].values, X)
        np.testing.assert_array_equal(stack["y"].values, Y)
        np.testing.assert_allclose(stack["displacement"].values, VALUES.astype("f4"), rtol=2e-7)
        crs = read_grid(stack).crs
        assert crs.to_epsg() == 32636 or crs.coordinate_operation.params[1].value == 33.0
        write_zarr(stack.load(), Path(directory) / "again.zarr")
