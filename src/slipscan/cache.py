"""The content-addressed cache: granules, calibrations and what else is dear, outside every rule's output.

An entry's key is the sha256 of everything that made it; entries are written whole or not at all, never
changed, and may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slipscan.atomic import clean_up, discard, written_beside
from slipscan.errors import SlipscanError
from slipscan.outputs import OWN

KINDS = ("calibrations", "completeness", "crops", "nulls", "settled", "troposphere", "vintages", "windows")
"""Kinds of entries, each below its first two digits."""
OTHERS = ("downloads", "granules", "hyp3")
"""What else lies in a cache: files as received, simulated frames, orders."""
_ENTRY = re.compile(rf"(?:{'|'.join(KINDS)})/([0-9a-f]{{2}})/\1[0-9a-f]{{62}}|granules/simulated/[0-9a-f]{{16}}")
_TAG = Path("CACHEDIR.TAG")
_SIGNATURE = "Signature: 8a477f597d28d172789f06886806bc55\n# The cache of slipscan: its entries may be deleted.\n"
"""https://bford.info/cachedir, with a line that tells whose cache it is."""


def key(*parts: str | NDArray[np.generic]) -> str:
    """SHA-256 over strings and arrays (shape, type and bytes), each with its length."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            data = part.encode()
        else:
            data = f"{part.dtype.str}{part.shape}".encode() + np.ascontiguousarray(part).tobytes()
        digest.update(f"{len(data)}:".encode() + data)
    return digest.hexdigest()


def path(cache_dir: Path, kind: str, entry: str) -> Path:
    """Where an entry of a kind lies."""
    return Path(cache_dir) / kind / entry[:2] / entry


def find(cache_dir: Path | None, kind: str, entry: str) -> Path | None:
    """The entry's path where it is in the cache; its time of access is renewed."""
    if cache_dir is None or not (found := path(cache_dir, kind, entry)).exists():
        return None
    with contextlib.suppress(OSError):  # a cache may be shared read-only
        os.utime(found)
    return found


@contextlib.contextmanager
def written(entry: Path) -> Iterator[Path]:
    """Yield where an entry (of `path`) is to be written, whole or not at all; a directory that is new gets its tag."""
    cache_dir = entry.parents[2]
    if not cache_dir.exists():
        with written_beside(cache_dir / _TAG, OWN) as beside:
            beside.write_text(_SIGNATURE, encoding="ascii")
    with written_beside(entry, OWN) as beside:
        yield beside


def prune(cache_dir: Path, max_bytes: int) -> tuple[int, int]:
    """Delete the entries used longest ago until those that are left are under `max_bytes`.

    Only names that are keys are entries; all else, files as received among it, is left as it is.

    Returns
    -------
    entries, size
        deleted entries and the bytes that are left

    Raises
    ------
    SlipscanError
        the directory is no cache
    """
    cache_dir = Path(cache_dir)
    _check_is_cache(cache_dir)
    for directory in (directory for kind in KINDS for directory in cache_dir.glob(f"{kind}/[0-9a-f][0-9a-f]")):
        clean_up(directory)
    entries = [entry for entry in cache_dir.glob("*/*/*") if _is_entry(entry, cache_dir)]
    sized = sorted((entry.stat().st_mtime, _size(entry), entry) for entry in entries)
    total, deleted = sum(size for _, size, _ in sized), 0
    for _, size, entry in sized:
        if total <= max_bytes:
            break
        discard(entry)
        total, deleted = total - size, deleted + 1
    return deleted, total


def _check_is_cache(cache_dir: Path) -> None:
    """Raise SlipscanError where a directory has no tag, and holds what no cache (of version 0.1) holds."""
    if not cache_dir.is_dir():
        raise SlipscanError(f"there is no cache {cache_dir}: correct the path")
    tag = cache_dir / _TAG
    if tag.is_file() and tag.read_bytes().startswith(_SIGNATURE.encode()):
        return
    known = (*KINDS, *OTHERS, tag.name)
    foreign = sorted(
        name for name in (path.name for path in cache_dir.iterdir()) if name not in known and name[0] != "."
    )
    if foreign:
        raise SlipscanError(
            f"{cache_dir} is no cache of slipscan (it holds {foreign[0]!r}), so nothing is deleted: correct the path"
        )


def _is_entry(entry: Path, cache_dir: Path) -> bool:
    """Whether a path is one of the cache's keys; a link is none, since what it points to lies elsewhere."""
    return bool(_ENTRY.fullmatch(entry.relative_to(cache_dir).as_posix())) and not entry.is_symlink()


def _size(entry: Path) -> int:
    files = entry.rglob("*") if entry.is_dir() else [entry]
    return sum(file.stat().st_size for file in files if file.is_file())
