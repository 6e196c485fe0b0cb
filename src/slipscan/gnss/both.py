"""The source of an event from InSAR and GNSS together, as columns of the table: after the verdict, beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from slipscan.geometry import from_lonlat, to_lonlat
from slipscan.gnss.event import Comparison
from slipscan.gnss.line_of_sight import matching_transients
from slipscan.source.joint import NO_POINTS, Offsets, invert_joint
from slipscan.source.maps import TrackMaps, observations
from slipscan.source.sources import Fault, local_crs, moment_magnitude, source_of

MAX_POINTS = 400
POISSON_RATIO = 0.25


def joint_columns(event: Mapping[str, Any], tracks: Sequence[TrackMaps], comparison: Comparison) -> dict[str, float]:
    """Magnitude, depth and place of the joint source, and the magnitude of GNSS alone.

    Nothing where the event has no fault (a volume source, a residue) or no station.
    """
    fault, measured = source_of(event), comparison.measured
    if not isinstance(fault, Fault) or measured is None:
        return {}
    origin = float(event["longitude"]), float(event["latitude"])
    lon, lat = (np.array([getattr(s, n) for s in measured.stations]) for n in ("longitude", "latitude"))
    east, north = from_lonlat(lon, lat, local_crs(*origin))
    offsets = Offsets(
        np.asarray(east, float),
        np.asarray(north, float),
        *measured.weighted(comparison.judgement.weight, with_step=True),
    )
    alone = invert_joint(NO_POINTS, offsets, fault, POISSON_RATIO)
    columns = {"gnss_only_mw": _magnitude(alone)}
    members = [
        transient for track in tracks if track.name in str(event["tracks"]).split(",")
        for transient in track.transients if transient.number in matching_transients(event, track)
    ]  # fmt: skip
    points = observations(tracks, members, origin, MAX_POINTS) if members else None
    if points is None:
        return columns
    both = invert_joint(points, offsets, fault, POISSON_RATIO)
    longitude, latitude = to_lonlat(np.array(both.east), np.array(both.north), local_crs(*origin))
    return columns | {
        "joint_mw": _magnitude(both),
        "joint_depth_km": both.depth / 1e3,
        "joint_longitude": float(longitude),
        "joint_latitude": float(latitude),
    }


def _magnitude(fault: Fault) -> float:
    """Moment magnitude; NaN of no slip."""
    return moment_magnitude(fault.potency_m3) if fault.potency_m3 > 0 else float("nan")
