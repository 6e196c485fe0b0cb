"""OPERA granules for tests."""

from __future__ import annotations

from slipscan.regions import Region
from slipscan_loopback import disp
from slipscan_loopback.scene import TrueScene

SCENE = TrueScene(ionosphere_m=0.02, tide_m=0.03, island=True)
DATES = SCENE.dates


def region(scene: TrueScene = SCENE, polygon: object = None, opera: object = None, **track: object) -> Region:
    entry = {"id": "087A", "relative_orbit": scene.relative_orbit, "orbit_direction": scene.orbit_direction, **track}
    return Region.model_validate(
        {
            "id": "TEST",
            "name": "Test",
            "archive": "opera",
            "tracks": [{**entry, "opera": opera or {"frames": [disp.FRAME]}}],
            "reference_point": scene.reference_point,
            "tectonic_setting": "continental transform",
            "polygon": polygon or scene.polygon,
        }
    )
