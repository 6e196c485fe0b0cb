"""Earthquakes for the precursor study, and which of them are mainshocks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slipscan.earthquakes import read_earthquakes
from slipscan.errors import SlipscanError

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
    """Read a list of earthquakes (`slipscan.earthquakes`), and tell its mainshocks.

    Raises
    ------
    SlipscanError
        what that refuses, and a list of none
    """
    listed = read_earthquakes(path, "check --earthquakes")
    if not len(listed):
        raise SlipscanError(f"the list of earthquakes {path} holds no earthquake: give one of the scanned time")
    day = listed.time.astype(np.int64) / 86400.0
    place = (listed.longitude, listed.latitude, listed.magnitude)
    return Quakes(day, *place, mainshocks(day, *place), float(day[-1]))


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
