"""Read the daily positions of GNSS stations, from .tenv3 files of the Nevada Geodetic Laboratory (NGL) above all."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyproj import Geod

from slipscan.archive.stations import series_files
from slipscan.errors import SlipscanError
from slipscan.gnss.days import CORRELATION, LOCATION, SIGMA, positions, read_days
from slipscan.gnss.formats import read_csv_days, read_pos_days

log = logging.getLogger(__name__)

MONUMENT_JUMP_M = 1.0
"""No tectonic motion within a gap exceeds it, save in great earthquakes (whose offset is absorbed too)."""
MIN_MONUMENT_EPOCHS = 5
"""Fewer positions far from all others are gross errors, not a monument."""
PLACES_APART_KM = 20.0
"""Latitude and longitude may lie so far from where the positions are counted to: a fraction of a reach."""
NOWHERE_DEG = 0.01
"""Latitude and longitude both within it of 0 are missing ones: there is no land."""


@dataclass(frozen=True)
class Station:
    """Daily positions of one GNSS station.

    Attributes
    ----------
    name
        four-character NGL name
    longitude, latitude, height
        degrees (-180..180), degrees, metres
    time
        (time,) datetime64[ns], noon of the day, strictly ascending
    enu
        (time, 3) east, north, up, metres from NGL's origin
    sigma
        (time, 3) formal standard deviations, metres
    correlation
        (time, 3) formal correlations east-north, east-up, north-up
    monument
        (time,) number of the monument (0 = the one with most epochs): positions of two monuments differ
        by an offset that means nothing
    """

    name: str
    longitude: float
    latitude: float
    height: float
    time: NDArray[np.datetime64]
    enu: NDArray[np.float64]
    sigma: NDArray[np.float64]
    correlation: NDArray[np.float64]
    monument: NDArray[np.int64]


def wrap_longitude(longitude: float) -> float:
    """Bring a longitude into -180 <= longitude < 180 degrees."""
    return (longitude + 180.0) % 360.0 - 180.0


def read_tenv3(path: Path) -> Station:
    """Read one .tenv3 file.

    Days that cannot be used and duplicate ones are left out; positions that jump by more than a metre are told
    apart by monument; all are said in the log.

    Raises
    ------
    SlipscanError
        no file, one that `days.read_days` refuses, or coordinates that cannot be
    """
    path = Path(path)
    return _station(path, *read_days(path))


READERS: dict[str, Callable[[Path], tuple[str, pd.DataFrame]]] = {
    ".tenv3": read_days,
    ".pos": read_pos_days,
    ".csv": read_csv_days,
}
"""Reader of the days of a file, by the end of its name."""


def read_station(path: Path) -> Station:
    """Read one station's file: NGL's .tenv3, EarthScope's .pos, or a plain .csv (see `formats`).

    Raises
    ------
    SlipscanError
        no file, one that its reader refuses, or coordinates that cannot be
    """
    path = Path(path)
    return _station(path, *READERS[path.suffix.lower()](path))


def _station(path: Path, name: str, table: pd.DataFrame) -> Station:
    if not path.name.upper().startswith(name):
        log.warning("%s holds station %s, unlike its name: it is taken for %s", path, name, name)
    longitude, latitude, height = _location(path, table)
    enu = positions(table)
    monument = monuments(enu)
    _report_monuments(name, monument)
    good = monument >= 0
    noon = np.asarray(table["day"] + pd.Timedelta(12, "h"), "datetime64[ns]")
    return Station(
        name=name,
        longitude=longitude,
        latitude=latitude,
        height=height,
        time=noon[good],
        enu=enu[good],
        sigma=table[list(SIGMA)].to_numpy(float)[good],
        correlation=table[list(CORRELATION)].to_numpy(float)[good],
        monument=monument[good],
    )


def read_stations(directory: Path) -> list[Station]:
    """Read every station's file of a directory, sorted by file name.

    A file that `read_station` refuses leaves out its station, named in the log, and no other. Of files that
    hold the same positions of one station the longest is read; a station in files that differ is left out.

    Raises
    ------
    SlipscanError
        no such directory
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise SlipscanError(f"there is no directory of stations {directory}: set gnss.directory, or leave it empty")
    found: dict[str, list[tuple[Path, Station]]] = {}
    for path in series_files(directory):
        try:
            station = read_station(path)
        except SlipscanError as error:
            log.warning("station left out: %s", error)
        else:
            found.setdefault(station.name, []).append((path, station))
    chosen = (_one_of(name, files) for name, files in found.items())
    return [station for station in chosen if station is not None]


def _one_of(name: str, files: list[tuple[Path, Station]]) -> Station | None:
    """The longest series of a station; None where the others hold something else."""
    (path, longest), *others = sorted(files, key=lambda file: -len(file[1].time))
    if not others:
        return longest
    which = ", ".join(file.name for file, _ in files)
    if not all(_holds(longest, other) for _, other in others):
        log.warning("station left out: %s has different positions in %s (%s): keep one", name, path.parent, which)
        return None
    log.warning("%s has the same positions in several files (%s): %s is read", name, which, path)
    return longest


