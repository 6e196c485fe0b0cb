"""What goes wrong on demand: which requests to the loopback archive fail, and how."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

KINDS = (
    "unavailable",  # 503
    "too_many",  # 429 with Retry-After
    "html",  # an HTML error page, status 500
    "html_ok",  # an HTML page with status 200 and no length
    "cut",  # connection closed in mid-body
    "wrong_bytes",  # the right length, one byte altered
    "trickle",  # a few bytes, then silence
    "expired_token",  # 401
    "reset",  # TCP reset before any answer
)


@dataclass(frozen=True)
class Faults:
    """Which requests to faulty routes fail, and how: a function of seed, path and the request's number alone.

    Attributes
    ----------
    share
        share of requests that fail, 0 to 1
    kinds
        some of KINDS
    per_path
        a path fails at most so often
    trickle_s
        silence of a 'trickle' before the connection is closed
    retry_after_s
        what a 'too_many' asks for
    """

    share: float
    kinds: tuple[str, ...] = KINDS
    seed: int = 0
    per_path: int = 2
    trickle_s: float = 5.0
    retry_after_s: int = 1

    def kind(self, path: str, number: int) -> str:
        """The fault of request `number` (from 0) to `path`, or an empty string."""
        failing = [i for i in range(number + 1) if self._draw("fails", path, i) < self.share][: self.per_path]
        if number not in failing:
            return ""
        return self.kinds[int(self._draw("kind", path, number) * len(self.kinds))]

    def _draw(self, what: str, path: str, number: int) -> float:
        digest = hashlib.sha256(f"{self.seed} {what} {path} {number}".encode()).digest()
        return int.from_bytes(digest[:6], "big") / 2**48
