"""The sources that are injected: of a kind, at a depth, as large as their magnitude makes them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from slipscan.earthquakes import SHEAR_MODULUS_PA, moment
from slipscan.source.sources import Fault, Source, VolumeSource, displacement

Float = NDArray[np.float64]

ORIENTATIONS: Final[dict[str, tuple[float, float] | None]] = {
    "strike_slip": (90.0, 180.0),
    "thrust": (30.0, 90.0),
    "normal": (60.0, -90.0),
    "volume": None,
}
"""Dip and rake of a kind, degrees; None: a point that changes its volume. The sense of strike-slip does not matter: it
turns the sign of the displacement."""
STRAIN: Final = 5e-6
"""Slip over the root of the area: what the source stage expects (docs/method.md)."""
ASPECT: Final = 2.0
"""Length over width, as long as the depth leaves room for the width."""
LONGEST: Final = 10.0
"""Length over width at most: beyond it slip grows instead."""
REACH: Final = 0.9
"""Part of the depth that a fault may reach up from its centre."""


@dataclass(frozen=True)
class Node:
    """A place, depth, duration and kind of source.

    Attributes
    ----------
    kind, strike_deg
        a key of ORIENTATIONS; NaN for a volume
    longitude, latitude, depth_km
        of the centre, depth positive down
    duration_d
        t95 - t05
    """

    kind: str
    strike_deg: float
    longitude: float
    latitude: float
    depth_km: float
    duration_d: float

    def source(self, mw: float) -> Source:
        """The source of a magnitude (at 30 GPa), at the origin of its local frame."""
        potency, depth = potency_m3(mw), 1e3 * self.depth_km
        orientation = ORIENTATIONS[self.kind]
        if orientation is None:
            return VolumeSource(0.0, 0.0, depth, potency)
        dip, rake = orientation
        area = (potency / STRAIN) ** (2 / 3)
        width = min(math.sqrt(area / ASPECT), 2 * REACH * depth / math.sin(math.radians(dip)))
        length = min(area / width, LONGEST * width)
        slip, angle = potency / (length * width), math.radians(rake)
        return Fault(
            0.0, 0.0, depth, self.strike_deg, dip, length, width, slip * math.cos(angle), slip * math.sin(angle)
        )

    def los_share(self, los: Float) -> float:
        """Part of the slip that a line of sight (east, north, up) holds; NaN for a volume."""
        orientation = ORIENTATIONS[self.kind]
        if orientation is None:
            return math.nan
        (dip, rake), strike = np.deg2rad(orientation), math.radians(self.strike_deg)
        along, up = math.cos(rake), math.sin(rake)
        east = along * math.sin(strike) - up * math.cos(dip) * math.cos(strike)
        north = along * math.cos(strike) + up * math.cos(dip) * math.sin(strike)
        return float(abs(los @ np.array([east, north, up * math.sin(dip)])))


def potency_m3(mw: float) -> float:
    """Slip times area, or volume change, of a magnitude at 30 GPa."""
    return moment(mw) / SHEAR_MODULUS_PA


def los_change(source: Source, east: Float, north: Float, los: NDArray[np.floating]) -> Float:
    """Line-of-sight displacement (...) m of a source at points (...) of its frame, `los` (3, ...)."""
    moved = displacement(source, east.ravel(), north.ravel())
    return np.asarray((moved * los.reshape(3, -1).T).sum(axis=1).reshape(east.shape))
