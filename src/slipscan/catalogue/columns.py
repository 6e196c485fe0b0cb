"""What a layer of the catalogue is made of: its kinds of columns, and the groups of columns that several layers share.

The unit is in the column's name; dates are ISO texts (UTC). What a stage does not deliver yet stays empty (NULL), and
is filled from the day on when its event table has the column.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypedDict

from slipscan.events import EVENT_TYPES, GNSS_COLUMNS, GNSS_VERDICTS, SEARCHES

Kind = Literal["text", "date", "number", "integer", "truth"]
KINDS: Final[dict[str, Kind]] = {"str": "text", "float64": "number", "int64": "integer"}


@dataclass(frozen=True)
class Column:
    """One column of a layer.

    Attributes
    ----------
    name
        with the unit
    kind
        of its values
    meaning
        for docs/catalogue.md
    required
        never NULL
    of
        the event table's column (`slipscan.events`) that it is filled from, where the name is another
    choices, low, high
        what is allowed
    """

    name: str
    kind: Kind
    meaning: str
    required: bool = False
    of: str = ""
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None

    @property
    def source(self) -> str:
        """Name in the event table."""
        return self.of or self.name


@dataclass(frozen=True)
class Layer:
    """One layer (or table) of the GeoPackage.

    Attributes
    ----------
    geometry
        type in the GeoPackage; empty for a table without one
    unique
        columns whose values together name a row
    """

    name: str
    geometry: str
    description: str
    columns: tuple[Column, ...]
    unique: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """Names of its columns."""
        return [column.name for column in self.columns]


def _posterior(kind: str) -> Column:
    return Column(f"p_{kind}", "number", f"posterior probability of type {kind}", low=0, high=1)


class _Range(TypedDict, total=False):
    low: float
    high: float


_DEGREES: Final[_Range] = {"low": -360.0, "high": 360.0}
SHARE: Final[_Range] = {"low": 0.0, "high": 1.0}
POSITIVE: Final[_Range] = {"low": 0.0}

TIMES: Final = (
    Column("t05", "date", "5 % of the moment released", required=True),
    Column("t50", "date", "50 % of the moment released", required=True),
    Column("t95", "date", "95 % of the moment released", required=True),
    *(
        Column(
            f"{name}_err_days",
            "number",
            f"half the width of the 68 % interval of {name}, all tracks together; NULL: unknown",
            **POSITIVE,
        )
        for name in ("t05", "t50", "t95")
    ),
    Column("duration_days", "number", "t95 - t05", of="duration_d", **POSITIVE),
    Column("ongoing", "truth", "t95 may lie past the last epoch", required=True),
    Column("left_censored", "truth", "t05 may lie before the first epoch", required=True),
)
SOURCE: Final = (
    Column("type", "text", "the most probable type", required=True, choices=EVENT_TYPES),
    *(_posterior(kind) for kind in EVENT_TYPES),
    Column("source_model", "text", "kind of largest evidence: fault, mogi (a point), sill, dike, aquifer"),
    Column("mapped_fault", "text", "name of the mapped fault in the prior"),
    Column("longitude", "number", "of the source's centroid, degrees east", required=True, low=-180, high=180),
    Column("latitude", "number", "of the source's centroid, degrees north", required=True, low=-90, high=90),
    Column("depth_km", "number", "of the centroid, positive down"),
    Column("depth_km_16", "number", "16 % quantile of depth_km"),
    Column("depth_km_84", "number", "84 % quantile of depth_km"),
    Column("mw", "number", "moment magnitude at a shear modulus of 30 GPa", low=-10, high=11),
    Column("mw_16", "number", "16 % quantile of mw", low=-10, high=11),
    Column("mw_84", "number", "84 % quantile of mw", low=-10, high=11),
    Column("moment_nm", "number", "moment in N m: potency_m3 times 30 GPa", **POSITIVE),
    Column("potency_m3", "number", "slip times area", **POSITIVE),
    Column("mean_slip_mm", "number", "slip of the rectangle", of="slip_mm", **POSITIVE),
    Column("strike_deg", "number", "Aki & Richards: the fault dips to the right of it", **_DEGREES),
    Column("dip_deg", "number", "from the horizontal", low=0, high=90),
    Column("rake_deg", "number", "0 left-lateral, 90 thrust, 180 right-lateral", **_DEGREES),
    Column("length_km", "number", "along strike", **POSITIVE),
    Column("width_km", "number", "down dip", **POSITIVE),
    Column("volume_change_m3", "number", "of a volume source, positive for inflation"),
    Column("variance_explained", "number", "by the source, all tracks together", high=1),
    Column("reduced_chi2", "number", "of the source; about 1 where source and noise are right", **POSITIVE),
    Column("area_km2", "number", "of the footprint", **POSITIVE),
    Column("peak_positive_mm", "number", "largest displacement toward the satellite, any track"),
    Column("peak_negative_mm", "number", "largest displacement away from the satellite, any track (negative)"),
)
CERTAINTY: Final = (
    Column("snr", "number", "signal-to-noise ratio of the source, all tracks; its errors count as noise", **POSITIVE),
    Column("statistic", "number", "cluster statistic, the largest of the tracks"),
    Column("threshold", "number", "of the statistic, in that track"),
    Column("found_by", "text", f"searches that found it, comma-separated: {', '.join(SEARCHES)}"),
    Column("p_value", "number", "of a false alarm this strong anywhere in the scan", **SHARE),
    Column("false_alarms", "number", "to be expected in all scans of the region, as significant as it", **POSITIVE),
    Column("p_real", "number", "probability that it is neither a false alarm nor a residue", **SHARE),
    Column(
        "far_per_1e4km2_yr", "number", "false alarms per 10,000 km2 and year that the threshold stands for",
        of="false_alarms_per_1e4km2_yr", **POSITIVE,
    ),
    Column(
        "mc_local", "number", "mc90 of the layer completeness, at the node nearest to the event; NULL without one",
        low=-10, high=11,
    ),
)  # fmt: skip
SURROUNDINGS: Final = (
    Column("seismic_moment_ratio", "number", "summed moment of earthquakes near by, over its own", **POSITIVE),
    Column("days_to_next_M5", "number", "from t05 to the next earthquake of M >= 5 near the source", **POSITIVE),
    Column("days_from_last_M5", "number", "from the last earthquake of M >= 5 near the source to t05", **POSITIVE),
    Column("track_verdicts", "text", "track:verdict, comma-separated (layer observations: agreement)"),
    Column("gnss_verdict", "text", "what GNSS says of the InSAR-only source", choices=GNSS_VERDICTS),
    *(Column(one.name, KINDS[one.dtype], one.meaning) for one in GNSS_COLUMNS if one.name != "gnss_verdict"),
)
PROVENANCE: Final = (
    Column("calibration_id", "text", "calibration that set the threshold"),
    Column("weights", "text", "weights of the denoiser: name and first digits of the SHA-256"),
    Column("slipscan_version", "text", "code that found it in this version"),
    Column("manifest_sha256", "text", "first 12 digits of the SHA-256 of each track's inventory"),
)
