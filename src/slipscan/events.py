"""The event table: its columns, and the GeoParquet files that carry it between stages.

One row an event; the unit is in the column's name; dates are ISO strings (UTC); the geometry is the
footprint in EPSG:4326. A table travels with the *scans* behind it (one per track: window, area,
threshold, ...), so that an empty table still says what was looked at.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from shapely.errors import ShapelyError

from slipscan.atomic import written_beside
from slipscan.errors import SlipscanError
from slipscan.events_source import POSTERIOR_COLUMNS
from slipscan.outputs import parquet_kind

EVENT_TYPES = (
    "slow_slip", "afterslip", "creep_rate_change", "coseismic", "volumetric", "hydrological", "residue",
)  # fmt: skip
SEARCHES = ("fault", "field", "scan")
GNSS_VERDICTS = ("confirmed", "contradicted", "inconclusive", "insensitive", "no_coverage")


@dataclass(frozen=True)
class Column:
    """One column of the event table."""

    name: str
    dtype: str
    meaning: str


SOURCE_COLUMNS = (
    Column("region", "str", "id of the region of interest"),
    Column("tracks", "str", "tracks that see the event, comma-separated"),
    Column("type", "str", f"one of {', '.join(EVENT_TYPES)}"),
    Column("t05", "str", "date at which 5 % of the moment was released"),
    Column("t50", "str", "date at which 50 % of the moment was released"),
    Column("t95", "str", "date at which 95 % of the moment was released"),
    Column("t05_err_days", "float64", "half the width of its 68 % interval, all tracks together"),
    Column("t50_err_days", "float64", "half the width of its 68 % interval, all tracks together"),
    Column("t95_err_days", "float64", "half the width of its 68 % interval, all tracks together"),
    Column("duration_d", "float64", "t95 - t05"),
    Column("ongoing", "bool", "t95 may lie past the last epoch"),
    Column("left_censored", "bool", "t05 may lie before the first epoch"),
    Column("longitude", "float64", "of the source's centre, degrees east"),
    Column("latitude", "float64", "of the source's centre, degrees north"),
    Column("depth_km", "float64", "of the source's centre, positive down"),
    Column("strike_deg", "float64", "Aki & Richards: the fault dips to the right of it"),
    Column("dip_deg", "float64", "from the horizontal"),
    Column("rake_deg", "float64", "0 left-lateral, 90 thrust, 180 right-lateral"),
    Column("length_km", "float64", "along strike"),
    Column("width_km", "float64", "down dip"),
    Column("slip_mm", "float64", "uniform slip of the rectangle"),
    Column("volume_change_m3", "float64", "of a volumetric source, positive for inflation"),
    Column("potency_m3", "float64", "slip times area"),
    Column("mw", "float64", "moment magnitude at a shear modulus of 30 GPa"),
    Column("variance_explained", "float64", "by the source, all tracks together, 0 to 1"),
    Column("peak_positive_mm", "float64", "largest displacement toward the satellite, any track"),
    Column("peak_negative_mm", "float64", "largest displacement away from the satellite, any track (negative)"),
    Column("area_km2", "float64", "of the footprint, all tracks together"),
    Column("statistic", "float64", "cluster statistic, the largest of the tracks"),
    Column("p_value", "float64", "of a false alarm this strong anywhere in the scan, the smallest of the tracks"),
    Column("snr", "float64", "signal-to-noise ratio of the source, all tracks; its errors count as noise"),
    Column("false_alarms", "float64", "to be expected in all scans of the region, as significant, tracks joined"),
    Column("p_real", "float64", "probability that it is neither a false alarm nor a residue"),
    Column("threshold", "float64", "of the statistic, in that track"),
    Column("found_by", "str", f"searches that found it, comma-separated: {', '.join(SEARCHES)}"),
    Column("false_alarms_per_1e4km2_yr", "float64", "the stated rate that the threshold stands for"),
    Column("calibration_id", "str", "calibration that set the threshold"),
    Column("weights", "str", "weights of the denoiser: name and first digits of the sha256"),
    Column("data_until", "str", "last acquisition of the scan"),
    Column("slipscan_version", "str", "version that found it"),
    *(Column(*column) for column in POSTERIOR_COLUMNS),
)  # fmt: skip

GNSS_COLUMNS = (
    Column("gnss_verdict", "str", f"one of {', '.join(GNSS_VERDICTS)}"),
    Column("gnss_stations", "int64", "stations compared"),
    Column(
        "gnss_log_likelihood_ratio", "float64",
        "predicted event against none, or the opposite, in the GNSS series; positive confirms",
    ),
    Column("gnss_size", "float64", "observed over predicted displacement of the stations, all together"),
    Column("gnss_size_std", "float64", "its standard deviation"),
    Column("gnss_visible_size", "float64", "smallest multiple of the predicted size that the stations would detect"),
    Column("gnss_visible_mw", "float64", "the magnitude of an event of that size; without a fault none"),
    Column("gnss_t50", "str", "middle of the event in unaveraged daily positions; empty where not confirmed"),
    Column("gnss_t50_std_d", "float64", "its standard deviation, days"),
    Column("gnss_duration_d", "float64", "t95 - t05 in daily positions, days"),
    Column("gnss_note", "str", "what limits the verdict: one station alone, another size than predicted"),
    Column("joint_mw", "float64", "magnitude of the source of InSAR and GNSS together; takes no part in the verdict"),
    Column("joint_depth_km", "float64", "depth of that source's centre, positive down"),
    Column("joint_longitude", "float64", "of that source's centre, degrees east"),
    Column("joint_latitude", "float64", "of that source's centre, degrees north"),
    Column("gnss_only_mw", "float64", "magnitude of the source of GNSS alone, at times near InSAR's"),
)  # fmt: skip

WITHOUT_GNSS: dict[str, Any] = {
    column.name: {"str": "", "int64": 0, "float64": float("nan")}[column.dtype] for column in GNSS_COLUMNS
} | {"gnss_verdict": "no_coverage"}
"""Of an event that no station lies near."""


def with_gnss_columns(frame: pd.DataFrame) -> None:
    """Fill, in place, the GNSS columns that an older version did not write, and bring its words to today's."""
    for name, nothing in WITHOUT_GNSS.items():
        if name not in frame and name not in _OLDEST:
            frame[name] = np.full(len(frame), nothing, dtype=object if isinstance(nothing, str) else None)
    if "gnss_verdict" in frame:
        frame["gnss_verdict"] = frame["gnss_verdict"].replace("no_data", "no_coverage").astype(object)


