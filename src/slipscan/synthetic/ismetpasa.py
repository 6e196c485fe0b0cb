"""The Ismetpasa twin: a synthetic piece of the North Anatolian Fault whose truth is known.

Rate, season and slow slip events of the creeping section near (40.87 N, 32.63 E), with the numbers that
docs/science.md section 5 collects: right-lateral plate motion of 20 mm/yr locked to 14 km, shallow creep of 7 mm/yr
(Bilham et al. 2016; Jolivet et al. 2023), and two slow slip events: one that breaks the surface (Rousset et al.
2016), and one that is buried like that of Ozdemir et al. (2025), but larger. An Mw 4.8 to 5.1 at 2 to 6 km is
below what one track of 60 epochs can show (matched-filter signal-to-noise ratio 3 at 46 mm of slip), so that a
detector would rightly miss it. Everything is a function of longitude, latitude and time alone, so that every
track, grid and GNSS station sees the same ground; `ismetpasa_fault` holds the fault, `terrain` heights and viewing
geometry.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from slipscan.synthetic.ismetpasa_fault import (
    AZIMUTH,
    DIP_DEG,
    RAKE_DEG,
    STRIKE_DEG,
    frame_position,
    local_coordinates,
    lonlat,
    right_lateral,
)
from slipscan.synthetic.movers import Mover, days_of

Float = NDArray[np.float64]
Part = Literal["rate", "season", "events"]
PARTS: Final[tuple[Part, ...]] = ("rate", "season", "events")

PLATE_RATE_M_YR, LOCKING_DEPTH_M = 0.020, 14e3
CREEP_RATE_M_YR, CREEP_DEPTH_M, CREEP_LENGTH_M = 0.007, 4.5e3, 80e3
SHEAR_MODULUS_PA = 30e9
BOUNDS: Final = (31.0, 39.9, 34.3, 41.9)
"""West, south, east, north of where the scenario is defined, degrees."""
_DAYS_PER_YEAR = 365.25


@dataclass(frozen=True)
class SlowSlipEvent:
    """One planted event: right-lateral slip of a rectangle on the fault, or on one beside it.

    `along_m` is the distance of its centre from CENTRE along azimuth 81.5 degrees (east positive), `across_m` how far
    north of the trace its own fault comes to the surface.
    """

    id: str
    t50: datetime.date
    duration_d: float
    history: str
    along_m: float
    depth_top_m: float
    length_m: float
    width_m: float
    slip_m: float
    across_m: float = 0.0
    kind: str = "slow_slip"

    @property
    def mw(self) -> float:
        """Moment magnitude at a shear modulus of 30 GPa."""
        moment = SHEAR_MODULUS_PA * self.length_m * self.width_m * self.slip_m
        return (math.log10(moment) - 9.05) / 1.5

    @property
    def t50_d(self) -> float:
        """Days since 2014-01-01."""
        return days_of(self.t50)

    def date(self, share: float) -> str:
        """ISO date at which a share of the moment was released (the histories used here are symmetric)."""
        offset = round(self.duration_d * (share - 0.5) / 0.9)
        return (self.t50 + datetime.timedelta(days=offset)).isoformat()

    def top_centre(self) -> tuple[float, float]:
        """East and north (FRAME, metres) of the surface projection of the centre of the top edge."""
        return frame_position(self.along_m, self.across_m + self.depth_top_m / math.tan(math.radians(DIP_DEG)))

    def displacement(self, lon: ArrayLike, lat: ArrayLike) -> Float:
        """Final displacement (P, 3) east, north, up, metres."""
        east, north, _, _ = local_coordinates(lon, lat)
        return right_lateral(east, north, self.top_centre(), self.depth_top_m, self.length_m, self.width_m, self.slip_m)

    def course(self, days: ArrayLike) -> Float:
        """Share of the slip (time,) reached at days since 2014-01-01."""
        from slipscan.forward.history import history  # loads torch, which takes seconds

        return np.asarray(history(np.asarray(days, float), self.history, self.t50_d, self.duration_d))

    def describe(self) -> dict[str, Any]:
        """The event as a row of truth.json."""
        lon, lat, depth = self.centre()
        return {
            "id": self.id,
            "type": self.kind,
            "t05": self.date(0.05),
            "t50": self.date(0.5),
            "t95": self.date(0.95),
            "longitude": round(lon, 6),
            "latitude": round(lat, 6),
            "depth_km": round(depth / 1e3, 4),
            "mw": round(self.mw, 4),
            "strike_deg": STRIKE_DEG,
            "dip_deg": DIP_DEG,
            "rake_deg": RAKE_DEG,
            "length_km": self.length_m / 1e3,
            "width_km": self.width_m / 1e3,
            "slip_mm": round(self.slip_m * 1e3, 3),
        }

    def centre(self) -> tuple[float, float, float]:
        """Longitude, latitude (degrees) and depth (metres) of the rectangle's centre."""
        middle = self.depth_top_m + self.width_m / 2 * math.sin(math.radians(DIP_DEG))
        lon, lat = lonlat(self.along_m, self.across_m + middle / math.tan(math.radians(DIP_DEG)))
        return lon, lat, middle


