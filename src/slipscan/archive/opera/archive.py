"""Archive 'opera': OPERA DISP-S1 of ASF, displacement from a moving reference date, frame by frame.

Every product is taken as an interferogram from its reference to its secondary date. The reference moves (often
yearly) to an earlier secondary date, so the products of a frame form a tree that the network inversion solves;
`check_chain` refuses one that falls apart.
"""

from __future__ import annotations

import datetime
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import xarray as xr

from slipscan.archive import versions
from slipscan.archive.asf import catalogue
from slipscan.archive.asf.files import listed_files, locate_granules
from slipscan.archive.extent import Bounds
from slipscan.archive.granules import RemoteFile
from slipscan.archive.job import Job
from slipscan.archive.opera.product import read_window
from slipscan.archive.remote import RemoteArchive
from slipscan.errors import SlipscanError
from slipscan.regions import OperaSource, Track
from slipscan.settings import ArchiveSettings

if TYPE_CHECKING:
    from asf_search import ASFProduct

log = logging.getLogger(__name__)

DATASET = "OPERA-S1"
LEVEL, STATIC_LEVEL = "DISP-S1", "DISP-S1-STATIC"
LOS, DEM = "_line_of_sight_enu.tif", "_dem.tif"

NAME = re.compile(
    r"OPERA_L3_DISP-S1_IW_F(?P<frame>\d{5})_(?P<polarization>VV|HH)_(?P<reference>\d{8})T\d{6}Z"
    r"_(?P<secondary>\d{8})T(?P<time>\d{6})Z_v(?P<version>\d+(?:\.\d+)*)_(?P<generation>\d{8}T\d{6}Z)(?:\.nc)?"
)
STATIC_NAME = re.compile(
    r"OPERA_L3_DISP-S1-STATIC_F(?P<frame>\d{5})_(?P<date>\d{8})_S1\w_v(?P<version>\d+(?:\.\d+)*)(?:_\w+)?"
)


class Opera(RemoteArchive):
    """Archive 'opera'."""

    name = "opera"
    crop_version = 2
    whole_cycles = False  # frames were inverted one by one: they differ by any constant

    def search(self, job: Job, as_of: str) -> pd.DataFrame:
        """List the displacements of the track's frames up to `as_of`: of all over the polygon where none is named.

        Returns
        -------
        manifest
            columns manifest.COLUMNS; `frame` is the OPERA frame, e.g. F11116. Versions and duplicates: see
            `versions.select`.

        Raises
        ------
        SlipscanError
            there is none, a frame has none or is of another track, a moving reference that cannot be chained, or what
            `catalogue.search` refuses
        """
        track, source = job.track, job.track.opera or OperaSource()
        found = []
        for product in catalogue.search(job.settings, **_options(job, as_of)):
            granule = _found(product)
            if granule is not None:
                _check_track(product, granule.frame, track)
                found.append(granule)
        frames = (
            ", ".join(_frame(number) for number in source.frames) or f"all of relative orbit {track.relative_orbit}"
        )
        table = versions.select(
            self.name, found, job, as_of, source.version, f"dataset {DATASET} {LEVEL}, frames {frames}"
        )
        missing = sorted({_frame(number) for number in source.frames} - set(table["frame"]))
        if missing:
            log.warning(
                "%s %s: the frame %s has no granule that touches the polygon", job.region.id, track.id, missing[0]
            )
        check_chain(table)
        return table

    def query(self, job: Job, as_of: str) -> str:
        """Say what `search` would ask, without asking."""
        return (
            f"{catalogue.query_text(job.settings, **_options(job, as_of))}\n  then: product versions that begin with"
            f" {(job.track.opera or OperaSource()).version}, secondary date up to {as_of}, footprint touches"
            f" {job.region.wkt()}"
        )

    def locate(self, rows: pd.DataFrame, job: Job) -> dict[str, list[RemoteFile]]:
        """Find the file of every manifest row and the static layers of its frame (shared), with the URLs of today.

        Raises
        ------
        SlipscanError
            the archive no longer has a granule, a frame has no line of sight, or what `catalogue.search` refuses
        """
        files = locate_granules(list(rows["granule"]), job.settings)
        static = _static(sorted(set(rows["frame"])), job.settings)
        return {row["granule"]: files[row["granule"]] + static[row["frame"]] for _, row in rows.iterrows()}

    def crop(self, row: pd.Series, files: Sequence[Path], job: Job, bounds: Bounds) -> xr.Dataset | None:
        """Read the part of a granule within `bounds` (degrees) as product 'granule'; None where it has none.

        Parameters
        ----------
        row
            of the manifest
        files
            the NetCDF file, and the static layers of the frame: line of sight, heights (where there are)

        Raises
        ------
        SlipscanError
            a file is truncated, lacks a variable, is of another wavelength, date or lattice, or has a line of sight
            that the track cannot have
        """
        data = [path for path in files if path.name.endswith(".nc")]
        los = [path for path in files if path.name.endswith(LOS)]
        heights = [path for path in files if path.name.endswith(DEM)]
        if len(data) != 1 or len(los) != 1:
            raise SlipscanError(
                f"the granule {row['granule']} came with {len(data)} NetCDF files and {len(los)} lines of sight, not"
                " with one of each: fetch it again"
            )
        dataset = read_window(
            data[0],
            los[0],
            heights[0] if heights else None,
            bounds,
            job.track.radar_wavelength_m,
            job.track.orbit_direction,
            dates=(row["reference_date"], row["secondary_date"]),
        )
        if dataset is None:
            return None
        return versions.described(dataset, row, NAME.fullmatch(row["granule"]))


