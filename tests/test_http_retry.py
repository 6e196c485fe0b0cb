"""Asking again: how often, how long after, and what counts at the end."""

from __future__ import annotations

import threading

import pytest
import requests

from slipscan.archive.http.retry import PassingError, refuse_passing, retrying
from slipscan.settings import DownloadSettings


def answer(status: int, **headers: str) -> requests.Response:
    made = requests.Response()
    made.status_code = status
    made.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return made


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_pass(status: int) -> None:
    with pytest.raises(PassingError, match=f"HTTP {status}") as raised:
        refuse_passing(answer(status, Retry_After="7"))
    assert raised.value.wait_s == 7


@pytest.mark.parametrize("status", [200, 206, 302, 401, 403, 404, 410, 416])
def test_what_does_not_pass(status: int) -> None:
    refuse_passing(answer(status))


def waits(errors: list[PassingError], **settings: float) -> list[float]:
    """Seconds before each further try of what fails so."""
    found: list[float] = []
    left = list(errors)

    def ask() -> None:
        if left:
            raise left.pop(0)

    again = retrying(DownloadSettings.model_validate({"attempts": 9, **settings}))
    again.sleep = found.append
    again(ask)
    return found


def test_waits_double_with_jitter_up_to_the_longest() -> None:
    for number, wait in enumerate(waits([PassingError("no")] * 4, backoff_s=2, max_wait_s=9)):
        assert min(2.0**number, 9) <= wait <= min(2.0 * 2**number, 9)


def test_the_server_may_ask_for_more_but_not_for_ever() -> None:
    first, second = waits([PassingError("no", 40.0), PassingError("no", 86400.0)], backoff_s=2, max_wait_s=300)
    assert 40 <= first <= 44 and second == 300


def test_the_last_failure_counts_and_others_are_not_repeated() -> None:
    tries: list[int] = []

    def fail(kind: type[Exception]) -> None:
        tries.append(len(tries))
        raise kind(f"number {len(tries)}")

    told: list[str] = []
    again = retrying(DownloadSettings(attempts=3, backoff_s=0), lambda state, error: told.append(str(error)))
    with pytest.raises(PassingError, match="number 3"):
        again(fail, PassingError)
    assert told == ["number 1", "number 2"]
    with pytest.raises(ValueError, match="number 4"):
        again(fail, ValueError)


def test_a_wait_ends_when_it_is_told_to_stop() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(PassingError):
        retrying(DownloadSettings(attempts=2, backoff_s=600, max_wait_s=600), stop=stop)(refuse_passing, answer(503))
