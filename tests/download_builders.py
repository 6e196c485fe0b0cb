"""Files on 127.0.0.1 for tests of transfers."""

import hashlib
import random
from pathlib import Path

from slipscan.archive.granules import RemoteFile
from slipscan.settings import DownloadSettings
from slipscan_loopback.http import LoopbackServer, Record, Response

FAST = DownloadSettings(parallel=8, attempts=6, backoff_s=0.01, max_wait_s=0.2, connect_timeout_s=60, read_timeout_s=60)


def bytes_of(name: str, size: int) -> bytes:
    """What a file holds: the magic bytes of HDF5, then noise that its name alone makes."""
    return (b"\x89HDF\r\n\x1a\n" + random.Random(name).randbytes(size))[:size]


def md5(data: bytes) -> str:
    return "md5:" + hashlib.md5(data, usedforsecurity=False).hexdigest()


def serve(server: LoopbackServer, files: dict[str, bytes], bytes_per_s: float = 0) -> None:
    """Serve files below /, with the faults of the server."""
    pattern = r"/(\w+\.\w+)"
    server.route(pattern, lambda r: Response(body=files[r.match[1]], bytes_per_s=bytes_per_s), faulty=True)


def listed(server: LoopbackServer, files: dict[str, bytes]) -> list[RemoteFile]:
    return [RemoteFile(name, f"{server.url}/{name}", len(data), md5(data)) for name, data in files.items()]


def of_path(server: LoopbackServer, path: str) -> list[Record]:
    return [record for record in server.requests if record.path == path]


def hidden(directory: Path) -> list[str]:
    return sorted(p.name for p in directory.iterdir() if p.name.startswith("."))
