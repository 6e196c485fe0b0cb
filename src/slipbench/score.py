"""A catalogue against the truth of a simulated region: what was found, missed and false, and how far off.

A hit is an active event of the truth's region with |t50 error| <= 24 days (docs/science.md section 10.17) whose
source lies within 15 km of the true one, or within half the true source's length where that is more. A
footprint that merely contains the true source is no hit: a footprint as wide as the scene would always be
one. Each true event is matched at most once, best pairs first; further rows on it are duplicates, and
duplicates count as false. Events of every type count, those called residue too.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
from pyproj import Geod

from slipbench.measures import MAX_T50_ERROR_D
from slipscan.catalogue.geopackage import read
from slipscan.errors import SlipscanError
from slipscan.texts import read_json

MAX_DISTANCE_KM = 15.0

Row = dict[str, Any]
_NUMBERS = ("longitude", "latitude", "depth_km", "mw", "length_km")
_EARTH = Geod(ellps="WGS84")


def score_catalogue(catalogue: Path, truth: Path) -> str:
    """Score a catalogue; returns the table to print.

    Parameters
    ----------
    catalogue
        the GeoPackage; only active events of the truth's region count
    truth
        truth.json of a simulated region

    Raises
    ------
    SlipscanError
        a file is missing, is something else, or the region was not scanned
    """
    planted = read_truth(Path(truth))
    events, _, scans = read(catalogue)
    if planted["region"] not in set(scans["region"]):
        raise SlipscanError(f"the catalogue {catalogue} holds no scan of region {planted['region']}: run it first")
    return format_table(score(events, planted))


def score(events: gpd.GeoDataFrame, planted: Row) -> Row:
    """Match the events of a catalogue with planted ones.

    Parameters
    ----------
    events
        active events (as `catalogue.geopackage.read` gives them) of any regions
    planted
        the content of truth.json

    Returns
    -------
    result
        'region', 'scenario'; 'found', 'missed', 'false' (duplicates included) and 'duplicates', counts;
        'rows', a dictionary each: 'truth' and 'event_id' (None where there is none), 'result' (found,
        missed, false or duplicate; the 'truth' of a false one names what was there and is no slow slip),
        'type', and, where found, the errors catalogue - truth 't50_error_d', 't05_error_d', 'mw_error',
        'depth_error_km' and 'distance_km'
    """
    truths = sorted(planted["events"], key=lambda truth: (truth["t50"], truth["id"]))
    ours = events[events["region"] == planted["region"]].drop(columns="geometry").to_dict("records")
    match, on_a_truth = _matched(truths, ours)
    rows = [_row(truth, ours[match[t]] if t in match else None) for t, truth in enumerate(truths)]
    for e, event in enumerate(ours):
        if e not in match.values():
            result = "duplicate" if e in on_a_truth else "false"
            rows.append(
                {
                    "truth": _distractor(event, planted.get("distractors", [])),
                    "event_id": event["event_id"],
                    "result": result,
                    "type": event["type"],
                }
            )
    count = {result: sum(row["result"] == result for row in rows) for result in ("found", "missed", "duplicate")}
    return {
        "region": planted["region"],
        "scenario": planted.get("scenario", ""),
        "found": count["found"],
        "missed": count["missed"],
        "false": len(rows) - count["found"] - count["missed"],
        "duplicates": count["duplicate"],
        "rows": rows,
    }


def _matched(truths: Sequence[Row], ours: Sequence[Row]) -> tuple[dict[int, int], set[int]]:
    """Number of the event that each truth is matched with, best pairs first; numbers of all events that hit one."""
    hits = sorted(
        (_badness(event, truth), t, e)
        for t, truth in enumerate(truths)
        for e, event in enumerate(ours)
        if _is_hit(event, truth)
    )
    match: dict[int, int] = {}
    for _, t, e in hits:
        if t not in match and e not in match.values():
            match[t] = e
    return match, {e for _, _, e in hits}


def format_table(result: Row) -> str:
    """Lay the result of `score` out as a table for the terminal; errors are catalogue - truth."""
    header = (
        "planted",
        "event",
        "result",
        "type",
        "t50 error",
        "t05 error",
        "Mw error",
        "depth error",
        "distance",
    )
    lines = [header]
    for row in result["rows"]:
        errors = ("", "", "", "", "")
        if row["result"] == "found":
            errors = (
                f"{row['t50_error_d']:+.0f} d",
                f"{row['t05_error_d']:+.0f} d",
                _signed(row["mw_error"], ".2f", ""),
                _signed(row["depth_error_km"], ".1f", " km"),
                f"{row['distance_km']:.1f} km",
            )
        lines.append((row["truth"] or "-", row["event_id"] or "-", row["result"], row["type"] or "-", *errors))
    duplicates = f" ({result['duplicates']} duplicate)" if result["duplicates"] else ""
    planted = result["found"] + result["missed"]
    summary = (
        f"{result['region']}: {result['found']} of {planted} planted events found, {result['missed']} missed,"
        f" {result['false']} false{duplicates}"
    )
    return format_lines(summary, lines)


def format_lines(summary: str, lines: Sequence[Sequence[str]]) -> str:
    """A sentence, and a table whose first line is its header, for the terminal."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    text.insert(1, "-" * sum(widths, 2 * (len(widths) - 1)))
    return "\n".join([summary, "", *text]) + "\n"


