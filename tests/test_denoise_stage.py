"""The stage on stores: read cell by cell, windows kept in the cache, nothing left beside the product."""

import multiprocessing
import threading
from multiprocessing import Queue
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from simulated import dates, stack_dataset  # tests/simulated.py
from slipscan.denoise import pretrained, stage
from slipscan.denoise.network import SlipNet
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid, utm_crs, write_grid
from slipscan.settings import DenoiseSettings
from slipscan.store import SHARD, open_zarr, same_store, write_zarr
from slipscan.vocabulary import annotate
from waiting import LONG_S


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> DenoiseSettings:
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    torch.manual_seed(0)
    network = SlipNet(8)
    for head in (network.band_head, network.fine_head):
        torch.nn.init.normal_(head.weight, std=0.05)
    pretrained.save(network, path, {"name": "tiny", "calibration": None})
    return DenoiseSettings(weights=str(path))


def entries(cache: Path) -> list[Path]:
    return sorted(path for path in cache.glob("windows/*/*") if path.is_file())


def test_a_store_read_cell_by_cell_gives_what_memory_gives(tmp_path: Path, settings: DenoiseSettings) -> None:
    dataset = stack_dataset(epochs=20, missing=0.1, event_m=0.02)
    write_zarr(dataset, tmp_path / "stack.zarr")
    stage.run(tmp_path / "stack.zarr", tmp_path / "out.zarr", settings)
    whole = stage.denoise_stack(dataset, settings, stage.load_weights(settings))
    xr.testing.assert_identical(open_zarr(tmp_path / "out.zarr").load().drop_attrs(), whole.load().drop_attrs())
    assert {path.name for path in tmp_path.iterdir()} == {"stack.zarr", "out.zarr"}


def test_an_increment_computes_new_windows_only_and_equals_a_full_run(
    tmp_path: Path, settings: DenoiseSettings
) -> None:
    whole = stack_dataset(epochs=124, event_m=0.02)
    cache = tmp_path / "cache"
    for number, epochs in enumerate((112, 124, 124)):
        write_zarr(whole.isel(time=slice(epochs)), tmp_path / "stack.zarr")
        before = len(entries(cache))
        stage.run(tmp_path / "stack.zarr", tmp_path / "out.zarr", settings, cache)
        # Windows of 48 epochs from 0, 24, 48 on, and the last 48: only that one is new in the second run.
        assert len(entries(cache)) - before == (4, 2, 0)[number]
    stage.run(tmp_path / "stack.zarr", tmp_path / "full.zarr", settings)
    assert same_store(tmp_path / "out.zarr", tmp_path / "full.zarr")


def test_a_damaged_entry_is_computed_again(tmp_path: Path, settings: DenoiseSettings) -> None:
    write_zarr(stack_dataset(epochs=12), tmp_path / "stack.zarr")
    stage.run(tmp_path / "stack.zarr", tmp_path / "one.zarr", settings, tmp_path / "cache")
    (entry,) = entries(tmp_path / "cache")
    entry.write_bytes(entry.read_bytes()[:100])
    stage.run(tmp_path / "stack.zarr", tmp_path / "other.zarr", settings, tmp_path / "cache")
    assert same_store(tmp_path / "one.zarr", tmp_path / "other.zarr")
    assert entries(tmp_path / "cache") == [entry] and entry.stat().st_size > 100


def test_other_code_weights_or_data_take_no_entry(tmp_path: Path, settings: DenoiseSettings) -> None:
    dataset = stack_dataset(epochs=12)
    write_zarr(dataset, tmp_path / "stack.zarr")
    cache = tmp_path / "cache"
    for code in ("a", "b"):
        stage.run(tmp_path / "stack.zarr", tmp_path / "out.zarr", settings, cache, code)
    assert len(entries(cache)) == 2
    dataset["displacement"][5, 7, 9] += 1e-4
    write_zarr(dataset, tmp_path / "stack.zarr")
    stage.run(tmp_path / "stack.zarr", tmp_path / "out.zarr", settings, cache, "b")
    assert len(entries(cache)) == 3


