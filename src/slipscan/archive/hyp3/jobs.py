"""Jobs of HyP3: what is ordered, what it costs by HyP3's own table, and what has become of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slipscan import cache
from slipscan.errors import SlipscanError

GUNW = "ARIA_S1_GUNW"
NAME = "slipscan-"
NEW = "NOT ORDERED"
ORDERED = ("PENDING", "RUNNING", "SUCCEEDED")
GONE = ("FAILED", "EXPIRED", "LOST")


@dataclass(frozen=True)
class Order:
    """A job that can be sent: a dict as hyp3_sdk prepares it, and the credits it costs go by its parameters."""

    job_type: str
    parameters: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """20 hexadecimal digits of the SHA-256 of product, parameters and granules."""
        return cache.key(self.job_type, json.dumps(self.parameters, sort_keys=True))[:20]

    @property
    def name(self) -> str:
        """The job's name at HyP3."""
        return NAME + self.digest

    def job(self) -> dict[str, Any]:
        """The job as the API takes it."""
        return {"job_type": self.job_type, "job_parameters": dict(self.parameters), "name": self.name}


@dataclass(frozen=True)
class State:
    """What became of an order.

    Attributes
    ----------
    status
        NOT ORDERED, PENDING, RUNNING, SUCCEEDED, FAILED, EXPIRED (its files are deleted) or LOST (HyP3 does not know
        the job any more)
    attempts
        how often it was sent
    files
        of a job that succeeded: filename, size, url, as HyP3 tells them now
    logs
        URLs of the log files of a job that failed
    """

    status: str = NEW
    attempts: int = 0
    files: tuple[Mapping[str, Any], ...] = ()
    logs: tuple[str, ...] = ()


def credits(costs: Mapping[str, Any], order: Order) -> float:
    """Look an order's credits up in HyP3's cost table.

    The table is nested by the job's cost parameters; of a list (the bursts) the length counts.

    Raises
    ------
    SlipscanError
        the table has no such job
    """
    try:
        entry = costs[order.job_type]
        if "cost" in entry:
            return float(entry["cost"])
        table = entry["cost_table"]
        for parameter in entry["cost_parameters"]:
            value = order.parameters[parameter]
            table = table[str(len(value) if isinstance(value, Sequence) and not isinstance(value, str) else value)]
        return float(table)
    except (KeyError, TypeError, ValueError) as error:
        raise SlipscanError(
            f"HyP3's cost table has no price for a job {order.job_type} like ours ({error!r}): another looks or product"
            " (archive.hyp3) may be on offer, or its table has changed"
        ) from error


def count(states: Mapping[str, State]) -> str:
    """Say how many orders are in which state."""
    counts = Counter(state.status for state in states.values())
    order = (NEW, *ORDERED, *GONE)
    return ", ".join(f"{counts[status]} {status.lower()}" for status in order if counts[status]) or "none"


def state_of(jobs: Sequence[Any]) -> State:
    """The state of an order from its jobs: one that succeeded counts, else one that may, else the latest."""
    if not jobs:
        return State()
    rank = {"PENDING": 1, "RUNNING": 1, "SUCCEEDED": 2}
    _, job = max(enumerate(jobs), key=lambda item: (rank.get(_status(item[1]), 0), item[0]))
    status = _status(job)
    files = tuple(job.files or ()) if status == "SUCCEEDED" else ()
    return State(status, len(jobs), files, tuple(job.logs or ()) if status == "FAILED" else ())


def _status(job: Any) -> str:
    if job is None:
        return "LOST"
    if job.succeeded() and (job.expired() or not job.files):
        return "EXPIRED"
    return str(job.status_code)
