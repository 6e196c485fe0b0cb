"""Archive 'simulated': a synthetic region as LiCSAR-layout GeoTIFFs, so that it goes through the readers of real data.

Files lie in the content-addressed cache, `cache_dir/granules/simulated/{key}/{frame}/`; the key is made of the
region, the track and the settings, and a file that is there is never written again.
"""

from __future__ import annotations

import datetime
import json
import logging
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.io import MemoryFile
from rasterio.transform import Affine

from slipscan import cache
from slipscan.archive.manifest import COLUMNS
from slipscan.atomic import write_text, written_beside
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid
from slipscan.outputs import OWN
from slipscan.progress import progress
from slipscan.regions import LocalSource, Region, Track
from slipscan.settings import ArchiveSettings
from slipscan.synthetic import ismetpasa, positions
from slipscan.synthetic.interferograms import TrackSimulator, acquisition_dates, pairs

log = logging.getLogger(__name__)

STAGE_VERSION = 1
"""Raised when the same settings give other files: files of an older version are then not used again."""
MARGIN = 0.05
"""Data reach beyond the box of the polygon and the reference point by this share of its sides."""
_GEOMETRY = ("E", "N", "U", "hgt")


def search(region: Region, track: Track, settings: ArchiveSettings, as_of: str) -> pd.DataFrame:
    """Interferograms of a track up to a date.

    Parameters
    ----------
    region, track
        of archive 'simulated'
    settings
        of which `simulated` is used
    as_of
        ISO date; pairs whose newer date is later are left out

    Returns
    -------
    manifest
        columns manifest.COLUMNS

    Raises
    ------
    SlipscanError
        the region lies outside the scenario
    """
    _check_bounds(region)
    frame = frame_name(track)
    rows = [
        {
            "granule": f"{frame}_{older:%Y%m%d}_{newer:%Y%m%d}",
            "archive": "simulated",
            "product_version": str(STAGE_VERSION),
            "reference_date": older.isoformat(),
            "secondary_date": newer.isoformat(),
            "relative_orbit": str(track.relative_orbit),
            "frame": frame,
            "expected_bytes": "",
            "expected_checksum": "",
        }
        for older, newer in pairs(track, settings.simulated)
        if newer.isoformat() <= as_of
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def fetch(
    manifest: pd.DataFrame, region: Region, track: Track, settings: ArchiveSettings, cache_dir: Path
) -> list[Path]:
    """Simulate the files of a manifest that are not there yet.

    Parameters
    ----------
    manifest
        of `search`
    region, track, settings
        as for `search`
    cache_dir
        the cache

    Returns
    -------
    files
        every file of the manifest and the track's geometry, sorted

    Raises
    ------
    SlipscanError
        the region lies outside the scenario
    """
    _check_bounds(region)
    directory = frame_directory(region, track, settings, cache_dir)
    dates = [
        (datetime.date.fromisoformat(older), datetime.date.fromisoformat(newer))
        for older, newer in zip(manifest["reference_date"], manifest["secondary_date"], strict=True)
    ]
    simulator = TrackSimulator(raster_grid(region, settings.simulated.posting_deg), track, settings.simulated)
    files = _write_geometry(directory, frame_name(track), simulator)
    missing = [pair for pair in dates if not all(path.is_file() for path in _pair_files(directory, *pair))]
    if missing:
        for older, newer in progress(missing, f"simulate interferograms of {region.id} {track.id}"):
            unwrapped, coherence = _pair_files(directory, older, newer)
            phase, scaled_coherence = simulator.interferogram(older, newer)
            _write_geotiff(unwrapped, phase, simulator.grid)
            _write_geotiff(coherence, scaled_coherence, simulator.grid)
    os.utime(directory.parent)
    return sorted(files + [path for pair in dates for path in _pair_files(directory, *pair)])


def read(
    manifest: pd.DataFrame, region: Region, track: Track, settings: ArchiveSettings, cache_dir: Path
) -> xr.Dataset:
    """Read the files of `fetch` with the reader of real LiCSAR data.

    Returns
    -------
    dataset
        product 'interferograms' on the native grid, metres toward the satellite
    """
    from slipscan.archive.local import read_interferograms

    directory = frame_directory(region, track, settings, cache_dir)
    return read_interferograms(directory, LocalSource(convention="licsar", path="."), track, manifest)


def write_stations(region: Region, settings: ArchiveSettings, directory: Path) -> None:
    """Write the daily positions of the scenario's GNSS stations, one NGL .tenv3 file each, 2015 to 2021."""
    _check_bounds(region)
    planted = ismetpasa.events(settings.simulated.scenario)
    for station in ismetpasa.STATIONS:
        text = positions.tenv3(station, planted, settings.simulated.seed)
        write_text(Path(directory) / f"{station.id}.tenv3", text)


def truth(region: Region, settings: ArchiveSettings) -> dict[str, Any]:
    """What was planted: region, scenario and the events whose middle lies within the series.

    Returns
    -------
    truth
        'region', 'scenario', 'events': id, type, t05, t50, t95 (ISO dates), longitude, latitude and depth_km
        of the source's centre, mw, strike_deg, dip_deg, rake_deg, length_km, width_km, slip_mm
    """
    simulated = settings.simulated
    first = datetime.date.fromisoformat(simulated.start)
    last = max(acquisition_dates(track, simulated)[-1] for track in region.tracks)
    events = [ismetpasa.describe(event) for event in ismetpasa.events(simulated.scenario) if first <= event.t50 <= last]
    return {"region": region.id, "scenario": simulated.scenario, "events": events}


def frame_name(track: Track) -> str:
    """The track's frame, named as LiCSAR does: relative orbit, A or D, and two numbers."""
    return f"{track.relative_orbit:03d}{track.orbit_direction[0].upper()}_00000_000000"


def frame_directory(region: Region, track: Track, settings: ArchiveSettings, cache_dir: Path) -> Path:
    """Where the files of a region-track lie in the cache."""
    identity = {
        "version": STAGE_VERSION,
        "polygon": region.polygon,
        "reference_point": region.reference_point,
        "track": track.model_dump(),
        "settings": settings.simulated.model_dump(),
    }
    key = cache.key(json.dumps(identity, sort_keys=True))[:16]
    return Path(cache_dir) / "granules" / "simulated" / key / frame_name(track)


def raster_grid(region: Region, posting_deg: float) -> Grid:
    """The geographic grid of a region's files: the box of polygon and reference point, and 5 % more."""
    lon, lat = zip(*region.polygon, region.reference_point, strict=True)
    columns, rows = (
        np.arange(
            math.floor((min(v) - MARGIN * (max(v) - min(v))) / posting_deg),
            math.ceil((max(v) + MARGIN * (max(v) - min(v))) / posting_deg),
        )
        for v in (lon, lat)
    )
    return Grid((columns + 0.5) * posting_deg, (rows[::-1] + 0.5) * posting_deg, CRS.from_epsg(4326))


def _check_bounds(region: Region) -> None:
    """Refuse a region outside the scenario: the ground knows no other place."""
    lon, lat = zip(*region.polygon, region.reference_point, strict=True)
    west, south, east, north = ismetpasa.BOUNDS
    if min(lon) < west or max(lon) > east or min(lat) < south or max(lat) > north:
        raise SlipscanError(
            f"region {region.id} of archive 'simulated' reaches outside the scenario ({west} to {east} E, {south} to"
            f" {north} N): move its polygon and reference_point, or choose archive 'local'"
        )


def _pair_files(directory: Path, older: datetime.date, newer: datetime.date) -> tuple[Path, Path]:
    """Unwrapped phase and coherence of an interferogram."""
    name = f"{older:%Y%m%d}_{newer:%Y%m%d}"
    folder = directory / "interferograms" / name
    return folder / f"{name}.geo.unw.tif", folder / f"{name}.geo.cc.tif"


def _write_geometry(directory: Path, frame: str, simulator: TrackSimulator) -> list[Path]:
    """Write line of sight and height where they are not there yet."""
    files = [directory / "metadata" / f"{frame}.geo.{name}.tif" for name in _GEOMETRY]
    if not all(path.is_file() for path in files):
        for path, values in zip(files, (*simulator.los, simulator.height), strict=True):
            _write_geotiff(path, values, simulator.grid)
    return files


def _write_geotiff(path: Path, values: NDArray[np.float32] | NDArray[np.uint8], grid: Grid) -> None:
    """Write one band (y, x), compressed, atomically."""
    floating = values.dtype == np.float32
    profile = {
        "driver": "GTiff", "dtype": str(values.dtype), "count": 1, "crs": "EPSG:4326",
        "height": values.shape[0], "width": values.shape[1], "transform": Affine(*grid.transform),
        "compress": "deflate", "predictor": 3 if floating else 2, "zlevel": 6,
    }  # fmt: skip
    # In memory first: GDAL says nothing where it closes a file on a full disk.
    with MemoryFile() as memory, written_beside(path, OWN) as beside:
        with memory.open(**profile) as raster:
            raster.write(values, 1)
        beside.write_bytes(memory.read())