def check_chain(table: pd.DataFrame) -> None:
    """Refuse a manifest in which a moving reference cannot be chained.

    Parameters
    ----------
    table
        columns frame, reference_date, secondary_date (ISO)

    Raises
    ------
    SlipscanError
        a reference date is neither the frame's first one nor an earlier secondary date: the displacement before it
        is unknown. The sentence names the dates. Source: opera-utils, disp/_rebase.py.
    """
    for frame, rows in table.groupby("frame"):
        first, secondaries = rows["reference_date"].min(), set(rows["secondary_date"])
        loose = rows[(rows["reference_date"] != first) & ~rows["reference_date"].isin(secondaries)]
        if not loose.empty:
            dates = sorted(set(loose["reference_date"]))
            before = max((date for date in secondaries if date < dates[0]), default="none")
            raise SlipscanError(
                f"the reference of frame {frame} moves to {dates[0]}, on which no earlier displacement ends (the last"
                f" one before it ends on {before}): {len(loose)} of {len(rows)} displacements, up to"
                f" {loose['secondary_date'].max()}, cannot be chained; wait for the missing granule, or end as_of"
                f" before {loose['secondary_date'].min()}"
            )


def _frame(number: int) -> str:
    return f"F{number:05d}"


def _options(job: Job, as_of: str) -> dict[str, Any]:
    common = {"dataset": DATASET, "processingLevel": LEVEL, "end": f"{as_of}T23:59:59Z"}
    track = job.track
    if track.opera is not None and track.opera.frames:
        return {**common, "asfFrame": list(track.opera.frames)}
    return {
        **common,
        "intersectsWith": job.region.wkt(),
        "relativeOrbit": track.relative_orbit,
        "flightDirection": track.orbit_direction.upper(),
    }


def _found(product: ASFProduct) -> versions.Found | None:
    """Take what the manifest needs from a product; None, and a line in the log, for an entry of another kind."""
    name = str(product.properties["fileID"])
    match, files = NAME.fullmatch(name), listed_files(product)
    try:
        if match is None or not files:
            raise ValueError("no DISP-S1 name, or no NetCDF file listed")
        reference, secondary = (
            datetime.date.fromisoformat(match[key]).isoformat() for key in ("reference", "secondary")
        )
        if reference >= secondary:
            raise ValueError("the reference is not older")
    except ValueError as error:
        log.warning("granule %s is left out: %s", name, error)
        return None
    return versions.Found(
        name=name,
        frame=f"F{match['frame']}",
        reference_date=reference,
        secondary_date=secondary,
        version=match["version"],
        generated=match["generation"],
        file=files[0],
        footprint=versions.footprint(product.geometry),
    )


def _check_track(product: ASFProduct, frame: str, track: Track) -> None:
    """Refuse a frame of another track: its number in the region's entry is wrong."""
    path, direction = product.properties.get("pathNumber"), product.properties.get("flightDirection")
    if (path is not None and int(path) != track.relative_orbit) or (
        direction is not None and str(direction)[:1].upper() != track.orbit_direction[0].upper()
    ):
        raise SlipscanError(
            f"the frame {frame} is of relative orbit {path}, {str(direction).lower()}, but track {track.id} of"
            f" {track.relative_orbit}, {track.orbit_direction}: correct the region's entry"
        )


def _static(frames: Sequence[str], settings: ArchiveSettings) -> dict[str, list[RemoteFile]]:
    """Find the newest static layers of frames: line of sight, and heights where there are."""
    numbers = [int(frame.removeprefix("F")) for frame in frames]
    found: dict[str, tuple[tuple[tuple[int, ...], str], list[RemoteFile]]] = {}
    for product in catalogue.search(settings, dataset=DATASET, processingLevel=STATIC_LEVEL, asfFrame=numbers):
        name = str(product.properties["fileID"])
        match = STATIC_NAME.fullmatch(name)
        if match is None:
            log.warning("granule %s is left out: no name of static layers", name)
            continue
        frame, rank = f"F{match['frame']}", (versions.version_number(match["version"]), name)
        files = listed_files(product, shared=True, suffixes=(LOS, DEM))
        if any(file.name.endswith(LOS) for file in files) and (frame not in found or rank > found[frame][0]):
            found[frame] = rank, files
    missing = sorted(set(frames) - set(found))
    if missing:
        raise SlipscanError(
            f"the catalogue {settings.cmr_url} has no line of sight ({DATASET} {STATIC_LEVEL}) of frame {missing[0]}:"
            " without it the displacement has no direction; remove the frame, or try later"
        )
    return {frame: files for frame, (_, files) in found.items()}
