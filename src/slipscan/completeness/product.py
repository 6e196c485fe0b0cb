"""The grid of completeness as a table, and which node of it is an event's."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray

from slipscan.atomic import written_beside
from slipscan.completeness.sources import ORIENTATIONS, potency_m3
from slipscan.errors import SlipscanError
from slipscan.events import Column, read_table
from slipscan.longitudes import near
from slipscan.outputs import parquet_kind
from slipscan.source.sources import Fault

if TYPE_CHECKING:  # torch takes seconds to start: the catalogue does without
    from slipscan.completeness.node import Found

COLUMNS: Final = (
    Column("region", "str", "id of the region"),
    Column("kind", "str", f"of source: {', '.join(ORIENTATIONS)}"),
    Column("strike_deg", "float64", "Aki & Richards; none for a volume"),
    Column("dip_deg", "float64", "from the horizontal"),
    Column("rake_deg", "float64", "0 left-lateral, 90 thrust, 180 right-lateral"),
    Column("longitude", "float64", "of the source's centre, degrees east"),
    Column("latitude", "float64", "of the source's centre, degrees north"),
    Column("depth_km", "float64", "of the source's centre, positive down"),
    Column("duration_d", "float64", "t95 - t05"),
    Column("mc90", "float64", "magnitude from which 90 % of the injected events are detected"),
    Column("mc90_std", "float64", "its standard error"),
    Column("mc50", "float64", "magnitude from which half of them are"),
    Column("length_km", "float64", "of a fault of magnitude mc90, along strike"),
    Column("width_km", "float64", "down dip"),
    Column("volume_change_m3", "float64", "of a volume of magnitude mc90 (30 GPa times volume change)"),
    Column("los_share", "float64", "part of the slip in the line of sight of the most sensitive track"),
    Column("track_mc", "str", "track:magnitude that it detects where there is no noise, comma-separated"),
    Column("note", "str", "why there is no mc90"),
)
_METADATA_KEY: Final = b"slipscan_completeness"
KIND: Final = parquet_kind(
    "a grid of completeness",
    [column.name for column in COLUMNS],
    required=["region", "kind", "mc90"],
    metadata=_METADATA_KEY,
)
DIGITS: Final = 4
"""Of what is written: beyond them is chance."""


def table_of(found: Sequence[Found], region: str, tracks: Sequence[str]) -> pd.DataFrame:
    """A row a node."""
    rows = [_row(one, region, tracks) for one in found]
    return pd.DataFrame({c.name: pd.Series([row[c.name] for row in rows], dtype=_dtype(c)) for c in COLUMNS})


def _dtype(column: Column) -> str:
    return "object" if column.dtype == "str" else column.dtype


def _row(found: Found, region: str, tracks: Sequence[str]) -> dict[str, Any]:
    node = found.node
    dip, rake = ORIENTATIONS[node.kind] or (math.nan, math.nan)
    known = math.isfinite(found.mc90)
    source = node.source(found.mc90) if known else None
    fault = source if isinstance(source, Fault) else None
    alone = [f"{name}:{mw:.2f}" for name, mw in zip(tracks, found.alone, strict=True) if math.isfinite(mw)]
    numbers = {
        "strike_deg": node.strike_deg, "dip_deg": dip, "rake_deg": rake, "longitude": node.longitude,
        "latitude": node.latitude, "depth_km": node.depth_km, "duration_d": node.duration_d, "mc90": found.mc90,
        "mc90_std": found.mc90_std, "mc50": found.mc50, "los_share": found.los_share,
        "length_km": math.nan if fault is None else fault.length / 1e3,
        "width_km": math.nan if fault is None else fault.width / 1e3,
    }  # fmt: skip
    volume = float(f"{potency_m3(found.mc90):.3g}") if known and fault is None else math.nan
    return {
        "region": region, "kind": node.kind, "track_mc": ",".join(alone), "note": found.note,
        "volume_change_m3": volume, **{name: round(value, DIGITS) for name, value in numbers.items()},
    }  # fmt: skip


def write(path: Path, table: pd.DataFrame, about: Mapping[str, Any]) -> None:
    """Write the grid as Parquet, atomically; `about` goes into its metadata."""
    fields = [pa.field(c.name, pa.string() if c.dtype == "str" else pa.float64()) for c in COLUMNS]
    made = pa.Table.from_pandas(table, schema=pa.schema(fields), preserve_index=False)
    made = made.replace_schema_metadata({_METADATA_KEY: json.dumps(dict(about), sort_keys=True).encode()})
    with written_beside(path, KIND) as beside:
        pq.write_table(made, beside, compression="zstd")


def read(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read the grid, and what it says about itself.

    Raises
    ------
    SlipscanError
        the file is missing, or no grid of completeness
    """
    frame, metadata = read_table(path, "grid of completeness", COLUMNS)
    try:
        about = dict(json.loads(metadata[_METADATA_KEY]))
    except (KeyError, ValueError, TypeError) as error:
        raise SlipscanError(f"{path} is no grid of completeness of slipscan ({error})") from error
    return frame[[column.name for column in COLUMNS]], about


def region_mc(table: pd.DataFrame) -> float | None:
    """The largest magnitude of completeness of any node that has one; None: none has."""
    known = table["mc90"].dropna()
    return float(known.max()) if len(known) else None


def local_mc(table: pd.DataFrame, events: pd.DataFrame) -> NDArray[np.float64]:
    """(event,) magnitude of completeness at the node nearest to each event, of its kind; NaN: none.

    The kind comes first, then the nearest strike, depth and duration (by their logarithms) and place.

    Parameters
    ----------
    events
        columns longitude, latitude, depth_km, duration_d, strike_deg, rake_deg, volume_change_m3 of the event table
    """
    rows = [{str(name): value for name, value in event.items()} for event in events.to_dict("records")]
    return np.array([_nearest(table, event) for event in rows], dtype=np.float64)


def _nearest(table: pd.DataFrame, event: Mapping[str, Any]) -> float:
    kind = kind_of(event)
    some = table[table["kind"] == kind]
    if kind is None or some.empty or not math.isfinite(float(event["depth_km"])):
        return math.nan
    if kind != "volume":
        some = _least(some, ((some["strike_deg"] - float(event["strike_deg"]) + 90) % 180 - 90).abs())
    for name, least in (("depth_km", 1e-3), ("duration_d", 1.0)):
        given = max(float(event[name]), least)
        some = _least(some, np.log(some[name].clip(lower=least) / given))
    east = near(some["longitude"].to_numpy() - float(event["longitude"]), 0.0) * math.cos(
        math.radians(float(event["latitude"]))
    )
    some = _least(some, np.hypot(east, some["latitude"] - float(event["latitude"])))
    return float(some["mc90"].iloc[0])


def _least(table: pd.DataFrame, distance: ArrayLike) -> pd.DataFrame:
    away = np.abs(np.asarray(distance, float))
    return table[away <= away.min() + 1e-9]


def kind_of(event: Mapping[str, Any]) -> str | None:
    """The kind of an event's source: the one whose rake is nearest; None without a source."""
    if math.isfinite(float(event["rake_deg"])):
        rake = (float(event["rake_deg"]) + 180) % 360 - 180
        if 45 <= abs(rake) <= 135:
            return "thrust" if rake > 0 else "normal"
        return "strike_slip"
    return "volume" if math.isfinite(float(event["volume_change_m3"])) else None
