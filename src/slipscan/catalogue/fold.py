"""The catalogue as a pure fold over all increments: no state, no clock, the same rows in any file order."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

import geopandas as gpd

from slipscan.catalogue.increment import Increment
from slipscan.events import CATALOGUE_COLUMNS, event_table

ACTIVE = "active"
RETRACTED = "retracted"

Row = dict[str, Any]


def fold(increments: Sequence[Increment], match_gap_d: float) -> gpd.GeoDataFrame:
    """Fold increments to the catalogue.

    Increments count in the order of data cut-off, region and number. An event of a later increment that
    matches a known one of its region (docs/science.md section 10.5: a gap shorter than max(`match_gap_d`, half
    the shorter duration), and footprints that overlap) replaces its row and keeps its id. Others get a new
    id, `{region}-{year of t50}-{number}`, never used again. A known event that an increment does not hold,
    though each of the event's tracks was scanned in a window that covers its t50, is retracted: it stays,
    with that status.

    Parameters
    ----------
    increments
        of any regions, in any order
    match_gap_d
        days

    Returns
    -------
    catalogue
        events.CATALOGUE_COLUMNS and footprints, one row an event, sorted by id; active and retracted ones
    """
    regions: dict[str, list[Row]] = {}
    for increment in sorted(increments, key=lambda i: (i.data_until, i.region, i.seq, i.sha)):
        known = regions.setdefault(increment.region, [])
        _apply(increment, known, match_gap_d)
    rows = sorted((row for known in regions.values() for row in known), key=lambda row: _id_order(row["event_id"]))
    return event_table(rows, CATALOGUE_COLUMNS)


def newest_scans(increments: Sequence[Increment]) -> list[dict[str, Any]]:
    """Return the newest scan of each region and track, sorted by region and track."""
    newest: dict[tuple[str, str], dict[str, Any]] = {}
    for increment in sorted(increments, key=lambda i: (i.data_until, i.region, i.seq, i.sha)):
        for scan in increment.scans:
            newest[str(scan["region"]), str(scan["track"])] = scan
    return [newest[key] for key in sorted(newest)]


def same_event(one: Row, other: Row, match_gap_d: float) -> bool:
    """Whether two rows are one event: close in time, and footprints that share some area."""
    gap_d = max(_day(one["t05"]), _day(other["t05"])) - min(_day(one["t95"]), _day(other["t95"]))
    limit_d = max(match_gap_d, 0.5 * min(one["duration_d"], other["duration_d"]))
    if gap_d > 0 and gap_d >= limit_d:
        return False
    return _common_area(one, other) > 0


def _apply(increment: Increment, known: list[Row], match_gap_d: float) -> None:
    """Update the rows of a region, in place, with one increment."""
    found = sorted(increment.events.to_dict("records"), key=_row_order)
    partner = _matches(known, found, match_gap_d)
    cut_off = increment.data_until
    held = set(partner.values())
    for number, row in enumerate(known):
        if number not in held and row["status"] == ACTIVE and _looked_at(row, increment):
            row.update(status=RETRACTED, updated=cut_off)
    for number, row in enumerate(found):
        if number in partner:
            before = known[partner[number]]
            kept = {"event_id": before["event_id"], "created": before["created"]}
            known[partner[number]] = {**row, **kept, "status": ACTIVE, "updated": cut_off}
        else:
            event_id = _mint(increment.region, row, known)
            known.append({**row, "event_id": event_id, "status": ACTIVE, "created": cut_off, "updated": cut_off})


def _matches(known: list[Row], found: list[Row], match_gap_d: float) -> dict[int, int]:
    """Pair numbers in `found` (keys) with numbers in `known` (values), one to one, best pairs first.

    Best: active before retracted, then nearest in t50, then largest common area.
    """
    pairs = []
    for i, old in enumerate(known):
        for j, new in enumerate(found):
            if same_event(old, new, match_gap_d):
                apart_d = abs(_day(old["t50"]) - _day(new["t50"]))
                pairs.append((old["status"] != ACTIVE, apart_d, -_common_area(old, new), i, j))
    partner: dict[int, int] = {}
    for *_, i, j in sorted(pairs):
        if j not in partner and i not in partner.values():
            partner[j] = i
    return partner


def _looked_at(row: Row, increment: Increment) -> bool:
    """Whether each of the event's tracks was scanned in a window that covers its t50."""
    t50 = _day(row["t50"])
    covered = {
        str(scan["track"])
        for scan in increment.scans
        if _day(str(scan["window_start"])) <= t50 <= _day(str(scan["window_end"]))
    }
    return {track.strip() for track in row["tracks"].split(",")} <= covered


def _mint(region: str, row: Row, known: list[Row]) -> str:
    """Make the next free id of the region and year; retracted events keep theirs, so none is used twice."""
    prefix = f"{region}-{row['t50'][:4]}-"
    return f"{prefix}{1 + sum(other['event_id'].startswith(prefix) for other in known):03d}"


def _row_order(row: Row) -> tuple[Any, ...]:
    """Sort key of the events of an increment, whatever their order in the file."""
    place = (row["longitude"], row["latitude"])
    return row["t50"], row["t05"], row["t95"], *place, row["tracks"], row["geometry"].wkb


def _id_order(event_id: str) -> tuple[str, int]:
    """Region and year, then the number, so that 1000 comes after 999."""
    prefix, _, number = event_id.rpartition("-")
    return prefix, int(number)


def _common_area(one: Row, other: Row) -> float:
    """Area that two footprints share, square degrees (only compared, never stated)."""
    return float(one["geometry"].intersection(other["geometry"]).area)


def _day(date: str) -> int:
    """Day number of an ISO date; a time of day is left out."""
    return datetime.date.fromisoformat(date[:10]).toordinal()
