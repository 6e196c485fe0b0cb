"""A catalogue against published events: which of those that lie in a scan were found.

What the catalogue holds beside them is not false: no list of slow slip is complete.
"""

from __future__ import annotations

import datetime
import math
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
from pyproj import Geod

from slipbench.score import format_lines
from slipscan.catalogue.geopackage import read
from slipscan.errors import SlipscanError
from slipscan.texts import read_text

COLUMNS = (
    "id", "region", "name", "start", "end", "date_error_d", "longitude", "latitude", "reach_km", "mw", "verified",
    "source", "note",
)  # fmt: skip
_NUMBERS = ("date_error_d", "longitude", "latitude", "reach_km")
_EARTH = Geod(ellps="WGS84")
Row = dict[str, Any]


def read_known(path: Path) -> list[Row]:
    """Published events of a CSV file (lines with # are comments).

    Raises
    ------
    SlipscanError
        no such file, a missing column, or a date or number that is none; names the event
    """
    text = read_text(path, "list of known events", "config/known_events.csv comes with slipscan")
    try:
        table = pd.read_csv(StringIO(text), comment="#", keep_default_na=False, dtype=str)
    except ValueError as error:
        raise SlipscanError(f"{path} is no list of known events: {error}") from error
    lacking = [name for name in COLUMNS if name not in table]
    if lacking:
        raise SlipscanError(f"{path} is no list of known events: it lacks the column '{lacking[0]}'")
    return [_event(row, path) for row in _rows(table)]


def _rows(table: pd.DataFrame) -> list[Row]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _event(row: Row, path: Path) -> Row:
    out = dict(row)
    try:
        out |= {name: float(row[name]) for name in _NUMBERS}
        out["mw"] = float(row["mw"]) if row["mw"] else math.nan
        for name in ("start", "end"):
            out[name] = datetime.date.fromisoformat(row[name])
    except ValueError as error:
        raise SlipscanError(f"event {row['id']!r} of {path}: {error}") from error
    if out["end"] < out["start"] or row["verified"] not in ("yes", "no"):
        raise SlipscanError(f"event {row['id']!r} of {path} ends before it starts, or 'verified' is neither yes nor no")
    return out


def score_known(catalogue: Path, known: Path) -> str:
    """Which published events a catalogue holds; returns the table to print.

    Raises
    ------
    SlipscanError
        a file is missing or is something else
    """
    events, _, scans = read(catalogue)
    ours, looked = _rows(pd.DataFrame(events.drop(columns="geometry"))), _rows(scans)
    rows = [compare(one, ours, looked) for one in read_known(known)]
    count = {result: sum(row["result"] == result for row in rows) for result in ("found", "missed", "not scanned")}
    header = ("published", "start", "Mw", "verified", "result", "event", "t50", "Mw found", "GNSS")
    lines = [header] + [
        (
            row["id"], row["start"].isoformat(), _number(row["mw"]), row["verified"], row["result"],
            row["event_id"] or "-", row["t50"] or "-", _number(row["mw_found"]), row["gnss_verdict"] or "-",
        )
        for row in rows
    ]  # fmt: skip
    summary = (
        f"{count['found']} of {count['found'] + count['missed']} published events that lie in a scan were found;"
        f" {count['not scanned']} lie in none"
    )
    return format_lines(summary, lines)


def compare(known: Row, events: list[Row], scans: list[Row]) -> Row:
    """One published event: 'result' is found, missed or 'not scanned', beside what was found nearest in time."""
    own = [
        scan for scan in scans
        if scan["region"] == known["region"]
        and str(scan["window_start"])[:10] <= known["start"].isoformat() <= str(scan["window_end"])[:10]
    ]  # fmt: skip
    hits = [event for event in events if event["region"] == known["region"] and _is_hit(event, known)]
    nothing: Row = {"event_id": None, "t50": None, "mw_found": math.nan, "gnss_verdict": None}
    if not own:
        return {**known, **nothing, "result": "not scanned"}
    if not hits:
        return {**known, **nothing, "result": "missed"}
    middle = known["start"] + (known["end"] - known["start"]) / 2
    best = min(hits, key=lambda event: abs(_date(event["t50"]) - middle))
    return {
        **known, "result": "found", "event_id": best["event_id"], "t50": str(best["t50"])[:10], "mw_found": best["mw"],
        "gnss_verdict": best["gnss_verdict"],
    }  # fmt: skip


def _is_hit(event: Row, known: Row) -> bool:
    allowed = datetime.timedelta(days=known["date_error_d"])
    overlaps = _date(event["t05"]) <= known["end"] + allowed and _date(event["t95"]) >= known["start"] - allowed
    metres = _EARTH.inv(event["longitude"], event["latitude"], known["longitude"], known["latitude"])[2]
    return bool(overlaps and metres <= 1e3 * known["reach_km"])


def _date(text: str) -> datetime.date:
    return datetime.date.fromisoformat(str(text)[:10])


def _number(value: float) -> str:
    return f"{value:.1f}" if math.isfinite(value) else "-"