def _holds(longest: Station, other: Station) -> bool:
    """Whether all positions of a series are in another."""
    common = np.isin(longest.time, other.time)
    return bool(common.sum() == len(other.time) and np.array_equal(longest.enu[common], other.enu))


def _location(path: Path, table: pd.DataFrame) -> tuple[float, float, float]:
    """Find longitude, latitude and height of the middle of the series; SlipscanError where they cannot be."""
    counted = _counted_location(table)
    stated = table.reindex(columns=list(LOCATION)).to_numpy(float)
    lat, lon = stated[:, 0], stated[:, 1]
    somewhere = np.maximum(np.abs(lat), np.abs(lon)) > NOWHERE_DEG
    stated = stated[(np.abs(lat) <= 90.0) & (np.abs(lon) <= 360.0) & somewhere]
    if not len(stated):
        if max(abs(counted[0]), abs(counted[1])) <= NOWHERE_DEG:
            raise SlipscanError(f"{path} places its station at latitude 0, longitude 0: give its coordinates")
        if "latitude" in table:
            log.warning("%s states no possible latitude and longitude: they are taken from its east and north", path)
        return counted
    lat, lon, heights = stated.T
    lon = lon[0] + (lon - lon[0] + 180.0) % 360.0 - 180.0
    heights = heights[np.isfinite(heights)]
    place = wrap_longitude(float(np.median(lon))), float(np.median(lat))
    # A converted series may count its positions from a place of its own: then there is nothing to compare.
    apart = Geod(ellps="WGS84").inv(*place, *counted[:2])[2] / 1e3 if abs(counted[1]) > NOWHERE_DEG else 0.0
    if apart > PLACES_APART_KM:
        raise SlipscanError(
            f"{path} places its station at latitude {place[1]:.3f}, longitude {place[0]:.3f}, {apart:.0f} km from"
            " where its east and north lie: fetch it again"
        )
    return *place, float(np.median(heights)) if len(heights) else counted[2]


def _counted_location(table: pd.DataFrame) -> tuple[float, float, float]:
    """Longitude, latitude and height of the positions themselves, within metres.

    East is counted from the meridian `reflon`, north from the equator along the ellipsoid: old files hold no
    other coordinates.
    """
    east, north, up = (float(v) for v in np.median(positions(table), axis=0))
    geod = Geod(ellps="WGS84")
    _, lat, _ = geod.fwd(0.0, 0.0, 0.0, north)
    prime_vertical = geod.a / np.sqrt(1.0 - geod.es * np.sin(np.deg2rad(lat)) ** 2)
    lon = float(table["reflon"].iloc[0]) + np.rad2deg(east / (prime_vertical * np.cos(np.deg2rad(lat))))
    return wrap_longitude(float(lon)), float(lat), up


def monuments(enu: NDArray[np.float64]) -> NDArray[np.int64]:
    """Which monument each position belongs to.

    Parameters
    ----------
    enu
        (time, 3) metres, in order of time

    Returns
    -------
    monument
        (time,) 0 for the monument with most epochs, then 1, 2, ...; -1 for gross errors (monuments of fewer
        than five epochs). A position belongs to the monument whose last position lies within a metre.
    """
    starts = np.flatnonzero(np.linalg.norm(np.diff(enu, axis=0), axis=1) > MONUMENT_JUMP_M) + 1
    bounds = np.concatenate([[0], starts, [len(enu)]])
    number = np.zeros(len(enu), np.int64)
    last = np.empty((len(bounds), 3))
    known = 0
    for start, end in pairwise(bounds):
        distance = np.linalg.norm(last[:known] - enu[start], axis=1)
        current = int(np.argmin(distance)) if known else 0
        if not known or distance[current] > MONUMENT_JUMP_M:
            current = known
            known += 1
        last[current] = enu[end - 1]
        number[start:end] = current
    counts = np.bincount(number)
    rank = np.empty(len(counts), np.int64)
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    rank[(counts < MIN_MONUMENT_EPOCHS) & (counts < counts.max())] = -1
    return np.asarray(rank[number])


def _report_monuments(name: str, monument: NDArray[np.int64]) -> None:
    gross = int((monument < 0).sum())
    if gross:
        log.warning("%s: %d positions more than %.0f m from all others dropped", name, gross, MONUMENT_JUMP_M)
    counts = np.bincount(monument[monument >= 0])
    if len(counts) > 1:
        log.warning(
            "%s: positions jump by over %.0f m: split into %d monuments (%s epochs), each with its offset",
            name, MONUMENT_JUMP_M, len(counts), ", ".join(map(str, counts)),
        )  # fmt: skip
