"""The cache: keys, entries, and what pruning leaves alone."""

import errno
import os
import time
from pathlib import Path

import numpy as np
import pytest

from slipscan import cache
from slipscan.atomic import write_text
from slipscan.errors import SlipscanError


def put(directory: Path, kind: str, key: str, text: str = "x" * 100) -> Path:
    entry = cache.path(directory, kind, key)
    with cache.written(entry) as beside:
        beside.write_text(text)
    return entry


def test_cache_keys_and_pruning(tmp_path: Path) -> None:
    array = np.arange(6.0)
    assert cache.key("a", array) == cache.key("a", array.copy())
    assert len({cache.key("a", array), cache.key("a", array.astype("f4")), cache.key("ab"), cache.key("a", "b")}) == 4
    keys = [cache.key(str(i)) for i in range(3)]
    for i, key in enumerate(keys):
        os.utime(put(tmp_path / "c", "calibrations", key), (time.time() - 100 + i,) * 2)
    assert cache.find(tmp_path / "c", "calibrations", keys[0]) is not None  # used now: pruned last
    assert cache.prune(tmp_path / "c", 150) == (2, 100)
    assert [cache.find(tmp_path / "c", "calibrations", key) is not None for key in keys] == [True, False, False]
    assert cache.find(None, "calibrations", keys[0]) is None


def test_only_keys_are_pruned(tmp_path: Path) -> None:
    key = cache.key("one")
    put(tmp_path / "c", "crops", key)
    write_text(tmp_path / "c" / "granules" / "simulated" / key[:16] / "087A" / "a.tif", "x")
    kept = [
        f"crops/{key[:2]}/notes.txt", f"crops/{key[:2]}/{key}.bak", f"crops/{key[:2]}/.{key}.slipscan-notes",
        f"crops/zz/{key}", f"mine/{key[:2]}/{key}", "crops/mine/thesis.txt", "downloads/aria/a.nc", "hyp3/jobs-1.json",
        "granules/simulated/notes.txt", "notes.txt",
    ]  # fmt: skip
    for name in kept:
        write_text(tmp_path / "c" / name, "precious")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a").write_text("precious")
    link = cache.path(tmp_path / "c", "crops", cache.key("two"))
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(tmp_path / "elsewhere")
    assert cache.prune(tmp_path / "c", 0) == (2, 0)
    left = {str(path.relative_to(tmp_path / "c")) for path in (tmp_path / "c").rglob("*") if path.is_file()}
    assert left == {*kept, "CACHEDIR.TAG"}
    assert (link / "a").read_text() == "precious"


def test_what_is_no_cache_is_refused(tmp_path: Path) -> None:
    key = cache.key("one")
    precious = tmp_path / "home" / "crops" / key[:2] / key
    write_text(precious, "precious")
    assert cache.prune(tmp_path / "home", 10) == (0, 8)  # a cache of version 0.1, which had no tag
    write_text(tmp_path / "home" / "thesis.tex", "precious")
    write_text(tmp_path / "home" / "CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n# of another\n")
    for path, sentence in ((tmp_path / "home", "holds 'thesis.tex'"), (tmp_path / "none", "there is no cache")):
        with pytest.raises(SlipscanError, match=sentence):
            cache.prune(path, 0)
    assert precious.read_text() == "precious"
    put(tmp_path / "home", "crops", cache.key("two"))
    assert "of another" in (tmp_path / "home" / "CACHEDIR.TAG").read_text(), "an old directory gets no tag"


def test_half_deleted_entries_are_never_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = cache.key("one")
    put(tmp_path / "c", "crops", key)
    monkeypatch.setattr("slipscan.atomic.shutil.rmtree", lambda *_, **__: None)  # killed before it deletes anything
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
    cache.prune(tmp_path / "c", 0)
    assert cache.find(tmp_path / "c", "crops", key) is None
    monkeypatch.undo()
    assert cache.prune(tmp_path / "c", 0) == (0, 0)
    assert list((tmp_path / "c" / "crops" / key[:2]).iterdir()) == []


def test_a_cache_that_is_shared_read_only_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    put(tmp_path / "c", "crops", "abc")
    monkeypatch.setattr(cache.os, "utime", refuse)  # root may write anywhere, so that no mode would do
    assert cache.find(tmp_path / "c", "crops", "abc") is not None