_OLDEST = ("gnss_verdict", "gnss_stations", "gnss_log_likelihood_ratio")

SCAN_KEYS = (
    "region", "track", "window_start", "window_end", "data_until", "area_km2", "threshold",
    "false_alarms_per_1e4km2_yr", "calibration_id", "weights", "inventory_sha256", "slipscan_version",
)  # fmt: skip
"""Keys of a scan, all taken from the attributes of a transients store."""

DATES = ("t05", "t50", "t95")
_METADATA_KEY = b"slipscan_scans"
KIND = parquet_kind(
    "an event table",
    [*(column.name for column in SOURCE_COLUMNS), "geometry"],
    required=["region", "tracks", "type", "geometry"],
    metadata=_METADATA_KEY,
)
"""Not an increment, which has the columns of GNSS too."""


def scan_of(attrs: dict[str, Any]) -> dict[str, Any]:
    """The scan behind a transients store, from its attributes; raises SlipscanError where one is missing."""
    missing = [key for key in SCAN_KEYS if key not in attrs]
    if missing:
        raise SlipscanError(f"the transients store lacks the attribute '{missing[0]}': run detect again")
    return {key: attrs[key] for key in SCAN_KEYS}


def event_table(rows: list[dict[str, Any]], columns: tuple[Column, ...]) -> gpd.GeoDataFrame:
    """An event table of the given columns (typed also when empty) from rows that hold 'geometry'."""
    frame = pd.DataFrame({c.name: _typed([row[c.name] for row in rows], c.dtype) for c in columns})
    return gpd.GeoDataFrame(frame, geometry=[row["geometry"] for row in rows], crs="EPSG:4326")


