"""What updates need, in the cache: whole or not at all, and found by nothing but the same interferograms and code."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from slipscan.errors import SlipscanError
from slipscan.store import open_zarr, write_zarr
from slipscan.timeseries import memory
from update_builders import SETTINGS, everything, replaced

LABELS = ("a" * 64,) * 2


def test_killed_while_it_keeps_something_it_keeps_nothing(tmp_path: Path) -> None:
    code = (
        "import json, os, signal; import numpy as np; from pathlib import Path\n"
        "from slipscan.timeseries import memory\n"
        "json.dumps = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)\n"
        "labels = ('a' * 64,) * 2\n"
        "memory.Memory(Path('cache'), labels, lambda: labels).save(1, dict.fromkeys(memory.ARRAYS, np.zeros(3)), {})"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == -signal.SIGKILL
    assert list(tmp_path.glob("cache/settled/*/.*/new/*/sums.npy"))
    kept = memory.Memory(tmp_path / "cache", LABELS, lambda: LABELS)
    assert kept.find() is None
    kept.save(1, dict.fromkeys(memory.ARRAYS, np.zeros(3)), {})
    assert kept.find() is not None
    assert len(list(tmp_path.glob("cache/settled/*/[!.]*"))) == len(list(tmp_path.glob("cache/settled/*/*"))) == 1


def test_a_cache_that_takes_nothing_does_not_end_the_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "cache").write_text("a file")
    kept = memory.Memory(tmp_path / "cache", LABELS, lambda: LABELS)
    kept.save(1, dict.fromkeys(memory.ARRAYS, np.zeros(3)), {})
    assert "is not kept" in caplog.text


def test_interferograms_that_are_replaced_while_they_are_read_are_not_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_zarr(everything(), tmp_path / "observations.zarr")
    dataset = open_zarr(tmp_path / "observations.zarr")
    begun = memory.memory_of(tmp_path / "observations.zarr", dataset, SETTINGS, tmp_path / "cache")
    write_zarr(replaced(everything(), tmp_path), tmp_path / "observations.zarr")
    assert begun is not None
    begun.save(1, dict.fromkeys(memory.ARRAYS, np.zeros(3)), {})
    assert "were replaced while they were read" in caplog.text
    assert begun.find() is None


def test_an_entry_that_another_run_replaces_is_not_mixed_with_its_own(tmp_path: Path) -> None:
    kept = memory.Memory(tmp_path, LABELS, lambda: LABELS)
    kept.save(1, dict.fromkeys(memory.ARRAYS, np.zeros((3, 2, 2))), {})
    found = kept.find()
    assert found is not None
    tile = slice(0, 1), slice(0, 2)
    assert found.entry.tile(tile)["sums"].shape == (3, 1, 2)
    kept.save(1, dict.fromkeys(memory.ARRAYS, np.ones((3, 2, 2))), {})
    with pytest.raises(SlipscanError, match="was replaced"):
        found.entry.tile(tile)


def test_another_code_finds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_zarr(everything(), tmp_path / "observations.zarr")

    def labels() -> set[str]:
        found = memory.memory_of(
            tmp_path / "observations.zarr", open_zarr(tmp_path / "observations.zarr"), SETTINGS, tmp_path
        )
        assert found is not None
        return set(found.labels)

    before = labels()
    shutil.copytree(Path(memory.__file__).parent, tmp_path / "code", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(memory, "__file__", str(tmp_path / "code" / "memory.py"))
    memory._code.cache_clear()
    assert labels() == before
    with (tmp_path / "code" / "settled.py").open("a") as file:
        file.write("CHANGED = True\n")
    memory._code.cache_clear()
    assert not labels() & before
    memory._code.cache_clear()


def test_a_store_whose_chunks_lie_elsewhere_is_not_kept(tmp_path: Path) -> None:
    write_zarr(everything(), tmp_path / "observations.zarr")
    dataset = open_zarr(tmp_path / "observations.zarr")
    described = tmp_path / "observations.zarr" / "interferogram" / "zarr.json"
    layout = json.loads(described.read_text())
    layout["chunk_key_encoding"]["configuration"]["separator"] = "."
    described.write_text(json.dumps(layout))
    assert memory.memory_of(tmp_path / "observations.zarr", dataset, SETTINGS, tmp_path / "cache") is None