EVENTS: Final = (
    SlowSlipEvent("A", datetime.date(2018, 10, 20), 31.0, "raised_cosine", -13e3, 0.0, 15e3, 4.0e3, 0.020),
    SlowSlipEvent("B", datetime.date(2019, 6, 15), 30.0, "raised_cosine", 13e3, 1.5e3, 10e3, 4.2e3, 0.150),
)
"""A surface-breaking, Mw 5.0; B buried (1.5 to 5.7 km), Mw 5.5.

Signal-to-noise ratio of B's known pattern in one track of 60 epochs, turbulence of 8 mm, with offset, ramp and height
slope of every epoch, rate and season unknown: 12 ascending, 11 descending (tests/test_synthetic.py computes them). A's
depends on how well the trace is known: 30 to the pixel of 500 m, half of that to a kilometre. Eight months lie between
them: events a year apart look alike beside an unknown season.
"""


@dataclass(frozen=True)
class Station:
    """One synthetic GNSS station, on one side of the fault: `along_m` as in SlowSlipEvent, `across_m` north."""

    id: str
    along_m: float
    across_m: float

    def lonlat(self) -> tuple[float, float]:
        """Longitude, latitude, degrees."""
        return lonlat(self.along_m, self.across_m)


STATIONS: Final = (
    Station("ISA1", -12.5e3, 0.7e3),
    Station("ISA2", -14.0e3, -2.5e3),
    Station("ISB1", 12.0e3, 1.5e3),
    Station("ISB2", 14.5e3, -3.0e3),
    Station("ISC1", 0.5e3, -8.0e3),
    Station("ISF1", 2.0e3, 20.0e3),
)
"""Two near event A, two near event B, one between them, one far as a control."""


def events(scenario: str) -> tuple[SlowSlipEvent, ...]:
    """The events of a scenario: 'ismetpasa' has two, 'quiet' none."""
    return EVENTS if scenario == "ismetpasa" else ()


def rate(lon: ArrayLike, lat: ArrayLike) -> Float:
    """Secular rate (P, 3) east, north, up, m/yr.

    A screw dislocation below the locking depth (Savage & Burford 1973), antisymmetric about the fault, and
    shallow creep.
    """
    east, north, _, across = local_coordinates(lon, lat)
    deep = PLATE_RATE_M_YR / math.pi * np.arctan(across / LOCKING_DEPTH_M)
    out = deep[:, None] * np.array([math.sin(AZIMUTH), math.cos(AZIMUTH), 0.0])
    return out + right_lateral(east, north, (0.0, 0.0), 0.0, CREEP_LENGTH_M, CREEP_DEPTH_M, CREEP_RATE_M_YR)


def season(lon: ArrayLike, lat: ArrayLike) -> Float:
    """Hydrological season (4, P, 3): coefficients of annual cosine and sine, semi-annual cosine and sine, metres.

    A few millimetres, smooth, mostly vertical (the ground is lowest when the load of water is largest, in
    March), with the horizontal gradient that an elastic load brings.
    """
    _, _, along, across = local_coordinates(lon, lat)
    u, v = along / 25e3, across / 25e3
    vertical = 2.5e-3 + 1.0e-3 * np.sin(u + 0.6) * np.cos(0.8 * v) + 0.6e-3 * v / (1 + v**2)
    horizontal = np.stack((0.25 * np.cos(u + 0.6), 0.25 * np.sin(v)), axis=1)
    pattern = np.concatenate((horizontal * vertical[:, None], vertical[:, None]), axis=1)
    phase_annual, phase_semi = 2 * np.pi * 255 / _DAYS_PER_YEAR, 4 * np.pi * 120 / _DAYS_PER_YEAR
    return np.stack(
        (
            math.cos(phase_annual) * pattern, math.sin(phase_annual) * pattern,
            0.2 * math.cos(phase_semi) * pattern, 0.2 * math.sin(phase_semi) * pattern,
        )
    )  # fmt: skip


def patterns(
    lon: ArrayLike, lat: ArrayLike, planted: Sequence[Mover] = EVENTS, parts: tuple[Part, ...] = PARTS
) -> Float:
    """Spatial patterns (pattern, P, 3) of the ground's motion; `courses` are theirs in time.

    Projecting them onto the line of sight before the product with time saves most of the memory of `ground`.
    """
    out = []
    if "rate" in parts:
        out.append(rate(lon, lat)[None])
    if "season" in parts:
        out.append(season(lon, lat))
    if "events" in parts:
        out += [mover.displacement(lon, lat)[None] for mover in planted]
    return np.concatenate(out) if out else np.zeros((0, len(np.atleast_1d(lon)), 3))


def courses(days: ArrayLike, planted: Sequence[Mover] = EVENTS, parts: tuple[Part, ...] = PARTS) -> Float:
    """Courses in time (time, pattern) of `patterns`; days count from 2014-01-01, where the rate is zero."""
    t = np.asarray(days, float)
    out = []
    if "rate" in parts:
        out.append(t / _DAYS_PER_YEAR)
    if "season" in parts:
        for cycles in (1, 2):
            angle = 2 * np.pi * cycles * t / _DAYS_PER_YEAR
            out += [np.cos(angle), np.sin(angle)]
    if "events" in parts:
        out += [mover.course(t) for mover in planted]
    return np.stack(out, axis=1) if out else np.zeros((len(t), 0))


def ground(
    lon: ArrayLike,
    lat: ArrayLike,
    days: ArrayLike,
    planted: Sequence[Mover] = EVENTS,
    parts: tuple[Part, ...] = PARTS,
) -> Float:
    """Position of the true ground relative to 2014-01-01.

    Parameters
    ----------
    lon, lat
        (P,) degrees
    days
        (time,) since 2014-01-01
    planted
        the events
    parts
        what is summed up, of 'rate', 'season', 'events'

    Returns
    -------
    displacement
        (time, P, 3): east, north, up, metres
    """
    return np.einsum("tk,kpc->tpc", courses(days, planted, parts), patterns(lon, lat, planted, parts))
