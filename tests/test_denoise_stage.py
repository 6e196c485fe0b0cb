"""The stage on stores: read tile by tile, nothing left beside the product."""

import multiprocessing
import threading
from multiprocessing import Queue
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from denoised import random_network  # tests/denoised.py
from simulated import dates, stack_dataset  # tests/simulated.py
from slipscan.denoise import cards, stage
from slipscan.denoise.registry import build
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid, utm_crs, write_grid
from slipscan.noise.stage import write_noise
from slipscan.settings import DenoiseSettings, NoiseSettings
from slipscan.store import SHARD, open_zarr, write_zarr
from slipscan.vocabulary import annotate
from waiting import LONG_S


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> DenoiseSettings:
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    cards.save(random_network(std=0.05), path, {"name": "tiny", "calibration": None}, "slipnet", {"width": 8})
    return DenoiseSettings(weights=str(path))


def test_the_noise_product_of_the_stack_goes_along(tmp_path: Path, settings: DenoiseSettings) -> None:
    dataset = stack_dataset(epochs=20, missing=0.1, event_m=0.02)
    write_zarr(dataset, tmp_path / "stack.zarr")
    write_noise(tmp_path / "stack.zarr", tmp_path / "noise.zarr", NoiseSettings())
    stage.write_denoised(tmp_path / "stack.zarr", tmp_path / "out.zarr", settings, noise=tmp_path / "noise.zarr")
    assert np.isfinite(open_zarr(tmp_path / "out.zarr")["transient"].values).any()
    with pytest.raises(SlipscanError, match=r"noise variable .* in .*stack\.zarr is missing"):
        stage.write_denoised(tmp_path / "stack.zarr", tmp_path / "2.zarr", settings, noise=tmp_path / "stack.zarr")
    assert not (tmp_path / "2.zarr").exists()


def test_a_store_read_tile_by_tile_gives_what_memory_gives(tmp_path: Path, settings: DenoiseSettings) -> None:
    dataset = stack_dataset(epochs=20, missing=0.1, event_m=0.02)
    write_zarr(dataset, tmp_path / "stack.zarr")
    stage.write_denoised(tmp_path / "stack.zarr", tmp_path / "out.zarr", settings)
    whole = stage.denoise_stack(dataset, settings, build(settings))
    xr.testing.assert_identical(open_zarr(tmp_path / "out.zarr").load().drop_attrs(), whole.load().drop_attrs())
    assert {path.name for path in tmp_path.iterdir()} == {"stack.zarr", "out.zarr"}


def test_two_years_without_data(tmp_path: Path, settings: DenoiseSettings) -> None:
    dataset = stack_dataset(epochs=130)
    dataset["displacement"][20:80] = np.nan
    write_zarr(dataset, tmp_path / "stack.zarr")
    stage.write_denoised(tmp_path / "stack.zarr", tmp_path / "out.zarr", settings)
    out = open_zarr(tmp_path / "out.zarr")
    assert np.isfinite(out["transient"].values).all() and np.isfinite(out["denoised_std"].values).all()


def test_a_stack_of_nothing_is_refused_and_leaves_nothing(tmp_path: Path, settings: DenoiseSettings) -> None:
    dataset = stack_dataset(epochs=12)
    dataset["displacement"][:] = np.nan
    write_zarr(dataset, tmp_path / "stack.zarr")
    with pytest.raises(SlipscanError, match="no valid pixel"):
        stage.write_denoised(tmp_path / "stack.zarr", tmp_path / "out.zarr", settings)
    assert {path.name for path in tmp_path.iterdir()} == {"stack.zarr"}


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
    stage.write_denoised(directory / "stack.zarr", directory / "out.zarr", settings)
    done.set()
    watcher.join()
    answer.put(max(sizes))


@pytest.mark.slow
def test_memory_does_not_grow_with_the_scene(tmp_path: Path, settings: DenoiseSettings) -> None:
    context = multiprocessing.get_context("spawn")
    answer: Queue[int] = context.Queue()
    peaks, bytes_of_a_variable = [], []
    for size in (512, 1024):  # from 16 tiles on, the allocator holds what it will ever hold
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
