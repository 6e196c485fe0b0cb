"""The PNG files of slipscan, and how one is known again."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from slipscan.outputs import Kind, file_kind

PNG_AUTHOR = "slipscan"
"""The text 'Software' of a PNG that slipscan wrote."""
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def png_kind(name: str, dpi: float) -> Kind:
    """PNG files that name slipscan as their software; or that name none and have `dpi`, as up to version 0.1."""

    def is_one(path: Path) -> bool:
        data = path.read_bytes()
        chunks = dict(_png_chunks(data)) if data.startswith(_SIGNATURE) else {}
        if b"tEXt" in chunks:
            return chunks[b"tEXt"] == f"Software\0{PNG_AUTHOR}".encode()
        per_metre = int(dpi / 0.0254 + 0.5)
        former = {b"IHDR": b"\x08\x06\0\0\0", b"pHYs": struct.pack(">IIB", per_metre, per_metre, 1)}
        return set(chunks) == {*former, b"IDAT", b"IEND"} and all(chunks[k].endswith(v) for k, v in former.items())

    return file_kind(name, is_one)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Type and content of every chunk."""
    position = len(_SIGNATURE)
    while position + 12 <= len(data):
        (size,) = struct.unpack(">I", data[position : position + 4])
        yield data[position + 4 : position + 8], data[position + 8 : position + 8 + size]
        position += 12 + size
