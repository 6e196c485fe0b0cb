"""Writes that are whole or not at all, under kill -9, between containers, and where the system offers little."""

import errno
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from slipscan import atomic, outofcore
from slipscan.atomic import clean_up, working_directory, write_text, written_beside
from slipscan.outputs import OWN, Kind
from slipscan.store import open_zarr, write_zarr
from slipscan.vocabulary import annotate

ANY = Kind("anything", lambda path: "")
WRITER = """
import sys, xarray as xr
from pathlib import Path
from slipscan.store import write_zarr
print("ready", flush=True)
for i in range(int(sys.argv[3])):
    write_zarr(xr.open_zarr(sys.argv[1], chunks=None).load() + 0.0, Path(sys.argv[2]))
"""
HOLDER = """
import sys, time
from pathlib import Path
from slipscan.atomic import written_beside
with written_beside(Path(sys.argv[1])) as beside:
    beside.mkdir(); (beside / "half").write_text("x"); print("ready", flush=True); time.sleep(600)
"""


def stack(value: float) -> xr.Dataset:
    """A store of three files of data, all of one value, so that a mixture or a hole is seen."""
    grid = {"time": np.array(["2020-01-01", "2020-01-13"], "datetime64[ns]"), "y": [1.0, 0.0], "x": [0.0, 1.0]}
    names = ("displacement", "inversion_std")
    dataset = xr.Dataset({n: (("time", "y", "x"), np.full((2, 2, 2), value)) for n in names}, coords=grid)
    return annotate(dataset, "stack")


def value_of(path: Path) -> float:
    """The value of a store; fails where it is not whole."""
    dataset = open_zarr(path).load()
    values = {float(v) for name in ("displacement", "inversion_std") for v in dataset[name].values.ravel()}
    assert len(values) == 1
    return values.pop()


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Starts Python programs; those that still run at the end are ended."""
    running = []

    def run(program: str, *args: object, before: tuple[str, ...] = ()) -> "subprocess.Popen[str]":
        command = [*before, sys.executable, "-W", "ignore", "-c", program, *map(str, args)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        running.append(process)
        return process

    yield run
    for process in running:
        process.kill()
        process.communicate()


def killed_writer(start: Callable[..., "subprocess.Popen[str]"], path: Path) -> Path:
    """Kill a writer in the middle of its block; returns the working directory that it left."""
    before = names(path.parent)
    process = start(HOLDER, path)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    (left,) = names(path.parent) - before
    return path.parent / left


def test_an_error_leaves_the_old_file_and_nothing_beside(tmp_path: Path) -> None:
    target = tmp_path / "table.csv"
    write_text(target, "old")
    with pytest.raises(RuntimeError), written_beside(target, OWN) as beside:
        beside.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert names(tmp_path) == {"table.csv"}


def test_what_a_killed_writer_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path: Path, start) -> None:
    write_text(tmp_path / "new", "old")
    living = start(HOLDER, tmp_path / "a.zarr")
    assert living.stdout.readline() == "ready\n"
    (its,) = names(tmp_path) - {"new"}
    killed_writer(start, tmp_path / "a.zarr")
    write_zarr(stack(1), tmp_path / "a.zarr")
    assert names(tmp_path) == {"new", "a.zarr", its}
    assert (tmp_path / its / "new" / "a.zarr" / "half").read_text() == "x"


def test_killed_between_the_renames_the_old_store_comes_back(tmp_path: Path, start) -> None:
    write_zarr(stack(1), tmp_path / "a.zarr")
    left = killed_writer(start, tmp_path / "b.zarr")
    work = left.rename(tmp_path / left.name.replace(".b.zarr.", ".a.zarr."))
    (tmp_path / "a.zarr").rename(work / "old")
    with pytest.raises(RuntimeError), written_beside(tmp_path / "a.zarr", ANY):
        raise RuntimeError
    assert value_of(tmp_path / "a.zarr") == 1
    assert names(tmp_path) == {"a.zarr"}


@pytest.mark.parametrize("named", ["old", "trash"])
def test_a_store_that_was_being_deleted_never_comes_back(tmp_path: Path, start, named: str) -> None:
    """A rerun dies while it deletes the old store; then the output is removed; then the next run dies, too."""
    write_zarr(stack(1), tmp_path / "a.zarr")
    left = killed_writer(start, tmp_path / "b.zarr")
    work = left.rename(tmp_path / left.name.replace(".b.zarr.", ".a.zarr."))
    shutil.rmtree(work / "new" / "b.zarr")  # it has its final name
    shutil.copytree(tmp_path / "a.zarr", work / "old")
    (work / "old" / "displacement" / "c" / "0" / "0" / "0").unlink()
    if named == "trash":
        work.rename(tmp_path / f"{work.name}.trash")
    shutil.rmtree(tmp_path / "a.zarr")
    killed_writer(start, tmp_path / "a.zarr")
    assert not (tmp_path / "a.zarr").exists()
    with pytest.raises(RuntimeError), written_beside(tmp_path / "a.zarr"):
        raise RuntimeError
    assert names(tmp_path) == set()


def test_kill_9_at_any_moment_leaves_a_whole_store(tmp_path: Path, start) -> None:
    for value in (1, 2):
        write_zarr(stack(value), tmp_path / f"{value}.zarr")
    write_zarr(stack(1), tmp_path / "out" / "a.zarr")
    generator = random.Random(1)
    for number in range(8):
        process = start(WRITER, tmp_path / f"{1 + number % 2}.zarr", tmp_path / "out" / "a.zarr", 1000)
        process.stdout.readline()
        time.sleep(generator.uniform(0.0, 0.4))
        process.kill()
        process.wait()
        if not (tmp_path / "out" / "a.zarr").exists():  # killed between the two renames
            with working_directory(tmp_path / "out" / "a.zarr"):
                pass
        assert value_of(tmp_path / "out" / "a.zarr") in (1, 2)
    write_zarr(stack(2), tmp_path / "out" / "a.zarr")
    assert names(tmp_path / "out") == {"a.zarr"}


def test_two_containers_write_one_store(tmp_path: Path, start) -> None:
    """Each in a PID namespace of its own, where the other's processes are not seen."""
    container = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
    if shutil.which("unshare") is None or subprocess.run([*container, "true"], capture_output=True).returncode:
        pytest.skip("no PID namespaces may be made here (unshare)")
    for value in (1, 2):
        write_zarr(stack(value), tmp_path / f"{value}.zarr")
    out = tmp_path / "out" / "a.zarr"
    writers = [start(WRITER, tmp_path / f"{value}.zarr", out, 25, before=container) for value in (1, 2)]
    for writer in writers:
        assert writer.wait(600) == 0, writer.stderr.read()[-2000:]
    assert value_of(out) in (1, 2)
    assert names(tmp_path / "out") == {"a.zarr"}


