"""Orders at HyP3: what they cost, which were placed, what became of them. No pair is paid for twice.

HyP3 takes the same job as often as it is sent, and each time it costs credits. So a job carries a name that is a digest
of everything in it; the API is asked for jobs of that name before any is sent; and an intent is written down before it
is sent, so that a run that was killed before the answer came is noticed by the next one.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slipscan.archive.http.locks import locked
from slipscan.archive.hyp3.jobs import GONE, NEW, Order, State, credits, state_of
from slipscan.archive.hyp3.session import connect, refused
from slipscan.atomic import write_text
from slipscan.errors import SlipscanError
from slipscan.outputs import OWN
from slipscan.settings import ArchiveSettings
from slipscan.texts import read_json

log = logging.getLogger(__name__)

BATCH = 200
"""Jobs of one request (HyP3's API takes no more)."""
SETTLE_S = 60.0
"""The API works on a request for 30 s at most and lists new jobs a moment later: before that, a job that is not listed
may yet appear."""


@dataclass
class _Record:
    """What is known of an order: its jobs, oldest first, and when it was sent where no answer has come yet."""

    jobs: list[str] = field(default_factory=list)
    sent: str | None = None


class OrderBook:
    """Orders at one HyP3 API, with a record of them in the cache.

    Parameters
    ----------
    settings
        hyp3_url, download (attempts, waits, time-outs)
    cache_dir
        the record is {cache_dir}/hyp3/jobs-{digest of the URL}.json

    Raises
    ------
    SlipscanError
        what `session.connect` refuses
    """

    def __init__(self, settings: ArchiveSettings, cache_dir: Path) -> None:
        self._hyp3 = connect(settings)
        self._url = settings.hyp3_url
        digest = hashlib.sha256(settings.hyp3_url.encode()).hexdigest()[:12]
        self.path = Path(cache_dir) / "hyp3" / f"jobs-{digest}.json"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = self.path.with_suffix(".lock")
        self._cost_table: Mapping[str, Any] | None = None

    def collect(self, names: Sequence[str], job_type: str) -> dict[str, State]:
        """Ask HyP3 what became of orders.

        Parameters
        ----------
        names
            the jobs' names
        job_type
            the product, e.g. INSAR_ISCE_MULTI_BURST

        Returns
        -------
        states
            by name

        Raises
        ------
        SlipscanError
            HyP3 does not answer, or refuses the credentials
        """
        with locked(self._lock, threading.Event()):
            return self._collect(names, job_type)

    def submit(self, orders: Sequence[Order], again: bool = False) -> int:
        """Send the orders that HyP3 has no job of.

        Parameters
        ----------
        orders
            of one job type
        again
            send those that failed, expired or were lost once more

        Returns
        -------
        sent
            how many were sent; each costs credits

        Raises
        ------
        SlipscanError
            HyP3 refuses the jobs, or does not answer: what was sent is found by the next call
        """
        if not orders:
            return 0
        with locked(self._lock, threading.Event()):
            names, job_type = [order.name for order in orders], orders[0].job_type
            states = self._collect(names, job_type)
            if self._settle([order.name for order in orders if _to_send(states[order.name], again)]):
                states = self._collect(names, job_type)
            wanted = list({order.name: order for order in orders if _to_send(states[order.name], again)}.values())
            for start in range(0, len(wanted), BATCH):
                self._send(wanted[start : start + BATCH])
                log.info("%d of %d jobs sent to %s", min(start + BATCH, len(wanted)), len(wanted), self._url)
        return len(wanted)

    def price(self, order: Order) -> float:
        """Credits that an order costs, by HyP3's own table."""
        if self._cost_table is None:
            with refused(f"asking {self._url} for the costs of jobs"):
                self._cost_table = self._hyp3.costs()
        return credits(self._cost_table, order)

    def credits_left(self) -> float | None:
        """Credits that are left this month; None: no limit."""
        with refused(f"asking {self._url} for the credits that are left"):
            left: float | None = self._hyp3.check_credits()
        return left

    def _collect(self, names: Sequence[str], job_type: str) -> dict[str, State]:
        """States by name; jobs that were not known yet (the answer was lost, or another cache sent them) are recorded.

        All jobs of the type are listed at once: HyP3 looks through all of them for a single name, too.
        """
        wanted = set(names)
        with refused(f"asking {self._url} for the jobs"):
            listed = [job for job in self._hyp3.find_jobs(job_type=job_type) if job.name in wanted]
        by_id = {job.job_id: job for job in listed}
        records = self._read()
        changed = False
        for job in sorted(listed, key=lambda job: (job.request_time, job.job_id)):
            record = records.setdefault(job.name, _Record())
            if job.job_id not in record.jobs:
                record.jobs.append(job.job_id)
                record.sent, changed = None, True
        if changed:
            self._write(records)
        for name in wanted & set(records):
            for job_id in records[name].jobs:
                if job_id not in by_id:
                    by_id[job_id] = self._job(job_id)
        return {name: state_of([by_id[job_id] for job_id in records.get(name, _Record()).jobs]) for name in names}

    def _job(self, job_id: str) -> Any:
        """A job that is not listed (another user sent it), or None where HyP3 does not know it."""
        from hyp3_sdk.exceptions import HyP3Error

        with refused(f"asking {self._url} for the job {job_id}"):
            try:
                return self._hyp3.get_job_by_id(job_id)
            except HyP3Error as error:
                if "[404]" not in str(error):
                    raise
                return None

    def _settle(self, names: Sequence[str]) -> bool:
        """Wait until requests without an answer are old enough; whether there was any to wait for."""
        records = self._read()
        sent = [text for name in names if (text := records.get(name, _Record()).sent) is not None]
        if not sent:
            return False
        wait = SETTLE_S - (_now() - max(map(datetime.datetime.fromisoformat, sent))).total_seconds()
        if wait > 0:
            log.info("%d jobs were sent without an answer: %.0f s until HyP3 lists them", len(sent), wait)
            time.sleep(min(wait, SETTLE_S))
        return True

    def _send(self, orders: Sequence[Order]) -> None:
        """Send one batch: intents are written before, job ids after the answer."""
        from hyp3_sdk.exceptions import HyP3Error

        records = self._read()
        for order in orders:
            records.setdefault(order.name, _Record()).sent = _now().isoformat()
        self._write(records)
        with refused(f"sending {len(orders)} jobs to {self._url}", "run it again: nothing is ordered twice"):
            try:
                answer = self._hyp3.submit_prepared_jobs([order.job() for order in orders])
            except HyP3Error:  # refused as a whole: no job was made
                for order in orders:
                    records[order.name].sent = None
                self._write(records)
                raise
        for job in answer:
            record = records.setdefault(job.name, _Record())
            record.jobs.append(job.job_id)
            record.sent = None
        self._write(records)

    def _read(self) -> dict[str, _Record]:
        if not self.path.exists():
            return {}
        try:
            return {name: _Record(**record) for name, record in read_json(self.path, "list of orders").items()}
        except (SlipscanError, TypeError, AttributeError) as error:
            raise SlipscanError(
                f"{self.path} is damaged ({error}): remove it, and what was ordered is found at HyP3 again"
            ) from error

    def _write(self, records: Mapping[str, _Record]) -> None:
        table = {name: {"jobs": record.jobs, "sent": record.sent} for name, record in sorted(records.items())}
        write_text(self.path, json.dumps(table, indent=0) + "\n", OWN)


def _to_send(state: State, again: bool) -> bool:
    return state.status == NEW or (again and state.status in GONE)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
