"""Increments: one immutable file per scan of a region, the only truth behind the catalogue.

`{seq:05d}-{sha12}.parquet` holds the events of a region's scan with their GNSS verdicts, and the scans
behind them (window, area, threshold per track). The name carries the first digits of the SHA-256 of the
file's bytes, so that a damaged increment is noticed. Nothing ever changes or removes an increment.
"""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd

from slipscan import events as event_tables
from slipscan.atomic import working_directory
from slipscan.catalogue.footprint import split_at_antimeridian
from slipscan.errors import SlipscanError
from slipscan.outputs import sha256_file

log = logging.getLogger(__name__)

_NAME = re.compile(r"(\d{5,})-([0-9a-f]{12})\.parquet")
_COLUMNS = [column.name for column in (*event_tables.SOURCE_COLUMNS, *event_tables.GNSS_COLUMNS)]


@dataclass(frozen=True)
class Increment:
    """What one scan of a region found.

    Attributes
    ----------
    region
        id of the region
    seq
        place in the order of the region's increments, from 1
    sha
        first 12 digits of the SHA-256 of the file
    scans
        one dictionary of events.SCAN_KEYS per track
    events
        columns of SOURCE_COLUMNS and GNSS_COLUMNS, and the footprints
    """

    region: str
    seq: int
    sha: str
    scans: tuple[dict[str, Any], ...]
    events: gpd.GeoDataFrame

    @property
    def data_until(self) -> str:
        """The data cut-off: last acquisition of any track of the scan."""
        return max(str(scan["data_until"]) for scan in self.scans)


def with_verdicts(found: gpd.GeoDataFrame, verdicts: pd.DataFrame) -> gpd.GeoDataFrame:
    """Add the GNSS columns to an event table.

    Parameters
    ----------
    found
        events, one row each (SOURCE_COLUMNS and geometry)
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
    return out[[*_COLUMNS, "geometry"]]


def append(found: gpd.GeoDataFrame, scans: list[dict[str, Any]], directory: Path) -> Path:
    """Append an increment to a region's directory, unless the newest one has the same content.

    Safe against kill -9 and against other processes: the file is written beside in a directory of its
    own, its number is claimed exclusively (O_EXCL), and it is linked, never renamed over another.

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
    directory.mkdir(parents=True, exist_ok=True)
    with working_directory(directory / "increment") as work:
        beside = work / "increment"
        event_tables.write_events(beside, found, scans)
        sha = sha256_file(beside)[:12]
        while True:
            newest = max(find(directory), default=None, key=lambda path: _parse(path)[0])
            if newest is not None and _parse(newest)[1] == sha:
                read(newest)
                log.info("nothing new: %s holds the same scan and events", newest.name)
                return newest
            seq = 1 + (_parse(newest)[0] if newest is not None else 0)
            path = _link(beside, directory, seq, sha)
            if path is not None:
                return path


def _check(found: gpd.GeoDataFrame, scans: list[dict[str, Any]]) -> None:
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
        if any(_parse(path)[0] >= seq for path in find(directory)):
            return None
        path = directory / f"{seq:05d}-{sha}.parquet"
        os.link(beside, path)
        return path
    finally:
        claim.unlink()


def find(directory: Path) -> list[Path]:
    """List the increments of a directory by number; unfinished and foreign files are left out."""
    if not directory.is_dir():
        return []
    return sorted((p for p in directory.iterdir() if _NAME.fullmatch(p.name)), key=_parse)


def _parse(path: Path) -> tuple[int, str]:
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise SlipscanError(f"{path} is no increment: its name is not {{seq}}-{{sha}}.parquet")
    return int(match[1]), match[2]


def read(path: Path) -> Increment:
    """Read an increment; footprints are split at 180 degrees and made valid.

    Raises
    ------
    SlipscanError
        the file is damaged (its bytes are not those that its name states) or lacks a column
    """
    seq, sha = _parse(path)
    if sha256_file(path)[:12] != sha:
        raise SlipscanError(
            f"the increment {path} is damaged (its content is not what its name states): restore it from a"
            " backup, or delete it and run the region again"
        )
    found, scans = event_tables.read_events(path)
    event_tables.with_gnss_columns(found)
    lacking = [name for name in _COLUMNS if name not in found]
    if lacking:
        raise SlipscanError(f"the increment {path} lacks the column '{lacking[0]}': it is of another version")
    footprints = [split_at_antimeridian(g if g.is_valid else g.buffer(0)) for g in found.geometry]
    found = found.set_geometry(gpd.GeoSeries(footprints, index=found.index, crs=found.crs))
    return Increment(str(scans[0]["region"]), seq, sha, tuple(scans), found)
