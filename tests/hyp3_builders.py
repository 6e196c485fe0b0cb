"""Archive hyp3 on 127.0.0.1 for tests: bursts of a scene, and a HyP3 that makes their interferograms."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from job_builders import job_of
from slipscan.archive.hyp3 import orders as order_book
from slipscan.archive.hyp3.archive import Hyp3
from slipscan.archive.hyp3.ordering import states_of
from slipscan.archive.hyp3.orders import OrderBook
from slipscan.regions import Region, Track
from slipscan.settings import ArchiveSettings
from slipscan_loopback import bursts, cmr
from slipscan_loopback import hyp3 as loopback_hyp3
from slipscan_loopback.http import LoopbackServer, Request, Response
from slipscan_loopback.scene import TrueScene, acquisitions

BURSTS = ("087_185682_IW2", "087_185683_IW2")
DATES = acquisitions(count=4)
SCENE = TrueScene(dates=DATES)
AS_OF = "2020-12-31"


@dataclass
class Loopback:
    """A server with the catalogue of a scene's bursts and a HyP3 of its own."""

    server: LoopbackServer
    catalogue: cmr.Catalogue
    api: loopback_hyp3.Hyp3Api
    settings: ArchiveSettings
    cache: Path

    def manifest(self, as_of: str = AS_OF) -> pd.DataFrame:
        return Hyp3().search(job_of(REGION, self.settings), as_of)

    def order(self, table: pd.DataFrame, submit: bool = False, again: bool = False, cache: Path | None = None) -> str:
        return Hyp3().order(table, job_of(REGION, self.settings, cache or self.cache), submit, again)

    def look(self, table: pd.DataFrame) -> None:
        """Let HyP3 get on with the jobs, which it does when they are looked at."""
        states_of(OrderBook(self.settings, self.cache), table)

    def posts(self) -> int:
        return sum(record.method == "POST" and record.path.endswith("/jobs") for record in self.server.requests)


def region(scene: TrueScene = SCENE, **track: object) -> Region:
    entry = {"id": "087A", "relative_orbit": 87, "orbit_direction": "ascending", **track}
    return Region(
        id="TEST", name="Test", archive="hyp3", tracks=(Track.model_validate(entry),), polygon=scene.polygon,
        reference_point=scene.reference_point, tectonic_setting="continental transform",
    )  # fmt: skip


REGION = region()


class KillingApi(loopback_hyp3.Hyp3Api):
    """Accepts the jobs, and kills the client before the answer."""

    victim: subprocess.Popen[bytes] | None = None

    def _post_jobs(self, request: Request) -> Response:
        answer = super()._post_jobs(request)
        if self.victim is not None:
            self.victim.send_signal(signal.SIGKILL)
            self.victim.wait()
        return answer


@contextlib.contextmanager
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    monkeypatch.setenv("EARTHDATA_TOKEN", "token-of-tests")
    monkeypatch.setattr(order_book, "SETTLE_S", 0.0)
    api = KillingApi(SCENE, tmp_path / "products", posting_m=400.0, credits=100.0, token="token-of-tests", polls=1)
    catalogue = cmr.Catalogue(bursts.publish(SCENE, BURSTS))
    with LoopbackServer() as server:
        cmr.register(server, catalogue, {})
        api.register(server)
        yield Loopback(
            server, catalogue, api,
            ArchiveSettings.model_validate({
                "cmr_url": server.url, "hyp3_url": f"{server.url}/hyp3",
                "download": {"attempts": 2, "backoff_s": 0.0}, "hyp3": {"neighbours": 2},
            }),
            tmp_path / "cache",
        )  # fmt: skip
