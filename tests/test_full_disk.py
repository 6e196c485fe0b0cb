"""A full disk during every kind of export and during the catalogue: one sentence, and nothing is left beside."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from increment_builders import folded
from simulated import stack_dataset
from slipscan.catalogue import geopackage
from slipscan.errors import SlipscanError
from slipscan.export.stack import export
from slipscan.isolated import call_isolated
from slipscan.space import full_disk_said
from slipscan.store import write_zarr, written_beside

KINDS = ("netcdf", "mintpy", "licsbas", "geotiff")


def limited(blocks: int, *command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run with a limit on the size of a file, in 1024 bytes: a write fails in the middle, as on a full disk."""
    script = f"trap '' XFSZ; ulimit -f {blocks}; exec \"$@\""
    return subprocess.run(
        ["bash", "-c", script, "x", *command], cwd=cwd, text=True, capture_output=True, check=False, timeout=300
    )


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    dataset = stack_dataset(epochs=12)
    noise = np.random.default_rng(0).normal(0, 0.01, dataset["displacement"].shape).astype(np.float32)
    dataset["displacement"] = dataset["displacement"] + noise  # so that it does not compress to nothing
    path = tmp_path_factory.mktemp("stack") / "stack.zarr"
    write_zarr(dataset, path)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_an_export_is_whole_or_a_sentence(kind: str, stack: Path, tmp_path: Path) -> None:
    export(stack, kind, tmp_path / "whole")
    files = [path for path in [tmp_path / "whole", *(tmp_path / "whole").rglob("*")] if path.is_file()]
    largest = max(path.stat().st_size for path in files)
    work = tmp_path / "work"
    work.mkdir()
    blocks = max(1, int(0.97 * largest / 1024))  # near the end; near the beginning: on a small disk, below
    done = limited(blocks, sys.executable, "-m", "slipscan", "export", kind, str(stack), "out", cwd=work)
    assert done.returncode == 1, done.stderr
    assert "no space left for out (File too large, about " in done.stderr.splitlines()[-1]
    assert "GB are needed" in done.stderr and "Traceback" not in done.stderr
    assert list(work.iterdir()) == []


def test_an_export_on_a_small_disk(stack: Path, tmp_path: Path) -> None:
    """A real full disk: a tmpfs of 64 kB in a mount namespace of its own."""
    script = 'mount -t tmpfs -o size=64k none "$1" && cd "$1" && shift && "$@"; status=$?; ls -A . ; exit $status'
    enter = ["unshare", "--user", "--map-root-user", "--mount", "bash", "-c", script, "x", str(tmp_path)]
    if subprocess.run([*enter, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets no user mount a tmpfs")
    for kind in KINDS:
        command = [*enter, sys.executable, "-m", "slipscan", "export", kind, str(stack), "out"]
        done = subprocess.run(command, text=True, capture_output=True, check=False, timeout=300)
        assert done.returncode == 1 and done.stdout == "", (kind, done)
        assert "no space left for out (No space left on device" in done.stderr.splitlines()[-1], done.stderr


@pytest.mark.parametrize("blocks", [4, 110])
def test_the_catalogue(blocks: int, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); from slipscan.ending import run_app\n"
        "from test_full_disk import write; run_app(lambda standalone_mode: write(Path(sys.argv[2])))\n"
    )
    (tmp_path / "tmp").mkdir()
    write(tmp_path / "c.gpkg")
    before = (tmp_path / "c.gpkg").read_bytes()
    environment = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    command = [sys.executable, "-c", script, str(Path(__file__).parent), str(tmp_path / "c.gpkg")]
    limit = f"trap '' XFSZ; ulimit -f {blocks}; exec \"$@\""
    done = subprocess.run(
        ["bash", "-c", limit, "x", *command], env=environment, text=True, capture_output=True, check=False, timeout=300
    )
    assert done.returncode == 1 and "no space left for" in done.stderr.splitlines()[-1], done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["c.gpkg", "tmp"]
    assert (tmp_path / "c.gpkg").read_bytes() == before


def write(path: Path) -> None:
    geopackage.write(path, folded())


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="HDF error"), written_beside(tmp_path / "x") as beside:
        beside.write_text("half")
        raise RuntimeError("NetCDF: HDF error")
    assert list(tmp_path.iterdir()) == []


def test_a_cause_behind_an_exception_is_found(tmp_path: Path) -> None:
    with pytest.raises(SlipscanError, match=r"no space left for .*\(No space left on device, about 2 GB are needed"):  # noqa: SIM117
        with full_disk_said(tmp_path / "a", tmp_path / "b", 2_000_000_000):
            try:
                raise OSError(28, "No space left on device")
            except OSError as error:
                raise RuntimeError("the library's own words") from error


def fail(how: str) -> None:
    if how == "raise":
        raise SlipscanError("a sentence")
    if how == "unpicklable":
        raise type("Local", (ValueError,), {})("own class")
    if how == "ignored":
        _Closing()
    if how == "signal":
        os.kill(os.getpid(), 11)


class _Closing:
    """Fails where nothing can be raised, as h5py does when it closes a file on a full disk."""

    def __del__(self) -> None:
        raise RuntimeError("Can't decrement id ref count")


@pytest.mark.parametrize(
    ("how", "kind", "words"),
    [
        ("raise", SlipscanError, "a sentence"),
        ("unpicklable", RuntimeError, "Local: own class"),
        ("ignored", RuntimeError, "decrement"),
        ("signal", RuntimeError, "status -11"),
    ],
)
def test_what_happens_in_the_child_is_raised_here(how: str, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        call_isolated(fail, how)
    call_isolated(fail, "not at all")
