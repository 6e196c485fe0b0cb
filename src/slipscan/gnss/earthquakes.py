"""Possible steps of stations by the earthquakes around them, where NGL's table of steps does not have them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pyproj import Geod

from slipscan.earthquakes import Earthquakes
from slipscan.gnss.steps import Step


def radius_km(magnitude: float) -> float:
    """How far an earthquake may move a station: 10^(M / 2 - 0.79) km, the rule of NGL's steps.txt."""
    return float(10.0 ** (magnitude / 2.0 - 0.79))


def earthquake_steps(earthquakes: Earthquakes, longitude: float, latitude: float) -> list[Step]:
    """Possible steps of a station at a place, by NGL's radius, in order of time."""
    count = len(earthquakes)
    here = (np.full(count, longitude), np.full(count, latitude))
    metres = Geod(ellps="WGS84").inv(*here, earthquakes.longitude, earthquakes.latitude)[2]
    found = [
        Step(time.astype("datetime64[D]").astype("datetime64[ns]"), "earthquake", name, magnitude, distance)
        for time, magnitude, name, distance in zip(
            earthquakes.time, earthquakes.magnitude.tolist(), earthquakes.name, (np.asarray(metres) / 1e3).tolist(),
            strict=True,
        )
        if distance <= radius_km(magnitude)
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
