"""Earthquakes of a list, and what their magnitudes mean; the source, gnss and catalogue stages read theirs here."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slipscan.errors import SlipscanError
from slipscan.texts import read_text

Float = NDArray[np.float64]

WHAT: Final = "list of earthquakes"
NAMES: Final = {
    "time": ("time",), "longitude": ("longitude", "lon"), "latitude": ("latitude", "lat"),
    "magnitude": ("mag", "magnitude", "mw"), "depth_km": ("depth", "depth_km"), "name": ("id", "name", "place"),
}  # fmt: skip
"""Columns of a list: ComCat's names, and others that mean the same, in small letters or large."""
OPTIONAL: Final = {"depth_km": "10", "name": ""}
"""What stands for a column or field that a list may lack."""
RANGES: Final = {
    "longitude": (-360.0, 360.0), "latitude": (-90.0, 90.0), "magnitude": (-5.0, 10.0), "depth_km": (-10.0, 1000.0),
}  # fmt: skip
SHEAR_MODULUS_PA: Final = 30e9
"""Of every moment magnitude in the catalogue; potency is stored so that anyone can rescale."""


@dataclass(frozen=True)
class Earthquakes:
    """Earthquakes in order of time.

    Attributes
    ----------
    time
        (earthquake,) datetime64[s], UTC
    longitude, latitude
        (earthquake,) degrees
    depth_km, magnitude
        (earthquake,)
    name
        (earthquake,) identifiers, empty where the list has none
    """

    time: NDArray[np.datetime64]
    longitude: Float
    latitude: Float
    depth_km: Float
    magnitude: Float
    name: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.time)

    def chosen(self, which: NDArray[np.bool_]) -> Earthquakes:
        """Some of them, by a mask (earthquake,)."""
        names = tuple(self.name[i] for i in np.flatnonzero(which))
        place = (self.longitude[which], self.latitude[which], self.depth_km[which])
        return Earthquakes(self.time[which], *place, self.magnitude[which], names)


def read_earthquakes(path: Path, remedy: str = "check the path") -> Earthquakes:
    """Read a list of earthquakes, which may hold none.

    Parameters
    ----------
    path
        CSV with a header line, as ComCat writes it (time, latitude, longitude, depth in km, mag, id); columns are found
        by `NAMES`, in any order, and others are passed over; time is ISO, UTC where it states no zone
    remedy
        what to do where there is no such file

    Raises
    ------
    SlipscanError
        no such file, no CSV, a column is missing, a value is empty, no date, no number or out of range; names the line
    """
    text = read_text(path, WHAT, remedy)
    try:
        # Empty lines are kept so that a row's number is that of its line.
        table = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False, skip_blank_lines=False)
    except ValueError as error:
        raise SlipscanError(f"the {WHAT} {path} is no CSV ({str(error).strip()}): take ComCat's CSV") from error
    if not isinstance(table.index, pd.RangeIndex):
        raise SlipscanError(f"the {WHAT} {path} has more fields in line 2 than names in line 1: name every column")
    columns = {}
    for name, known in NAMES.items():
        column = next((c for k in known for c in table.columns if c.strip().lower() == k), None)
        if column is None and name not in OPTIONAL:
            raise SlipscanError(f"the {WHAT} {path} lacks the column '{known[0]}': add it, as ComCat's CSV has it")
        columns[name] = table[column].str.strip() if column else pd.Series(OPTIONAL[name], index=table.index)
    empty = (table.fillna("") == "").all(axis=1)
    found = pd.DataFrame(columns)[~empty].fillna("")
    found["depth_km"] = found["depth_km"].replace("", OPTIONAL["depth_km"])
    return earthquakes_of(_typed(found, path).assign(name=found["name"]).to_dict("records"))


def _typed(found: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Times and numbers of texts, whose index is the line less two."""
    typed = {"time": pd.to_datetime(found["time"], utc=True, format="ISO8601", errors="coerce").dt.tz_localize(None)}
    bad = {"time": typed["time"].isna()}
    for name, (low, high) in RANGES.items():
        typed[name] = pd.to_numeric(found[name], errors="coerce")
        bad[name] = ~typed[name].between(low, high)
    wrong = pd.DataFrame(bad)
    if wrong.any(axis=None):
        row = int(np.argmax(wrong.any(axis=1)))
        name = next(n for n in bad if bad[n].iloc[row])
        value, line = found[name].iloc[row], int(found.index[row]) + 2
        said = f"{value!r} as {name}" if value else f"no {name}"
        raise SlipscanError(f"the {WHAT} {path} has {said} in line {line}: correct it or drop the line")
    return pd.DataFrame(typed)


def earthquakes_of(rows: Iterable[Mapping[Any, Any]]) -> Earthquakes:
    """Earthquakes of rows with the keys of `NAMES`, in any order; name may be missing."""
    listed = list(rows)
    time = np.array([np.datetime64(row["time"], "s") for row in listed], "datetime64[s]")
    order = np.argsort(time, kind="stable")
    numbers = [np.array([float(row[name]) for row in listed])[order] for name in RANGES]
    longitude, latitude, magnitude, depth = numbers
    names = tuple(str(listed[i].get("name", "")) for i in order)
    return Earthquakes(time[order], longitude, latitude, depth, magnitude, names)


def moment(magnitude: float) -> float:
    """Seismic moment, N m: 10^(1.5 Mw + 9.05) (Kanamori 1977; Hanks & Kanamori 1979)."""
    return float(10.0 ** (1.5 * magnitude + 9.05))


def moment_magnitude(potency_m3: float) -> float:
    """Mw = (log10 M0 - 9.05) / 1.5 of slip times area, with M0 in N m at 30 GPa."""
    return (math.log10(SHEAR_MODULUS_PA * potency_m3) - 9.05) / 1.5
