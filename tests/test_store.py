import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from slipscan import cache
from slipscan.atomic import write_text, written_beside
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


def test_an_error_leaves_the_old_file_and_nothing_beside(tmp_path: Path) -> None:
    target = tmp_path / "table.csv"
    write_text(target, "old")
    with pytest.raises(RuntimeError), written_beside(target) as beside:
        beside.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_kill_9_leaves_no_half_store(tmp_path: Path) -> None:
    """A process killed in the middle of its write leaves the old store whole; the next write cleans up."""
    write_zarr(stack(), tmp_path / "a.zarr")
    program = (
        "import sys, time; from pathlib import Path; from slipscan.atomic import written_beside\n"
        "with written_beside(Path(sys.argv[1])) as beside:\n"
        "    beside.mkdir(); (beside / 'half').write_text('x'); print('ready', flush=True); time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "a.zarr")], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        os.kill(process.pid, signal.SIGKILL)
    check(open_zarr(tmp_path / "a.zarr"), "stack")
    assert len(list(tmp_path.iterdir())) == 2
    write_zarr(stack(), tmp_path / "a.zarr")
    assert list(tmp_path.iterdir()) == [tmp_path / "a.zarr"]


def test_killed_between_the_renames_the_old_store_comes_back(tmp_path: Path) -> None:
    write_zarr(stack(), tmp_path / "a.zarr")
    (tmp_path / "a.zarr").rename(tmp_path / ".a.zarr.old-999999999")
    with pytest.raises(RuntimeError), written_beside(tmp_path / "a.zarr"):
        raise RuntimeError
    check(open_zarr(tmp_path / "a.zarr"), "stack")


def test_cache_keys_and_pruning(tmp_path: Path) -> None:
    array = np.arange(6.0)
    assert cache.key("a", array) == cache.key("a", array.copy())
    assert len({cache.key("a", array), cache.key("a", array.astype("f4")), cache.key("ab"), cache.key("a", "b")}) == 4
    keys = [cache.key(str(i)) for i in range(3)]
    for i, key in enumerate(keys):
        write_text(cache.path(tmp_path, "calibrations", key), "x" * 100)
        os.utime(cache.path(tmp_path, "calibrations", key), (time.time() - 100 + i,) * 2)
    assert cache.find(tmp_path, "calibrations", keys[0]) is not None  # used now: pruned last
    assert cache.prune(tmp_path, 150) == (2, 100)
    assert [cache.find(tmp_path, "calibrations", key) is not None for key in keys] == [True, False, False]
    assert cache.find(None, "calibrations", keys[0]) is None


def test_a_cache_that_is_shared_read_only_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    write_text(cache.path(tmp_path, "crops", "abc"), "x")
    monkeypatch.setattr(cache.os, "utime", refuse)  # root may write anywhere, so that no mode would do
    assert cache.find(tmp_path, "crops", "abc") is not None
