"""Answers of the loopback HyP3 API: JSON, problems as connexion words them, none at all; which jobs are asked for."""

from __future__ import annotations

import datetime
import http
import json
from collections.abc import Iterator, Mapping
from typing import Any

from slipscan_loopback.http import Response


class NoAnswer(Mapping[str, str]):
    """Headers that cannot be sent: the connection closes before the answer, as when a server breaks down."""

    def __getitem__(self, name: str) -> str:
        raise ConnectionAbortedError

    def __iter__(self) -> Iterator[str]:
        raise ConnectionAbortedError

    def __len__(self) -> int:
        raise ConnectionAbortedError


def fits(job: Mapping[str, Any], asked: dict[str, str]) -> bool:
    """Whether a job is what GET /jobs asks for; the status is looked at afterwards where it is still open."""
    for key in ("name", "job_type", "user_id"):
        if key in asked and job.get(key) != asked[key]:
            return False
    time = datetime.datetime.fromisoformat(job["request_time"])
    if "start" in asked and time < datetime.datetime.fromisoformat(asked["start"]):
        return False
    if "end" in asked and time > datetime.datetime.fromisoformat(asked["end"]):
        return False
    settled = job["status_code"] in ("SUCCEEDED", "FAILED")
    return not (settled and "status_code" in asked and job["status_code"] != asked["status_code"])


def as_json(content: Any) -> Response:
    """An answer with a JSON body."""
    return Response(200, json.dumps(content).encode(), "application/json", ranges=False)


def problem(status: int, detail: str) -> Response:
    """An error as connexion's problem+json."""
    title = http.HTTPStatus(status).phrase
    content = {"status": status, "detail": detail, "title": title, "type": "about:blank"}
    return Response(status, json.dumps(content).encode(), "application/problem+json", ranges=False)
