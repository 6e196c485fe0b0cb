"""Threads over tiles, with results in the order of the tiles."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from slipscan.progress import progress

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    function: Callable[[Item], Result], items: Sequence[Item], threads: int, description: str
) -> Iterator[Result]:
    """Yield function(item) of every item, in order; a few are worked on at once, whatever is held stays small.

    The first error ends the work: what has not begun is not begun.
    """
    if threads <= 1:
        for item in progress(items, description):
            yield function(item)
        return
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in progress(items, description):
                waiting.append(pool.submit(function, item))
                if len(waiting) > 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
