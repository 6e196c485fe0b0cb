"""What is true of a scene of the source benchmark: its source in the table's units, and the earthquakes around it."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from slipbench.scenes import Geometry
from slipbench.source_product import PLACE
from slipscan.earthquakes import moment_magnitude
from slipscan.fit.model import DAYS_PER_YEAR
from slipscan.geometry import from_lonlat, to_lonlat, utm_crs
from slipscan.synthetic.sources import Source

QUAKES_PER_YEAR: Final = 0.7
"""Of magnitude 5 to 6 within 80 km, with nothing to do with the event."""


def truth_of(type_: str, source: Source, size: float, cls: str) -> dict[str, Any]:
    """Magnitude, depth, ... of a source of a size, in the event table's units; NaN: it has none."""
    names = ("mw", "depth_km", "slip_mm", "length_km", "width_km", "strike_deg", "dip_deg", "rake_deg")
    out: dict[str, Any] = dict.fromkeys((*names, "volume_change_m3", "longitude", "latitude"), math.nan)
    out["class"] = cls if type_ != "residue" else "none"
    if type_ == "residue":
        return out
    sine = math.sin(math.radians(source.dip_deg))
    top = source.kind not in ("volume", "crack", "sill", "reservoir")
    out["depth_km"] = (source.depth + (0.5 * source.width * sine if top else 0.0)) / 1e3
    across = 0.5 * source.width * math.cos(math.radians(source.dip_deg)) if top else 0.0
    right = math.radians(source.strike_deg + 90.0)
    frame = utm_crs(*PLACE)
    x0, y0 = (float(value) for value in from_lonlat(np.array(PLACE[0]), np.array(PLACE[1]), frame))
    middle = (x0 + source.east + across * math.sin(right), y0 + source.north + across * math.cos(right))
    lon, lat = to_lonlat(np.array(middle[0]), np.array(middle[1]), frame)
    out |= {"longitude": float(lon), "latitude": float(lat)}
    if source.family != "fault":
        unit = 1e6 if source.kind in ("volume", "crack") else source.length * source.width
        unit *= math.pi / 4 if source.kind == "reservoir" else 1.0
        return out | {"volume_change_m3": source.sign * size * unit}
    rake = source.rake_deg + (180.0 if source.sign < 0 else 0.0)
    return out | {
        "mw": moment_magnitude(size * source.length * source.width), "slip_mm": 1e3 * size,
        "length_km": source.length / 1e3, "width_km": source.width / 1e3, "strike_deg": source.strike_deg,
        "dip_deg": source.dip_deg, "rake_deg": (rake + 180.0) % 360.0 - 180.0,
    }  # fmt: skip


def quakes_of(
    generator: np.random.Generator, type_: str, source: Source, truth: dict[str, Any], place: Geometry
) -> list[dict[str, Any]]:
    """Earthquakes of the region: some by chance, and the one that an earthquake's event or afterslip belongs to."""
    span = np.ptp(place.days) + DAYS_PER_YEAR
    count = int(generator.poisson(QUAKES_PER_YEAR * span / DAYS_PER_YEAR))
    rows = [
        (float(place.days[0] + generator.uniform(-0.5 * DAYS_PER_YEAR, span)), *generator.uniform(-80e3, 80e3, 2),
         float(generator.uniform(2, 15)), 5.0 + float(generator.exponential(1 / math.log(10))))
        for _ in range(count)
    ]  # fmt: skip
    at = (source.east + generator.normal(0, 3e3), source.north + generator.normal(0, 3e3), float(truth["depth_km"]))
    if type_ == "coseismic":
        rows.append((source.t50_d - 0.5, *at, float(truth["mw"] + generator.normal(0, 0.1))))
    if type_ == "afterslip":
        # Afterslip is some tenths of its earthquake's moment.
        larger = generator.uniform(0.2, 0.7)
        rows.append((source.t50_d - before_half(source) - 0.5, *at, max(5.0, float(truth["mw"] + larger))))
    frame = utm_crs(*PLACE)
    x0, y0 = (float(value) for value in from_lonlat(np.array(PLACE[0]), np.array(PLACE[1]), frame))
    out = []
    for day, east, north, depth, magnitude in sorted(rows):
        lon, lat = to_lonlat(np.array(x0 + east), np.array(y0 + north), frame)
        when = np.datetime64("2014-01-01", "s") + np.timedelta64(int(day * 86400), "s")
        out.append({
            "time": str(when), "longitude": round(float(lon), 4), "latitude": round(float(lat), 4),
            "depth_km": round(depth, 1), "magnitude": round(min(magnitude, 7.5), 2),
        })  # fmt: skip
    return out


def before_half(source: Source) -> float:
    """Days from the beginning of a logarithmic history to its half."""
    early, middle, late = ((100.0**f - 1) / 99 for f in (0.05, 0.5, 0.95))
    return middle * source.duration_d / (late - early)