def _typed(values: list[Any], dtype: str) -> Any:
    if dtype == "str":
        return np.array(values, dtype=object)
    return np.array(values, dtype=dtype)


def write_events(path: Path, events: gpd.GeoDataFrame, scans: list[dict[str, Any]]) -> None:
    """Write an event table and its scans as Parquet (geometry as WKB), atomically; byte-identical for equal input."""
    frame = pd.DataFrame(events.drop(columns="geometry"))
    frame["geometry"] = events.geometry.to_wkb().to_numpy(dtype=object)
    types = {"str": pa.string(), "object": pa.string(), "bool": pa.bool_(), "int64": pa.int64()}
    fields = [
        pa.field(name, pa.binary() if name == "geometry" else types.get(str(frame[name].dtype), pa.float64()))
        for name in frame.columns
    ]
    table = pa.Table.from_pandas(frame, schema=pa.schema(fields), preserve_index=False)
    table = table.replace_schema_metadata({_METADATA_KEY: json.dumps(scans, sort_keys=True).encode()})
    with written_beside(path, KIND) as beside:
        pq.write_table(table, beside, compression="zstd")


def read_events(path: Path) -> tuple[gpd.GeoDataFrame, list[dict[str, Any]]]:
    """Read an event table and its scans; raises SlipscanError where the file is missing or no event table."""
    frame, metadata = read_table(path, "event table", SOURCE_COLUMNS)
    try:
        scans = json.loads(metadata[_METADATA_KEY])
        geometry = gpd.GeoSeries.from_wkb(frame.pop("geometry").to_numpy(dtype=object), crs="EPSG:4326")
    except (KeyError, ValueError, TypeError, ShapelyError) as error:
        raise SlipscanError(f"{path} is no event table of slipscan ({error})") from error
    if not isinstance(scans, list) or not all(isinstance(scan, dict) and set(SCAN_KEYS) <= set(scan) for scan in scans):
        raise SlipscanError(f"{path} is no event table of slipscan: it does not tell its scans")
    return gpd.GeoDataFrame(frame, geometry=geometry, crs="EPSG:4326"), scans


def read_table(path: Path, what: str, columns: Sequence[Column]) -> tuple[pd.DataFrame, dict[bytes, bytes]]:
    """Read a Parquet file of slipscan.

    Returns
    -------
    frame, metadata
        all columns (texts as objects), and what the schema tells

    Raises
    ------
    SlipscanError
        the file is missing, no Parquet, or lacks a column of `columns`
    """
    if not Path(path).is_file():
        raise SlipscanError(f"there is no {what} {path}: run the stage before, or check the path")
    try:
        table = pq.read_table(path)
        frame: pd.DataFrame = table.replace_schema_metadata(None).to_pandas()
    except (pa.ArrowException, OSError) as error:
        raise SlipscanError(f"{path} is no {what} of slipscan ({error})") from error
    for name in frame.columns:
        if name != "geometry" and not pd.api.types.is_numeric_dtype(frame[name]):
            frame[name] = frame[name].astype(object)
    check_columns(frame, columns, f"{path} is no {what} of slipscan")
    return frame, table.schema.metadata or {}


def check_columns(frame: pd.DataFrame, columns: Sequence[Column], sentence: str) -> None:
    """Check that a table that was read has columns of these names and kinds; raises SlipscanError."""
    for column in columns:
        if column.name not in frame:
            raise SlipscanError(f"{sentence}: it lacks the column '{column.name}'")
        values = frame[column.name]
        is_text = all(isinstance(value, str) for value in values)
        if len(values) and not (is_text if column.dtype == "str" else pd.api.types.is_numeric_dtype(values)):
            raise SlipscanError(f"{sentence}: its column '{column.name}' holds no {column.dtype}")
        if column.name in DATES:
            for text in values:
                try:
                    datetime.datetime.fromisoformat(text)
                except ValueError as error:
                    raise SlipscanError(f"{sentence}: its {column.name} {text!r} is no date") from error
