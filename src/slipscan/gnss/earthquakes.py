"""Possible steps of stations by the earthquakes around them, where NGL's table of steps does not have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from pyproj import Geod

from slipscan.errors import SlipscanError
from slipscan.gnss.steps import Step

COLUMNS = ("time", "latitude", "longitude", "mag", "id")


def radius_km(magnitude: float) -> float:
    """How far an earthquake may move a station: 10^(M / 2 - 0.79) km, the rule of NGL's steps.txt."""
    return float(10.0 ** (magnitude / 2.0 - 0.79))


def read_earthquakes(path: Path) -> pd.DataFrame:
    """Read a catalogue of earthquakes: a CSV with COLUMNS, as the USGS gives it.

    Raises
    ------
    SlipscanError
        no file, or a column or number that is missing
    """
    path = Path(path)
    if not path.is_file():
        raise SlipscanError(f"ngl.earthquakes names {path}, which is no file: correct it, or leave the key out")
    try:
        table = pd.read_csv(path)
    except (ValueError, OSError) as error:
        raise SlipscanError(f"{path} is no CSV of earthquakes: it needs columns {', '.join(COLUMNS)}") from error
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise SlipscanError(f"{path} has no column '{missing[0]}': a catalogue needs {', '.join(COLUMNS)}")
    times = pd.to_datetime(table["time"], utc=True, errors="coerce", format="ISO8601").dt.tz_localize(None)
    numbers = table[["latitude", "longitude", "mag"]].apply(pd.to_numeric, errors="coerce")
    bad = np.flatnonzero(times.isna() | numbers.isna().any(axis=1))
    if len(bad):
        raise SlipscanError(f"line {bad[0] + 2} of {path} has no time, place or magnitude: correct it")
    return numbers.assign(time=times.astype("datetime64[ns]"), id=table["id"].astype(str))


def earthquake_steps(earthquakes: pd.DataFrame, longitude: float, latitude: float) -> list[Step]:
    """Possible steps of a station at a place, by NGL's radius, in order of time."""
    count = len(earthquakes)
    lon, lat = earthquakes["longitude"].to_numpy(float), earthquakes["latitude"].to_numpy(float)
    metres = Geod(ellps="WGS84").inv(np.full(count, longitude), np.full(count, latitude), lon, lat)[2]
    found = [
        Step(np.datetime64(time, "D").astype("datetime64[ns]"), "earthquake", str(name), float(magnitude), distance)
        for time, magnitude, name, distance in zip(
            earthquakes["time"].to_numpy(), earthquakes["mag"], earthquakes["id"],
            (np.asarray(metres) / 1e3).tolist(), strict=True,
        )
        if distance <= radius_km(float(magnitude))
    ]  # fmt: skip
    return sorted(found, key=lambda step: (step.time, step.text))


def step_line(name: str, step: Step) -> str:
    """A line of steps.txt."""
    day = pd.Timestamp(step.time)
    months = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
    label = f"{day.year % 100:02d}{months[day.month - 1]}{day.day:02d}"
    if step.kind == "equipment":
        return f"{name}  {label}  1  {step.text}"
    reach = f"{radius_km(step.magnitude):8.3f}  {step.distance_km:8.3f}"
    return f"{name}  {label}  2  {reach}  {step.magnitude:.1f} {step.text}"
