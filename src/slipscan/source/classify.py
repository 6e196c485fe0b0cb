"""What type a transient is, and the columns of the event table that its source fills.

This first version tells slow_slip, volumetric and residue apart by their maps alone. Afterslip and
coseismic need an earthquake catalogue, creep_rate_change a longer memory, hydrological the season of
pumping and rain: an event of those kinds is called here by its geometry.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from slipscan.geometry import to_lonlat
from slipscan.source.inversion import Inversion
from slipscan.source.sources import Fault, local_crs, moment_magnitude

SOURCE_PARAMETERS = (
    "longitude", "latitude", "depth_km", "strike_deg", "dip_deg", "rake_deg", "length_km", "width_km",
    "slip_mm", "volume_change_m3", "potency_m3", "mw",
)  # fmt: skip


def choose(inversions: Sequence[Inversion], min_variance_explained: float) -> Inversion | None:
    """The source of lowest criterion among those that explain enough; None where none does."""
    enough = [i for i in inversions if i.variance_explained >= min_variance_explained]
    return min(enough, key=lambda i: i.criterion) if enough else None


def source_columns(
    chosen: Inversion | None, frame_origin: tuple[float, float], tried: Sequence[Inversion] = ()
) -> dict[str, Any]:
    """Columns 'type', 'variance_explained' and SOURCE_PARAMETERS of one event.

    Parameters
    ----------
    chosen
        what `choose` chose
    frame_origin
        longitude, latitude of the inversion's local frame; the place of an event without a source
    tried
        what it chose from: the best variance explained is stated of a residue too

    Returns
    -------
    columns
        NaN where a parameter does not apply; the magnitude of a volumetric event is left open
    """
    columns: dict[str, Any] = dict.fromkeys(SOURCE_PARAMETERS, float("nan"))
    if chosen is None:
        explained = max((i.variance_explained for i in tried), default=float("nan"))
        longitude, latitude = frame_origin
        return {
            **columns, "type": "residue", "variance_explained": explained, "longitude": longitude,
            "latitude": latitude,
        }  # fmt: skip
    source = chosen.source
    lon, lat = to_lonlat(np.array(source.east), np.array(source.north), local_crs(*frame_origin))
    columns |= {
        "variance_explained": chosen.variance_explained,
        "longitude": float(lon),
        "latitude": float(lat),
        "depth_km": source.depth / 1e3,
    }
    if not isinstance(source, Fault):
        return {**columns, "type": "volumetric", "volume_change_m3": source.volume_change}
    return {
        **columns,
        "type": "slow_slip",
        "strike_deg": source.strike_deg,
        "dip_deg": source.dip_deg,
        "rake_deg": source.rake_deg,
        "length_km": source.length / 1e3,
        "width_km": source.width / 1e3,
        "slip_mm": source.slip * 1e3,
        "potency_m3": source.potency_m3,
        "mw": moment_magnitude(source.potency_m3),
    }
