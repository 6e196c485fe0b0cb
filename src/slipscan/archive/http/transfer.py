"""One file over HTTP: resumed where it was cut, checked, and never under its final name before it is whole.

Beside the final name lie, while a file is being fetched: `.NAME.part` (what has arrived), `.NAME.etag` (which version
of the file that is, for the header If-Range) and `.NAME.lock` (held by the process that fetches it). All of them may
be left by a killed process; the next one goes on from there.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import requests
import tenacity
import urllib3

from slipscan.archive.granules import RemoteFile
from slipscan.archive.http.answers import extent, host_of, is_page, public_address, reason, validator_of
from slipscan.archive.http.credentials import EarthdataSession
from slipscan.archive.http.locks import StoppedError, locked
from slipscan.archive.http.retry import PassingError, refuse_passing, retrying
from slipscan.errors import SlipscanError
from slipscan.settings import DownloadSettings

BLOCK = 1 << 15

log = logging.getLogger("slipscan")
Renew = Callable[[RemoteFile], RemoteFile]


class _AddressError(Exception):
    """Refused or gone at this address; the sentence for the user. Another address may help."""


class _ContentError(Exception):
    """Whole, but not the file that was announced: expected and got."""


@dataclass
class Transfer:
    """The fetching of one file into `directory`.

    Attributes
    ----------
    renew
        finds the file's address anew when the old one has expired; None: it cannot be found
    stop
        set when the transfer shall end soon
    report
        called with the number of bytes that are there
    """

    file: RemoteFile
    directory: Path
    session: EarthdataSession
    settings: DownloadSettings
    renew: Renew | None
    stop: threading.Event
    report: Callable[[int], None]

    def __post_init__(self) -> None:
        self.name = checked_name(self.file.name)
        self._etag = self.directory / f".{self.name}.etag"
        self._part = part_of(self.directory, self.name)
        self._version = self.directory / f".{self.name}.version"
        self._is_newest = False
        self._was_renewed = self._was_wrong = False

    def fetch(self) -> Path:
        """Fetch the file, unless it is there; returns its path.

        Raises
        ------
        SlipscanError
            it cannot be had: no tries left, refused, gone, twice with wrong bytes, disk full
        StoppedError
            `stop` was set
        """
        final = self.directory / self.name
        try:
            with locked(self.directory / f".{self.name}.lock", self.stop):
                if self.file.refresh or not is_whole(final, self.file):
                    retrying(self.settings, self._log_failure, self.stop)(self._try)
                    if not self._is_newest:
                        self._part.replace(final)
                        self._keep_version()
                self.report(final.stat().st_size)
        except PassingError as error:
            raise SlipscanError(
                f"{self.name} could not be fetched from {host_of(self.file.url)} in {self.settings.attempts} tries "
                f"(the last: {error}): run again later, it goes on where it was cut"
            ) from None
        except OSError as error:
            raise SlipscanError(
                f"{self.name} cannot be written to {self.directory} ({error.strerror or error})"
            ) from error
        return final

    def _try(self) -> None:
        """One try; a renewed address and a second copy of wrong bytes are chances that do not count as tries."""
        while True:
            if self.stop.is_set():
                raise StoppedError
            try:
                self._receive()
                if not self._is_newest:
                    self._check()
                return
            except _AddressError as error:
                if self.renew is None or self._was_renewed:
                    raise SlipscanError(f"{self.name}: {error}") from None
                log.info("%s: its address has expired, asking for a new one", self.name)
                self._was_renewed = True
                self.file = self.renew(self.file)
            except _ContentError as error:
                self._discard()
                if self._was_wrong:
                    raise SlipscanError(
                        f"{self.name} from {host_of(self.file.url)} is not the file that the archive lists, "
                        f"fetched twice: {error}; run again later, or take it out of the manifest"
                    ) from None
                log.info("%s: %s; fetching it once more", self.name, error)
                self._was_wrong = True

    def _receive(self) -> None:
        """Ask for what is missing and append it to the part."""
        have, validator = self._resumable()
        if have and have == self.file.bytes:
            return  # killed between the last byte and the renaming
        headers = {"Accept-Encoding": "identity", **({} if have else self._conditions())}
        if have:
            headers["Range"] = f"bytes={have}-"
            if validator:
                headers["If-Range"] = validator
        timeout = (self.settings.connect_timeout_s, self.settings.read_timeout_s)
        try:
            with self.session.get(self.file.url, headers=headers, stream=True, timeout=timeout) as answer:
                self._judge(answer)
                self._is_newest = answer.status_code == 304
                if not self._is_newest:
                    self._write(answer, have)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            # 'from None' and no str(error): requests' messages hold whole addresses, with their signatures
            if isinstance(error, ValueError):
                raise SlipscanError(f"{self.name}: the archive gave no valid address for it") from None
            raise PassingError(reason(error)) from None

    def _resumable(self) -> tuple[int, str]:
        """Bytes that have arrived before and can be gone on from, and what tells their version."""
        if not self._part.exists():
            return 0, ""
        have = self._part.stat().st_size
        validator = self._etag.read_text(encoding="latin-1") if self._etag.exists() else ""
        may_be_another_version = not validator and not self.file.checksum
        if may_be_another_version or (self.file.bytes is not None and have > self.file.bytes):
            return 0, ""
        return have, validator

    def _conditions(self) -> dict[str, str]:
        """What asks for a file only if it is another version than the one that is there."""
        if not self.file.refresh or not self._version.exists() or not (self.directory / self.name).is_file():
            return {}
        version = self._version.read_text(encoding="latin-1")
        if not version:
            return {}
        return {"If-None-Match": version} if version.startswith('"') else {"If-Modified-Since": version}

    def _keep_version(self) -> None:
        """Remember which version of the file is there, for the next time that it is refreshed."""
        if self.file.refresh and self._etag.exists():
            self._etag.replace(self._version)
        self._etag.unlink(missing_ok=True)

    def _discard(self) -> None:
        """Begin again from nothing."""
        self._part.unlink(missing_ok=True)
        self._etag.unlink(missing_ok=True)

    def _judge(self, answer: requests.Response) -> None:
        """Raise what an answer's status means, unless it brings data."""
        status = answer.status_code
        if self.session.asks_for_login(answer):
            raise _AddressError(self.session.refusal(answer))
        if status in (404, 410):
            raise _AddressError(f"it is not at {public_address(answer.url)} (HTTP {status}): search the archive again")
        if status == 416:
            self._discard()
            raise PassingError("HTTP 416, beginning again")
        refuse_passing(answer)
        if status not in (200, 206) and not (status == 304 and self.file.refresh):
            raise SlipscanError(f"{self.name}: {public_address(answer.url)} answered HTTP {status}")

    def _write(self, answer: requests.Response, have: int) -> None:
        """Write the body: after the bytes that are there (206), or from the beginning (200)."""
        blocks = answer.raw.stream(BLOCK, decode_content=False)
        first = next(blocks, b"")
        if is_page(self.name, answer, first):
            raise PassingError("an HTML page came in place of data")
        start, total = extent(answer)
        if start not in (0, have):
            raise PassingError("another part came than was asked for")
        self._was_renewed = False  # the address is good; should it expire in a long transfer, it is renewed again
        if total is not None and self.file.bytes not in (None, total):
            raise _ContentError(f"expected {self.file.bytes} bytes, got {total}")
        with self._part.open("ab" if start else "wb") as part:
            if not start:
                self._etag.write_text(validator_of(answer), encoding="latin-1")
            position = start
            while first:
                part.write(first)
                part.flush()  # a killed process loses no block
                position += len(first)
                self.report(position)
                if self.stop.is_set():
                    raise StoppedError
                first = next(blocks, b"")
        if position < (total or self.file.bytes or 0):
            raise PassingError(f"cut after {position} bytes")

    def _check(self) -> None:
        """Compare the whole part with what the archive lists, and flush it to the disk."""
        size = self._part.stat().st_size
        if self.file.bytes not in (None, size):
            raise _ContentError(f"expected {self.file.bytes} bytes, got {size}")
        if self.file.checksum and (got := checksum(self._part, self.file.checksum)) != self.file.checksum.lower():
            raise _ContentError(f"expected {self.file.checksum}, got {got}")
        with self._part.open("rb") as part:
            os.fsync(part.fileno())

    def _log_failure(self, state: tenacity.RetryCallState, error: BaseException | None) -> None:
        log.info(
            "%s: try %d of %d failed (%s), next in %.1f s",
            self.name,
            state.attempt_number,
            self.settings.attempts,
            error,
            state.upcoming_sleep,
        )


