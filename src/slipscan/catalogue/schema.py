"""The catalogue's layers and columns: the one table that writing, checking, exports and docs/catalogue.md follow.

The unit is in the column's name; dates are ISO texts (UTC); geometry is EPSG:4326. What a stage does not deliver yet
stays empty (NULL), and is filled from the day on when its event table has the column.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypedDict

from slipscan.events import EVENT_TYPES, GNSS_COLUMNS, GNSS_VERDICTS

Kind = Literal["text", "date", "number", "integer", "truth"]
_KINDS: Final[dict[str, Kind]] = {"str": "text", "float64": "number", "int64": "integer"}

ACTIVE, RETRACTED, MERGED = "active", "retracted", "merged"
STATUSES: Final = (ACTIVE, RETRACTED, MERGED)
PUBLISHED, CANDIDATE = "published", "candidate"
GRADES: Final = ("A", "B", "C", "D")
CHANGES: Final = ("found", "revised", "grown", "closed", "retracted", "restored", "joined", "merged")
REFUSED: Final = "refused"


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
_SHARE: Final[_Range] = {"low": 0.0, "high": 1.0}
_POSITIVE: Final[_Range] = {"low": 0.0}

TIMES: Final = (
    Column("t05", "date", "5 % of the moment released", required=True),
    Column("t50", "date", "50 % of the moment released", required=True),
    Column("t95", "date", "95 % of the moment released", required=True),
    Column("t05_err_days", "number", "standard deviation of t05; NULL in this version", **_POSITIVE),
    Column("t50_err_days", "number", "standard deviation of t50; NULL in this version", **_POSITIVE),
    Column("t95_err_days", "number", "standard deviation of t95; NULL in this version", **_POSITIVE),
    Column("duration_days", "number", "t95 - t05", of="duration_d", **_POSITIVE),
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
    Column("moment_nm", "number", "moment in N m: potency_m3 times 30 GPa", **_POSITIVE),
    Column("potency_m3", "number", "slip times area", **_POSITIVE),
    Column("mean_slip_mm", "number", "slip of the rectangle", of="slip_mm", **_POSITIVE),
    Column("strike_deg", "number", "Aki & Richards: the fault dips to the right of it", **_DEGREES),
    Column("dip_deg", "number", "from the horizontal", low=0, high=90),
    Column("rake_deg", "number", "0 left-lateral, 90 thrust, 180 right-lateral", **_DEGREES),
    Column("length_km", "number", "along strike", **_POSITIVE),
    Column("width_km", "number", "down dip", **_POSITIVE),
    Column("volume_change_m3", "number", "of a volume source, positive for inflation"),
    Column("variance_explained", "number", "by the source, all tracks together", high=1),
    Column("reduced_chi2", "number", "of the source; about 1 where source and noise are right", **_POSITIVE),
    Column("area_km2", "number", "of the footprint", **_POSITIVE),
    Column("peak_positive_mm", "number", "largest displacement toward the satellite, any track"),
    Column("peak_negative_mm", "number", "largest displacement away from the satellite, any track (negative)"),
)
CERTAINTY: Final = (
    Column("snr", "number", "signal-to-noise ratio of the event in all tracks; NULL in this version", **_POSITIVE),
    Column("statistic", "number", "cluster statistic, the largest of the tracks"),
    Column("threshold", "number", "of the statistic, in that track"),
    Column("p_value", "number", "of a false alarm this strong anywhere in the scan", **_SHARE),
    Column("p_real", "number", "one minus the local false discovery rate; NULL in this version", **_SHARE),
    Column(
        "far_per_1e4km2_yr", "number", "false alarms per 10,000 km2 and year that the threshold stands for",
        of="false_alarms_per_1e4km2_yr", **_POSITIVE,
    ),
    Column(
        "mc_local", "number", "magnitude of completeness at this place, depth and duration; NULL in this version",
        low=-10, high=11,
    ),
)  # fmt: skip
SURROUNDINGS: Final = (
    Column("seismic_moment_ratio", "number", "summed moment of earthquakes near by, over its own", **_POSITIVE),
    Column("days_to_next_M5", "number", "from t05 to the next earthquake of M >= 5 near the source", **_POSITIVE),
    Column("days_from_last_M5", "number", "from the last earthquake of M >= 5 near the source to t05", **_POSITIVE),
    Column("track_verdicts", "text", "track:verdict, comma-separated (layer observations: agreement)"),
    Column("gnss_verdict", "text", "what GNSS says of the InSAR-only source", choices=GNSS_VERDICTS),
    *(Column(one.name, _KINDS[one.dtype], one.meaning) for one in GNSS_COLUMNS if one.name != "gnss_verdict"),
)
PROVENANCE: Final = (
    Column("calibration_id", "text", "calibration that set the threshold"),
    Column("weights", "text", "weights of the denoiser: name and first digits of the SHA-256"),
    Column("slipscan_version", "text", "code that found it in this version"),
    Column("manifest_sha256", "text", "first 12 digits of the SHA-256 of each track's inventory"),
)
_ID: Final = Column("event_id", "text", "id of the event", required=True)
_REGION: Final = Column("region", "text", "region of interest", required=True)
_UNTIL: Final = Column("data_until", "date", "data cut-off: last acquisition of the scan", required=True)

EVENTS: Final = Layer(
    "events",
    "MULTIPOLYGON",
    "Events: footprint, times, source, certainty; line of sight positive toward the satellite",
    (
        Column("id", "text", "SSE-DATE-REGION-LETTER: t50 and region when it was first found", required=True),
        Column("version", "integer", "counts the changes of the event, from 1", required=True, low=1),
        Column("status", "text", "see below", required=True, choices=STATUSES),
        Column("merged_into", "text", "id of the event that it is part of, where status is merged"),
        Column(
            "view", "text", "published where p_real is at least 0.9; without p_real candidate", required=True,
            choices=(PUBLISHED, CANDIDATE),
        ),
        Column("grade", "text", "A (best) to D", required=True, choices=GRADES),
        Column("grade_reason", "text", "why", required=True),
        Column("region", "text", "region that found it first", required=True),
        Column("regions", "text", "all regions in which it was detected, comma-separated", required=True),
        Column("tracks", "text", "tracks in which it was detected, comma-separated", required=True),
        *TIMES,
        *SOURCE,
        *CERTAINTY,
        *SURROUNDINGS,
        *PROVENANCE,
        Column("data_until", "date", "data cut-off of the last scan that holds it", required=True),
        Column("created", "date", "data cut-off of the scan that found it first", required=True),
        Column("updated", "date", "data cut-off of the scan that changed it last", required=True),
    ),
    ("id",),
)  # fmt: skip
OBSERVATIONS: Final = Layer(
    "observations",
    "",
    "Event by track: whether the event was detected in the track, and the scan behind it",
    (
        _ID,
        _REGION,
        Column("track", "text", "satellite track", required=True),
        Column("detected", "truth", "transients of the track are part of the event", required=True),
        Column("window_start", "date", "first date of the scan", required=True),
        Column("window_end", "date", "last date of the scan", required=True),
        _UNTIL,
        Column("threshold", "number", "of the statistic, in this track"),
        Column("far_per_1e4km2_yr", "number", "that the threshold stands for", of="false_alarms_per_1e4km2_yr"),
        Column("statistic", "number", "of the event, in this track"),
        Column("p_value", "number", "of the event, in this track", **_SHARE),
        Column("snr", "number", "of the event, in this track; NULL in this version", **_POSITIVE),
        Column("peak_positive_mm", "number", "toward the satellite, in this track"),
        Column("peak_negative_mm", "number", "away from the satellite, in this track"),
        Column(
            "agreement", "text", "beside what the source predicts here",
            choices=("confirmed", "contradicted", "insensitive", "no_data"),
        ),
        Column("calibration_id", "text", "calibration that set the threshold"),
        Column("weights", "text", "weights of the denoiser"),
        Column("inventory_sha256", "text", "SHA-256 of the track's inventory"),
    ),
    ("event_id", "region", "track"),
)  # fmt: skip
SOURCES: Final = Layer(
    "sources",
    "GEOMETRY",
    "Sources: the fault rectangle projected to the surface, or the point above a volume",
    (
        _ID,
        Column("region", "text", "region whose scan the source is of", required=True),
        Column("kind", "text", "shape of the source", required=True, choices=("fault", "volume")),
        Column("type", "text", "of the event", required=True, choices=EVENT_TYPES),
        Column("status", "text", "of the event", required=True, choices=STATUSES),
        Column("top_km", "number", "depth of the upper edge"),
        Column("bottom_km", "number", "depth of the lower edge"),
        *(column for column in SOURCE if column.name in (
            "depth_km", "mw", "moment_nm", "mean_slip_mm", "strike_deg", "dip_deg", "rake_deg", "length_km",
            "width_km", "volume_change_m3",
        )),
    ),
    ("event_id",),
)  # fmt: skip
GNSS_STATIONS: Final = Layer(
    "gnss_stations",
    "POINT",
    "GNSS stations that an event was compared with",
    (
        _REGION,
        Column("station", "text", "name", required=True),
        Column("longitude", "number", "degrees east", required=True, low=-180, high=360),
        Column("latitude", "number", "degrees north", required=True, low=-90, high=90),
        Column("events", "integer", "events that it was compared with", required=True),
    ),
    ("region", "station"),
)
GNSS_CHECKS: Final = Layer(
    "gnss_checks",
    "",
    "Event by GNSS station and track: displacement by the station and by InSAR, in the line of sight",
    (
        _ID,
        _REGION,
        Column("station", "text", "name", required=True),
        Column("track", "text", "in whose line of sight", required=True),
        Column("distance_km", "number", "from the footprint, 0 inside", **_POSITIVE),
        Column("insar_mm", "number", "median of the event's map around the station"),
        Column("insar_std_mm", "number", "its standard deviation", **_POSITIVE),
        Column("gnss_mm", "number", "transient of the station in the line of sight"),
        Column("gnss_std_mm", "number", "its standard deviation", **_POSITIVE),
        Column("predicted_mm", "number", "by the event's source"),
        Column("reference_station", "text", "subtracted from all (double difference)"),
    ),
    ("event_id", "region", "station", "track"),
)
REGIONS: Final = Layer(
    "regions",
    "MULTIPOLYGON",
    "Regions: area and dates scanned, false-alarm rate, magnitude of completeness where it is known",
    (
        _REGION,
        Column("name", "text", "in words"),
        Column("tectonic_setting", "text", "e.g. continental transform"),
        Column("tracks", "text", "tracks scanned, comma-separated", required=True),
        Column("scanned_from", "date", "first date of any track's scan", required=True),
        Column("scanned_through", "date", "last date that every track's scan reaches", required=True),
        Column("area_km2", "number", "of the largest track's scan", **_POSITIVE),
        Column("far_per_1e4km2_yr", "number", "largest of the tracks", of="false_alarms_per_1e4km2_yr", **_POSITIVE),
        Column("mc", "number", "magnitude of completeness of the region; NULL in this version", low=-10, high=11),
        Column("events", "integer", "active events found first here", required=True),
        Column("published", "integer", "those of view published", required=True),
        Column("retracted", "integer", "retracted events found first here", required=True),
        Column("increments", "integer", "scans folded", required=True),
    ),
    ("region",),
)
RUNS: Final = Layer(
    "runs",
    "",
    "Provenance: every increment's scan of every track, and files that were refused",
    (
        _REGION,
        Column("increment", "text", "name of the file", required=True),
        Column("seq", "integer", "its number in the region", low=0),
        Column("schema", "integer", "version of the file's layout"),
        Column("track", "text", "satellite track; empty where the file was refused"),
        Column("newest", "truth", "no later scan of this region and track", required=True),
        Column("events", "integer", "events in the file"),
        Column("window_start", "date", "first date of the scan"),
        Column("window_end", "date", "last date of the scan"),
        Column("data_until", "date", "last acquisition"),
        Column("area_km2", "number", "scanned", **_POSITIVE),
        Column("threshold", "number", "of the statistic"),
        Column("far_per_1e4km2_yr", "number", "that it stands for", of="false_alarms_per_1e4km2_yr", **_POSITIVE),
        *(column for column in PROVENANCE if column.name != "manifest_sha256"),
        Column("inventory_sha256", "text", "SHA-256 of the track's inventory"),
        Column(REFUSED, "text", "why the file was not read; NULL where it was"),
    ),
    ("region", "increment", "track"),
)
HISTORY: Final = Layer(
    "history",
    "",
    "Every version of every event: what was known at which data cut-off",
    (
        _ID,
        Column("version", "integer", "of the event", required=True, low=1),
        Column("change", "text", "what happened", required=True, choices=CHANGES),
        Column("changed", "text", "columns that changed: old -> new", required=True),
        _REGION,
        Column("seq", "integer", "number of the region's increment", required=True),
        _UNTIL,
        Column("status", "text", "from this cut-off on", required=True, choices=STATUSES),
        *(column for column in TIMES if column.name in ("t05", "t50", "t95", "ongoing")),
        *(column for column in SOURCE if column.name in (
            "type", "longitude", "latitude", "depth_km", "mw", "area_km2",
        )),
        *(column for column in CERTAINTY if column.name in ("p_value", "p_real", "threshold")),
        *(column for column in SURROUNDINGS if column.name == "gnss_verdict"),
        *PROVENANCE,
    ),
    ("event_id", "version"),
)  # fmt: skip
STYLES: Final = Layer(
    "layer_styles",
    "",
    "How QGIS draws the layers",
    (
        Column("f_table_catalog", "text", "of QGIS", required=True),
        Column("f_table_schema", "text", "of QGIS", required=True),
        Column("f_table_name", "text", "layer that is drawn so", required=True),
        Column("f_geometry_column", "text", "of that layer", required=True),
        Column("styleName", "text", "name of the style", required=True),
        Column("styleQML", "text", "the style, as QGIS writes it", required=True),
        Column("styleSLD", "text", "empty", required=True),
        Column("useAsDefault", "truth", "drawn so on opening", required=True),
        Column("description", "text", "what it shows", required=True),
        Column("owner", "text", "empty", required=True),
        Column("ui", "text", "of QGIS", required=False),
        Column("update_time", "text", "a fixed date: the same catalogue has the same bytes", required=True),
    ),
    ("f_table_name", "styleName"),
)

LAYERS: Final = (
    EVENTS, OBSERVATIONS, SOURCES, GNSS_STATIONS, GNSS_CHECKS, REGIONS, RUNS, HISTORY, STYLES,
)  # fmt: skip
