"""Files of granules: what can be fetched, and what was received."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from slipscan.outputs import sha256_file


@dataclass(frozen=True)
class RemoteFile:
    """A file that can be fetched.

    Attributes
    ----------
    name
        file name, unique in an archive
    url
        where it lies now; may expire
    bytes, checksum
        as the archive tells them: None, and 'md5:...', 'sha256:...' or an empty string
    shared
        whether several granules need it (the geometry of a frame): it is kept until all are cropped
    refresh
        whether the server is asked for a newer version of a file that is there (If-None-Match, If-Modified-Since)
    """

    name: str
    url: str
    bytes: int | None = None
    checksum: str = ""
    shared: bool = False
    refresh: bool = False


@dataclass(frozen=True)
class Received:
    """A file as it was received: a row of the inventory."""

    name: str
    bytes: int
    sha256: str

    @classmethod
    def of(cls, path: Path, name: str | None = None) -> Received:
        """Describe a file that is there; the name of the path where none is given."""
        return cls(name or path.name, path.stat().st_size, sha256_file(path))


def received(files: list[Path]) -> list[Received]:
    """Describe files by their names below their common directory."""
    root = Path(os.path.commonpath([file.parent for file in files]))
    return [Received.of(file, file.relative_to(root).as_posix()) for file in files]
