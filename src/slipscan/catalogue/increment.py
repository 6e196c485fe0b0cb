"""Increments: one immutable file per scan of a region, the only truth behind the catalogue.

`{seq:05d}-{sha12}.parquet` holds the events of a region's scan with their GNSS verdicts, and in its metadata the scans
behind them (window, area, threshold per track), the GNSS comparisons and the region's outline. The name carries the
first digits of the SHA-256 of the file's bytes, so that a damaged increment is noticed. Nothing ever changes or removes
an increment.

`SCHEMA` is the version of this layout. An older one is read (1: without comparisons and outline), a newer one refused.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from slipscan import events as event_tables
from slipscan.atomic import working_directory
from slipscan.errors import SlipscanError
from slipscan.outputs import sha256_file

log = logging.getLogger(__name__)

SCHEMA = 2
_NAME = re.compile(r"(\d{5,})-([0-9a-f]{12})\.parquet")
_SCANS, _ABOUT = b"slipscan_scans", b"slipscan_increment"
_REQUIRED = (
    "region", "tracks", "type", "t05", "t50", "t95", "duration_d", "ongoing", "left_censored", "longitude",
    "latitude", "statistic", "geometry",
)  # fmt: skip
WRITING = {"compression": "lz4", "use_dictionary": False, "write_statistics": False}
"""Of 2,000 increments a fold reads every byte: opened so, one takes half the time."""

Scan = dict[str, Any]


class NewerIncrementError(SlipscanError):
    """An increment of a later version of slipscan: to fold without it would take the catalogue back."""


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
    table
        the events: columns of the event table and of GNSS, and `geometry` (WKB)
    schema
        version of the file's layout
    about
        JSON of an object: `region` (name, tectonic_setting, polygon) and `gnss` (columns of comparisons)
    """

    region: str
    seq: int
    sha: str
    scans: tuple[Scan, ...]
    table: pa.Table
    schema: int = SCHEMA
    about: bytes = field(default=b"{}", repr=False)

    @cached_property
    def data_until(self) -> str:
        """The data cut-off: last acquisition of any track of the scan."""
        return max(str(scan["data_until"])[:10] for scan in self.scans)

    @property
    def name(self) -> str:
        """Name of the file."""
        return f"{self.seq:05d}-{self.sha}.parquet"

    @property
    def order(self) -> tuple[str, str, int, str]:
        """Place among all increments."""
        return self.data_until, self.region, self.seq, self.sha

    @cached_property
    def events(self) -> gpd.GeoDataFrame:
        """The events with their footprints."""
        frame = self.table.to_pandas()
        event_tables.with_gnss_columns(frame)
        geometry = gpd.GeoSeries.from_wkb(frame.pop("geometry").to_numpy(dtype=object), crs="EPSG:4326")
        return gpd.GeoDataFrame(frame, geometry=geometry, crs="EPSG:4326")

    def told(self, part: str) -> dict[str, Any]:
        """A part of `about`; empty where the increment does not hold it."""
        return dict(json.loads(self.about).get(part) or {})


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
        name, tectonic_setting and polygon (longitude, latitude) of the region

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
    metadata = {_SCANS: json.dumps(list(scans), sort_keys=True), _ABOUT: json.dumps(told, sort_keys=True)}
    table = to_table(found).replace_schema_metadata(metadata)
    directory.mkdir(parents=True, exist_ok=True)
    with working_directory(directory / "increment") as work:
        beside = work / "increment"
        pq.write_table(table, beside, **WRITING)
        with beside.open("rb") as file:
            os.fsync(file.fileno())
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


def _columns(gnss: pd.DataFrame | None) -> dict[str, list[Any]]:
    """A table of comparisons as lists, its verdicts left out; numbers that are none as null."""
    if gnss is None or "station" not in gnss:
        return {}
    named = gnss[gnss["station"].fillna("") != ""]
    verdict = {column.name for column in event_tables.GNSS_COLUMNS}
    kept = named[[name for name in named.columns if name not in verdict]].astype(object)
    return {str(name): kept[name].where(kept[name].notna(), None).tolist() for name in kept.columns}


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


def foreign(directory: Path) -> list[Path]:
    """Files of a directory of increments that are none by their name; hidden ones are slipscan's own."""
    if not directory.is_dir():
        return []
    return sorted(p for p in directory.iterdir() if not p.name.startswith(".") and not _NAME.fullmatch(p.name))


def _parse(path: Path) -> tuple[int, str]:
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise SlipscanError(f"{path} is no increment: its name is not {{seq}}-{{sha}}.parquet")
    return int(match[1]), match[2]


def read(path: Path) -> Increment:
    """Read an increment.

    Raises
    ------
    SlipscanError
        the file is damaged (its bytes are not those that its name states), no increment, or lacks a column
    NewerIncrementError
        it was written by a later version
    """
    seq, sha = _parse(path)
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest()[:12] != sha:
        raise SlipscanError(
            f"the increment {path} is damaged (its content is not what its name states): restore it from a"
            " backup, or delete it and run the region again"
        )
    try:
        table = pq.ParquetFile(pa.BufferReader(content), pre_buffer=False).read(use_threads=False)
        metadata = table.schema.metadata or {}
        scans = json.loads(metadata[_SCANS])
        about = metadata.get(_ABOUT, b"{}")
        schema = int(json.loads(about).get("schema", 1)) if len(about) < 4096 else _schema_of(about)
        whole = [set(event_tables.SCAN_KEYS) <= set(scan) for scan in scans]
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise SlipscanError(f"{path} is no increment of slipscan ({' '.join(str(error).split())[:120]})") from error
    if schema > SCHEMA:
        raise NewerIncrementError(
            f"the increment {path} was written by a later version of slipscan (layout {schema}, this one knows"
            f" {SCHEMA}): fold with that version"
        )
    table = _of_today(table)
    lacking = [name for name in _REQUIRED if name not in table.column_names]
    if lacking:
        raise SlipscanError(f"the increment {path} lacks the column '{lacking[0]}': run the region again")
    if not whole or not all(whole):
        raise SlipscanError(f"{path} is no increment of slipscan: it does not tell its scans")
    regions = sorted({str(scan["region"]) for scan in scans} | set(table["region"].unique().to_pylist()))
    if len(regions) > 1:
        raise SlipscanError(f"{path} is no increment of slipscan: it holds several regions ({', '.join(regions)})")
    return Increment(regions[0], seq, sha, tuple(scans), table.replace_schema_metadata(None), schema, about)


def _of_today(table: pa.Table) -> pa.Table:
    """The same with the words of today's verdicts."""
    place = table.schema.get_field_index("gnss_verdict")
    if place < 0:
        return table
    verdicts = table["gnss_verdict"]
    return table.set_column(place, "gnss_verdict", pc.if_else(pc.equal(verdicts, "no_data"), "no_coverage", verdicts))


def _schema_of(about: bytes) -> int:
    """The layout's version, the last key of a long text, without reading all of it."""
    found = re.search(rb'"schema": (\d+)\}$', about)
    return int(found[1]) if found else int(json.loads(about).get("schema", 1))
