"""Many files over HTTP: a few at once, with one progress bar, and nothing lost when one of them fails.

`transfer.py` beside this module fetches one file; here is the order of things around it.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path

from slipscan.archive.granules import RemoteFile
from slipscan.archive.http.credentials import EarthdataSession
from slipscan.archive.http.locks import StoppedError
from slipscan.archive.http.transfer import Renew, Transfer, checked_name, part_of
from slipscan.errors import SlipscanError
from slipscan.progress import LINE_EVERY_S
from slipscan.settings import DownloadSettings

SPARE_SPACE = 1.05
BAR_EVERY_S = 0.2

log = logging.getLogger("slipscan")


def download(
    files: Sequence[RemoteFile],
    directory: Path,
    settings: DownloadSettings,
    session_factory: Callable[[], EarthdataSession] = EarthdataSession,
    renew: Renew | None = None,
) -> list[Path]:
    """Fetch files into a directory; those that are there with the right size and checksum are not fetched again.

    Processes that share the directory fetch each file once. After an interruption of any kind, the next call goes on
    with what had arrived.

    Parameters
    ----------
    files
        a name that occurs twice is fetched once
    session_factory
        makes the session of each of `settings.parallel` threads
    renew
        finds a file's address anew when the old one is refused or gone; called by one thread at a time

    Returns
    -------
    paths
        in the order of `files`

    Raises
    ------
    SlipscanError
        the first file that cannot be had, and why; or too little space on the disk. Finished files stay.
    """
    by_name = {checked_name(file.name): file for file in files}
    if not by_name:
        return []
    directory.mkdir(parents=True, exist_ok=True)
    counts = _Counts(by_name, directory)
    _check_space(counts, directory)
    stop, sessions = threading.Event(), _Sessions(session_factory)
    one_renewal = _one_at_a_time(renew)

    def fetch(file: RemoteFile) -> Path:
        def report(size: int) -> None:
            counts.have[file.name] = size

        return Transfer(file, directory, sessions.of_thread(), settings, one_renewal, stop, report).fetch()

    executor = ThreadPoolExecutor(settings.parallel, thread_name_prefix="download")
    try:
        futures = [executor.submit(fetch, file) for file in by_name.values()]
        _follow(futures, counts)
    finally:  # also on Ctrl-C: the threads end at their next block and leave their parts
        stop.set()
        executor.shutdown(wait=True, cancel_futures=True)
        sessions.close()
    _raise_first(futures)
    return [directory / file.name for file in files]


class _Sessions:
    """A session per thread: requests does not promise that threads can share one."""

    def __init__(self, factory: Callable[[], EarthdataSession]) -> None:
        self._factory = factory
        self._local = threading.local()
        self._all: list[EarthdataSession] = []

    def of_thread(self) -> EarthdataSession:
        if not hasattr(self._local, "session"):
            self._local.session = self._factory()
            self._all.append(self._local.session)
        session: EarthdataSession = self._local.session
        return session

    def close(self) -> None:
        for session in self._all:
            session.close()


def _one_at_a_time(renew: Renew | None) -> Renew | None:
    if renew is None:
        return None
    lock = threading.Lock()

    def locked_renew(file: RemoteFile) -> RemoteFile:
        with lock:
            return renew(file)

    return locked_renew


class _Counts:
    """Bytes of each file that are there, and in all."""

    def __init__(self, files: dict[str, RemoteFile], directory: Path) -> None:
        self._sizes = {name: file.bytes for name, file in files.items()}
        self.have: dict[str, int] = {name: _size_there(directory, name) for name in files}
        self._at_start = sum(self.have.values())
        self._begun = time.monotonic()

    @property
    def done(self) -> int:
        return sum(self.have.values())

    @property
    def total(self) -> int:
        """Bytes of all files; one of unknown size counts with what has arrived."""
        return sum(max(size or 0, self.have[name]) for name, size in self._sizes.items())

    @property
    def received(self) -> int:
        """Bytes that have arrived since the beginning."""
        return max(self.done - self._at_start, 0)

    def line(self) -> str:
        """Bytes, rate and time left, for a log."""
        seconds = max(time.monotonic() - self._begun, 1e-3)
        rate = self.received / seconds
        left = f", {(self.total - self.done) / rate:.0f} s left" if rate > 0 else ""
        return f"{self.done / 1e6:.1f} of {self.total / 1e6:.1f} MB, {rate / 1e6:.2f} MB/s{left}"


def _size_there(directory: Path, name: str) -> int:
    for path in (directory / name, part_of(directory, name)):
        with contextlib.suppress(FileNotFoundError):
            return path.stat().st_size
    return 0


def _check_space(counts: _Counts, directory: Path) -> None:
    needed = (counts.total - counts.done) * SPARE_SPACE
    free = shutil.disk_usage(directory).free
    if needed > free:
        raise SlipscanError(
            f"{directory} has {free / 1e9:.2f} GB free and the files to fetch need {needed / 1e9:.2f} GB: "
            "free some space, or put cache_dir on another disk"
        )


def _follow(futures: list[Future[Path]], counts: _Counts) -> None:
    """Show the progress until all transfers have ended or one has failed."""
    pending = set(futures)
    with _display(counts) as (show, every_s):
        while pending:
            finished, pending = wait(pending, timeout=every_s, return_when=FIRST_EXCEPTION)
            if any(future.exception() for future in finished):
                return
            if pending:
                show()
    if counts.received:  # else all of them were there
        log.info("download: %d files done, %s", len(futures), counts.line())


@contextlib.contextmanager
def _display(counts: _Counts) -> Iterator[tuple[Callable[[], None], float]]:
    """A function that shows the counts, and how often to call it: a bar on a terminal, lines elsewhere."""
    if not sys.stderr.isatty():
        yield lambda: log.info("download: %s", counts.line()), LINE_EVERY_S
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("download"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("download", total=counts.total, completed=counts.done)
        yield lambda: bar.update(task, total=counts.total, completed=counts.done), BAR_EVERY_S


def _raise_first(futures: list[Future[Path]]) -> None:
    """Raise a transfer's failure; those that were stopped for it, or never begun, say nothing."""
    for future in futures:
        if not future.cancelled() and (error := future.exception()) and not isinstance(error, StoppedError):
            raise error
