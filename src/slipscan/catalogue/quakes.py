"""Earthquakes for the precursor study: a list of ComCat or any CSV, and which of them are mainshocks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slipscan.errors import SlipscanError

COLUMNS = ("time", "latitude", "longitude", "mag")
"""Of a list that ComCat's search gives as CSV."""
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Quakes:
    """Earthquakes by time.

    Attributes
    ----------
    day
        day number, with its fraction (UTC)
    mainshock
        not in the wake of, nor shortly before, a larger one
    until
        day number of the last one: the list says nothing of later times
    """

    day: Floats
    longitude: Floats
    latitude: Floats
    magnitude: Floats
    mainshock: NDArray[np.bool_]
    until: float


def days_of(dates: Any) -> Floats:
    """Day numbers of ISO texts, with the fraction of a day."""
    times = np.array([str(text).removesuffix("Z") for text in dates], dtype="datetime64[s]")
    return np.asarray(times.astype(np.int64) / 86400.0, dtype=float)


def read_quakes(path: Path) -> Quakes:
    """Read a CSV with columns time (ISO, UTC), latitude, longitude, mag; others are left out.

    Raises
    ------
    SlipscanError
        no such file, a missing column, or a value that is none
    """
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise SlipscanError(f"{path} is no list of earthquakes ({error})") from error
    lacking = [name for name in COLUMNS if name not in table]
    if lacking:
        raise SlipscanError(f"{path} is no list of earthquakes: it lacks the column '{lacking[0]}'")
    try:
        day = days_of(table["time"])
        numbers = [table[name].to_numpy(dtype=float) for name in COLUMNS[1:]]
    except ValueError as error:
        raise SlipscanError(f"{path} holds an earthquake that cannot be read ({error})") from error
    if not len(table) or not all(np.isfinite(values).all() for values in numbers):
        raise SlipscanError(f"{path} holds no earthquake, or one without a place or magnitude")
    order = np.argsort(day, kind="stable")
    latitude, longitude, magnitude = (values[order] for values in numbers)
    day = day[order]
    return Quakes(day, longitude, latitude, magnitude, mainshocks(day, longitude, latitude, magnitude), float(day[-1]))


def mainshocks(day: Floats, longitude: Floats, latitude: Floats, magnitude: Floats) -> NDArray[np.bool_]:
    """(earthquake) whether it is no after- or foreshock, by the windows of Gardner & Knopoff (1974).

    Starting from the largest, every smaller earthquake in its window (distance and time grow with magnitude) is
    dependent, before it or after it.
    """
    radius_km = 10 ** (0.1238 * magnitude + 0.983)
    window_d = np.where(magnitude >= 6.5, 10 ** (0.032 * magnitude + 2.7389), 10 ** (0.5409 * magnitude - 0.547))
    main = np.ones(len(day), bool)
    done = np.zeros(len(day), bool)
    order = np.lexsort((day, -magnitude))
    for one in order.tolist():
        done[one] = True
        if not main[one]:
            continue
        near = np.flatnonzero(~done & main & (np.abs(day - day[one]) <= window_d[one]))
        half = (
            np.sin(np.deg2rad(latitude[near] - latitude[one]) / 2) ** 2
            + np.cos(np.deg2rad(latitude[one]))
            * np.cos(np.deg2rad(latitude[near]))
            * np.sin(np.deg2rad(longitude[near] - longitude[one]) / 2) ** 2
        )
        main[near[2 * 6371.0 * np.arcsin(np.sqrt(half)) <= radius_km[one]]] = False
    return main
