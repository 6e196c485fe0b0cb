"""LiCSAR frames for tests."""

from __future__ import annotations

import pandas as pd

import insar_scene as scenes
from job_builders import job_of
from slipscan.archive.licsar.archive import Licsar
from slipscan.regions import Region
from slipscan.settings import ArchiveSettings
from slipscan_loopback.http import LoopbackServer
from waiting import LONG_S

AS_OF = "2026-01-01"
FRAME = "087A_04900_131313"


def settings_for(server: LoopbackServer, path: str = "/LiCSAR_products", troposphere: str = "none") -> ArchiveSettings:
    return ArchiveSettings.model_validate(
        {
            "licsar_url": f"{server.url}{path}",
            "download": {"attempts": 3, "backoff_s": 0, "max_wait_s": 0.2, "read_timeout_s": LONG_S},
            "corrections": {"troposphere": troposphere},
        }
    )


def region_of(*frames: str, orbit: int = 87, **changes: object) -> Region:
    track = {
        "id": "087A",
        "relative_orbit": orbit,
        "orbit_direction": "ascending",
        "licsar": {"frames": frames},
    }
    base = scenes.region("licsar").model_dump()
    return Region.model_validate({**base, "archive": "licsar", "tracks": [track], **changes})


def search(region: Region, settings: ArchiveSettings, as_of: str = AS_OF) -> pd.DataFrame:
    return Licsar().search(job_of(region, settings), as_of)
