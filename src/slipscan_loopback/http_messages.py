"""Requests and answers of the loopback server: what a handler gets and gives, and the parts of an answer."""

from __future__ import annotations

import html
import io
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path

from slipscan_loopback.faults import Faults


@dataclass(frozen=True)
class Request:
    """What a handler is asked; `match` is the match of its route's pattern, `headers` do not mind the case."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: Message[str, str]
    body: bytes
    match: re.Match[str]


@dataclass(frozen=True)
class Response:
    """What a handler answers.

    Attributes
    ----------
    body
        bytes, or the path of a file
    ranges
        whether parts may be asked for (answers of status 200 only)
    bytes_per_s
        slows the transfer down; 0: as fast as it goes
    """

    status: int = 200
    body: bytes | Path = b""
    content_type: str = "application/octet-stream"
    headers: Mapping[str, str] = field(default_factory=dict)
    ranges: bool = True
    bytes_per_s: float = 0.0


Handler = Callable[[Request], Response]


def page(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    """A page as a browser shows it."""
    body = f"<!DOCTYPE html>\n<html><body><h1>{status}</h1><p>{html.escape(text)}</p></body></html>\n".encode()
    return Response(status, body, "text/html; charset=utf-8", headers or {})


def spoilt(answer: Response, fault: str, faults: Faults | None) -> Response:
    """The answer that a fault puts in the place of the true one; faults of the transfer leave it as it is."""
    if fault == "unavailable":
        return page(503, "out of service")
    if fault == "too_many" and faults is not None:
        return page(429, "too many requests", {"Retry-After": str(faults.retry_after_s)})
    if fault == "html":
        return page(500, "internal error")
    if fault == "html_ok":
        return page(200, "please sign in")
    if fault == "expired_token":
        return page(401, "the token has expired")
    return answer


def entity_tag(body: bytes | Path) -> str:
    """The ETag of a body: another one where its bytes, or the file's time, are others."""
    if isinstance(body, Path):
        stat = body.stat()
        return f'"{stat.st_size:x}-{stat.st_mtime_ns:x}"'
    return f'"{len(body):x}-{zlib.crc32(body):x}"'


def byte_range(headers: Message[str, str], size: int, etag: str) -> tuple[int, int, int]:
    """First byte, end (exclusive) and status of the answer to a Range header (one range) with its If-Range."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", (headers.get("Range") or "").strip())
    if match is None or match.groups() == ("", "") or (headers.get("If-Range") or etag) != etag:
        return 0, size, 200
    if match[1] == "":
        return max(0, size - int(match[2])), size, 206
    first = int(match[1])
    last = min(int(match[2]) + 1 if match[2] else size, size)
    return (first, last, 206) if first < last else (0, 0, 416)


def blocks(body: bytes | Path, first: int, last: int, block_size: int) -> Iterator[bytes]:
    """Bytes `first` to `last` of a body, a block at a time."""
    with body.open("rb") if isinstance(body, Path) else io.BytesIO(body) as file:
        file.seek(first)
        while first < last and (block := file.read(min(block_size, last - first))):
            first += len(block)
            yield block
