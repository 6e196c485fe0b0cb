"""The files of a simulated track: GeoTIFFs in the layout of a LiCSAR frame.

They lie in the content-addressed cache, `cache_dir/granules/simulated/{key}/{frame}/`; the key is made of the region,
the track and the settings, and a file that is there is never written again.
"""

from __future__ import annotations

import datetime
import json
import math
import os
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.io import MemoryFile
from rasterio.transform import Affine

from slipscan import cache
from slipscan.archive.job import Job
from slipscan.atomic import written_beside
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid
from slipscan.outputs import OWN
from slipscan.progress import progress
from slipscan.regions import Region, Track
from slipscan.synthetic import ismetpasa
from slipscan.synthetic.interferograms import TrackSimulator

FILES_VERSION = 1
"""Raised when the same settings give other files: files of an older version are then not used again."""
MARGIN = 0.05
"""Data reach beyond the box of the polygon and the reference point by this share of its sides."""
_GEOMETRY = ("E", "N", "U", "hgt")


def write_files(manifest: pd.DataFrame, job: Job) -> list[Path]:
    """Simulate the files of a manifest that are not there yet.

    Returns
    -------
    files
        every file of the manifest and the track's geometry, sorted

    Raises
    ------
    SlipscanError
        the region lies outside the scenario
    """
    check_bounds(job.region)
    directory, simulated = frame_directory(job), job.settings.simulated
    dates = [
        (datetime.date.fromisoformat(older), datetime.date.fromisoformat(newer))
        for older, newer in zip(manifest["reference_date"], manifest["secondary_date"], strict=True)
    ]
    simulator = TrackSimulator(raster_grid(job.region, simulated.posting_deg), job.track, simulated)
    files = _write_geometry(directory, frame_name(job.track), simulator)
    missing = [pair for pair in dates if not all(path.is_file() for path in _pair_files(directory, *pair))]
    if missing:
        for older, newer in progress(missing, f"simulate interferograms of {job.region.id} {job.track.id}"):
            unwrapped, coherence = _pair_files(directory, older, newer)
            phase, scaled_coherence = simulator.interferogram(older, newer)
            _write_geotiff(unwrapped, phase, simulator.grid)
            _write_geotiff(coherence, scaled_coherence, simulator.grid)
    os.utime(directory.parent)
    return sorted(files + [path for pair in dates for path in _pair_files(directory, *pair)])


def frame_name(track: Track) -> str:
    """The track's frame, named as LiCSAR does: relative orbit, A or D, and two numbers."""
    return f"{track.relative_orbit:03d}{track.orbit_direction[0].upper()}_00000_000000"


def frame_directory(job: Job) -> Path:
    """Where the files of a region-track lie in the cache."""
    identity = {
        "version": FILES_VERSION,
        "polygon": job.region.polygon,
        "reference_point": job.region.reference_point,
        "track": job.track.model_dump(),
        "settings": job.settings.simulated.model_dump(),
    }
    key = cache.key(json.dumps(identity, sort_keys=True))[:16]
    return Path(job.cache_dir) / "granules" / "simulated" / key / frame_name(job.track)


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


def check_bounds(region: Region) -> None:
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
