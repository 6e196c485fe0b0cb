"""Provenance: the layers `runs` and `regions`, and which inventories an event's tracks were made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon, Polygon

from slipscan.catalogue.footprint import split_at_antimeridian
from slipscan.catalogue.schema import ACTIVE, PUBLISHED, REFUSED, REGIONS, RETRACTED, RUNS
from slipscan.catalogue.sightings import Ints, Sightings

DIGITS = 12
"""Of a SHA-256 in the catalogue."""


def runs(sightings: Sightings, refused: Sequence[tuple[str, str, str]] = ()) -> pd.DataFrame:
    """A row for every increment's scan of a track, and for every refused file, sorted by region and number."""
    rows: list[dict[str, Any]] = []
    newest: dict[tuple[str, str], int] = {}
    counts = np.bincount(sightings.increment, minlength=len(sightings.increments))
    for increment, events in zip(sightings.increments, counts.tolist(), strict=True):
        for scan in increment.scans:
            newest[increment.region, str(scan["track"])] = len(rows)
            rows.append({
                **scan, "increment": increment.name, "seq": increment.seq, "schema": increment.schema,
                "events": events, "newest": False, REFUSED: None,
            })  # fmt: skip
    for number in newest.values():
        rows[number]["newest"] = True
    rows += [{"region": r, "increment": name, "newest": False, REFUSED: why} for r, name, why in refused]
    columns = {c.name: [row.get(c.source) for row in rows] for c in RUNS.columns}
    for column in RUNS.columns:
        if column.kind == "date":
            columns[column.name] = [value and str(value)[:10] for value in columns[column.name]]
    frame = pd.DataFrame(columns)
    frame["track"] = frame["track"].fillna("")
    return frame.sort_values(["region", "seq", "increment", "track"], ignore_index=True)


def regions(sightings: Sightings, events: pd.DataFrame) -> gpd.GeoDataFrame:
    """A row for every region, sorted; without an outline where its increments do not tell it."""
    groups: dict[str, list[int]] = {}
    for number, increment in enumerate(sightings.increments):
        groups.setdefault(increment.region, []).append(number)
    counts = events.groupby(["region", "status"]).size()
    published = events[(events["status"] == ACTIVE) & (events["view"] == PUBLISHED)].groupby("region").size()
    rows, outlines = [], []
    for region in sorted(groups):
        members = [sightings.increments[number] for number in groups[region]]
        newest = {str(scan["track"]): scan for one in members for scan in one.scans}
        told = members[-1].told("region")
        scans = list(newest.values())
        rows.append({
            "region": region,
            "name": told.get("name"),
            "tectonic_setting": told.get("tectonic_setting"),
            "tracks": ",".join(sorted(newest)),
            "scanned_from": min(str(scan["window_start"])[:10] for scan in scans),
            "scanned_through": min(str(scan["window_end"])[:10] for scan in scans),
            "area_km2": max(float(scan["area_km2"]) for scan in scans),
            "far_per_1e4km2_yr": max(float(scan["false_alarms_per_1e4km2_yr"]) for scan in scans),
            "mc": told.get("mc"),
            "events": int(counts.get((region, ACTIVE), 0)),
            "published": int(published.get(region, 0)),
            "retracted": int(counts.get((region, RETRACTED), 0)),
            "increments": len(members),
        })  # fmt: skip
        outlines.append(_outline(told.get("polygon")))
    frame = pd.DataFrame(rows, columns=REGIONS.names)
    return gpd.GeoDataFrame(frame, geometry=gpd.GeoSeries(outlines, crs="EPSG:4326"), crs="EPSG:4326")


def _outline(ring: object) -> MultiPolygon | None:
    if not ring:
        return None
    shape = split_at_antimeridian(Polygon(ring))
    return shape if isinstance(shape, MultiPolygon) else MultiPolygon([shape])


def manifests(sightings: Sightings, rows: Ints) -> NDArray[np.object_]:
    """(row) the first digits of the inventories of a sighting's tracks, comma-separated."""
    codes, texts = sightings.codes("tracks")
    count = max(len(texts), 1)
    key = sightings.increment[rows] * count + codes[rows]
    distinct, inverse = np.unique(key, return_inverse=True)
    out = np.empty(len(distinct), dtype=object)
    for number, (increment, code) in enumerate(zip(distinct // count, distinct % count, strict=True)):
        inventory = {
            str(scan["track"]): str(scan["inventory_sha256"])[:DIGITS] for scan in sightings.increments[increment].scans
        }
        seen = [name.strip() for name in texts[code].split(",")]
        out[number] = ",".join(inventory.get(name, "") for name in seen).strip(",") or None
    return out[inverse]
