"""Choosing events of a catalogue by place, time, size and type, and printing them as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from slipscan.catalogue.schema import ACTIVE, STATUSES
from slipscan.errors import SlipscanError
from slipscan.events import EVENT_TYPES

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Question:
    """What is asked for; None: all.

    Attributes
    ----------
    box
        west, south, east, north, degrees; west > east crosses 180 degrees
    since, until
        ISO dates: events that release moment (t05 to t95) in this span
    min_mw
        events without a magnitude are left out
    types, statuses
        any of these
    view, region
        'published' or 'candidate', and the id of a region
    """

    box: Box | None = None
    since: str | None = None
    until: str | None = None
    min_mw: float | None = None
    types: Sequence[str] = ()
    statuses: Sequence[str] = (ACTIVE,)
    view: str | None = None
    region: str | None = None


def select(events: gpd.GeoDataFrame, asked: Question) -> gpd.GeoDataFrame:
    """The events that a question is about, by t50.

    Raises
    ------
    SlipscanError
        an unknown type or status, or a box that is none
    """
    for given, known, what in ((asked.types, EVENT_TYPES, "type"), (asked.statuses, STATUSES, "status")):
        if unknown := sorted(set(given) - set(known)):
            raise SlipscanError(f"there is no {what} {unknown[0]!r}: it is one of {', '.join(known)}")
    keep = np.array(events["status"].isin(asked.statuses), bool)
    if asked.types:
        keep &= events["type"].isin(asked.types).to_numpy()
    if asked.since:
        keep &= (events["t95"] >= asked.since).to_numpy()
    if asked.until:
        keep &= (events["t05"] <= asked.until).to_numpy()
    if asked.min_mw is not None:
        keep &= (events["mw"].to_numpy(dtype=float) >= asked.min_mw) & events["mw"].notna().to_numpy()
    if asked.view:
        keep &= (events["view"] == asked.view).to_numpy()
    if asked.region:
        keep &= np.array([asked.region in names.split(",") for names in events["regions"]], bool)
    if asked.box:
        keep &= _inside(events, asked.box)
    return events[keep].sort_values(["t50", "id"], ignore_index=True)


def _inside(events: gpd.GeoDataFrame, box: Box) -> np.ndarray:
    west, south, east, north = box
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south < north <= 90):
        raise SlipscanError(f"the box {box} is none: give west south east north in degrees")
    parts = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
    shapes = events.geometry.to_numpy()
    touching = [shapely.intersects(shapes, shapely.box(a, south, b, north)) for a, b in parts]
    return np.asarray(np.any(touching, axis=0), bool)


_SHOWN = {
    "id": "id", "type": "type", "t05": "from", "t95": "to", "duration_days": "days", "mw": "Mw", "depth_km": "km deep",
    "latitude": "N", "longitude": "E", "peak_negative_mm": "mm", "peak_positive_mm": "mm", "gnss_verdict": "GNSS",
    "grade": "grade", "view": "view",
}  # fmt: skip
_DIGITS = {"duration_days": 0, "mw": 1, "depth_km": 1, "latitude": 2, "longitude": 2, "peak_negative_mm": 0,
           "peak_positive_mm": 0}  # fmt: skip


def as_text(events: pd.DataFrame) -> str:
    """A table for the terminal, a line an event."""
    if events.empty:
        return "no event"
    cells = [list(_SHOWN.values())]
    for row in events.to_dict("records"):
        cells.append([_cell(name, row) for name in _SHOWN])
    return aligned(cells)


def aligned(cells: list[list[str]]) -> str:
    """Columns under their headings, two spaces apart."""
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in cells)


def _cell(name: str, row: dict[Any, Any]) -> str:
    value = row[name]
    if value is None or value != value:
        return "-"
    text = f"{value:.{_DIGITS[name]}f}" if name in _DIGITS else str(value)
    return f"{text}+" if name == "duration_days" and row["ongoing"] else text
