"""Append a scan of a region as an increment: never over another, and never half-written (`increment` reads them)."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from slipscan import events as event_tables
from slipscan.atomic import working_directory
from slipscan.catalogue.increment import ABOUT_KEY, DIGITS, SCANS_KEY, SCHEMA, Scan, file_name, find, parsed_name, read
from slipscan.errors import SlipscanError
from slipscan.outputs import sha256_file

log = logging.getLogger(__name__)

WRITING = {"compression": "lz4", "use_dictionary": False, "write_statistics": False}
"""Of 2,000 increments a fold reads every byte: opened so, one takes half the time."""


def with_verdicts(found: gpd.GeoDataFrame, verdicts: pd.DataFrame) -> gpd.GeoDataFrame:
    """Add the GNSS columns to an event table.

    Parameters
    ----------
    found
        events, one row each (SOURCE_COLUMNS, perhaps more, and geometry)
    verdicts
        rows per (event, station, track), `event` being the row number in `found`; the verdict's columns
        are the same in all rows of an event. An event without a row has verdict 'no_coverage'.

    Raises
    ------
    SlipscanError
        a missing column, or a verdict on an event that `found` does not hold
    """
    missing = [c.name for c in event_tables.SOURCE_COLUMNS if c.name not in found]
    if missing:
        raise SlipscanError(f"the event table lacks the column '{missing[0]}': run source again")
    names = [column.name for column in event_tables.GNSS_COLUMNS]
    lacking = [name for name in ("event", *names) if name not in verdicts]
    if lacking:
        raise SlipscanError(f"the GNSS table lacks the column '{lacking[0]}': run gnss again")
    first = verdicts.drop_duplicates("event").set_index("event")
    if not set(first.index) <= set(range(len(found))):
        raise SlipscanError("the GNSS table speaks of events that the event table does not hold: run gnss again")
    out = found.reset_index(drop=True)
    numbers = range(len(out))
    for column in event_tables.GNSS_COLUMNS:
        nothing = event_tables.WITHOUT_GNSS[column.name]
        values = [first[column.name][i] if i in first.index else nothing for i in numbers]
        out[column.name] = np.array(values, dtype=object if column.dtype == "str" else column.dtype)
    return out[[*(name for name in out.columns if name != "geometry"), "geometry"]]


def to_table(found: gpd.GeoDataFrame) -> pa.Table:
    """Events as an Arrow table of plain types, the footprints as WKB."""
    arrays, names = [], []
    for name in found.columns:
        if name == "geometry":
            continue
        values = found[name].to_numpy()
        kind = {"f": pa.float64(), "i": pa.int64(), "u": pa.int64(), "b": pa.bool_()}.get(values.dtype.kind)
        texts = None if kind else [None if value is None or value != value else str(value) for value in values]
        arrays.append(pa.array(values, kind) if texts is None else pa.array(texts, pa.string()))
        names.append(str(name))
    arrays.append(pa.array(list(found.geometry.to_wkb()), pa.binary()))
    return pa.table(arrays, names=[*names, "geometry"])


def append(
    found: gpd.GeoDataFrame,
    scans: Sequence[Scan],
    directory: Path,
    gnss: pd.DataFrame | None = None,
    region: Mapping[str, Any] | None = None,
    completeness: pd.DataFrame | None = None,
) -> Path:
    """Append an increment to a region's directory, unless the newest one has the same content.

    Safe against kill -9 and against other processes: the file is written beside in a directory of its
    own, its number is claimed exclusively (O_EXCL), and it is linked, never renamed over another.

    Parameters
    ----------
    found, scans
        events with verdicts, and the scans behind them
    directory
        of the region's increments
    gnss
        comparisons, a row per event (its row number), station and track
    region
        name, tectonic_setting and polygon (longitude, latitude) of the region, and its magnitude of completeness (mc)
    completeness
        the region's grid, a row a node

    Returns
    -------
    path
        of the new increment, or of the newest one where it has the same content

    Raises
    ------
    SlipscanError
        no scan, scans or events of more than one region, an event without a footprint, a damaged
        newest increment
    """
    _check(found, scans)
    told = {"schema": SCHEMA, "region": dict(region or {}), "gnss": _columns(gnss)}
    if completeness is not None:
        told["completeness"] = _lists(completeness.drop(columns="region"))
    metadata = {SCANS_KEY: json.dumps(list(scans), sort_keys=True), ABOUT_KEY: json.dumps(told, sort_keys=True)}
    table = to_table(found).replace_schema_metadata(metadata)
    directory.mkdir(parents=True, exist_ok=True)
    with working_directory(directory / "increment") as work:
        beside = work / "increment"
        pq.write_table(table, beside, **WRITING)
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        return _placed(beside, directory)


def _placed(beside: Path, directory: Path) -> Path:
    """Give the written file the next number; the newest increment instead, where it has the same content."""
    sha = sha256_file(beside)[:DIGITS]
    while True:
        newest = max(find(directory), default=None, key=lambda path: parsed_name(path)[0])
        if newest is not None and parsed_name(newest)[1] == sha:
            read(newest)
            log.info("nothing new: %s holds the same scan and events", newest.name)
            return newest
        seq = 1 + (parsed_name(newest)[0] if newest is not None else 0)
        path = _link(beside, directory, seq, sha)
        if path is not None:
            return path


def _columns(gnss: pd.DataFrame | None) -> dict[str, list[Any]]:
    """A table of comparisons as lists, its verdicts left out; numbers that are none as null."""
    if gnss is None or "station" not in gnss:
        return {}
    named = gnss[gnss["station"].fillna("") != ""]
    verdict = {column.name for column in event_tables.GNSS_COLUMNS}
    return _lists(named[[name for name in named.columns if name not in verdict]])


def _lists(table: pd.DataFrame) -> dict[str, list[Any]]:
    plain = table.astype(object)
    return {str(name): plain[name].where(plain[name].notna(), None).tolist() for name in plain.columns}


def _check(found: gpd.GeoDataFrame, scans: Sequence[Scan]) -> None:
    if not scans:
        raise SlipscanError(
            "the event table names no scan, so nothing is known of what was looked at: run source again"
        )
    regions = sorted({str(scan["region"]) for scan in scans} | set(found["region"]))
    if len(regions) > 1:
        raise SlipscanError(f"an increment holds one region, not {', '.join(regions)}: run source per region")
    if (found.geometry.isna() | found.geometry.is_empty).any():
        raise SlipscanError(f"an event of region {regions[0]} has no footprint: run source again")


def _link(beside: Path, directory: Path, seq: int, sha: str) -> Path | None:
    """Give the written file its final name; None where another process has taken the number.

    The number is claimed first, since two processes' names differ in their sha and would not collide. A
    claim that a killed process left costs one number, no more.
    """
    while True:
        claim = directory / f".{seq:05d}.claim"
        try:
            os.close(os.open(claim, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            break
        except FileExistsError:
            seq += 1
    try:
        if any(parsed_name(path)[0] >= seq for path in find(directory)):
            return None
        path = directory / file_name(seq, sha)
        os.link(beside, path)
        return path
    finally:
        claim.unlink()
