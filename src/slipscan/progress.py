"""What a user sees while a stage works: log lines, and a bar on a terminal or lines in a log file."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from rich.console import Console
from rich.progress import track as rich_track

Item = TypeVar("Item")
LINE_EVERY_S = 10.0


def set_up_logging() -> None:
    """Log lines go to stderr, which every rule sends to its log file."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S"
    )
    for noisy in ("rasterio", "pyogrio", "fiona", "matplotlib", "asyncio", "urllib3", "distributed"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def progress(items: Iterable[Item], description: str, total: int | None = None) -> Iterator[Item]:
    """Iterate over `items` with a bar on a terminal, or a line every ten seconds and at the end elsewhere."""
    total = len(items) if isinstance(items, Sized) else total
    if sys.stderr.isatty():
        yield from rich_track(items, description, total=total, console=Console(stderr=True), transient=True)
        return
    log = logging.getLogger("slipscan")
    start = last = time.monotonic()
    count = 0
    for count, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last > LINE_EVERY_S:
            log.info("%s: %d%s (%.0f s)", description, count, f" of {total}" if total else "", now - start)
            last = now
    log.info("%s: %d done (%.1f s)", description, count, time.monotonic() - start)