def test_another_hosts_temporary_is_left_alone_for_a_week(tmp_path: Path, start, monkeypatch) -> None:
    left = killed_writer(start, tmp_path / "a")
    monkeypatch.setattr(atomic, "BOOT_ID", tmp_path / "none")  # no /proc: another identity, as on another host
    clean_up(tmp_path)
    assert names(tmp_path) == {left.name}
    for file in (left, *left.rglob("*")):
        os.utime(file, (time.time() - 8 * 86400,) * 2)
    clean_up(tmp_path)
    assert names(tmp_path) == set()


def test_without_proc_the_living_and_the_dead_are_told_apart(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(atomic, "BOOT_ID", tmp_path / "none")
    with working_directory(tmp_path / "a") as work:
        (work / "half").write_text("x")
        clean_up(tmp_path)
        assert (work / "half").exists()
        shutil.copytree(work, tmp_path / work.name.replace(".a.", ".b."))  # nobody holds the copy's lock
        clean_up(tmp_path)
        assert names(tmp_path) == {work.name}
    assert names(tmp_path) == set()


def test_a_file_system_without_locks_goes_by_age(tmp_path: Path, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(atomic.fcntl, "flock", refuse)
    with working_directory(tmp_path / "a") as work:
        clean_up(tmp_path)
        assert work.exists()
        os.utime(work / "lock-new", (0, 0))
        os.utime(work, (0, 0))
        clean_up(tmp_path)
        assert not work.exists()


def test_names_that_only_look_alike_are_the_users(tmp_path: Path, caplog) -> None:
    write_text(tmp_path / "a.gpkg", "old")
    for name in (".a.gpkg.backup-monday", ".a.gpkg.slipscan-notes", ".a.gpkg.slipscan-00000000-0123456789abcdef"):
        (tmp_path / name).write_text("precious")
    for name in (".a.gpkg.edits-by-me", ".a.gpkg.old-4194304", ".a.gpkg.slipscan-00000000-0123456789abcdef0"):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (0, 0))
    before = names(tmp_path)
    with caplog.at_level(logging.WARNING):
        write_text(tmp_path / "a.gpkg", "new", OWN)
    assert names(tmp_path) == before and (tmp_path / "a.gpkg").read_text() == "new"
    assert ".a.gpkg.old-4194304 was left by an earlier version" in caplog.text and "edits-by-me" not in caplog.text


def test_a_link_is_followed_and_stays(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "a.txt").symlink_to("disk/there.txt")
    for text in ("one", "two"):
        write_text(tmp_path / "a.txt", text, OWN)
        assert (tmp_path / "disk" / "there.txt").read_text() == text
    assert (tmp_path / "a.txt").is_symlink() and names(tmp_path / "disk") == {"there.txt"}


@pytest.mark.parametrize("how", ["absent", "unsupported"])
def test_space_is_taken_before_it_is_used_also_where_it_cannot_be_reserved(tmp_path: Path, monkeypatch, how) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    if how == "absent":
        monkeypatch.delattr(os, "posix_fallocate")
    else:
        monkeypatch.setattr(os, "posix_fallocate", refuse)
    with outofcore.scratch_arrays(tmp_path / "a.zarr") as empty:
        array = empty((3, 1000, 1000), np.float32)
        assert not array.any() and array.shape == (3, 1000, 1000)
        assert Path(str(array.filename)).stat().st_blocks * 512 >= array.nbytes
    assert names(tmp_path) == set()
    full = Path("/dev/full")
    if full.exists():
        with pytest.raises(OSError, match=r"\(1e-06 GB are needed\)"):
            outofcore._take_space(full, 1000)
