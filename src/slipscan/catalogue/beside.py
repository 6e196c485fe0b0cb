"""Layers beside the events: what each track saw, the sources on the map, and the GNSS comparisons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from slipscan.catalogue.borders import KM_PER_DEGREE
from slipscan.catalogue.columns import Column, Layer
from slipscan.catalogue.schema import GNSS_CHECKS, GNSS_STATIONS, OBSERVATIONS, SOURCES
from slipscan.catalogue.sightings import Sightings
from slipscan.events import SCAN_KEYS

if TYPE_CHECKING:
    from slipscan.catalogue.fold import State


def observations(sightings: Sightings, state: State) -> pd.DataFrame:
    """A row for every event and every track of the scan that holds it last, sorted; parts under the whole's id."""
    scans = [
        {"increment": number, **scan}
        for number, one in enumerate(sightings.increments)
        for scan in one.scans
    ]  # fmt: skip
    frame = pd.DataFrame({
        "event_id": state.id[state.primary] if len(state.id) else state.id,
        "increment": sightings.increment[state.last],
        "tracks": sightings.table["tracks"].take(state.last).to_pylist(),
        "verdicts": sightings.table["track_verdicts"].take(state.last).to_pylist(),
    }).merge(pd.DataFrame(scans, columns=["increment", *SCAN_KEYS]), on="increment")  # fmt: skip
    pairs = zip(frame["track"], frame["tracks"], strict=True)
    frame["detected"] = np.array([track in {part.strip() for part in text.split(",")} for track, text in pairs], bool)
    told = zip(frame["track"], frame["verdicts"], strict=True)
    frame["agreement"] = np.array([_verdict_of(track, text) for track, text in told], dtype=object)
    for column in OBSERVATIONS.columns:
        if column.source in frame:
            values = frame[column.source]
            frame[column.name] = [str(value)[:10] for value in values] if column.kind == "date" else values
    # Two chains of a region may be parts of one event, by way of another region.
    frame = frame.sort_values(["event_id", "region", "track", "detected"], ascending=[True, True, True, False])
    return ordered(frame.drop_duplicates(list(OBSERVATIONS.unique), ignore_index=True), OBSERVATIONS)


def _verdict_of(track: str, told: str | None) -> str | None:
    """The verdict of a track in a text 'track:verdict,track:verdict'."""
    said = dict(part.split(":", 1) for part in (told or "").split(",") if ":" in part)
    return said.get(track)


def ordered(frame: pd.DataFrame, layer: Layer) -> pd.DataFrame:
    """The layer's columns, NULL where the frame has none."""
    return pd.DataFrame({c.name: frame[c.name] if c.name in frame else empty(c, len(frame)) for c in layer.columns})


def empty(column: Column, rows: int) -> NDArray[Any]:
    """A column without a value."""
    return np.full(rows, np.nan) if column.kind in ("number", "integer") else np.full(rows, None, dtype=object)


def sources(events: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """The source of every event that has one: the rectangle seen from above, or a point above the volume."""
    numbers = {
        name: events[name].to_numpy(dtype=float)
        for name in ("longitude", "latitude", "strike_deg", "dip_deg", "length_km", "width_km", "depth_km")
    }
    fault = np.isfinite(np.stack(list(numbers.values()))).all(axis=0) if len(events) else np.zeros(0, bool)
    volume = np.isfinite(events["volume_change_m3"].to_numpy(dtype=float)) & ~fault
    half = 0.5 * numbers["width_km"] * np.sin(np.deg2rad(numbers["dip_deg"]))
    frame = pd.DataFrame(events.drop(columns="geometry"))
    frame["event_id"] = events["id"]
    frame["kind"] = np.where(fault, "fault", "volume").astype(object)
    frame["top_km"] = np.where(fault, numbers["depth_km"] - half, np.nan)
    frame["bottom_km"] = np.where(fault, numbers["depth_km"] + half, np.nan)
    shapes = np.full(len(events), None, dtype=object)
    shapes[fault] = _rectangles({name: values[fault] for name, values in numbers.items()})
    shapes[volume] = shapely.points(numbers["longitude"][volume], numbers["latitude"][volume])
    kept = fault | volume
    table = ordered(frame, SOURCES)[kept].reset_index(drop=True)
    return gpd.GeoDataFrame(table, geometry=shapes[kept], crs="EPSG:4326")


def _rectangles(numbers: dict[str, NDArray[np.float64]]) -> NDArray[np.object_]:
    """(fault) the four corners of the plane above it, the centre being (longitude, latitude)."""
    strike = np.deg2rad(numbers["strike_deg"])
    along = 0.5 * numbers["length_km"]
    across = np.maximum(0.5 * numbers["width_km"] * np.cos(np.deg2rad(numbers["dip_deg"])), 1e-3)
    corners = []
    for s, d in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        east = s * along * np.sin(strike) + d * across * np.cos(strike)
        north = s * along * np.cos(strike) - d * across * np.sin(strike)
        latitude = numbers["latitude"] + north / KM_PER_DEGREE
        longitude = numbers["longitude"] + east / (KM_PER_DEGREE * np.cos(np.deg2rad(numbers["latitude"])))
        corners.append(np.stack([longitude, latitude], axis=1))
    ring = np.stack([*corners, corners[0]], axis=1)
    return np.asarray(shapely.polygons(ring), dtype=object)


def gnss(sightings: Sightings, state: State) -> dict[str, pd.DataFrame]:
    """Layers `gnss_stations` and `gnss_checks`: of the increment that holds an event last."""
    chain_of = {int(row): chain for chain, row in enumerate(state.last)}
    first = dict(zip(*(found.tolist() for found in np.unique(sightings.increment, return_index=True)), strict=True))
    frames = []
    for number in np.unique(sightings.increment[state.last]).tolist():
        told = sightings.increments[number].told("gnss")
        if not told:
            continue
        frame = pd.DataFrame(told)
        chains = [chain_of.get(int(first[number]) + int(event), -1) for event in frame["event"]]
        # Of whole numbers, also where there is none: beside an empty column of any kind numbers would be objects.
        frame["chain"] = np.array(chains, np.int64)
        frame["region"] = sightings.increments[number].region
        frames.append(frame[frame["chain"] >= 0])
    table = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame({"station": [], "region": []})
    table["event_id"] = state.id[state.primary[table["chain"].to_numpy()]] if len(table) else []
    checks = ordered(table, GNSS_CHECKS).sort_values(list(GNSS_CHECKS.unique), ignore_index=True)
    checks = checks.drop_duplicates(list(GNSS_CHECKS.unique), ignore_index=True)
    return {"gnss_stations": _stations(table), "gnss_checks": checks}


def _stations(table: pd.DataFrame) -> gpd.GeoDataFrame:
    """A row for every station of a region."""
    if len(table):
        grouped = table.sort_values(["region", "station"]).groupby(["region", "station"], as_index=False)
        places = {name: (name, "first") for name in ("longitude", "latitude")}
        table = grouped.agg(**places, events=("event_id", "nunique"))
    else:
        table = pd.DataFrame({name: [] for name in GNSS_STATIONS.names})
    places = shapely.points(table["longitude"].to_numpy(dtype=float), table["latitude"].to_numpy(dtype=float))
    return gpd.GeoDataFrame(ordered(table, GNSS_STATIONS), geometry=places, crs="EPSG:4326")
