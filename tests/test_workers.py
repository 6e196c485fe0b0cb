"""Tiles by threads or on a dask cluster: the same bytes in the same order, and one sentence where it cannot be."""

from __future__ import annotations

import math
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import torch
from distributed import Client, LocalCluster

import network_scene as scenes
from denoised import random_network  # tests/denoised.py
from detecting import FAST  # tests/detecting.py
from simulated import stack_dataset  # tests/simulated.py
from slipbench.stages import Size, make_stack
from slipscan import workers
from slipscan.denoise import cards
from slipscan.denoise.stage import write_denoised
from slipscan.detect.calibrate import write_calibration
from slipscan.errors import SlipscanError
from slipscan.settings import DenoiseSettings
from slipscan.store import same_store, write_zarr
from slipscan.timeseries import plan
from slipscan.timeseries.stage import write_stack
from slipscan.workers import ADDRESS, in_order

EXAMPLE = Path(__file__).resolve().parents[1] / "docs" / "examples" / "my_denoiser.py"


@pytest.fixture
def inside() -> Iterator[Client]:
    """A cluster in this process, with a client that is active."""
    with (
        LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def processes() -> Iterator[LocalCluster]:
    """A cluster of two processes."""
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster:
        cluster.wait_for_workers(2)
        yield cluster


@pytest.fixture
def given(processes: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """That cluster is the one that stages run on."""
    monkeypatch.setenv(ADDRESS, processes.scheduler_address)
    return monkeypatch


def squared(number: int) -> int:
    return number * number


def failing_at(bad: int, number: int) -> int:
    if number == bad:
        raise SlipscanError(f"number {bad} is none")
    return number


def cut_up_again(number: int) -> list[int]:
    return list(in_order(squared, range(number), 1, None))


def dying(times: Path, number: int) -> int:
    """The process ends once, as if for lack of memory."""
    if number == 3 and not times.exists():
        times.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


class Unsendable:
    """What holds a lock cannot go to another process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __call__(self, number: int) -> int:
        with self.lock:
            return number


def test_results_keep_their_order_and_an_error_ends_the_work() -> None:
    assert list(in_order(squared, range(50), 3, "squares")) == [n * n for n in range(50)]
    begun = []

    def fail(n: int) -> int:
        begun.append(n)
        if n == 5:
            raise SlipscanError("five")
        return n

    with pytest.raises(SlipscanError, match="five"):
        list(in_order(fail, range(1000), 2, "numbers"))
    assert len(begun) < 50


def test_few_results_wait_for_a_caller_that_is_slow() -> None:
    begun: list[int] = []

    def begin(number: int) -> int:
        begun.append(number)
        return number

    results = in_order(begin, range(1000), 3, "numbers")
    for _ in range(5):
        next(results)
    assert len(begun) <= 5 + 4
    results.close()


@pytest.mark.parametrize("threads", [1, 3])
def test_what_is_kept_of_a_result_is_made_at_once(threads: int) -> None:
    assert list(in_order(squared, range(9), threads, None, str)) == [str(n * n) for n in range(9)]


def test_an_active_client_is_used_and_work_is_not_cut_up_again(
    inside: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "slipscan")
    assert list(in_order(squared, range(20), 1, "squares")) == [n * n for n in range(20)]
    assert "squares: on the dask cluster at inproc" in caplog.text
    assert list(in_order(squared, range(9), 1, None, str)) == [str(n * n) for n in range(9)]
    assert list(in_order(cut_up_again, [2, 3], 1, "lists")) == [[0, 1], [0, 1, 4]]
    assert inside.status == "running"
    with pytest.raises(SlipscanError, match="number 3 is none"):
        list(in_order(partial(failing_at, 3), range(20), 1, "numbers"))


def test_what_cannot_be_sent_stays_on_threads(inside: Client, caplog: pytest.LogCaptureFixture) -> None:
    assert list(in_order(Unsendable(), range(9), 2, "numbers")) == list(range(9))
    assert "numbers: on threads of this process, since it cannot be sent to a cluster" in caplog.text


def test_a_cluster_that_is_asked_for_and_cannot_be_had_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "CONNECT_S", 0.2)
    monkeypatch.setenv(ADDRESS, "tcp://127.0.0.1:9")
    with pytest.raises(SlipscanError, match=r"no dask scheduler answers at tcp://127.0.0.1:9: start one"):
        list(in_order(squared, range(3), 1, "squares"))
    monkeypatch.setenv(ADDRESS, "nonsense://there")
    with pytest.raises(SlipscanError, match="no dask scheduler answers at nonsense"):
        list(in_order(squared, range(3), 1, "squares"))
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SlipscanError, match=r"distributed is not installed: install slipscan\[cluster\]"):
        list(in_order(squared, range(3), 1, "squares"))
    monkeypatch.delenv(ADDRESS)
    assert list(in_order(squared, range(3), 1, "squares")) == [0, 1, 4]


def test_a_scheduler_without_workers_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "CONNECT_S", 0.3)
    with (
        LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as cluster,
        Client(cluster),
        pytest.raises(SlipscanError, match=r"has no workers: start some \(dask worker ADDRESS\)"),
    ):
        list(in_order(squared, range(3), 1, "squares"))


def weights_of(directory: Path) -> str:
    path = directory / "tiny.safetensors"
    cards.save(random_network(std=0.05), path, {"name": "tiny", "calibration": None}, "slipnet", {"width": 8})
    return str(path)


@pytest.mark.slow
def test_denoise_gives_the_same_bytes_on_threads_and_on_a_cluster(tmp_path: Path, given: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    make_stack(tmp_path / "stack.zarr", Size(224, 320, 12))
    settings = DenoiseSettings(weights=weights_of(tmp_path), device="cpu")
    given.chdir(tmp_path)  # a relative path means something here alone
    write_denoised(Path("stack.zarr"), tmp_path / "cluster.zarr", settings)
    given.delenv(ADDRESS)
    for threads in (1, 2):
        write_denoised(tmp_path / "stack.zarr", tmp_path / f"{threads}.zarr", settings, threads)
        assert same_store(tmp_path / f"{threads}.zarr", tmp_path / "cluster.zarr")


@pytest.mark.slow
def test_implausible_values_are_masked_on_a_cluster_too(tmp_path: Path, given: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    stack = stack_dataset(epochs=16, event_m=0.05)
    stack["displacement"].values[3, 5:9, 5:9] = 1e4
    write_zarr(stack, tmp_path / "stack.zarr")
    settings = DenoiseSettings(weights=weights_of(tmp_path), device="cpu")
    write_denoised(tmp_path / "stack.zarr", tmp_path / "cluster.zarr", settings)
    given.delenv(ADDRESS)
    write_denoised(tmp_path / "stack.zarr", tmp_path / "1.zarr", settings)
    assert same_store(tmp_path / "1.zarr", tmp_path / "cluster.zarr")


@pytest.mark.slow
def test_a_denoiser_in_a_file_goes_to_a_cluster(tmp_path: Path, given: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    file = shutil.copy(EXAMPLE, tmp_path / "denoiser_that_is_sent.py")
    method = f"{file}:MyDenoiser"
    from slipscan.denoise.registry import find

    torch.manual_seed(0)
    weights: dict[str, Any] = {"width": 4}
    cards.save(find(method).network_of(weights), tmp_path / "w.safetensors", {"name": "mine"}, "my_denoiser", weights)
    write_zarr(stack_dataset(epochs=16, event_m=0.05), tmp_path / "stack.zarr")
    settings = DenoiseSettings(method=method, weights=str(tmp_path / "w.safetensors"), device="cpu")
    write_denoised(tmp_path / "stack.zarr", tmp_path / "cluster.zarr", settings)
    given.delenv(ADDRESS)
    write_denoised(tmp_path / "stack.zarr", tmp_path / "1.zarr", settings)
    assert same_store(tmp_path / "1.zarr", tmp_path / "cluster.zarr")


@pytest.mark.slow
def test_calibrate_gives_the_same_bytes_on_threads_and_on_a_cluster(tmp_path: Path, given: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    write_zarr(stack_dataset(epochs=40, event_m=0.05), tmp_path / "stack.zarr")
    write_calibration(tmp_path / "stack.zarr", tmp_path / "cluster.json", FAST)
    given.delenv(ADDRESS)
    for threads in (1, 2):
        write_calibration(tmp_path / "stack.zarr", tmp_path / f"{threads}.json", FAST, threads=threads)
        assert (tmp_path / f"{threads}.json").read_bytes() == (tmp_path / "cluster.json").read_bytes()


@pytest.mark.slow
def test_timeseries_gives_the_same_bytes_on_threads_and_on_a_cluster(tmp_path: Path, given: pytest.MonkeyPatch) -> None:
    made = scenes.dataset(scenes.displacement(8, 40, 50), scenes.neighbours(8), noise=1e-3)
    made["interferogram"].values[np.random.default_rng(0).uniform(size=made["interferogram"].shape) < 0.02] = np.nan
    write_zarr(made, tmp_path / "in.zarr")
    given.setattr(plan, "TILE_VALUES", 2**12)
    write_stack(tmp_path / "in.zarr", tmp_path / "cluster.zarr", scenes.SETTINGS)
    given.delenv(ADDRESS)
    write_stack(tmp_path / "in.zarr", tmp_path / "2.zarr", scenes.SETTINGS, threads=2)
    assert same_store(tmp_path / "2.zarr", tmp_path / "cluster.zarr")


@pytest.mark.slow
def test_a_worker_that_dies_costs_nothing_but_time(tmp_path: Path, given: pytest.MonkeyPatch) -> None:
    assert list(in_order(partial(dying, tmp_path / "died"), range(12), 1, "numbers")) == list(range(12))
    assert (tmp_path / "died").exists()


@pytest.mark.slow
def test_a_cluster_that_is_lost_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster:
        monkeypatch.setenv(ADDRESS, cluster.scheduler_address)
        results = in_order(math.sqrt, range(1000), 1, "roots")
        assert next(results) == 0
        cluster.close()
        with pytest.raises(SlipscanError, match=r"roots: the dask cluster at tcp://\S+ was lost: look at the logs"):
            list(results)


@pytest.mark.slow
def test_work_that_kills_its_workers_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster,
    ):
        monkeypatch.setenv(ADDRESS, cluster.scheduler_address)
        with pytest.raises(SlipscanError, match="died at the same piece of work again and again"):
            list(in_order(killing, [9, 9], 1, "kills"))


def killing(number: int) -> None:
    os.kill(os.getpid(), number)
