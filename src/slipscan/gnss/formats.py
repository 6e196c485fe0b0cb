"""Daily positions in other files than NGL's: EarthScope's .pos, and plain .csv.

A .csv has a header of names with units and a row a day, in any order:

    station,longitude_deg,latitude_deg,height_m,date,east_mm,north_mm,up_mm,sigma_east_mm,sigma_north_mm,sigma_up_mm

Lengths end in _m or _mm; height and columns corr_en, corr_eu, corr_nu may be missing.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pandas as pd

from slipscan.errors import SlipscanError
from slipscan.gnss.days import checked
from slipscan.gnss.ngl import read_lines

_POS = {
    "latitude": 12, "longitude": 13, "height": 14, "north": 15, "east": 16, "up": 17,
    "sig_n": 18, "sig_e": 19, "sig_u": 20, "corr_en": 21, "corr_nu": 22, "corr_eu": 23,
}  # fmt: skip
"""Numbers of the columns of a .pos file (PBO's format 1.1)."""
_POS_COLUMNS = 24
_CSV = {
    "east": "east", "north": "north", "up": "up",
    "sig_e": "sigma_east", "sig_n": "sigma_north", "sig_u": "sigma_up",
}  # fmt: skip
_UNITS = {"m": 1.0, "mm": 1e-3}


def read_pos_days(path: Path) -> tuple[str, pd.DataFrame]:
    """Read the days of an EarthScope (PBO) .pos file, as `days.read_days` does.

    Raises
    ------
    SlipscanError
        a file that is no station's .pos, or most of whose days cannot be used; names file, line, cause
    """
    lines = read_lines(path, ".pos file")
    name = next((line.split(":")[1].strip().upper() for _, line in lines if line.startswith("4-character ID")), "")
    rows = [(number, line.split()) for number, line in lines if re.match(r"[0-9]{8} ", line)]
    if not name or not rows:
        what = "line '4-character ID:'" if not name else "position"
        raise SlipscanError(f"{path} has no {what}: slipscan reads .pos files as EarthScope writes them")
    whole = [row for row in rows if len(row[1]) >= _POS_COLUMNS]
    cut = [number for number, fields in rows if len(fields) < _POS_COLUMNS]
    table = pd.DataFrame({key: _numbers([row[1][at] for row in whole]) for key, at in _POS.items()})
    table["day"] = _dates([fields[0] for _, fields in whole], "%Y%m%d")
    table["line"] = [number for number, _ in whole]
    causes = [f"line {cut[0]} is cut short" + (f", and {len(cut) - 1} more" if len(cut) > 1 else "")] if cut else []
    return name, checked(path, name, _of_the_station(table), len(rows), causes)


def read_csv_days(path: Path) -> tuple[str, pd.DataFrame]:
    """Read the days of a plain .csv file (see the module), as `days.read_days` does.

    Raises
    ------
    SlipscanError
        a column is missing or has no unit, two stations, or most days cannot be used
    """
    lines = read_lines(path, "station's .csv file")
    raw = pd.read_csv(io.StringIO("\n".join(line for _, line in lines)), dtype=str, skipinitialspace=True)
    raw.columns = [str(column).strip().lower() for column in raw.columns]
    columns = {key: _length(path, raw, column) for key, column in _CSV.items()}
    for key, column in {"longitude": "longitude_deg", "latitude": "latitude_deg"}.items():
        columns[key] = _numbers(_wanted(path, raw, column))
    columns["height"] = _length(path, raw, "height") if {"height_m", "height_mm"} & set(raw) else np.zeros(len(raw))
    for key in ("corr_en", "corr_eu", "corr_nu"):
        columns[key] = _numbers(raw[key]) if key in raw else np.zeros(len(raw))
    names = sorted({str(name).strip().upper() for name in _wanted(path, raw, "station")})
    if len(names) != 1:
        raise SlipscanError(f"{path} holds {len(names)} stations ({', '.join(names[:3])}): give each a file of its own")
    table = pd.DataFrame(columns)
    table["day"] = _dates(_wanted(path, raw, "date"), "%Y-%m-%d")
    table["line"] = [number for number, _ in lines[1 : len(raw) + 1]]
    return names[0], checked(path, names[0], _of_the_station(table), len(raw), [])


def _of_the_station(table: pd.DataFrame) -> pd.DataFrame:
    """With the columns that NGL's files have beside: positions are counted from the station, none from a meridian."""
    return table.assign(reflon=0.0, e0=0.0, n0=0.0, u0=0.0)


def _wanted(path: Path, raw: pd.DataFrame, column: str) -> pd.Series:
    if column not in raw:
        raise SlipscanError(f"{path} has no column '{column}': docs/gnss.md shows a station's .csv file")
    return raw[column]


def _length(path: Path, raw: pd.DataFrame, column: str) -> np.ndarray:
    """A column of lengths in metres."""
    found = [unit for unit in _UNITS if f"{column}_{unit}" in raw]
    if len(found) != 1:
        raise SlipscanError(f"{path} needs one column '{column}_m' or '{column}_mm' (it has {len(found)})")
    return np.asarray(_numbers(raw[f"{column}_{found[0]}"]) * _UNITS[found[0]])


def _numbers(texts: object) -> np.ndarray:
    return np.asarray(pd.to_numeric(pd.Series(texts), errors="coerce"), float)


def _dates(texts: object, form: str) -> pd.Series:
    return pd.to_datetime(pd.Series(texts), format=form, errors="coerce").astype("datetime64[ns]")
