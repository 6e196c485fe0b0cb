"""The HyP3 API on the loopback server, as hyp3_sdk talks to it: jobs, credits, costs, and what goes wrong with them.

The shapes are those of the real API (repository ASFHyP3/hyp3: openapi-spec.yml.j2, dynamo/jobs.py, job_spec/*.yml,
multi_burst_validation.py); a job gets its product when it is seen to have succeeded.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from slipscan.atomic import write_text
from slipscan.outputs import OWN
from slipscan_loopback import hyp3_rules
from slipscan_loopback.http import LoopbackServer, Request, Response
from slipscan_loopback.hyp3_answers import NoAnswer, as_json, fits, problem
from slipscan_loopback.hyp3_products import write_zip
from slipscan_loopback.scene import TrueScene

Job = dict[str, Any]
GunwWriter = Callable[[datetime.date, datetime.date, int, Path], Path]
"""Writes the GUNW of newer date, older date and frame into a directory."""

USER = "loopback"
MAX_JOBS = 200


class Hyp3Api:
    """The API with its jobs.

    Parameters
    ----------
    scene
        what the interferograms show
    directory
        where products are written, and jobs.json: a later server on the same directory has the same jobs
    posting_m
        cell size of products at 20x4 looks (80 m in truth)
    credits
        what the user has at the beginning
    token
        the bearer token that is accepted; None: any
    polls
        how often a job is seen unfinished: PENDING first, then RUNNING
    granules
        the bursts that exist; None: any
    gunw
        writes the product of a job ARIA_S1_GUNW; None: such jobs are refused
    link_s
        for how long links to files are valid

    Attributes
    ----------
    failing
        pairs of ISO dates (older, newer) whose jobs fail
    lost_answers
        the next so many submissions are accepted, but the connection closes before the answer
    """

    def __init__(
        self,
        scene: TrueScene,
        directory: Path,
        posting_m: float = 80.0,
        credits: float = 8000.0,
        token: str | None = None,
        polls: int = 2,
        page_size: int = 100,
        granules: Collection[str] | None = None,
        gunw: GunwWriter | None = None,
        link_s: float = 14 * 86400.0,
    ) -> None:
        self.scene, self.directory, self.posting_m = scene, Path(directory), posting_m
        self.credits, self.token, self.polls, self.page_size = credits, token, polls, page_size
        self.granules, self.gunw, self.link_s = granules, gunw, link_s
        self.failing: set[tuple[str, str]] = set()
        self.lost_answers = 0
        self._jobs: dict[str, Job] = {}
        self._looks: dict[str, int] = {}
        self._deleted: set[str] = set()
        self._generation = 0
        self._prefix = ""
        self._lock = threading.RLock()
        if self._store.exists():
            saved = json.loads(self._store.read_text(encoding="utf-8"))
            self.credits, self._jobs = saved["credits"], {job["job_id"]: job for job in saved["jobs"]}

    # What tests and demonstrations turn ------------------------------------------------------------------------------

    @property
    def jobs(self) -> list[Job]:
        """The jobs in the order of submission, as last seen."""
        with self._lock:
            return [dict(job) for job in self._jobs.values()]

    def expire_links(self) -> None:
        """Make every link that was handed out answer 403; a job that is asked for again has new ones."""
        with self._lock:
            self._generation += 1

    def expire_products(self) -> None:
        """Delete the files of all jobs that succeeded, as HyP3 does after 14 days: they must be ordered again."""
        with self._lock:
            self._deleted |= {job_id for job_id, job in self._jobs.items() if job["status_code"] == "SUCCEEDED"}

    def register(self, server: LoopbackServer, prefix: str = "/hyp3") -> None:
        """Add the routes; files are subject to the server's faults, calls of the API are not."""
        self._prefix = prefix
        server.route(f"{prefix}/jobs", self._authorized(self._post_jobs), method="POST")
        server.route(f"{prefix}/jobs", self._authorized(self._patch_jobs), method="PATCH")
        server.route(f"{prefix}/jobs", self._authorized(self._get_jobs))
        server.route(f"{prefix}/jobs/(?P<job>[^/]+)", self._authorized(self._get_job))
        server.route(f"{prefix}/user", self._authorized(self._get_user))
        server.route(f"{prefix}/costs", lambda _: as_json(hyp3_rules.COSTS))
        server.route(f"{prefix}/files/(?P<job>[^/]+)/(?P<file>[^/]+)", self._get_file, faulty=True)

    # Answers ---------------------------------------------------------------------------------------------------------

    def _authorized(self, handler: Callable[[Request], Response]) -> Callable[[Request], Response]:
        def answer(request: Request) -> Response:
            kind, _, token = (request.headers.get("Authorization") or "").partition(" ")
            if kind != "Bearer" or not token:
                return problem(401, "No authorization token provided")
            if self.token is not None and token != self.token:
                return problem(401, "Provided token is not valid")
            with self._lock:
                return handler(request)

        return answer

    def _post_jobs(self, request: Request) -> Response:
        try:
            body = json.loads(request.body)
            orders = body["jobs"]
        except (ValueError, KeyError, TypeError):
            return problem(400, "'jobs' is a required property")
        if not isinstance(orders, list) or not 1 <= len(orders) <= MAX_JOBS:
            return problem(400, f"jobs: a list of 1 to {MAX_JOBS}")
        for order in orders:
            if refusal := hyp3_rules.refusal(order, self.granules, gunw=self.gunw is not None):
                return problem(400, refusal)
        jobs = [
            hyp3_rules.new_job(order, number, USER, self.credits, _now())
            for number, order in enumerate(orders, len(self._jobs))
        ]
        total = sum(job["credit_cost"] for job in jobs)
        if total > self.credits:
            return problem(400, f"These jobs would cost {total} credits, but you have only {self.credits} remaining.")
        if not body.get("validate_only"):
            self.credits -= total
            self._jobs.update({job["job_id"]: job for job in jobs})
            self._save()
            if self.lost_answers > 0:
                self.lost_answers -= 1
                return Response(headers=NoAnswer())
        return as_json({**body, "jobs": jobs})

    def _get_jobs(self, request: Request) -> Response:
        asked = {name: values[0] for name, values in request.query.items()}
        jobs = [job for job in reversed(self._jobs.values()) if fits(job, asked)]
        first = int(asked.get("start_token", 0))
        page = jobs[first : first + self.page_size]
        answer: dict[str, Any] = {"jobs": [self._seen(job, request) for job in page]}
        if "status_code" in asked:  # what was seen may have moved on
            answer["jobs"] = [job for job in answer["jobs"] if job["status_code"] == asked["status_code"]]
        if first + self.page_size < len(jobs):
            query = urlencode({**asked, "start_token": first + self.page_size})
            answer["next"] = f"{self._base(request)}/jobs?{query}"
        return as_json(answer)

    def _get_job(self, request: Request) -> Response:
        job = self._jobs.get(request.match["job"])
        if job is None:
            return problem(404, f"job_id does not exist: {request.match['job']}")
        return as_json(self._seen(job, request))

    def _patch_jobs(self, request: Request) -> Response:
        body = json.loads(request.body)
        missing = [job_id for job_id in body["job_ids"] if job_id not in self._jobs]
        if missing:
            return problem(404, f"Job {missing[0]} does not exist")
        for job_id in body["job_ids"]:
            self._jobs[job_id].pop("name", None)
            if body.get("name") is not None:
                self._jobs[job_id]["name"] = body["name"]
        self._save()
        return as_json({})

    def _get_user(self, request: Request) -> Response:
        names = sorted({job["name"] for job in self._jobs.values() if "name" in job})
        return as_json(
            {
                "user_id": USER,
                "application_status": "APPROVED",
                "remaining_credits": self.credits,
                "job_names": names,
            }
        )

    def _get_file(self, request: Request) -> Response:
        with self._lock:
            job_id = request.match["job"]
            job = self._jobs.get(job_id, {})
            names = [file["filename"] for file in job.get("files", [])]
            expires = float(request.query.get("expires", ["0"])[0])
            signature = request.query.get("signature", [""])[0]
            valid = (
                request.match["file"] in names
                and job_id not in self._deleted
                and signature == self._signature(job_id, expires)
                and expires > _now().timestamp()
            )
        if not valid:
            return Response(403, b"<Error><Code>AccessDenied</Code></Error>", "application/xml")
        return Response(body=self.directory / job_id / request.match["file"], content_type="application/zip")

    # Jobs ------------------------------------------------------------------------------------------------------------

    def _seen(self, job: Job, request: Request) -> Job:
        """The job as this look at it finds it, with links that are valid now."""
        job_id = job["job_id"]
        looks = self._looks.get(job_id, 0)
        self._looks[job_id] = looks + 1
        if job["status_code"] in ("PENDING", "RUNNING"):
            if looks < self.polls:
                job["status_code"] = "PENDING" if looks < (self.polls + 1) // 2 else "RUNNING"
            else:
                self._finish(job, request)
                self._save()
            job["execution_started"] = True
        seen = dict(job)
        if job["status_code"] == "SUCCEEDED":
            deleted = job_id in self._deleted
            expires = _now().timestamp() + (-1 if deleted else self.link_s)
            query = f"expires={expires}&signature={self._signature(job_id, expires)}"
            seen["files"] = [
                {**file, "url": f"{self._base(request)}/files/{job_id}/{file['filename']}?{query}"}
                for file in job["files"]
            ]
            end = datetime.datetime.fromtimestamp(expires, datetime.UTC)
            seen["expiration_time"] = end.isoformat(timespec="seconds")
        return seen

    def _finish(self, job: Job, request: Request) -> None:
        """Let a job succeed or fail."""
        job_id, parameters = job["job_id"], job["job_parameters"]
        directory = self.directory / job_id
        job["processing_times"] = [1800.0]
        older, newer = hyp3_rules.dates(job["job_type"], parameters)
        if (older.isoformat(), newer.isoformat()) in self.failing:
            job["status_code"] = "FAILED"
            job["logs"] = [f"{self._base(request)}/files/{job_id}/{job_id}.log"]
            return
        directory.mkdir(parents=True, exist_ok=True)
        if job["job_type"] == "ARIA_S1_GUNW":
            assert self.gunw is not None
            path = self.gunw(newer, older, int(parameters["frame_id"]), directory)
        else:
            identifier = hashlib.sha256(job_id.encode()).hexdigest()[:4].upper()
            path = write_zip(hyp3_rules.order(parameters), self.scene, directory, self.posting_m, identifier)
        job["status_code"] = "SUCCEEDED"
        s3 = {"bucket": "loopback", "key": f"{job_id}/{path.name}"}
        job["files"] = [{"filename": path.name, "size": path.stat().st_size, "url": "", "s3": s3}]
        job["browse_images"], job["thumbnail_images"] = [], []

    @property
    def _store(self) -> Path:
        return self.directory / "jobs.json"

    def _save(self) -> None:
        """Keep jobs and credits beyond the life of this server: clients remember their jobs."""
        write_text(self._store, json.dumps({"credits": self.credits, "jobs": list(self._jobs.values())}), OWN)

    def _signature(self, job_id: str, expires: float) -> str:
        return hashlib.sha256(f"{self._generation} {job_id} {expires}".encode()).hexdigest()[:32]

    def _base(self, request: Request) -> str:
        return f"http://{request.headers['Host']}{self._prefix}"


def _now() -> datetime.datetime:
    """The time, UTC."""
    return datetime.datetime.now(datetime.UTC)
