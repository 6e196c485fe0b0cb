"""Made-up heights of the Ismetpasa twin, and how a Sentinel-1 track looks at it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from slipscan import geometry
from slipscan.synthetic.ismetpasa_fault import STRIKE_DEG, local_coordinates

Float = NDArray[np.float64]

_SEED = 408698


def height(lon: ArrayLike, lat: ArrayLike) -> Float:
    """Topography (P,), metres: relief of 600 to 2000 m, with the valley of the fault. Made up, but fixed."""
    _, _, along, across = local_coordinates(lon, lat)
    waves = np.random.default_rng(_SEED)
    count = 48
    wavelength = np.geomspace(2.5e3, 45e3, count)
    azimuth, phase = waves.uniform(0, np.pi, count), waves.uniform(0, 2 * np.pi, count)
    relief = np.zeros_like(along)
    for length, a, p in zip(wavelength, azimuth, phase, strict=True):
        angle = 2 * np.pi / length * (along * np.cos(a) + across * np.sin(a)) + p
        relief += (length / 45e3) ** 0.9 * np.cos(angle)
    spread = math.sqrt(float(np.sum((wavelength / 45e3) ** 1.8) / 2))
    valley = np.exp(-((across / 2.5e3) ** 2))
    shaped = 0.9 * relief / spread * (1 - 0.6 * valley) - 0.8 * valley
    return np.asarray(1300.0 + 700.0 * np.tanh(shaped * 0.7), dtype=float)


def line_of_sight(lon: ArrayLike, lat: ArrayLike, orbit_direction: str) -> Float:
    """Unit vector ground to satellite (P, 3) east, north, up of a Sentinel-1 track across the scenario.

    Incidence grows away from the satellite by 0.07 degrees per km, 37.5 degrees at CENTRE; headings are -13
    (ascending) and -167 degrees (descending).
    """
    _, _, along, across = local_coordinates(lon, lat)
    heading = -13.0 if orbit_direction == "ascending" else -167.0
    look = math.radians(heading + 90 - (STRIKE_DEG - 180))
    ground_range = along * math.cos(look) - across * math.sin(look)
    incidence = 37.5 + 0.07 * np.clip(ground_range / 1e3, -100, 100)
    return np.stack(geometry.los_from_incidence_heading(incidence, np.full_like(incidence, heading)), axis=-1)