def _signed(value: float, digits: str, unit: str) -> str:
    """Format an error with its sign; a source without that parameter has none."""
    return f"{value:+{digits}}{unit}" if math.isfinite(value) else "-"


def read_truth(path: Path) -> Row:
    """The truth of a simulated region; raises SlipscanError where the file is something else."""
    planted = read_json(path, "truth", "only simulated regions have one")
    if not isinstance(planted, dict) or not {"region", "events"} <= set(planted):
        raise SlipscanError(f"{path} is no truth of a simulated region: it lacks 'region' or 'events'")
    try:
        for event in planted["events"]:
            for key in ("t05", "t50"):
                _days(event[key], event[key])
            if not all(math.isfinite(event[key]) for key in _NUMBERS) or not isinstance(event["id"], str):
                raise ValueError(f"a number of {event['id']} is not finite")
    except (KeyError, TypeError, ValueError) as error:
        raise SlipscanError(f"{path} is no truth of a simulated region: an event is incomplete ({error})") from error
    return planted


def _is_hit(event: Row, truth: Row) -> bool:
    reach_km = max(MAX_DISTANCE_KM, 0.5 * truth["length_km"])
    return abs(_days(event["t50"], truth["t50"])) <= MAX_T50_ERROR_D and distance_km(event, truth) <= reach_km


def _distractor(event: Row, distractors: list[Row]) -> str | None:
    """What moved the ground there and then, and is no slow slip; None where nothing was planted."""
    for other in distractors:
        near = distance_km(event, other) <= max(MAX_DISTANCE_KM, other.get("radius_km", 0.0))
        if near and abs(_days(event["t50"], other["t50"])) <= max(MAX_T50_ERROR_D, other.get("duration_d", 0.0)):
            return f"{other['id']} ({other['type']})"
    return None


def _badness(event: Row, truth: Row) -> float:
    """Distance of a pair in units of what is allowed, so that days and kilometres weigh alike."""
    return abs(_days(event["t50"], truth["t50"])) / MAX_T50_ERROR_D + distance_km(event, truth) / MAX_DISTANCE_KM


def _row(truth: Row, event: Row | None) -> Row:
    if event is None:
        return {"truth": truth["id"], "event_id": None, "result": "missed", "type": None}
    return {
        "truth": truth["id"],
        "event_id": event["event_id"],
        "result": "found",
        "type": event["type"],
        "t50_error_d": _days(event["t50"], truth["t50"]),
        "t05_error_d": _days(event["t05"], truth["t05"]),
        "mw_error": event["mw"] - truth["mw"],
        "depth_error_km": event["depth_km"] - truth["depth_km"],
        "distance_km": distance_km(event, truth),
    }


def _days(date: str, reference: str) -> float:
    """Days from `reference` to `date`, ISO dates with or without a time of day."""
    one, other = (datetime.datetime.fromisoformat(text).replace(tzinfo=None) for text in (date, reference))
    return (one - other) / datetime.timedelta(days=1)


def distance_km(event: Row, truth: Row) -> float:
    """Geodesic distance of the sources' centres."""
    _, _, metres = _EARTH.inv(event["longitude"], event["latitude"], truth["longitude"], truth["latitude"])
    return float(metres) / 1000
