"""NGL's list of stations, and which of them lie around a region."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import shapely

from slipscan.errors import SlipscanError
from slipscan.gnss.ngl import read_lines
from slipscan.gnss.tenv3 import wrap_longitude
from slipscan.source.join import in_metres

log = logging.getLogger(__name__)

COLUMNS = ("name", "latitude", "longitude", "height_m", "first", "last", "days")
_FIELDS = 11
"""Of a line: name, latitude, longitude, height, X, Y, Z, first, last, modified, days; perhaps an older name."""


def read_holdings(path: Path) -> pd.DataFrame:
    """Read NGL's DataHoldings.txt.

    Returns
    -------
    table
        a row a station: COLUMNS (degrees, longitude -180..180; metres; datetime64[ns]); lines that are none are left
        out, and counted in the log

    Raises
    ------
    SlipscanError
        no file that can be read, or most of its lines are no stations
    """
    lines = read_lines(Path(path), "list of stations")
    rows, bad = [], []
    for number, line in lines:
        fields = line.split()
        if number == 1 and fields[0].lower() == "sta":
            continue
        try:
            place = float(fields[1]), wrap_longitude(float(fields[2])), float(fields[3])
            days = np.datetime64(fields[7], "ns"), np.datetime64(fields[8], "ns"), int(fields[10])
        except (ValueError, IndexError):
            bad.append(number)
            continue
        rows.append((fields[0].upper(), *place, *days))
    if len(bad) >= max(1, len(rows)):
        raise SlipscanError(f"{path} is no list of stations of NGL: line {bad[0]} has not its {_FIELDS} columns")
    if bad:
        log.warning("%d lines of %s are no stations and left out, first line %d", len(bad), path, bad[0])
    return pd.DataFrame(rows, columns=list(COLUMNS)).drop_duplicates("name", ignore_index=True)


def around(table: pd.DataFrame, polygon: Sequence[tuple[float, float]], distance_km: float) -> pd.DataFrame:
    """Stations within a distance of a polygon (longitude, latitude), sorted by name; distance 0 inside."""
    ring = shapely.Polygon(polygon)
    middle = ring.centroid
    # Half a turn wide: a degree is never more than 112 km.
    reach = distance_km / 111.0 + 0.1
    west, south, east, north = ring.bounds
    narrow = max(np.cos(np.deg2rad(min(89.0, max(abs(south), abs(north)) + reach))), 0.05)
    off = np.abs((table["longitude"] - (west + east) / 2 + 180.0) % 360.0 - 180.0)
    near = table[
        (off <= (east - west) / 2 + reach / narrow)
        & table["latitude"].between(south - reach, north + reach)
    ]  # fmt: skip
    here = in_metres(ring, middle.x, middle.y)
    points = [
        in_metres(shapely.Point(middle.x + (lon - middle.x + 180.0) % 360.0 - 180.0, lat), middle.x, middle.y)
        for lon, lat in zip(near["longitude"], near["latitude"], strict=True)
    ]
    away = np.array([shapely.distance(here, point) for point in points]) / 1e3
    return near[away <= distance_km].sort_values("name", ignore_index=True) if len(near) else near


def named(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Stations by their names, in that order.

    Raises
    ------
    SlipscanError
        none of them is in the list; single ones that are not are left out, and said in the log
    """
    wanted = list(dict.fromkeys(name.upper() for name in names))
    known = table.set_index("name", drop=False)
    missing = [name for name in wanted if name not in known.index]
    if len(missing) == len(wanted):
        raise SlipscanError(f"NGL's list has no station {', '.join(wanted[:10])}: correct the region's gnss_stations")
    for name in missing:
        log.warning("station left out: NGL's list has no %s", name)
    return known.loc[[name for name in wanted if name in known.index]].reset_index(drop=True)
