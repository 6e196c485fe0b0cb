"""Archive 'aria': ARIA-S1-GUNW interferograms of ASF, every frame of a track that touches the region."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import xarray as xr

from slipscan.archive import versions
from slipscan.archive.aria.product import NAME, read_granule
from slipscan.archive.asf import catalogue
from slipscan.archive.asf.files import listed_files, locate_granules
from slipscan.archive.extent import Bounds
from slipscan.archive.granules import RemoteFile
from slipscan.archive.job import Job
from slipscan.archive.remote import RemoteArchive
from slipscan.regions import AriaSource, Track

if TYPE_CHECKING:
    from asf_search import ASFProduct

log = logging.getLogger(__name__)

DATASET = "ARIA S1 GUNW"


class Aria(RemoteArchive):
    """Archive 'aria'."""

    name = "aria"
    crop_version = 2
    heights_from_dem = True

    def search(self, job: Job, as_of: str) -> pd.DataFrame:
        """List the track's interferograms over the region's polygon up to `as_of`.

        Returns
        -------
        manifest
            columns manifest.COLUMNS; `frame` is the ARIA frame number, or the place in the granule's name where the
            catalogue has no number. Versions and duplicates: see `versions.select`.

        Raises
        ------
        SlipscanError
            there is none, or what `catalogue.search` refuses
        """
        products = catalogue.search(job.settings, **_options(job, as_of))
        found = [granule for product in products if (granule := _found(product)) is not None]
        asked = f"dataset {DATASET}, relative orbit {job.track.relative_orbit}, {job.track.orbit_direction}"
        return versions.select(self.name, found, job, as_of, _version(job.track), asked)

    def query(self, job: Job, as_of: str) -> str:
        """Say what `search` would ask, without asking."""
        note = f"  then: product versions that begin with {_version(job.track)}, newer date up to {as_of}"
        return f"{catalogue.query_text(job.settings, **_options(job, as_of))}\n{note}"

    def locate(self, rows: pd.DataFrame, job: Job) -> dict[str, list[RemoteFile]]:
        """Find the file of every manifest row, with the URL of today.

        Raises
        ------
        SlipscanError
            the archive no longer has a granule, or what `catalogue.search` refuses
        """
        if job.settings.dem is None:
            log.warning(
                "%s %s: archive.dem names no heights: the line of sight is that at 0 m", job.region.id, job.track.id
            )
        return locate_granules(list(rows["granule"]), job.settings)

    def crop(self, row: pd.Series, files: Sequence[Path], job: Job, bounds: Bounds) -> xr.Dataset | None:
        """Read the part of a granule within `bounds` (degrees): see `product.read_granule`."""
        return read_granule(row, files, job, bounds)


def _version(track: Track) -> str:
    return (track.aria or AriaSource()).version


def _options(job: Job, as_of: str) -> dict[str, Any]:
    return {
        "dataset": DATASET,
        "intersectsWith": job.region.wkt(),
        "relativeOrbit": job.track.relative_orbit,
        "flightDirection": job.track.orbit_direction.upper(),
        "end": f"{as_of}T23:59:59Z",
    }


def _found(product: ASFProduct) -> versions.Found | None:
    """Take what the manifest needs from a product; None, and a line in the log, for a name of another kind."""
    name = str(product.properties["fileID"])
    match = NAME.fullmatch(name)
    if match is None or match["look"] != "R" or match["newer"] <= match["older"]:
        log.warning("granule %s is left out: no right-looking GUNW with the newer date first", name)
        return None
    if match["layer"]:
        return None  # of version 2 and older, which is searched with the same dataset
    try:
        older, newer = (datetime.date.fromisoformat(match[key]).isoformat() for key in ("older", "newer"))
    except ValueError:
        log.warning("granule %s is left out: its name holds an impossible date", name)
        return None
    files = listed_files(product)
    if not files:
        log.warning("granule %s is left out: its catalogue entry lists no NetCDF file", name)
        return None
    return versions.Found(
        name=name,
        frame=str(product.properties.get("frameNumber") or match["place"]),
        reference_date=older,
        secondary_date=newer,
        version=match["version"].replace("_", "."),
        generated=str(product.properties.get("processingDate") or ""),
        file=files[0],
        footprint=versions.footprint(product.geometry),
    )
