"""Zenith delays of GACOS (Yu et al., 2018) in a directory, as the service delivers them.

YYYYMMDD.ztd is little-endian float32, rows from north to south, with YYYYMMDD.ztd.rsc beside it (WIDTH, FILE_LENGTH,
X_FIRST, Y_FIRST: the first node, X_STEP, Y_STEP); or YYYYMMDD.ztd.tif. Metres, one way, at the height of GACOS's own
topography, for the time of day that was asked for; 0 is no data (LiCSAR_ztd2geotiff.py).
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from slipscan.archive.extent import Bounds, nodes_around
from slipscan.archive.granules import Received
from slipscan.archive.job import Job
from slipscan.archive.names import listed
from slipscan.archive.reading.cubes import Cube
from slipscan.archive.reading.rasters import common_grid, read_header, read_on
from slipscan.archive.troposphere.delays import Zenith, directory_of
from slipscan.errors import SlipscanError
from slipscan.plausible import plausible

NEEDS_HEIGHT, OR_WITH_GRANULES = False, True
REMEDY = "order the zenith delays of all dates at gacos.net and name their directory in archive.troposphere_dir"
KEYS = ("WIDTH", "FILE_LENGTH", "X_FIRST", "Y_FIRST", "X_STEP", "Y_STEP")
MARGIN_DEG = 0.1


def open_delays(moments: Sequence[datetime.datetime], job: Job) -> tuple[Zenith, list[Received]]:
    """Find the delays of some dates; raises SlipscanError where one is missing, with the dates.

    Returns
    -------
    zenith, received
        the delay of a date around the region; the files
    """
    directory, bounds = directory_of(job), job.bounds
    found: dict[str, list[Path]] = {f"{moment:%Y%m%d}": _files(directory, f"{moment:%Y%m%d}") for moment in moments}
    missing = [date for date, files in found.items() if not files]
    if missing:
        west, south, east, north = bounds
        raise SlipscanError(
            f"{directory} has no GACOS delay of {listed(missing)}: order them at gacos.net for"
            f" {moments[0]:%H:%M} UTC and {west:.2f} to {east:.2f} E, {south:.2f} to {north:.2f} N, and put"
            " YYYYMMDD.ztd with .ztd.rsc (or .ztd.tif) there"
        )
    received = [Received.of(file) for files in found.values() for file in files]
    return lambda moment: read(found[f"{moment:%Y%m%d}"][0], bounds), received


def _files(directory: Path, date: str) -> list[Path]:
    """The files of a date: the binary one with its header first, else the GeoTIFF; none."""
    both = [directory / f"{date}.ztd", directory / f"{date}.ztd.rsc"]
    if all(path.is_file() for path in both):
        return both
    return [path for path in (directory / f"{date}.ztd.tif",) if path.is_file()]


def read(path: Path, bounds: Bounds) -> Cube:
    """Read a delay around a box (degrees): one value a place, m, NaN = no data.

    Raises
    ------
    SlipscanError
        unreadable, of another size than its header says, outside the box, or no zenith delay in metres
    """
    values, latitude, longitude = _read_tif(path) if path.suffix == ".tif" else _read_ztd(path)
    rows, columns = nodes_around(latitude, longitude, bounds, MARGIN_DEG)
    if min(len(rows), len(columns)) < 2:
        west, south, *_ = bounds
        raise SlipscanError(f"{path} lies outside the region: order it for {west:.2f} E, {south:.2f} N and around")
    window = values[np.ix_(rows, columns)].astype(float)
    window[window == 0] = np.nan
    plausible(window, "zenith_delay", str(path))
    if not np.isfinite(window).any():
        raise SlipscanError(f"{path} holds no zenith delay in metres (about 2) in the region: get it again")
    return Cube(window[None], np.zeros(1), latitude[rows], longitude[columns])


Layer = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Values (latitude, longitude), latitudes, longitudes."""


def _read_ztd(path: Path) -> Layer:
    header = path.with_name(f"{path.name}.rsc")
    lines = header.read_text(encoding="utf-8", errors="replace").splitlines()
    entries = dict(line.split()[:2] for line in lines if len(line.split()) > 1)
    try:
        width, length, west, north, dx, dy = (float(entries[key]) for key in KEYS)
    except (KeyError, ValueError) as error:
        raise SlipscanError(f"{header} lacks {', '.join(KEYS)}, or one is no number: get it again") from error
    values = np.fromfile(path, "<f4")
    if len(values) != width * length or min(width, length) < 1:
        raise SlipscanError(f"{path} holds {len(values)} values, its header says {width * length:.0f}: get it again")
    rows, columns = np.arange(length), np.arange(width)
    return values.reshape(int(length), int(width)), north + dy * rows, west + dx * columns


def _read_tif(path: Path) -> Layer:
    header = read_header(path)
    if not header.crs.is_geographic:
        raise SlipscanError(f"{path} is not in longitude and latitude: take it as GACOS delivers it")
    grid = common_grid([header])
    return read_on(header, grid), np.asarray(grid.y), np.asarray(grid.x)
