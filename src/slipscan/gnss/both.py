"""The source of an event from InSAR and GNSS together, as columns of the table: after the verdict, beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from slipscan.geometry import from_lonlat, to_lonlat
from slipscan.gnss.event import Comparison
from slipscan.gnss.line_of_sight import matching_transients
from slipscan.settings import SourceSettings
from slipscan.source.change import blocks_of
from slipscan.source.explain import quantities
from slipscan.source.joint import Offsets, joint_fault
from slipscan.source.maps import TrackMaps
from slipscan.source.place import area_of
from slipscan.source.posterior import Posterior
from slipscan.source.sources import Fault, local_crs, source_of

SETTINGS = SourceSettings()


def joint_columns(event: Mapping[str, Any], tracks: Sequence[TrackMaps], comparison: Comparison) -> dict[str, float]:
    """Magnitude, depth and place of the joint source, and the magnitude of GNSS alone: medians.

    Nothing where the event has no fault (a volume source, a residue), no station, or no transient of its own.
    """
    measured = comparison.measured
    members = [
        transient for track in tracks if track.name in str(event["tracks"]).split(",")
        for transient in track.transients if transient.number in matching_transients(event, track)
    ]  # fmt: skip
    if not isinstance(source_of(event), Fault) or measured is None or not members:
        return {}
    _, origin, area = area_of(members)
    lon, lat = (np.array([getattr(s, n) for s in measured.stations]) for n in ("longitude", "latitude"))
    east, north = from_lonlat(lon, lat, local_crs(*origin))
    offsets = Offsets(
        np.asarray(east, float),
        np.asarray(north, float),
        *measured.weighted(comparison.judgement.weight, with_step=True),
    )
    columns = {"gnss_only_mw": _median(joint_fault([], offsets, area, SETTINGS), "mw")}
    blocks = list(blocks_of(tracks, members, origin, SETTINGS.max_points, [None] * len(tracks)).values())
    if not blocks:
        return columns
    both = joint_fault(blocks, offsets, area, SETTINGS)
    longitude, latitude = to_lonlat(both.shape["east"], both.shape["north"], local_crs(*origin))
    return columns | {
        "joint_mw": _median(both, "mw"),
        "joint_depth_km": _median(both, "depth_km"),
        "joint_longitude": float(np.median(longitude)),
        "joint_latitude": float(np.median(latitude)),
    }


def _median(posterior: Posterior, quantity: str) -> float:
    return float(np.median(quantities(posterior)[quantity]))
