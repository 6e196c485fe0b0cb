"""The content-addressed cache: granules, calibrations and what else is dear, outside every rule's output.

An entry's key is the sha256 of everything that made it; entries are written whole or not at all, never
changed, and may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


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


def prune(cache_dir: Path, max_bytes: int) -> tuple[int, int]:
    """Delete the entries used longest ago until the cache is under `max_bytes`.

    Returns
    -------
    entries, size
        deleted entries and the bytes that are left
    """
    entries = [e for e in Path(cache_dir).glob("*/*/*") if not e.name.startswith(".")]
    sized = sorted((entry.stat().st_mtime, _size(entry), entry) for entry in entries)
    total, deleted = sum(size for _, size, _ in sized), 0
    for _, size, entry in sized:
        if total <= max_bytes:
            break
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
        total, deleted = total - size, deleted + 1
    return deleted, total


def _size(entry: Path) -> int:
    files = entry.rglob("*") if entry.is_dir() else [entry]
    return sum(file.stat().st_size for file in files if file.is_file())
