"""A catalogue that a user works in: it may be open in QGIS, and may hold edits, layers, styles or projects.

SQLite keeps what is not yet in the file beside it: `-wal` and `-shm` (QGIS), or `-journal`. A new file must never get
the name that such files belong to, since SQLite would lay their pages over it. And what a user wrote into the catalogue
is kept under another name before the catalogue is replaced.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import logging
import marshal
import mmap
import re
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from slipscan.atomic import written_beside
from slipscan.errors import SlipscanError

log = logging.getLogger(__name__)

SIGNATURE: Final = "slipscan_content"
"""Key of the layers' metadata that holds two digests: of all content, and of the file's bytes (the quicker look)."""
_NO_CONTENT: Final = "0" * 64
_NO_BYTES: Final = "f" * 64
UNSIGNED: Final = f"{_NO_CONTENT} {_NO_BYTES}"
_SIGNED: Final = re.compile(rb"([0-9a-f]{64}) ([0-9a-f]{64})")
_NEAR: Final = 1000
"""Bytes from the key within which they stand."""
_ROWS = 1000
_MARSHAL = 2
"""Version of marshal's format that has the same bytes in every Python, ten times as fast as a text."""
_BESIDE = ("-wal", "-shm", "-journal")
_WAIT_S = 2.0


def close(path: Path) -> None:
    """Bring a catalogue, where it is, into one file that no other program is about to write.

    Raises
    ------
    SlipscanError
        another program has it open to write, or such a program's files are left without the catalogue
    """
    beside = [file for end in _BESIDE if (file := Path(f"{path}{end}")).exists()]
    if beside and not path.exists():
        raise SlipscanError(
            f"{beside[0]} belongs to a catalogue that is gone: it may hold edits, and would spoil a new {path.name};"
            f" close the catalogue in QGIS or any other program, and move {' and '.join(f.name for f in beside)} away"
        )
    if not path.exists():
        return
    if beside or _has_log(path):
        _check_in(path)
    if _is_open_to_write(path):
        raise SlipscanError(_open_elsewhere(path))


def _has_log(path: Path) -> bool:
    """Whether a database is in the mode of a write-ahead log, which whoever opens it next lays beside it."""
    with path.open("rb") as file:
        return file.read(20)[18:] == b"\x02\x02"


def _open_elsewhere(path: Path) -> str:
    return f"the catalogue {path} is open in another program (QGIS?): close it there and run this again"


def _check_in(path: Path) -> None:
    """Move the pages of a write-ahead log or a journal into the file, and end that mode.

    Raises
    ------
    SlipscanError
        another program uses it
    """
    try:
        with _opened(f"{path.as_uri()}?mode=rw") as database:
            (mode,) = database.execute("PRAGMA journal_mode=DELETE").fetchone()
            database.isolation_level = None
            database.execute("BEGIN EXCLUSIVE")
            # A write, so that SQLite ends a journal that a program left before it had changed anything.
            (version,) = database.execute("PRAGMA user_version").fetchone()
            database.execute(f"PRAGMA user_version = {version}")
            database.execute("COMMIT")
    except sqlite3.DatabaseError as error:
        raise SlipscanError(f"{_open_elsewhere(path)} ({error})") from error
    left = [f"{path.name}{end}" for end in _BESIDE if Path(f"{path}{end}").exists()]
    if mode != "delete" or left:
        raise SlipscanError(f"{_open_elsewhere(path)} (if it is not: move {' and '.join(left) or mode} away)")


def _is_open_to_write(path: Path) -> bool:
    """Whether a program on this machine has a file open to write; False where the system cannot tell.

    It cannot on network file systems and outside Linux. Asked by a read lease, which the kernel grants only where
    nobody writes.
    """
    if not hasattr(fcntl, "F_SETLEASE"):
        return False
    with path.open("rb") as file:
        try:
            # The signal for who opens the file while the lease lasts would end the process; this one is ignored.
            fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        except OSError as error:
            return error.errno == errno.EAGAIN
    return False


