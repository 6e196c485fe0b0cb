"""The lines of a .tenv3 file as a table of days: what no receiver can have measured is left out, and said.

The format (Blewitt, Hammond & Kreemer 2018): a header, then a line a day; east, north and up are split into
whole metres and a fraction, which are always summed. Old files have 20 columns, new ones 23 (latitude,
longitude and height were added), so columns are found by name, in any order.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slipscan.errors import SlipscanError
from slipscan.gnss.ngl import parse_date, read_lines

log = logging.getLogger(__name__)
Float = NDArray[np.float64]

POSITION = ("e0", "east", "n0", "north", "u0", "up")
SIGMA = ("sig_e", "sig_n", "sig_u")
CORRELATION = ("corr_en", "corr_eu", "corr_nu")
LOCATION = ("latitude", "longitude", "height")
_NUMBERS = ("reflon", *POSITION, *SIGMA, *CORRELATION)
_UNITS = dict.fromkeys((*POSITION, *SIGMA, "height"), "m") | dict.fromkeys(("latitude", "longitude"), "deg")

SIGMA_M = (1e-5, 0.1)
"""Formal errors of daily positions are 0.5 to 10 mm; zeros, and millimetres taken for metres, lie outside."""
FARTHEST_M = (20.1e6, 10.1e6, 1e4)
"""Half of the equator, a quarter of a meridian, and a height: no station lies farther east, north or up."""
TWO_POSITIONS_M = 0.02
"""Two positions of one day that lie farther apart cannot both be right (two frames pasted together)."""
SCATTER_M = 0.1
"""Half of the positions differ by more from the day before: no receiver on the ground does so."""
MIN_DETERMINANT = 1e-3
"""Of a correlation matrix; NGL's have 0.7 and more."""


def read_days(path: Path) -> tuple[str, pd.DataFrame]:
    """Read one .tenv3 file.

    Days that cannot be used are left out, counted in the log with the first line and the cause of each kind;
    so are all but the first of several lines of one day.

    Returns
    -------
    name, table
        of the station, in upper case; a row a day in order of time: columns `day` (datetime64[ns], midnight)
        and, as numbers, those of the header, of which POSITION, SIGMA, CORRELATION and reflon are finite

    Raises
    ------
    SlipscanError
        a file that is not one station's tenv3, or most of whose days cannot be used; names file, line, cause
    """
    lines = read_lines(path, "tenv3 file")
    header = lines[0][1].split()
    names = _column_names(path, header)
    rows = [row for row in ((number, line.split()) for number, line in lines[1:]) if row[1] != header]
    if not rows:
        raise SlipscanError(f"{path} holds no position: fetch it again, or remove it")
    whole = [row for row in rows if len(row[1]) == len(names)]
    cut = [number for number, fields in rows if len(fields) != len(names)]
    causes = [_cause(f"has not the {len(names)} columns of the header", cut)] if cut else []
    _refuse_most(path, len(cut), len(rows), causes)
    table = _typed(dict(zip(names, zip(*(fields for _, fields in whole), strict=True), strict=True)))
    table["line"] = [number for number, _ in whole]
    name = _only_station(path, table)
    return name, checked(path, name, table, len(rows), causes)


def checked(path: Path, name: str, table: pd.DataFrame, rows: int, causes: list[str]) -> pd.DataFrame:
    """Leave out the days of a table that no receiver can have measured, and say so.

    Parameters
    ----------
    table
        columns as `read_days` gives them, in any order of time, and `line`
    rows
        in the file, with those that `causes` tells of

    Raises
    ------
    SlipscanError
        most days cannot be used, or the positions are those of no receiver
    """
    table = table.sort_values("day", kind="stable", na_position="first")
    causes = list(causes)
    for cause, find in _CHECKS:
        bad = find(table)
        if bad.any():
            causes.append(_cause(cause, sorted(table["line"][bad].tolist())))
            table = table[~bad]
    unique = table.drop_duplicates("day")
    dropped = rows - len(table)
    _refuse_most(path, dropped, rows, causes)
    if causes:
        log.warning("%s: %d of %d days left out: %s", path, dropped, rows, "; ".join(causes))
    if len(unique) < len(table):
        log.info("%s: %d duplicate days dropped", name, len(table) - len(unique))
    _refuse_no_series(path, positions(unique))
    return unique.reset_index(drop=True)


def positions(table: pd.DataFrame) -> Float:
    """East, north and up (day, 3), metres from NGL's origin."""
    columns = [table[c].to_numpy(float) for c in POSITION]
    return np.stack([columns[i] + columns[i + 1] for i in (0, 2, 4)], axis=1)


def proper(correlation: Float) -> NDArray[np.bool_]:
    """Whether correlations (..., 3) east-north, east-up, north-up make a covariance: positive definite."""
    en, eu, nu = np.moveaxis(correlation, -1, 0)
    determinant = 1.0 + 2.0 * en * eu * nu - en**2 - eu**2 - nu**2
    return np.asarray((np.abs(correlation) < 1.0).all(axis=-1) & (determinant > MIN_DETERMINANT))


