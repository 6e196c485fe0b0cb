"""Columns of the event table that the source's posterior fills: (name, type, meaning) each; `events` takes them in."""

from __future__ import annotations

from typing import Final

QUANTILES: Final = {
    "mw": "moment magnitude at 30 GPa", "depth_km": "depth of the source's centre", "slip_mm": "slip",
    "length_km": "length", "width_km": "width", "strike_deg": "strike, as an axis: clockwise from 16 to 84 %",
    "dip_deg": "dip", "rake_deg": "rake", "volume_change_m3": "volume change", "potency_m3": "slip times area",
}  # fmt: skip
"""Quantities of which 16, 50 and 84 % of the posterior are kept, in the columns NAME_16, NAME_50, NAME_84; the column
NAME is of the one source that all such columns describe together."""
SHARES: Final = (16, 50, 84)
TRACK_VERDICTS: Final = ("confirmed", "contradicted", "insensitive", "no_data")

_TYPES: Final = ("slow_slip", "afterslip", "creep_rate_change", "coseismic", "volumetric", "hydrological", "residue")
POSTERIOR_COLUMNS: Final[tuple[tuple[str, str, str], ...]] = (
    *((f"p_{name}", "float64", f"probability of the type {name}") for name in _TYPES),
    ("source_model", "str", "kind of source: fault, mogi, sill, dike, aquifer, none"),
    *(
        (f"{name}_{share}", "float64", f"{share} % of the posterior of the {meaning}")
        for name, meaning in QUANTILES.items()
        for share in SHARES
    ),
    ("log_evidence", "float64", "of the type's kinds of source over no source, natural logarithm"),
    ("reduced_chi2", "float64", "of the source, with the covariance of the maps' noise; about 1 where both are right"),
    ("mapped_fault", "str", "name of the mapped fault in the prior; empty: none"),
    ("distributed_mw_16", "float64", "16 % of the posterior of Mw, slip distributed on the mapped fault"),
    ("distributed_mw_50", "float64", "50 % of it; NaN: not asked for, or no mapped fault"),
    ("distributed_mw_84", "float64", "84 % of it"),
    ("seismic_moment_ratio", "float64", "summed moment of earthquakes near the source while it moved, over its own"),
    ("days_to_next_M5", "float64", "from t05 to the next earthquake of magnitude 5 or more near the source"),
    ("days_from_last_M5", "float64", "from the last one to t05"),
    ("track_verdicts", "str", f"track:verdict, comma-separated; each one of {', '.join(TRACK_VERDICTS)}"),
)  # fmt: skip
