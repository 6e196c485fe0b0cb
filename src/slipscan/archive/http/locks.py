"""A lock on a file among processes, so that two runs that share a cache do not fetch the same file at once."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from slipscan.errors import SlipscanError

log = logging.getLogger("slipscan")


class StoppedError(Exception):
    """Work was left where it was, because it was told to stop."""


@contextlib.contextmanager
def locked(path: Path, stop: threading.Event | None = None, poll_s: float = 0.1) -> Iterator[None]:
    """Hold an exclusive lock among all processes; waits for another holder, and ends with a killed one.

    The lock file is removed while it is held; who waited for the removed file begins anew on its successor.

    Raises
    ------
    SlipscanError
        the file system has no locks
    StoppedError
        `stop` was set while waiting
    """
    stop = stop or threading.Event()
    waiting = False
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.fstat(descriptor).st_ino == path.stat().st_ino:
                break
        except BlockingIOError:
            if not waiting:
                log.info("waiting for another process that holds %s", path.name)
            waiting = True
        except FileNotFoundError:
            pass  # removed between the two looks
        except OSError as error:
            os.close(descriptor)
            if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
            raise SlipscanError(
                f"the file system of {path.parent} has no file locks (flock): put cache_dir on one that has"
            ) from error
        os.close(descriptor)
        if stop.wait(poll_s if waiting else 0):
            raise StoppedError
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)