def sign(path: Path) -> None:
    """Write the digests of a new catalogue into its metadata."""
    with _opened(f"{path.as_uri()}?mode=rw") as database, database:
        told = "UPDATE gpkg_metadata SET metadata = replace(metadata, ?, ?)"
        database.execute(told, (_NO_CONTENT, _digest(database)))
    with path.open("r+b") as file:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            places = _places(content, _NO_BYTES.encode())
            digest = _digest_of_bytes(content, places).encode()
        for place in places:
            file.seek(place)
            file.write(digest)


def keep(path: Path) -> None:
    """Copy a catalogue that holds more or other than slipscan wrote to `NAME.kept-DIGEST.gpkg` beside it."""
    if not path.exists() or not path.stat().st_size or _is_as_written(path):
        return
    with _opened(f"{path.as_uri()}?mode=ro&immutable=1") as database:
        digest = _digest(database)
        if digest in _signatures(database):
            return
    kept = path.with_name(f"{path.stem}.kept-{digest[:12]}{path.suffix}")
    if not kept.exists():
        with written_beside(kept) as beside:
            shutil.copyfile(path, beside)
    log.warning(
        "%s was edited since slipscan wrote it (or is of version 0.1): it is kept as %s; edits are not carried over",
        path,
        kept.name,
    )


def _is_as_written(path: Path) -> bool:
    """Whether a file has the bytes that slipscan gave it; another program may change some, and no content."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        key = max(content.find(SIGNATURE.encode()), 0)
        signed = _SIGNED.search(content, key, key + _NEAR)
        return signed is not None and _digest_of_bytes(content, _places(content, signed[2])) == signed[2].decode()


def _places(content: mmap.mmap, text: bytes) -> list[int]:
    """Where a text begins in a file."""
    found = [content.find(text)]
    while found[-1] >= 0:
        found.append(content.find(text, found[-1] + len(text)))
    return found[:-1]


def _digest_of_bytes(content: mmap.mmap, places: list[int]) -> str:
    """SHA-256 of a file without the digest itself, which stands at these places."""
    digest, start = hashlib.sha256(), 0
    with memoryview(content) as view:
        for place in [*places, len(content)]:
            with view[start:place] as part:
                digest.update(part)
            start = place + len(_NO_BYTES)
    return digest.hexdigest()


def columns_of(path: Path, table: str) -> set[str]:
    """Names of the columns of a table of a database; the file is neither locked nor changed.

    Raises
    ------
    ValueError
        the file is no database
    """
    try:
        with _opened(f"{path.as_uri()}?mode=ro&immutable=1") as database:
            return {row[1] for row in database.execute(f'PRAGMA table_info("{table}")')}
    except sqlite3.Error as error:
        raise ValueError(str(error)) from error


@contextlib.contextmanager
def _opened(uri: str) -> Iterator[sqlite3.Connection]:
    """A connection that is closed at the end."""
    with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=_WAIT_S)) as database:
        yield database


def _signatures(database: sqlite3.Connection) -> str:
    """All texts of the metadata, in which the digest stands."""
    try:
        return "".join(str(text) for (text,) in database.execute("SELECT metadata FROM gpkg_metadata"))
    except sqlite3.OperationalError:  # of version 0.1
        return ""


def _digest(database: sqlite3.Connection) -> str:
    """SHA-256 of all tables and views with all their rows, but those that GeoPackage and SQLite keep for themselves."""
    digest = hashlib.sha256()
    made = "SELECT name, type, sql FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY name"
    for name, kind, sql in database.execute(made).fetchall():
        if name.startswith(("gpkg_", "rtree_", "sqlite_")):
            continue
        digest.update(repr((name, sql)).encode())
        if kind == "table":
            quoted = name.replace('"', '""')
            rows = database.execute(f'SELECT * FROM "{quoted}" ORDER BY 1')
            while block := rows.fetchmany(_ROWS):
                digest.update(marshal.dumps(block, _MARSHAL))
    return digest.hexdigest()