def _column_names(path: Path, header: list[str]) -> list[str]:
    """Plain names in lower case: '_e0(m)' is 'e0'."""
    names = [token.split("(")[0].strip("_").lower() for token in header]
    missing = [column for column in ("site", "yymmmdd", *_NUMBERS) if column not in names]
    if missing:
        what = "no header" if "site" not in names else f"no column '{missing[0]}'"
        raise SlipscanError(f"{path} has {what}: slipscan reads NGL tenv3 files, whose first line names the columns")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise SlipscanError(f"{path} has two columns '{twice[0]}': fetch it again")
    for name, token in zip(names, header, strict=True):
        unit = re.search(r"\((.*?)\)", token)
        if unit and unit[1] != _UNITS.get(name, unit[1]):
            raise SlipscanError(f"{path} gives '{name}' in {unit[1]}: slipscan reads it in {_UNITS[name]}")
    return names


def _typed(columns: dict[str, tuple[str, ...]]) -> pd.DataFrame:
    """Days as datetime64[ns], all else but the name as numbers; NaT and NaN where that cannot be."""
    typed: dict[str, object] = {"site": [name.upper() for name in columns["site"]]}
    typed["day"] = np.array([_day(text) for text in columns["yymmmdd"]], "datetime64[ns]")
    for name, texts in columns.items():
        if name not in ("site", "yymmmdd", "day", "line"):
            typed[name] = np.asarray(pd.to_numeric(np.array(texts, object), errors="coerce"), float)
    return pd.DataFrame(typed)


def _day(text: str) -> np.datetime64:
    try:
        return parse_date(text)
    except ValueError:
        return np.datetime64("NaT", "ns")


def _only_station(path: Path, table: pd.DataFrame) -> str:
    name = str(table["site"].iloc[0])
    other = np.flatnonzero(table["site"] != name)
    if len(other):
        raise SlipscanError(
            f"{path} holds two stations, {name} and {table['site'].iloc[other[0]]} (line"
            f" {table['line'].iloc[other[0]]}): give each a file of its own"
        )
    return name


def _matrix(table: pd.DataFrame, columns: tuple[str, ...]) -> Float:
    return table[list(columns)].to_numpy(float)


def _any(bad: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Rows of (day, column) with any bad column."""
    return np.asarray(bad.any(axis=1))


def _not_its_mjd(table: pd.DataFrame) -> NDArray[np.bool_]:
    if "mjd" not in table:
        return np.zeros(len(table), bool)
    own = (table["day"].to_numpy() - np.datetime64("1858-11-17", "ns")) / np.timedelta64(1, "D")
    return np.asarray(np.abs(table["mjd"].to_numpy(float) - own) >= 1.0)


def _contradicted(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Days given more than once, with positions that differ."""
    days = table["day"].to_numpy()
    enu = pd.DataFrame(positions(table)).groupby(days)
    return np.asarray((enu.transform("max") - enu.transform("min") > TWO_POSITIONS_M).any(axis=1))


def _repeated(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Positions equal to those of the day before to the last digit: a gap that was filled, no measurement."""
    same = (np.diff(positions(table), axis=0) == 0).all(axis=1) & (np.diff(table["day"]) > np.timedelta64(0, "ns"))
    return np.concatenate([np.zeros(min(1, len(table)), bool), same])


_CHECKS: tuple[tuple[str, Callable[[pd.DataFrame], NDArray[np.bool_]]], ...] = (
    ("has a date unlike 05JAN26", lambda t: np.asarray(t["day"].isna())),
    ("has no number where one is needed", lambda t: _any(~np.isfinite(_matrix(t, _NUMBERS)))),
    ("lies in the future", lambda t: np.asarray(t["day"] > np.datetime64("now", "ns") + np.timedelta64(1, "D"))),
    ("has a date that is not its MJD", _not_its_mjd),
    ("has a position off the Earth (metres?)", lambda t: _any(np.abs(positions(t)) > FARTHEST_M)),
    (
        f"has a sigma outside {SIGMA_M[0]:.5f} to {SIGMA_M[1]} m",
        lambda t: _any((_matrix(t, SIGMA) < SIGMA_M[0]) | (_matrix(t, SIGMA) > SIGMA_M[1])),
    ),
    ("has correlations that no covariance has", lambda t: ~proper(_matrix(t, CORRELATION))),
    ("has another position than another line of its day", _contradicted),
    ("repeats the position of the day before", _repeated),
)
"""Each tells of the lines that the checks before it left which are bad."""


def _cause(cause: str, lines: list[int]) -> str:
    return f"line {lines[0]} {cause}" + (f", and {len(lines) - 1} more" if len(lines) > 1 else "")


def _refuse_most(path: Path, bad: int, total: int, causes: list[str]) -> None:
    if 2 * bad > total:
        raise SlipscanError(
            f"{bad} of {total} days of {path} cannot be used ({'; '.join(causes)}): fetch or convert it again"
        )


def _refuse_no_series(path: Path, enu: Float) -> None:
    """Positions in another unit, or that no noise moves, are refused."""
    if len(enu) < 3:
        return
    change = np.median(np.abs(np.diff(enu, axis=0)), axis=0)
    for name, value in zip(("east", "north", "up"), change, strict=True):
        if value == 0.0:
            raise SlipscanError(
                f"{path} has '{name}' unchanged on most days: it is constant or rounded, no measurement"
            )
        if value > SCATTER_M:
            raise SlipscanError(f"{path} has '{name}' change by {value:.3g} m from day to day: is it in metres?")
