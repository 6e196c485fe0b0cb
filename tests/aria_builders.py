"""ARIA granules for tests."""

from __future__ import annotations

from slipscan.regions import Region
from slipscan.settings import ArchiveSettings, DownloadSettings
from slipscan_loopback.http import LoopbackServer
from slipscan_loopback.scene import TrueScene

SCENE = TrueScene(ionosphere_m=0.02, tide_m=0.03, island=True)
DATES = SCENE.dates
PAIRS = [(DATES[0], DATES[1]), (DATES[0], DATES[2]), (DATES[1], DATES[2])]


def region(scene: TrueScene = SCENE, polygon: object = None, **track: object) -> Region:
    entry = {"id": "087A", "relative_orbit": scene.relative_orbit, "orbit_direction": scene.orbit_direction, **track}
    return Region.model_validate(
        {
            "id": "TEST",
            "name": "Test",
            "archive": "aria",
            "tracks": [entry],
            "reference_point": scene.reference_point,
            "tectonic_setting": "continental transform",
            "polygon": polygon or scene.polygon,
        }
    )


def settings(server: LoopbackServer | str, **download: object) -> ArchiveSettings:
    url = server if isinstance(server, str) else server.url
    return ArchiveSettings(
        cmr_url=url, download=DownloadSettings.model_validate({"backoff_s": 0, "attempts": 4, **download})
    )
