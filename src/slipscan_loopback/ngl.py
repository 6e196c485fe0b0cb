"""The server of the Nevada Geodetic Laboratory on 127.0.0.1: series, list of stations, steps; conditional requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from slipscan_loopback.http import LoopbackServer, Request, Response
from slipscan_loopback.http_messages import entity_tag, page

MODIFIED = "Sun, 06 Oct 2024 01:02:03 GMT"


@dataclass
class Holdings:
    """What the server has; changing it between requests is what a new day of positions does.

    Attributes
    ----------
    series
        text of a .tenv3 file by station
    holdings, steps
        texts of DataHoldings.txt and steps.txt
    modified
        Last-Modified of each path that is not of `MODIFIED`
    """

    series: dict[str, str]
    holdings: str
    steps: str
    modified: dict[str, str] = field(default_factory=dict)


def register(server: LoopbackServer, data: Holdings, frame: str = "IGS20") -> None:
    """Answer as NGL does: ETag, Last-Modified, 304 where nothing has changed, parts of files."""

    def answer(request: Request, text: str | None) -> Response:
        if text is None:
            return page(404, "Not Found")
        body = text.encode()
        tag, modified = entity_tag(body), data.modified.get(request.path, MODIFIED)
        headers: Mapping[str, str] = {"ETag": tag, "Last-Modified": modified}
        # A server that knows both goes by the tag (RFC 9110, 13.2.2).
        asked = request.headers.get("If-None-Match")
        same = asked == tag if asked is not None else request.headers.get("If-Modified-Since") == modified
        return Response(304, b"", "text/plain", headers) if same else Response(200, body, "text/plain", headers)

    server.route(
        rf"/gps_timeseries/{frame}/tenv3/{frame}/(\w{{4}})\.tenv3",
        lambda r: answer(r, data.series.get(r.match[1])), faulty=True,
    )  # fmt: skip
    server.route(r"/NGLStationPages/DataHoldings\.txt", lambda r: answer(r, data.holdings), faulty=True)
    server.route(r"/NGLStationPages/steps\.txt", lambda r: answer(r, data.steps), faulty=True)
