"""Which of the granules that a search found are taken (dates, frames, versions), and what is left out, and why.

The rule for duplicates (one frame and one pair of dates delivered again): the highest product version, then the
latest generation, then the greatest name. It depends on nothing but the granules, so a search gives the same manifest
whenever it is made.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from shapely.geometry import Polygon, shape

from slipscan.archive.granules import RemoteFile
from slipscan.archive.manifest import COLUMNS, ORDER
from slipscan.errors import SlipscanError
from slipscan.regions import Region, Track

log = logging.getLogger(__name__)

LISTED = 10
"""Granules of one kind that are named in the log; of more the number is given."""


@dataclass(frozen=True)
class Found:
    """A granule that a search found: an interferogram of one frame.

    Attributes
    ----------
    name
        the granule's name in the catalogue
    frame
        what tells the frame from others of the track
    reference_date, secondary_date
        ISO dates, reference older
    version
        product version with dots, e.g. 3.0.1
    generated
        when it was made, as text that sorts; an empty string where unknown
    file
        the file with the data
    footprint
        longitude, latitude; None where the catalogue has none
    """

    name: str
    frame: str
    reference_date: str
    secondary_date: str
    version: str
    generated: str
    file: RemoteFile
    footprint: Polygon | None = None

    @property
    def rank(self) -> tuple[tuple[int, ...], str, str]:
        """The greatest one of the same frame and dates is taken."""
        return version_number(self.version), self.generated, self.name


def version_number(text: str) -> tuple[int, ...]:
    """Return a version such as '3.0.1' as numbers."""
    return tuple(int(part) for part in text.split("."))


def footprint(geometry: dict[str, Any]) -> Polygon | None:
    """Make a polygon of an asf_search geometry; None where it has no coordinates or crosses 180 degrees."""
    if not geometry.get("coordinates"):
        return None
    polygon = shape(geometry)
    west, _, east, _ = polygon.bounds
    return polygon if east - west < 180 else None


def select(
    archive: str, found: Sequence[Found], region: Region, track: Track, as_of: str, version: str, asked: str
) -> pd.DataFrame:
    """Make the manifest of what a search found.

    Parameters
    ----------
    archive
        for the column, and the sentences
    as_of
        latest secondary date, ISO
    version
        versions that begin with these numbers are taken ('3' takes 3.0.1); others are left out, named in the log
    asked
        what was searched for, for the sentences

    Returns
    -------
    manifest
        columns manifest.COLUMNS, sorted; duplicates and superseded versions resolved (module docstring)

    Raises
    ------
    SlipscanError
        nothing is left
    """
    polygon, wanted = Polygon(region.polygon), version_number(version)
    until = [granule for granule in found if granule.secondary_date <= as_of]
    touching = [g for g in until if g.footprint is None or g.footprint.intersects(polygon)]
    taken: list[Found] = []
    other: list[Found] = []
    for granule in touching:
        (taken if version_number(granule.version)[: len(wanted)] == wanted else other).append(granule)
    if not taken:
        raise SlipscanError(_nothing(archive, found, until, touching, region, track, as_of, version, asked))
    where = f"{region.id} {track.id}"
    _tell(f"{where}: other versions than {version} are left out (mixed versions are not joined)", other)
    newest: dict[tuple[str, str, str], Found] = {}
    for granule in sorted(taken, key=lambda granule: granule.rank):
        newest[granule.frame, granule.reference_date, granule.secondary_date] = granule
    names = {granule.name for granule in newest.values()}
    _tell(f"{where}: superseded by a newer version", [g for g in taken if g.name not in names])
    rows = [_row(archive, granule, track) for granule in newest.values()]
    return pd.DataFrame(rows, columns=list(COLUMNS)).sort_values(ORDER, ignore_index=True)


def _row(archive: str, granule: Found, track: Track) -> dict[str, str]:
    size = granule.file.bytes
    return {
        "granule": granule.name,
        "archive": archive,
        "product_version": granule.version,
        "reference_date": granule.reference_date,
        "secondary_date": granule.secondary_date,
        "relative_orbit": str(track.relative_orbit),
        "frame": granule.frame,
        "expected_bytes": "" if size is None else str(size),
        "expected_checksum": granule.file.checksum,
    }


def _tell(what: str, granules: Sequence[Found]) -> None:
    """Name granules that are left out."""
    if granules:
        names = sorted(granule.name for granule in granules)
        more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
        log.info("%s: %s%s", what, ", ".join(names[:LISTED]), more)


def _nothing(
    archive: str,
    found: Sequence[Found],
    until: Sequence[Found],
    touching: Sequence[Found],
    region: Region,
    track: Track,
    as_of: str,
    version: str,
    asked: str,
) -> str:
    """Say why nothing is left."""
    start = f"archive '{archive}' has no granule for region {region.id} track {track.id} up to {as_of} ({asked}): "
    if touching:
        others = ", ".join(sorted({granule.version for granule in touching}))
        return f"{start}it has the versions {others}, but the track's {archive}.version is {version}: correct it"
    if until:
        frames = ", ".join(sorted({granule.frame for granule in until}))
        return f"{start}the frames {frames} do not touch the polygon {region.wkt()}: correct the frames or the polygon"
    if found:
        return f"{start}the first one ends on {min(granule.secondary_date for granule in found)}: move as_of"
    return (
        f"{start}check relative_orbit and orbit_direction of the track, and whether the archive covers the polygon"
        f" {region.wkt()} (https://search.asf.alaska.edu)"
    )
