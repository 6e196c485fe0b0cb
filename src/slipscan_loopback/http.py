"""The HTTP server under the loopback archive: routes, byte ranges, and faults on demand, on 127.0.0.1 only.

Handlers are plain functions from a request to a response; this module does what a web server does with the answer
(length, ETag, Range, HEAD, keep-alive) and, for routes marked `faulty`, what a bad day on the network does to it.
"""

from __future__ import annotations

import contextlib
import io
import re
import socket
import struct
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from slipscan_loopback.faults import KINDS as KINDS
from slipscan_loopback.faults import Faults as Faults
from slipscan_loopback.http_messages import Handler, blocks, byte_range, entity_tag, page, spoilt
from slipscan_loopback.http_messages import Request as Request
from slipscan_loopback.http_messages import Response as Response

BLOCK = 1 << 16


@dataclass
class Record:
    """A request as the server saw it; `bytes_sent` grows while the body is being sent."""

    method: str
    path: str
    range_start: int | None
    authorized: bool
    user_agent: str
    status: int = 0
    bytes_sent: int = 0
    fault: str = ""


class LoopbackServer:
    """A threaded HTTP/1.1 server on 127.0.0.1, running within a `with` block.

    Parameters
    ----------
    faults
        what happens to requests of routes marked `faulty`; None: nothing
    port
        0 takes a free one
    """

    def __init__(self, faults: Faults | None = None, port: int = 0) -> None:
        self.faults = faults
        self._port = port
        self._routes: list[tuple[str, re.Pattern[str], Handler, bool]] = []
        self._requests: list[Record] = []
        self._counts: dict[str, int] = {}
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def route(self, pattern: str, handler: Handler, method: str = "GET", faulty: bool = False) -> None:
        """Answer requests whose whole path (percent-decoded) matches `pattern`; the first route that fits wins.

        A GET route answers HEAD too.
        """
        self._routes.append((method, re.compile(pattern), handler, faulty))

    @property
    def url(self) -> str:
        """'http://127.0.0.1:PORT' of the running server."""
        if self._server is None:
            raise RuntimeError("the server runs within its `with` block only")
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def requests(self) -> list[Record]:
        """A copy of the records so far, in the order of arrival."""
        with self._lock:
            return list(self._requests)

    def __enter__(self) -> LoopbackServer:
        self._server = _Server(("127.0.0.1", self._port), _Connection)
        self._server.loopback = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        assert self._thread is not None
        self._server.shutdown()
        self._server.stopping.set()
        self._server.server_close()
        self._server.close_connections()
        self._thread.join()
        self._server = None

    def find_route(self, method: str, path: str) -> tuple[re.Match[str], Handler, bool] | None:
        """The first route for a request."""
        for of_method, pattern, handler, faulty in self._routes:
            if (method == of_method or (method, of_method) == ("HEAD", "GET")) and (match := pattern.fullmatch(path)):
                return match, handler, faulty
        return None

    def note(self, record: Record, faulty: bool) -> None:
        """Append a record and decide on its fault."""
        with self._lock:
            self._requests.append(record)
            if faulty and self.faults is not None:
                number = self._counts.get(record.path, 0)
                self._counts[record.path] = number + 1
                record.fault = self.faults.kind(record.path, number)


class _Server(ThreadingHTTPServer):
    """Remembers open connections, so that stopping closes them."""

    request_queue_size = 128
    daemon_threads = True
    loopback: LoopbackServer

    def __init__(self, *args: Any) -> None:
        self.stopping = threading.Event()
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        with self._open_lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):  # the client went away: its own affair
            super().handle_error(request, client_address)


class _Connection(BaseHTTPRequestHandler):
    """One connection; a thread of its own."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        """Answer a request of any method; http.server looks for this name."""
        loopback = self.server.loopback
        split = urlsplit(self.path)
        path = unquote(split.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        start = re.match(r"bytes=(\d+)-", self.headers.get("Range") or "")
        record = Record(
            self.command,
            path,
            int(start[1]) if start else None,
            "Authorization" in self.headers,
            self.headers.get("User-Agent") or "",
        )
        route = loopback.find_route(self.command, path)
        loopback.note(record, faulty=route is not None and route[2])
        if record.fault == "reset":
            self._reset()
            return
        if route is None:
            answer = page(404, f"there is no {path} here")
        else:
            query = parse_qs(split.query, keep_blank_values=True)
            answer = self._ask(route[1], Request(self.command, path, query, self.headers, body, route[0]))
        self._answer(spoilt(answer, record.fault, loopback.faults), record)

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def _ask(self, handler: Handler, request: Request) -> Response:
        try:
            return handler(request)
        except Exception:
            traceback.print_exc()  # a bug in a handler must not look like a fault of the network
            return Response(500, b"the handler failed: see stderr of the server", "text/plain")

    def _answer(self, answer: Response, record: Record) -> None:
        size = answer.body.stat().st_size if isinstance(answer.body, Path) else len(answer.body)
        etag = answer.headers.get("ETag") or entity_tag(answer.body)
        first, last, status = 0, size, answer.status
        if status == 200 and answer.ranges and record.fault != "html_ok":
            first, last, status = byte_range(self.headers, size, etag)
        record.status = status
        self.send_response(status)
        self.send_header("Content-Type", answer.content_type)
        if status in (200, 206) and record.fault != "html_ok":
            self.send_header("ETag", etag)
        if answer.ranges and status in (200, 206):
            self.send_header("Accept-Ranges", "bytes")
        if status in (206, 416):
            span = f"{first}-{last - 1}" if status == 206 else "*"
            self.send_header("Content-Range", f"bytes {span}/{size}")
        for name, value in answer.headers.items():
            if name != "ETag":
                self.send_header(name, value)
        if record.fault == "html_ok":
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(last - first))
        self.end_headers()
        if self.command != "HEAD" and status not in (204, 304):
            self._send_body(answer, first, last, record)

    def _send_body(self, answer: Response, first: int, last: int, record: Record) -> None:
        """Send bytes `first` to `last` of the answer, as far as the fault lets them through."""
        stop = {"cut": first + (last - first) // 2, "trickle": first + min(16, (last - first) // 2)}.get(
            record.fault, last
        )
        altered = first + (last - first) // 2 if record.fault == "wrong_bytes" else -1
        block_size = BLOCK if answer.bytes_per_s == 0 else max(1, int(answer.bytes_per_s / 50))
        position = first
        for block in blocks(answer.body, first, stop, block_size):
            if position <= altered < position + len(block):
                changed = bytearray(block)
                changed[altered - position] ^= 0xFF
                block = bytes(changed)
            record.bytes_sent += len(block)  # before the bytes leave: a client that has them all finds them counted
            self.wfile.write(block)
            position += len(block)
            if answer.bytes_per_s:
                time.sleep(len(block) / answer.bytes_per_s)
        if record.fault == "trickle" and self.server.loopback.faults is not None:
            self.server.stopping.wait(self.server.loopback.faults.trickle_s)
        if stop < last:
            self.close_connection = True

    def _reset(self) -> None:
        """Close so that the peer gets a TCP reset instead of an answer."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()
        self.wfile = io.BytesIO()
        self.connection.close()
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: `LoopbackServer.requests` is the log."""
