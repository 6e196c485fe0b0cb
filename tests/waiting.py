"""Waiting for a condition: no test depends on how fast the machine is."""

import time
from collections.abc import Callable

LONG_S = 600
"""For whatever must end some time: a limit that only a hang reaches."""


def wait_until(true: Callable[[], bool], what: str = "it") -> None:
    """Return once `true()`; an error after a time that only a hang takes."""
    end = time.monotonic() + LONG_S
    while not true():
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(0.01)
