from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from slipscan.errors import SlipscanError
from slipscan.geometry import metric_grid, write_grid
from slipscan.store import open_dataset, open_zarr, same_store, write_zarr
from slipscan.vocabulary import annotate, check


def stack() -> xr.Dataset:
    grid = metric_grid([32.0, 32.1], [40.0, 40.1], 500)
    time_ = np.array(["2020-01-01", "2020-01-13"], "datetime64[s]")
    values = np.random.default_rng(0).normal(size=(2, *grid.shape))
    dataset = xr.Dataset({"displacement": (("time", "y", "x"), values)}, coords={"time": time_})
    return annotate(write_grid(dataset.assign_attrs(region="TEST"), grid), "stack")


def test_round_trip_and_byte_identity(tmp_path: Path) -> None:
    dataset = stack()
    write_zarr(dataset, tmp_path / "a.zarr")
    write_zarr(dataset, tmp_path / "b.zarr")
    assert same_store(tmp_path / "a.zarr", tmp_path / "b.zarr")
    back = open_zarr(tmp_path / "a.zarr")
    check(back, "stack")
    xr.testing.assert_identical(
        back.load()["displacement"].drop_vars("time"), dataset["displacement"].drop_vars("time")
    )
    assert back["time"].dtype == "datetime64[ns]"
    assert back.attrs["region"] == "TEST"
    (tmp_path / "b.zarr" / ".snakemake_timestamp").touch()
    assert same_store(tmp_path / "a.zarr", tmp_path / "b.zarr")
    write_zarr(dataset + 1, tmp_path / "b.zarr")
    assert not same_store(tmp_path / "a.zarr", tmp_path / "b.zarr")


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_the_grid_is_read_by_rioxarray(tmp_path: Path) -> None:
    import rioxarray  # noqa: F401

    write_zarr(stack(), tmp_path / "a.zarr")
    back = open_zarr(tmp_path / "a.zarr")
    assert back.rio.crs.to_epsg() == 32636
    assert back.rio.resolution() == (500, -500)


def test_a_store_of_nothing(tmp_path: Path) -> None:
    write_zarr(xr.Dataset({"map": (("transient", "y", "x"), np.zeros((0, 3, 4), "f4"))}), tmp_path / "a.zarr")
    assert open_zarr(tmp_path / "a.zarr")["map"].shape == (0, 3, 4)


def test_shards_keep_a_large_store_small(tmp_path: Path) -> None:
    values = np.zeros((70, 300, 300), "f4")
    write_zarr(xr.Dataset({"displacement": (("time", "y", "x"), values)}), tmp_path / "a.zarr")
    assert sum(1 for _ in (tmp_path / "a.zarr").rglob("*")) < 20


def test_unreadable_stores(tmp_path: Path) -> None:
    with pytest.raises(SlipscanError, match="no Zarr store at"):
        open_zarr(tmp_path / "none.zarr")
    (tmp_path / "bad.zarr").mkdir()
    with pytest.raises(SlipscanError, match="cannot be read as a Zarr store"):
        open_zarr(tmp_path / "bad.zarr")
    (tmp_path / "bad.nc").write_text("no")
    with pytest.raises(SlipscanError, match="cannot be read as NetCDF"):
        open_dataset(tmp_path / "bad.nc")
    with pytest.raises(SlipscanError, match="there is no file"):
        open_dataset(tmp_path / "none.nc")
