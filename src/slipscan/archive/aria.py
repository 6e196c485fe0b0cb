"""Archive 'aria': ARIA-S1-GUNW interferograms of ASF, every frame of a track that touches the region."""

from __future__ import annotations

import datetime
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import xarray as xr

from slipscan.archive import asf, versions
from slipscan.archive.aria_read import read_window
from slipscan.archive.extent import Bounds
from slipscan.archive.granules import RemoteFile
from slipscan.errors import SlipscanError
from slipscan.regions import AriaSource, Region, Track
from slipscan.settings import ArchiveSettings

if TYPE_CHECKING:
    from asf_search import ASFProduct

log = logging.getLogger(__name__)

STAGE_VERSION = 2
DATASET = "ARIA S1 GUNW"

NAME = re.compile(
    r"S1-GUNW-(?P<direction>[AD])-(?P<look>[RL])-(?P<track>\d{3})-tops\w*-(?P<newer>\d{8})_(?P<older>\d{8})"
    r"-(?P<time>\d{6})-(?P<place>\w+)-PP-(?P<hash>\w+)-v(?P<version>\d+(?:_\d+)*)(?P<layer>-\w+)?(?:\.nc)?"
)
"""The first date is the newer one, the reference of the phase. Before version 3 a layer was a granule of its own."""


def search(region: Region, track: Track, settings: ArchiveSettings, as_of: str) -> pd.DataFrame:
    """List the track's interferograms over the region's polygon up to `as_of`.

    Parameters
    ----------
    as_of
        latest date of the newer acquisition, ISO

    Returns
    -------
    manifest
        columns manifest.COLUMNS; `frame` is the ARIA frame number, or the place in the granule's name where the
        catalogue has no number. Versions and duplicates: see `versions.select`.

    Raises
    ------
    SlipscanError
        there is none, or what `asf.search` refuses
    """
    options = _options(region, track, as_of)
    found = [granule for product in asf.search(settings, **options) if (granule := _found(product)) is not None]
    asked = f"dataset {DATASET}, relative orbit {track.relative_orbit}, {track.orbit_direction}"
    return versions.select("aria", found, region, track, as_of, _version(track), asked)


def query(region: Region, track: Track, settings: ArchiveSettings, as_of: str) -> str:
    """Say what `search` would ask, without asking."""
    note = f"  then: product versions that begin with {_version(track)}, newer date up to {as_of}"
    return f"{asf.query_text(settings, **_options(region, track, as_of))}\n{note}"


def locate(
    rows: pd.DataFrame, region: Region, track: Track, settings: ArchiveSettings, cache_dir: Path
) -> dict[str, list[RemoteFile]]:
    """Find the file of every manifest row, with the URL of today.

    Raises
    ------
    SlipscanError
        the archive no longer has a granule, or what `asf.search` refuses
    """
    if settings.dem is None:
        log.warning("%s %s: archive.dem names no heights: the line of sight is that at 0 m", region.id, track.id)
    return asf.locate(list(rows["granule"]), settings)


def crop(
    row: pd.Series, files: Sequence[Path], region: Region, track: Track, bounds: Bounds, dem: Path | None = None
) -> xr.Dataset | None:
    """Read the part of a granule within `bounds` (degrees) as product 'granule'; None where it has none.

    Parameters
    ----------
    row
        of the manifest
    files
        the NetCDF file
    dem
        GeoTIFF of heights (m) at which the 3-D layers are interpolated, any CRS; a GUNW holds no heights of its own.
        None: at 0 m, and the crop has no height.

    Raises
    ------
    SlipscanError
        the file is truncated, lacks a variable, is of another wavelength, or has a line of sight that the track cannot
        have
    """
    if len(files) != 1:
        raise SlipscanError(f"the granule {row['granule']} came as {len(files)} files, not as one: fetch it again")
    dataset = read_window(
        files[0],
        bounds,
        track.radar_wavelength_m,
        track.orbit_direction,
        dates=(row["reference_date"], row["secondary_date"]),
        dem=dem,
    )
    if dataset is None:
        return None
    name = NAME.fullmatch(files[0].name) or NAME.fullmatch(row["granule"])
    return dataset.assign_attrs(
        **({"acquisition_time": ":".join(re.findall("..", name["time"]))} if name else {}),
        reference_date=row["reference_date"],
        secondary_date=row["secondary_date"],
        product_version=row["product_version"],
        frame=row["frame"],
    )


def _version(track: Track) -> str:
    return (track.aria or AriaSource()).version


def _options(region: Region, track: Track, as_of: str) -> dict[str, Any]:
    return {
        "dataset": DATASET,
        "intersectsWith": region.wkt(),
        "relativeOrbit": track.relative_orbit,
        "flightDirection": track.orbit_direction.upper(),
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
    files = asf.remote_file(product)
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
