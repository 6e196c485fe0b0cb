"""Files and directories that are written whole or not at all: in a directory beside, then renamed.

A write has a working directory of its own beside its output, `.NAME.slipscan-{boot}-{random}`, on the same file system:

    lock        held (flock) as long as the writer lives
    new/NAME    what is being written
    old         a directory that was there before, only from the moment when it is moved aside until NAME has its place

The random part keeps writers in other containers or on other hosts apart: the last one to rename wins, and each result
is whole. What a killed writer left is removed by the next one, if it is certain that it is dead: the kernel that it ran
under (`boot`) is this one and its lock is free; or nothing in it has changed for a week. What is to be deleted is
renamed to `....trash` before, so that what is half deleted is never taken for whole.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import itertools
import logging
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from slipscan.outputs import NEW, Kind, check_replaceable, resolved
from slipscan.space import full_disk_said

log = logging.getLogger("slipscan")

STALE_S = 7 * 86400
"""Age of a leftover of another host (or of a kernel before this one) that is taken for dead."""
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF)
_TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.EISDIR, errno.ENOTDIR)


@contextlib.contextmanager
def written_beside(path: Path, kind: Kind = NEW, needed_bytes: int | None = None) -> Iterator[Path]:
    """Yield a path in a working directory; rename it to `path` when the block ends without an error.

    Works for files and directories, which are flushed to the disk before. A link is followed.

    Parameters
    ----------
    path
        the final one
    kind
        of what may be replaced there
    needed_bytes
        what the whole may need, for the sentence on a full disk

    Raises
    ------
    SlipscanError
        something of another kind is at `path`, the path is none, or no space is left
    """
    real = resolved(path)
    check_replaceable(real, kind, Path(path))
    with working_directory(real) as work:
        beside = work / "new" / real.name
        beside.parent.mkdir()
        with full_disk_said(beside, Path(path), needed_bytes):
            yield beside
            _sync(beside)
        _put_in_place(work, beside, real, kind)


def write_text(path: Path, text: str, kind: Kind = NEW) -> None:
    """Write a text file (UTF-8) atomically, in place of nothing or of one of a kind."""
    with written_beside(path, kind) as beside:
        beside.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def working_directory(path: Path) -> Iterator[Path]:
    """Yield a new directory beside `path`, which is removed when the block ends; what killed ones left, before."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    clean_up(path.parent, path.name)
    work = path.with_name(f".{path.name}.slipscan-{_boot()}-{secrets.token_hex(8)}")
    work.mkdir()
    lock = _hold(work)
    try:
        yield work
    finally:
        _put_away(work, path)
        os.close(lock)


def _put_in_place(work: Path, new: Path, path: Path, kind: Kind) -> None:
    """Rename what is new to its final name; a directory that is there goes to `old` before."""
    old = work / "old"
    for number in itertools.count():
        check_replaceable(path, kind)
        if new.is_dir() or path.is_dir():
            with contextlib.suppress(FileNotFoundError):
                path.rename(old)
        try:
            new.replace(path)
            break
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
        # Another writer has put its own there in this moment. The last one wins: once more.
        if old.exists():
            old.rename(work / f"superseded-{number}")
    _sync_directory(path.parent)


def _put_away(work: Path, path: Path) -> None:
    """Remove a working directory; killed between the two renames, it gives back what it moved aside."""
    old, new = work / "old", work / "new"
    if old.is_dir() and new.is_dir() and any(new.iterdir()) and not os.path.lexists(path):
        with contextlib.suppress(OSError):  # another process was first
            old.rename(path)
            log.warning("%s is restored: it was being replaced when that run was ended", path)
    discard(work)


def discard(path: Path) -> None:
    """Delete a file or directory; it is renamed first, so that nobody takes what is half deleted for whole."""
    trash = path
    if not path.name.endswith(".trash"):
        name = path.name if _leftover(path.name) else f".{path.name}.slipscan-{_boot()}-{secrets.token_hex(8)}"
        trash = path.with_name(f"{name}.trash")
        try:
            path.rename(trash)
        except FileNotFoundError:
            return
    if trash.is_dir() and not trash.is_symlink():
        shutil.rmtree(trash, ignore_errors=True)
    else:
        trash.unlink(missing_ok=True)


def clean_up(directory: Path, name: str | None = None) -> None:
    """Remove what killed writers left in a directory, of one output or of all."""
    with os.scandir(directory) as entries:
        names = [entry.name for entry in entries if entry.name.startswith(".")]
    for leftover in names:
        found = _leftover(leftover)
        if found is None or name not in (None, found["name"]):
            _name_former(directory, leftover, name)
            continue
        work = directory / leftover
        with contextlib.suppress(PermissionError):  # of another user, who will remove it
            if found["trash"]:
                discard(work)
            if not work.is_dir() or work.is_symlink():
                continue
            with _claimed(work, found["boot"]) as dead:
                if dead:
                    _put_away(work, directory / found["name"])


def _leftover(name: str) -> re.Match[str] | None:
    """The parts of a working directory's name; None where it is none."""
    return re.fullmatch(r"\.(?P<name>.+)\.slipscan-(?P<boot>[0-9a-f]{8})-[0-9a-f]{16}(?P<trash>\.trash)?", name)


def _name_former(directory: Path, leftover: str, name: str | None) -> None:
    """Name in the log what a killed version 0.1 left: it cannot be told who wrote it, so it is not deleted."""
    if name and re.fullmatch(rf"\.{re.escape(name)}\.(partial|old|scratch)-\d+", leftover):
        log.warning("%s was left by an earlier version of slipscan: look at it and remove it", directory / leftover)


def _hold(work: Path) -> int:
    """Make and hold the lock of a working directory; it appears under its name when it is held."""
    making = work / "lock-new"
    descriptor = os.open(making, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            os.close(descriptor)
            raise
        return descriptor  # a file system without locks: only its age will tell that it is dead
    making.rename(work / "lock")
    return descriptor


@contextlib.contextmanager
def _claimed(work: Path, boot: str) -> Iterator[bool]:
    """Yield whether a working directory's writer is dead; if it is, hold its lock meanwhile."""
    descriptor = None
    try:
        if boot == _boot():
            with contextlib.suppress(FileNotFoundError):
                descriptor = os.open(work / "lock", os.O_RDWR)
        if descriptor is None:
            yield _is_stale(work)
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            dead = True
        except BlockingIOError:
            dead = False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            dead = _is_stale(work)
        yield dead
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _is_stale(work: Path) -> bool:
    """Whether nothing in a directory was changed for a week."""
    times = [0.0]
    for folder, _, files in os.walk(work):
        for part in (Path(folder), *(Path(folder, file) for file in files)):
            with contextlib.suppress(FileNotFoundError):
                times.append(part.lstat().st_mtime)
    return time.time() - max(times) > STALE_S


def _boot() -> str:
    """Eight digits that tell this run of this kernel; without /proc, this host."""
    try:
        identity = BOOT_ID.read_text()
    except OSError:
        identity = socket.gethostname()
    return hashlib.sha256(identity.strip().encode()).hexdigest()[:8]


def _sync(path: Path) -> None:
    """Flush a file, or every file and directory below a directory, to the disk before it gets its final name."""
    for folder, _, files in os.walk(path) if path.is_dir() else [(str(path.parent), [], [path.name])]:
        for name in files:
            descriptor = os.open(Path(folder, name), os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        _sync_directory(Path(folder))


def _sync_directory(directory: Path) -> None:
    """Flush the names in a directory, where the file system can."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EBADF, errno.EACCES, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
