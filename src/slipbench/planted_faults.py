"""A map of faults for a planted archive: traces of what slips at the surface, as a map has them, and as many others."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from slipbench.source_product import PLACE
from slipscan.geometry import to_lonlat
from slipscan.source.sources import local_crs

OFF_M: Final = 300.0
"""Standard deviation of the distance of a mapped line from the trace."""
TURNED_DEG, DIP_OFF_DEG, RAKE_OFF_DEG = 3.0, 8.0, 15.0
"""Of its strike, and of the dip and rake that the map tells."""
LONGER: Final = 1.5
"""Of a line over the part that slips."""
REACH_M: Final = 25e3
"""From the middle of the archive, within which lines are that nothing slips on."""


def fault_map(truth: dict[str, Any], generator: np.random.Generator) -> dict[str, Any]:
    """GeoJSON of mapped faults; `truth` as of `planted.Archive`."""
    slipping = [event for event in truth["events"] if event["class"] == "surface"]
    features = []
    for number, event in enumerate(slipping):
        dip, strike = event["dip_deg"], event["strike_deg"]
        # From the middle of the plane up the dip to the surface, which lies left of the strike.
        left = 1e3 * event["depth_km"] / math.tan(math.radians(dip)) + OFF_M * generator.standard_normal()
        east, north = -left * math.cos(math.radians(strike)), left * math.sin(math.radians(strike))
        line = _line((event["longitude"], event["latitude"]), (east, north), strike, event["length_km"], generator)
        told = {
            "dip": float(np.clip(dip + DIP_OFF_DEG * generator.standard_normal(), 20.0, 90.0)),
            "rake": float(event["rake_deg"] + RAKE_OFF_DEG * generator.standard_normal()),
        }
        features.append(_feature(f"slips {number}", line, told))
    for number, event in enumerate(slipping):
        east, north = generator.uniform(-REACH_M, REACH_M, 2)
        line = _line(PLACE, (east, north), generator.uniform(0, 360), event["length_km"], generator)
        features.append(_feature(f"rests {number}", line, {"rake": float(generator.choice((0.0, 180.0, 90.0, -90.0)))}))
    return {"type": "FeatureCollection", "features": features}


def _line(
    lonlat: tuple[float, float],
    off: tuple[float, float],
    strike: float,
    length_km: float,
    generator: np.random.Generator,
) -> list[list[float]]:
    turned = math.radians(strike + TURNED_DEG * generator.standard_normal())
    along = 0.5e3 * LONGER * length_km * np.linspace(-1, 1, 9)
    east, north = off[0] + along * math.sin(turned), off[1] + along * math.cos(turned)
    return np.column_stack(to_lonlat(east, north, local_crs(*lonlat))).tolist()


def _feature(name: str, line: list[list[float]], told: dict[str, float]) -> dict[str, Any]:
    geometry = {"type": "LineString", "coordinates": line}
    return {"type": "Feature", "properties": {"name": name, **told}, "geometry": geometry}
