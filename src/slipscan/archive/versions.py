"""Which of the granules that a search found are taken (dates, frames, versions), and what is left out, and why.

The rule for duplicates (one frame and one pair of dates delivered again): the highest product version, then the
latest generation, then the greatest name. It depends on nothing but the granules, so a search gives the same manifest
whenever it is made.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import xarray as xr
from shapely.geometry import MultiPolygon, Polygon, shape

from slipscan.archive import manifest as manifests
from slipscan.archive.granules import RemoteFile
from slipscan.archive.job import Job
from slipscan.archive.manifest import ORDER
from slipscan.archive.names import listed
from slipscan.errors import SlipscanError
from slipscan.longitudes import continuous_polygon, joined

log = logging.getLogger(__name__)


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
    """Make a polygon of an asf_search geometry, continuous across 180 degrees; None where it has no one polygon."""
    if not geometry.get("coordinates"):
        return None
    polygon = shape(geometry)
    if isinstance(polygon, MultiPolygon):
        polygon = joined(polygon)
    return continuous_polygon(polygon, 0.0) if isinstance(polygon, Polygon) else None


def described(crop: xr.Dataset, row: pd.Series, name: re.Match[str] | None) -> xr.Dataset:
    """Say in the attributes of a crop which granule it is of, and by the group 'time' (HHMMSS) of its name, when."""
    time = {"acquisition_time": ":".join(re.findall("..", name["time"]))} if name else {}
    return crop.assign_attrs(
        **time, **{key: row[key] for key in ("reference_date", "secondary_date", "product_version", "frame")}
    )


def select(archive: str, found: Sequence[Found], job: Job, as_of: str, version: str, asked: str) -> pd.DataFrame:
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
    polygon, wanted = Polygon(job.region.polygon), version_number(version)
    until = [granule for granule in found if granule.secondary_date <= as_of]
    middle = (polygon.bounds[0] + polygon.bounds[2]) / 2
    touching = [g for g in until if g.footprint is None or continuous_polygon(g.footprint, middle).intersects(polygon)]
    taken: list[Found] = []
    other: list[Found] = []
    for granule in touching:
        (taken if version_number(granule.version)[: len(wanted)] == wanted else other).append(granule)
    if not taken:
        raise SlipscanError(_nothing(archive, found, until, touching, job, as_of, version, asked))
    where = f"{job.region.id} {job.track.id}"
    _tell(f"{where}: other versions than {version} are left out (mixed versions are not joined)", other)
    newest: dict[tuple[str, str, str], Found] = {}
    for granule in sorted(taken, key=lambda granule: granule.rank):
        newest[granule.frame, granule.reference_date, granule.secondary_date] = granule
    names = {granule.name for granule in newest.values()}
    _tell(f"{where}: superseded by a newer version", [g for g in taken if g.name not in names])
    return manifests.table(archive, job.track, map(_row, newest.values())).sort_values(ORDER, ignore_index=True)


def _row(granule: Found) -> dict[str, str]:
    size = granule.file.bytes
    return {
        "granule": granule.name,
        "product_version": granule.version,
        "reference_date": granule.reference_date,
        "secondary_date": granule.secondary_date,
        "frame": granule.frame,
        "expected_bytes": "" if size is None else str(size),
        "expected_checksum": granule.file.checksum,
    }


def _tell(what: str, granules: Sequence[Found]) -> None:
    """Name granules that are left out."""
    if granules:
        log.info("%s: %s", what, listed(sorted(granule.name for granule in granules), most=10))


def _nothing(
    archive: str,
    found: Sequence[Found],
    until: Sequence[Found],
    touching: Sequence[Found],
    job: Job,
    as_of: str,
    version: str,
    asked: str,
) -> str:
    """Say why nothing is left."""
    start = f"archive '{archive}' has no granule for {job.where} up to {as_of} ({asked}): "
    if touching:
        others = ", ".join(sorted({granule.version for granule in touching}))
        return f"{start}it has the versions {others}, but the track's {archive}.version is {version}: correct it"
    if until:
        frames = ", ".join(sorted({granule.frame for granule in until}))
        return (
            f"{start}the frames {frames} do not touch the polygon {job.region.wkt()}: correct the frames or the polygon"
        )
    if found:
        return f"{start}the first one ends on {min(granule.secondary_date for granule in found)}: move as_of"
    return (
        f"{start}check relative_orbit and orbit_direction of the track, and whether the archive covers the polygon"
        f" {job.region.wkt()} (https://search.asf.alaska.edu)"
    )