def test_a_year_without_data_in_one_cell(tmp_path: Path, settings: DenoiseSettings) -> None:
    dataset = stack_dataset(epochs=130)
    dataset["displacement"][20:80] = np.nan
    write_zarr(dataset, tmp_path / "stack.zarr")
    stage.run(tmp_path / "stack.zarr", tmp_path / "out.zarr", settings)
    out = open_zarr(tmp_path / "out.zarr")
    assert np.isfinite(out["denoised"].values).all() and np.isfinite(out["denoised_std"].values).all()


def test_a_stack_of_nothing_is_refused_and_leaves_nothing(tmp_path: Path, settings: DenoiseSettings) -> None:
    dataset = stack_dataset(epochs=12)
    dataset["displacement"][:] = np.nan
    write_zarr(dataset, tmp_path / "stack.zarr")
    with pytest.raises(SlipscanError, match="no valid pixel"):
        stage.run(tmp_path / "stack.zarr", tmp_path / "out.zarr", settings)
    assert {path.name for path in tmp_path.iterdir()} == {"stack.zarr"}


def test_a_window_without_data_takes_nothing_from_the_cache(tmp_path: Path, settings: DenoiseSettings) -> None:
    # Two stacks, equal where they are empty, of different noise elsewhere.
    for number, std_m in enumerate((3e-3, 9e-3)):
        dataset = stack_dataset(epochs=130, std_m=std_m)
        dataset["displacement"][20:80] = np.nan
        write_zarr(dataset, tmp_path / "stack.zarr")
        stage.run(tmp_path / "stack.zarr", tmp_path / f"{number}.zarr", settings, tmp_path / "cache")
        stage.run(tmp_path / "stack.zarr", tmp_path / f"{number}-alone.zarr", settings)
        assert same_store(tmp_path / f"{number}.zarr", tmp_path / f"{number}-alone.zarr")


def _own_memory() -> int:
    """Bytes of this process that are no pages of files: those the system takes back where it needs them."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("RssAnon:")[1].split()[0])


def _peak(directory: Path, settings: DenoiseSettings, answer: "Queue[int]") -> None:
    """Denoise with shards of 256 x 256 and say how much memory that took at most."""
    torch.set_num_threads(1)
    SHARD.update(y=256, x=256)
    before, sizes = _own_memory(), [0]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            sizes.append(_own_memory() - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    stage.run(directory / "stack.zarr", directory / "out.zarr", settings)
    done.set()
    watcher.join()
    answer.put(max(sizes))


@pytest.mark.slow
def test_memory_does_not_grow_with_the_scene(tmp_path: Path, settings: DenoiseSettings) -> None:
    context = multiprocessing.get_context("spawn")
    answer: Queue[int] = context.Queue()
    peaks, bytes_of_a_variable = [], []
    for size in (256, 768):
        axis = np.arange(size) * 100.0
        values = np.random.default_rng(0).normal(scale=5e-3, size=(64, size, size)).astype("f4")
        dataset = xr.Dataset(
            {"displacement": (("time", "y", "x"), values)},
            coords={"time": dates(64), "reference_time": dates(64)[0]},
        )
        grid = Grid(500_000 + axis, 4_500_000 - axis, utm_crs(32.6, 40.8))
        directory = tmp_path / str(size)
        write_zarr(annotate(write_grid(dataset, grid), "stack"), directory / "stack.zarr")
        process = context.Process(target=_peak, args=(directory, settings, answer))
        process.start()
        peaks.append(answer.get(timeout=3 * LONG_S))
        process.join()
        bytes_of_a_variable.append(values.nbytes)
    assert peaks[1] - peaks[0] < 0.5 * (bytes_of_a_variable[1] - bytes_of_a_variable[0])
