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
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import geopandas as gpd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from slipscan import events as event_tables
from slipscan.errors import SlipscanError

SCHEMA = 2
DIGITS = 12
"""Of the SHA-256 in a name."""
_NAME = re.compile(r"(\d{5,})-([0-9a-f]{12})\.parquet")
SCANS_KEY, ABOUT_KEY = b"slipscan_scans", b"slipscan_increment"
_REQUIRED = (
    "region", "tracks", "type", "t05", "t50", "t95", "duration_d", "ongoing", "left_censored", "longitude",
    "latitude", "statistic", "geometry",
)  # fmt: skip
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
    block
        table that holds the events, perhaps among those of other increments: columns of the event table and of GNSS,
        and `geometry` (WKB)
    schema
        version of the file's layout
    about
        JSON of an object: `region` (name, tectonic_setting, polygon, mc), `gnss` (columns of comparisons) and
        `completeness` (columns of the grid of magnitudes, where it was given)
    part
        its first row of the block, and the number of its rows; None: all
    """

    region: str
    seq: int
    sha: str
    scans: tuple[Scan, ...]
    block: pa.Table
    schema: int = SCHEMA
    about: bytes = field(default=b"{}", repr=False)
    part: tuple[int, int] | None = None

    @property
    def rows(self) -> range:
        """Its rows of the block."""
        begin, count = self.part or (0, self.block.num_rows)
        return range(begin, begin + count)

    @cached_property
    def table(self) -> pa.Table:
        """The events."""
        return self.block.slice(self.rows.start, len(self.rows))

    @cached_property
    def data_until(self) -> str:
        """The data cut-off: last acquisition of any track of the scan."""
        return max(str(scan["data_until"])[:10] for scan in self.scans)

    @property
    def name(self) -> str:
        """Name of the file."""
        return file_name(self.seq, self.sha)

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


def file_name(seq: int, sha: str) -> str:
    """Name of an increment's file."""
    return f"{seq:05d}-{sha}.parquet"


def parsed_name(path: Path) -> tuple[int, str]:
    """Number and first digits of the SHA-256; raises SlipscanError where the name is no increment's."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise SlipscanError(f"{path} is no increment: its name is not {{seq}}-{{sha}}.parquet")
    return int(match[1]), match[2]


def find(directory: Path) -> list[Path]:
    """List the increments of a directory by number; unfinished and foreign files are left out."""
    if not directory.is_dir():
        return []
    return sorted((p for p in directory.iterdir() if _NAME.fullmatch(p.name)), key=parsed_name)


def foreign(directory: Path) -> list[Path]:
    """Files of a directory of increments that are none by their name; hidden ones are slipscan's own."""
    if not directory.is_dir():
        return []
    return sorted(p for p in directory.iterdir() if not p.name.startswith(".") and not _NAME.fullmatch(p.name))


def read(path: Path) -> Increment:
    """Read an increment.

    Raises
    ------
    SlipscanError
        the file is damaged (its bytes are not those that its name states), no increment, or lacks a column
    NewerIncrementError
        it was written by a later version
    """
    seq, sha = parsed_name(path)
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest()[:DIGITS] != sha:
        raise SlipscanError(
            f"the increment {path} is damaged (its content is not what its name states): restore it from a"
            " backup, or delete it and run the region again"
        )
    try:
        table = pq.ParquetFile(pa.BufferReader(content), pre_buffer=False).read(use_threads=False)
        metadata = table.schema.metadata or {}
        scans = json.loads(metadata[SCANS_KEY])
        about = metadata.get(ABOUT_KEY, b"{}")
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
    if table["geometry"].null_count:
        raise SlipscanError(f"the increment {path} holds an event without a footprint: run the region again")
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
