"""Asking again: what may pass is tried once more, after a wait that doubles, or that the server asks for."""

from __future__ import annotations

import datetime
import random
import threading
from collections.abc import Callable
from email.utils import parsedate_to_datetime

import requests
import tenacity

from slipscan.settings import DownloadSettings


class PassingError(Exception):
    """A failure that may be gone at the next try: the reason, and the seconds that the server asks to wait."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


def refuse_passing(answer: requests.Response) -> None:
    """Raise PassingError where an answer's status may be another one at the next try: 408, 429 and 5xx."""
    status = answer.status_code
    if status in (408, 429) or status >= 500:
        raise PassingError(f"HTTP {status}", retry_after_s(answer.headers.get("Retry-After", "")))


def retrying(
    download: DownloadSettings,
    say: Callable[[tenacity.RetryCallState, BaseException | None], None] = lambda state, error: None,
    stop: threading.Event | None = None,
) -> tenacity.Retrying:
    """Make what calls a function again while it raises PassingError, which is raised when no try is left.

    Parameters
    ----------
    download
        attempts, backoff_s, max_wait_s
    say
        called before each wait, with the error
    stop
        ends a wait
    """

    def wait_s(state: tenacity.RetryCallState) -> float:
        """Exponential, or what the server asks for; with jitter, so that many requests spread."""
        error = _error(state)
        asked = error.wait_s * random.uniform(1.0, 1.1) if isinstance(error, PassingError) else 0.0
        backoff = download.backoff_s * 2.0 ** (state.attempt_number - 1) * random.uniform(0.5, 1.0)
        return min(max(backoff, asked), download.max_wait_s)

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(PassingError),
        stop=tenacity.stop_after_attempt(download.attempts),
        wait=wait_s,
        sleep=tenacity.sleep_using_event(stop or threading.Event()),
        before_sleep=lambda state: say(state, _error(state)),
        reraise=True,
    )


def _error(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def retry_after_s(value: str) -> float:
    """Seconds that the header Retry-After asks for: a number, or a date; 0 where it says neither."""
    if value.strip().isdigit():
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    now = datetime.datetime.now(datetime.UTC)
    return max(0.0, (when.replace(tzinfo=when.tzinfo or datetime.UTC) - now).total_seconds())