def checked_name(name: str) -> str:
    """A file's name as the archive gives it, where it is safe as the name of a file here.

    Raises
    ------
    SlipscanError
        path separators, a leading dot, a query, unprintable characters, or longer than 240 bytes
    """
    if (
        not name
        or name.startswith(".")
        or set(name) & set("/\\?")
        or not name.isprintable()
        or len(name.encode()) > 240
    ):
        raise SlipscanError(f"the archive lists a file of the unsafe name {name.partition('?')[0][:80]!r}: report it")
    return name


def part_of(directory: Path, name: str) -> Path:
    """Where a file lies while it is incomplete."""
    return directory / f".{name}.part"


def is_whole(path: Path, file: RemoteFile) -> bool:
    """Whether a file is there with the size and checksum that the archive lists."""
    if not path.is_file() or file.bytes not in (None, path.stat().st_size):
        return False
    return not file.checksum or checksum(path, file.checksum) == file.checksum.lower()


def checksum(path: Path, like: str) -> str:
    """A file's checksum in the form of `like`, 'md5:...' or 'sha256:...'.

    Raises
    ------
    SlipscanError
        an algorithm that hashlib does not know
    """
    algorithm = like.partition(":")[0].lower()
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False))
    except ValueError:
        raise SlipscanError(f"{path.name}: the archive lists a checksum of an unknown kind ({algorithm})") from None
    return f"{algorithm}:{digest.hexdigest()}"
