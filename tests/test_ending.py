"""How the command line ends: SIGTERM and Ctrl-C at any moment, and files that are not what they should be."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from forked import MAIN, Forking
from increment_builders import folded
from simulated import stack_dataset
from slipbench import score
from slipscan.catalogue import geopackage
from slipscan.catalogue.stage import write_increment
from slipscan.catalogue.summary import summarise
from slipscan.errors import SlipscanError
from slipscan.events import read_events
from slipscan.gnss.stage import read_comparison
from slipscan.store import write_zarr


@pytest.fixture(scope="module")
def forking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forking]:
    modules = ("slipscan.cli", "slipscan.noise.stage", "slipscan.detect.stage")
    with Forking(tmp_path_factory.mktemp("forking"), *modules) as ready:
        yield ready


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("moment", ["Calibrating", "writing"])
def test_a_signal_is_one_sentence_and_leaves_nothing(
    forking: Forking, number: int, status: int, moment: str, tmp_path: Path
) -> None:
    write_zarr(stack_dataset(epochs=16), tmp_path / "stack.zarr")
    # The stage waits where it is to be hit: within its calibration, or with its output half-written.
    where, stage = {
        "Calibrating": ("import slipscan.detect.calibrate as m; m.exposure_of = wait", "detect"),
        "writing": ("import slipscan.atomic as m; m._sync = wait", "noise"),
    }[moment]
    script = (
        "import signal, time\n"
        # A shell's background jobs ignore SIGINT, and their children with them.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "def wait(*a, **k):\n    print('here', flush=True)\n    time.sleep(300)\n"
        f"{where}\n{MAIN}"
    )
    child = forking.start(script, stage, "stack.zarr", "out.zarr", cwd=tmp_path)
    child.wait_for("here")
    time.sleep(0.1)
    os.kill(child.pid, number)
    done = child.ended()
    assert done.returncode == status, done.stderr
    assert done.stderr.splitlines()[-1].startswith("slipscan: stopped: ") and "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["stack.zarr"]


def foreign(kind: str, path: Path) -> Path:
    """A file or folder that is not what it is given for."""
    if kind == "text":
        path.write_text("x")
    elif kind == "empty":
        path.touch()
    elif kind == "directory":
        path.mkdir()
    elif kind == "other parquet":
        pd.DataFrame({"a": [1]}).to_parquet(path)
    elif kind == "other gpkg":
        import sqlite3

        sqlite3.connect(path).executescript("create table events (a); create table scans (a);")
    return path


READERS = {
    "catalogue": geopackage.read,
    "score": lambda path: score.score_catalogue(path, path.with_name("truth.json")),
    "events": read_events,
    "comparison": read_comparison,
    "increment": lambda path: write_increment(path, path, path.with_name("increments"), path.with_name("i.json")),
    "summary": lambda path: summarise(path.parent),
}


@pytest.mark.parametrize("kind", ["text", "empty", "directory", "nothing", "other parquet", "other gpkg"])
@pytest.mark.parametrize("name", READERS)
def test_a_foreign_file_is_one_sentence(name: str, kind: str, tmp_path: Path) -> None:
    (tmp_path / "truth.json").write_text('{"region": "A", "events": []}')
    path = foreign(kind, tmp_path / "catalogue.gpkg")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(SlipscanError) as caught:
        READERS[name](path)
    assert "catalogue.gpkg" in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("event", [1, {}, {"id": "a", "t05": "x", "t50": "2020-01-01"}, None])
def test_a_truth_that_is_none(event, tmp_path: Path) -> None:
    import json

    geopackage.write(tmp_path / "c.gpkg", folded())
    (tmp_path / "t.json").write_text(json.dumps({"region": "A", "events": [event]}))
    with pytest.raises(SlipscanError, match=r"t\.json is no truth"):
        score.score_catalogue(tmp_path / "c.gpkg", tmp_path / "t.json")
