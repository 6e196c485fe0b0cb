import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from forked import Forking
from simulated import stack_dataset
from slipscan.store import open_zarr, write_zarr
from slipscan.vocabulary import check
from waiting import LONG_S


def slipscan(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).parent / "slipscan", *arguments]
    return subprocess.run(command, cwd=cwd, text=True, capture_output=True, check=False, timeout=LONG_S)


@pytest.fixture(scope="module")
def forking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forking]:
    stages = (f"slipscan.{stage}.stage" for stage in ("archive", "noise", "denoise", "detect"))
    with Forking(tmp_path_factory.mktemp("forking"), "slipscan.cli", *stages) as ready:
        yield ready


def test_stages_run_alone_on_a_stack_of_displacement_alone(forking: Forking, tmp_path: Path) -> None:
    dataset = stack_dataset(epochs=16).drop_vars("reference_time")
    dataset.attrs = {}
    write_zarr(dataset, tmp_path / "stack.zarr")
    done = forking.slipscan("noise", "stack.zarr", "noise.zarr", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    check(open_zarr(tmp_path / "noise.zarr"), "noise")
    done = forking.slipscan("denoise", "stack.zarr", "denoised.zarr", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "has no height: no correction that follows topography" in done.stderr
    check(open_zarr(tmp_path / "denoised.zarr"), "denoised")
    words = ("--denoised", "denoised.zarr", "--set", "nulls=8", "--threads", "2")
    done = forking.slipscan("detect", "stack.zarr", "out.zarr", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "calibrating on this stack" in done.stderr
    check(open_zarr(tmp_path / "out.zarr"), "transients")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("noise", "none.zarr", "out.zarr"), "there is no Zarr store at none.zarr"),
        (("denoise", "stack.zarr", "out.zarr", "--set", "methd=slipnet"), "--set: methd: unknown key"),
        (("denoise", "stack.zarr", "out.zarr", "--set", "weights=none"), "there are no weights 'none'"),
        (("denoise", "stack.zarr", "out.zarr", "--set", "device=cuda"), "torch sees no CUDA device"),
        (("detect", "stack.zarr", "/proc/out.zarr", "--set", "nulls=8"), "/proc"),
        (("archive", "search", "X", "1", "out.csv", "--as-of", "2020-01-01"), "there is no regions file"),
        (("archive", "fetch", "X", "1", "m.csv", "out.zarr", "i.csv"), "there is no regions file"),
    ],
)
def test_failures_are_one_sentence_and_leave_nothing(
    forking: Forking, tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    write_zarr(stack_dataset(epochs=12), tmp_path / "stack.zarr")
    before = sorted(tmp_path.iterdir())
    done = forking.slipscan(*arguments, cwd=tmp_path)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("slipscan: error: ") and sentence in last
    assert "Traceback" not in done.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    write_zarr(stack_dataset(epochs=12), tmp_path / "stack.zarr")
    # A limit on the size of a file fails the write in the middle, as a full disk does.
    script = f"ulimit -f 8; trap '' XFSZ; exec {Path(sys.executable).parent}/slipscan noise stack.zarr noise.zarr"
    limited = script.replace("noise stack.zarr noise.zarr", "denoise stack.zarr out.zarr --set method=classical")
    done = subprocess.run(
        ["bash", "-c", limited], cwd=tmp_path, text=True, capture_output=True, check=False, timeout=LONG_S
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.splitlines()[-1].startswith("slipscan: error: ")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["stack.zarr"]


def test_ctrl_c_ends_in_one_line(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys, typer, slipscan.cli as cli\n"
        # A shell's background jobs ignore SIGINT, and their children with them.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "cli.app.command('stop')(lambda: os.kill(os.getpid(), signal.SIGINT))\n"
        "sys.argv = ['slipscan', 'stop']\n"
        "cli.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], text=True, capture_output=True, check=False, timeout=LONG_S)
    assert done.returncode == 130
    assert done.stderr.splitlines()[-1].startswith("slipscan: stopped: ") and "Traceback" not in done.stderr


def test_scratch_arrays_on_a_full_disk_are_one_sentence(tmp_path: Path) -> None:
    script = (
        "from pathlib import Path\nimport numpy as np\nfrom slipscan.outofcore import scratch_arrays\n"
        f"with scratch_arrays(Path({str(tmp_path / 'a.zarr')!r})) as empty:\n    empty((1 << 50,), np.float32)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], text=True, capture_output=True, check=False, timeout=LONG_S)
    assert done.returncode == 1 and "OSError" in done.stderr, "an exception, no signal from a full memory map"
    assert list(tmp_path.iterdir()) == []


def test_help_names_every_stage(tmp_path: Path) -> None:
    shown = slipscan("--help", cwd=tmp_path).stdout
    for stage in ("archive", "timeseries", "noise", "denoise", "calibrate", "detect", "source", "gnss", "catalogue"):
        assert stage in shown
