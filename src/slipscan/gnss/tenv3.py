"""Read the daily positions and the step table of the Nevada Geodetic Laboratory (NGL).

The tenv3 format (Blewitt, Hammond & Kreemer 2018): a header, then a line a day; east, north and up are
split into whole metres and a fraction, which are always summed. Old files have 20 columns, new ones 23
(latitude, longitude and height were added), so columns are found by name.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyproj import Geod

from slipscan.errors import SlipscanError

log = logging.getLogger(__name__)

MONUMENT_JUMP_M = 1.0
"""No tectonic motion within a gap exceeds it, save in great earthquakes (whose offset is absorbed too)."""
MIN_MONUMENT_EPOCHS = 5
"""Fewer positions far from all others are gross errors, not a monument."""

_MONTHS = {
    name: number
    for number, name in enumerate(
        ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"), start=1
    )
}
_POSITION = ("e0", "east", "n0", "north", "u0", "up")
_SIGMA = ("sig_e", "sig_n", "sig_u")
_CORRELATION = ("corr_en", "corr_eu", "corr_nu")
_LOCATION = ("latitude", "longitude", "height")


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


def parse_date(text: str) -> np.datetime64:
    """Midnight of a YYMMMDD date such as 05JAN26 (English months whatever the locale; 80-99 is 19xx).

    Raises
    ------
    ValueError
        not such a date
    """
    year, month, day = int(text[:2]), _MONTHS.get(text[2:5].upper()), int(text[5:])
    if month is None or len(text) != 7:
        raise ValueError(f"{text!r} is no YYMMMDD date")
    century = 1900 if year >= 80 else 2000
    return np.datetime64(f"{century + year:04d}-{month:02d}-{day:02d}", "ns")


def wrap_longitude(longitude: float) -> float:
    """Bring a longitude into -180 <= longitude < 180 degrees."""
    return (longitude + 180.0) % 360.0 - 180.0


def read_tenv3(path: Path) -> Station:
    """Read one .tenv3 file.

    Duplicate days keep their first line; positions that jump by more than a metre are told apart by
    monument; both are said in the log.

    Raises
    ------
    SlipscanError
        no file, no header, a missing column, a line that cannot be read, no position
    """
    table = _read_table(Path(path))
    name = str(table["site"].iloc[0])
    days = _days(table["YYMMMDD"].tolist(), Path(path))
    order = np.argsort(days, kind="stable")
    kept = order[np.concatenate([[True], np.diff(days[order]) > np.timedelta64(0, "ns")])]
    if len(kept) < len(table):
        log.info("%s: %d duplicate days dropped", name, len(table) - len(kept))
    table = table.iloc[kept]
    longitude, latitude, height = _location(table)
    columns = [table[c].to_numpy(float) for c in _POSITION]
    enu = np.stack([columns[i] + columns[i + 1] for i in (0, 2, 4)], axis=1)
    monument = monuments(enu)
    _report_monuments(name, monument)
    good = monument >= 0
    return Station(
        name=name,
        longitude=longitude,
        latitude=latitude,
        height=height,
        time=days[kept][good] + np.timedelta64(12, "h"),
        enu=enu[good],
        sigma=table[list(_SIGMA)].to_numpy(float)[good],
        correlation=table[list(_CORRELATION)].to_numpy(float)[good],
        monument=monument[good],
    )


def read_stations(directory: Path) -> list[Station]:
    """Read every .tenv3 file of a directory, sorted by file name; SlipscanError without one."""
    directory = Path(directory)
    if not directory.is_dir():
        raise SlipscanError(f"there is no directory of stations {directory}: set gnss.directory, or leave it empty")
    return [read_tenv3(path) for path in sorted(directory.glob("*.tenv3"))]


def _read_table(path: Path) -> pd.DataFrame:
    """Read the columns by plain name ('_e0(m)' is 'e0'), numbers checked."""
    try:
        with path.open(encoding="ascii") as file:
            header = file.readline().split()
        names = [token.split("(")[0].strip("_") for token in header]
        wanted = ("site", "YYMMMDD", "reflon", *_POSITION, *_SIGMA, *_CORRELATION)
        missing = [column for column in wanted if column not in names]
        if missing:
            what = "no header" if "site" not in names else f"no column '{missing[0]}'"
            raise SlipscanError(
                f"{path} has {what}: slipscan reads NGL tenv3 files, whose first line names the columns"
            )
        table = pd.read_csv(
            path,
            sep=r"\s+",
            skiprows=1,
            names=names,
            index_col=False,
            keep_default_na=False,
            dtype=str,
            engine="c",
        )
    except FileNotFoundError as error:
        raise SlipscanError(f"there is no GNSS file {path}: check the path") from error
    except (UnicodeDecodeError, pd.errors.ParserError) as error:
        raise SlipscanError(f"{path} cannot be read as tenv3 ({str(error).splitlines()[0]})") from error
    if table.empty:
        raise SlipscanError(f"{path} holds no position: fetch it again, or remove it")
    numeric = [column for column in names if column not in ("site", "YYMMMDD")]
    numbers = table[numeric].apply(pd.to_numeric, errors="coerce")
    bad = np.flatnonzero(~np.isfinite(numbers.to_numpy(float)).all(axis=1))
    if len(bad):
        raise SlipscanError(f"line {bad[0] + 2} of {path} cannot be read: it is cut or damaged, fetch the file again")
    checked: pd.DataFrame = pd.concat([table[["site", "YYMMMDD"]], numbers], axis=1)
    return checked


def _days(texts: list[str], path: Path) -> NDArray[np.datetime64]:
    days = np.empty(len(texts), "datetime64[ns]")
    for row, text in enumerate(texts):
        try:
            days[row] = parse_date(text)
        except ValueError as error:
            raise SlipscanError(f"line {row + 2} of {path} has the date {text!r}, not one like 05JAN26") from error
    return days


def _location(table: pd.DataFrame) -> tuple[float, float, float]:
    """Find longitude, latitude and height of the middle of the series.

    Old files hold no coordinates, but east is counted from the meridian `reflon` and north from the
    equator along the ellipsoid, so that they follow within metres.
    """
    if set(_LOCATION) <= set(table.columns):
        lon = table["longitude"].to_numpy(float)
        lon = lon[0] + (lon - lon[0] + 180.0) % 360.0 - 180.0
        lat, height = (float(np.median(table[c].to_numpy(float))) for c in ("latitude", "height"))
        return wrap_longitude(float(np.median(lon))), lat, height
    east, north, up = (
        float(np.median(table[whole].to_numpy(float) + table[part].to_numpy(float)))
        for whole, part in (("e0", "east"), ("n0", "north"), ("u0", "up"))
    )
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
    last: list[NDArray[np.float64]] = []
    number = np.empty(len(enu), np.int64)
    current = 0
    for epoch, position in enumerate(enu):
        if not last or np.linalg.norm(position - last[current]) > MONUMENT_JUMP_M:
            distance = [float(np.linalg.norm(position - other)) for other in last]
            current = int(np.argmin(distance)) if distance else 0
            if not distance or distance[current] > MONUMENT_JUMP_M:
                current = len(last)
                last.append(position)
        last[current] = position
        number[epoch] = current
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
