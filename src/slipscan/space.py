"""A full disk, told from all else that a library may say of it.

HDF5 ('Can't decrement id ref count'), netCDF ('HDF error'), GDAL, SQLite, safetensors and torch each have their own
exception for it, most without a cause. So the disk itself is asked.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from slipscan.errors import SlipscanError

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
REMEDY = "free some space, or raise the quota or limit, and run again"
PROBE_BYTES = 1 << 20


@contextlib.contextmanager
def full_disk_said(beside: Path, path: Path, needed_bytes: int | None = None) -> Iterator[None]:
    """Turn whatever is raised while `beside` is written into one sentence, if it is because the disk is full.

    Parameters
    ----------
    beside
        temporary file or directory that is written
    path
        its final name, for the sentence
    needed_bytes
        what the whole may need, where it is known

    Raises
    ------
    SlipscanError
        no space left; all other exceptions go on as they are
    """
    try:
        yield
    except SlipscanError:
        raise
    except Exception as error:
        # No blanket: what was raised goes on, unless the disk has no space for as little as a probe.
        reason = _reason(error) or _probe(beside)
        if reason is None:
            raise
        needed = f", about {needed_bytes / 1e9:.3g} GB are needed" if needed_bytes is not None else ""
        raise SlipscanError(f"no space left for {path} ({reason}{needed}; {_free(path)}): {REMEDY}") from error


def sentence(error: OSError) -> str | None:
    """The sentence for an error of the operating system that says that there is no space; else None."""
    if error.errno not in NO_SPACE:
        return None
    where = f" for {error.filename}" if error.filename else ""
    return f"no space left{where} ({os.strerror(error.errno)}): {REMEDY}"


def _reason(error: BaseException | None) -> str | None:
    """What the operating system said, in the exception or in one behind it."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in NO_SPACE:
            return os.strerror(error.errno or 0)
        error = error.__cause__ or error.__context__
    return None


def _probe(beside: Path) -> str | None:
    """Why a little more than what is there cannot be written beside it; None where it can."""
    try:
        written = [file.stat().st_size for file in (beside.rglob("*") if beside.is_dir() else [beside])]
    except OSError:
        written = []
    probe = beside / ".probe" if beside.is_dir() else beside.with_name(f"{beside.name}.probe")
    try:
        with probe.open("xb", buffering=0) as file:
            file.seek(max(written, default=0))  # leaves a hole: a limit on the size of files is met, nothing is filled
            left = PROBE_BYTES
            while left > 0:
                left -= file.write(bytes(left))
            os.fsync(file.fileno())
    except OSError as error:
        return os.strerror(error.errno) if error.errno in NO_SPACE else None
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()
    return None


def _free(path: Path) -> str:
    """What the disk says is free; a quota or a limit may leave less."""
    parent = next((p for p in path.absolute().parents if p.is_dir()), Path("/"))
    return f"{shutil.disk_usage(parent).free / 1e9:.3g} GB are free on the disk"
