"""The catalogue's layers: the one table that writing, checking, exports and docs/catalogue.md follow.

Geometry is EPSG:4326.
"""

from __future__ import annotations

from typing import Final

from slipscan.catalogue.columns import (
    CERTAINTY,
    KINDS,
    POSITIVE,
    PROVENANCE,
    SHARE,
    SOURCE,
    SURROUNDINGS,
    TIMES,
    Column,
    Layer,
)
from slipscan.completeness.product import COLUMNS as COMPLETENESS_COLUMNS
from slipscan.events import EVENT_TYPES

ACTIVE, RETRACTED, MERGED = "active", "retracted", "merged"
STATUSES: Final = (ACTIVE, RETRACTED, MERGED)
PUBLISHED, CANDIDATE = "published", "candidate"
GRADES: Final = ("A", "B", "C", "D")
CHANGES: Final = ("found", "revised", "grown", "closed", "retracted", "restored", "joined", "merged")
REFUSED: Final = "refused"

_ID: Final = Column("event_id", "text", "id of the event", required=True)
_REGION: Final = Column("region", "text", "region of interest", required=True)
_UNTIL: Final = Column("data_until", "date", "data cut-off: last acquisition of the scan", required=True)
_INVENTORY: Final = Column("inventory_sha256", "text", "SHA-256 of the track's inventory")


def _some(group: tuple[Column, ...], *names: str) -> list[Column]:
    """Columns of a group, in its order."""
    return [column for column in group if column.name in names]


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
            "view", "text", "published where p_real is at least 0.9", required=True,
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
        Column("p_value", "number", "of the event, in this track", **SHARE),
        Column("snr", "number", "of the event, in this track; NULL in this version", **POSITIVE),
        Column("peak_positive_mm", "number", "toward the satellite, in this track"),
        Column("peak_negative_mm", "number", "away from the satellite, in this track"),
        Column(
            "agreement", "text", "beside what the source predicts here",
            choices=("confirmed", "contradicted", "insensitive", "no_data"),
        ),
        Column("calibration_id", "text", "calibration that set the threshold"),
        Column("weights", "text", "weights of the denoiser"),
        _INVENTORY,
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
        *_some(
            SOURCE, "depth_km", "mw", "moment_nm", "mean_slip_mm", "strike_deg", "dip_deg", "rake_deg", "length_km",
            "width_km", "volume_change_m3",
        ),
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
        Column("distance_km", "number", "from the footprint, 0 inside", **POSITIVE),
        Column("insar_mm", "number", "median of the event's map around the station"),
        Column("insar_std_mm", "number", "its standard deviation", **POSITIVE),
        Column("gnss_mm", "number", "transient of the station in the line of sight"),
        Column("gnss_std_mm", "number", "its standard deviation", **POSITIVE),
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
        Column("area_km2", "number", "of the largest track's scan", **POSITIVE),
        Column("far_per_1e4km2_yr", "number", "largest of the tracks", of="false_alarms_per_1e4km2_yr", **POSITIVE),
        Column("mc", "number", "largest mc90 of the region (layer completeness)", low=-10, high=11),
        Column("events", "integer", "active events found first here", required=True),
        Column("published", "integer", "those of view published", required=True),
        Column("retracted", "integer", "retracted events found first here", required=True),
        Column("increments", "integer", "scans folded", required=True),
    ),
    ("region",),
)
_NODE_KEYS: Final = ("kind", "longitude", "latitude", "depth_km", "duration_d")
_NODE_LIMITS: Final = {"longitude": (-180, 180), "latitude": (-90, 90), "mc90": (-10, 11), "mc50": (-10, 11)}
COMPLETENESS: Final = Layer(
    "completeness",
    "POINT",
    "Magnitude from which 90 % of injected events are detected: by place, depth, duration and kind of source",
    (
        _REGION,
        Column("node", "integer", "number in the region's grid", required=True, low=1),
        *(
            Column(one.name, KINDS[one.dtype], one.meaning, one.name in _NODE_KEYS, "", (), low, high)
            for one in COMPLETENESS_COLUMNS
            for low, high in [_NODE_LIMITS.get(one.name, (None, None))]
            if one.name != "region"
        ),
    ),
    ("region", "node"),
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
        Column("area_km2", "number", "scanned", **POSITIVE),
        Column("threshold", "number", "of the statistic"),
        Column("far_per_1e4km2_yr", "number", "that it stands for", of="false_alarms_per_1e4km2_yr", **POSITIVE),
        *_some(PROVENANCE, "calibration_id", "weights", "slipscan_version"),
        _INVENTORY,
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
        *_some(TIMES, "t05", "t50", "t95", "ongoing"),
        *_some(SOURCE, "type", "longitude", "latitude", "depth_km", "mw", "area_km2"),
        *_some(CERTAINTY, "p_value", "p_real", "threshold"),
        *_some(SURROUNDINGS, "gnss_verdict"),
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
    EVENTS, OBSERVATIONS, SOURCES, GNSS_STATIONS, GNSS_CHECKS, REGIONS, COMPLETENESS, RUNS, HISTORY, STYLES,
)  # fmt: skip
