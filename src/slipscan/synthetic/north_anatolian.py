"""The North Anatolian twin: the Ismetpasa twin at full size, with what makes a hunt hard.

250 x 150 km, six years, sixteen GNSS stations (docs/science.md section 5): slow slip on one section every 2.5
years (Jolivet et al. 2023) like that of 2013 (Rousset et al. 2016), a buried event as small as that of Ozdemir et
al. (2025), a larger one, one on a locked section where no station is, creep bursts of 2 to 10 mm in days (Bilham et
al. 2016), and what is no slow slip: an earthquake, a basin, a quarry, a landslide, a new antenna.
"""

from __future__ import annotations

import datetime
import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from slipscan.synthetic import ismetpasa
from slipscan.synthetic.ismetpasa import SlowSlipEvent, Station
from slipscan.synthetic.ismetpasa_fault import local_coordinates, lonlat
from slipscan.synthetic.movers import Mover, days_of

Float = NDArray[np.float64]
_DAYS_PER_YEAR = 365.25


@dataclass(frozen=True)
class Bowl:
    """Ground that moves in a Gaussian bowl: a basin that is pumped, a quarry, a landslide.

    `along_m`, `across_m` as in SlowSlipEvent; `enu_m` is what the transient brings at the centre, `rate_m_yr` and
    `annual_m` go on all the time, along the same direction.
    """

    id: str
    kind: str
    t50: datetime.date
    duration_d: float
    along_m: float
    across_m: float
    radius_m: float
    enu_m: tuple[float, float, float]
    rate_m_yr: float = 0.0
    annual_m: float = 0.0

    def displacement(self, lon: ArrayLike, lat: ArrayLike) -> Float:
        """Displacement (P, 3) that the transient brings, metres."""
        _, _, along, across = local_coordinates(lon, lat)
        distance = np.hypot(along - self.along_m, across - self.across_m) / self.radius_m
        return np.exp(-0.5 * distance**2)[:, None] * np.array(self.enu_m)

    def course(self, days: ArrayLike) -> Float:
        """What was reached (time,) at days since 2014-01-01: transient, rate and season, 1 for the transient's end."""
        from slipscan.forward.history import history  # loads torch, which takes seconds

        t = np.asarray(days, float)
        size = math.hypot(*self.enu_m)
        going_on = (self.rate_m_yr * t + self.annual_m * np.cos(2 * np.pi * t / _DAYS_PER_YEAR) * _DAYS_PER_YEAR) / size
        return np.asarray(history(t, "raised_cosine", days_of(self.t50), self.duration_d) + going_on / _DAYS_PER_YEAR)

    def describe(self) -> dict[str, Any]:
        """One row of the truth's distractors."""
        lon, lat = lonlat(self.along_m, self.across_m)
        return {
            "id": self.id, "type": self.kind, "t50": self.t50.isoformat(), "duration_d": self.duration_d,
            "longitude": round(lon, 6), "latitude": round(lat, 6), "radius_km": self.radius_m / 1e3,
        }  # fmt: skip


@dataclass(frozen=True)
class Antenna:
    """A new antenna at a station: east, north, up of the step that it brings, metres."""

    station: str
    date: datetime.date
    enu_m: tuple[float, float, float]


@dataclass(frozen=True)
class Scenario:
    """What is planted in the twin's ground and at its stations.

    `common_share`: of the variance of a station's flicker noise, the part that all stations share.
    """

    name: str
    events: tuple[SlowSlipEvent, ...]
    stations: tuple[Station, ...]
    distractors: tuple[Bowl | SlowSlipEvent, ...] = ()
    antennas: tuple[Antenna, ...] = ()
    common_share: float = 0.0

    @property
    def movers(self) -> tuple[Mover, ...]:
        """All that moves the ground beside rate and season."""
        return (*self.events, *self.distractors)


def _slow(id: str, year: int, month: int, day: int, duration_d: float, along_km: float, top_km: float,
          length_km: float, width_km: float, slip_mm: float, kind: str = "slow_slip") -> SlowSlipEvent:  # fmt: skip
    """One event of the tables below."""
    return SlowSlipEvent(
        id, datetime.date(year, month, day), duration_d, "raised_cosine", 1e3 * along_km, 1e3 * top_km,
        1e3 * length_km, 1e3 * width_km, 1e-3 * slip_mm, kind=kind,
    )  # fmt: skip


SLOW_SLIP: Final = (
    _slow("S1", 2015, 8, 10, 31, -13, 0.0, 15, 4.0, 15),
    _slow("S2", 2018, 2, 8, 31, -13, 0.0, 12, 4.0, 20),
    _slow("S3", 2020, 8, 8, 31, -14, 0.0, 10, 4.0, 18),
    _slow("D1", 2017, 3, 4, 26, 12, 2.0, 10, 3.0, 20),
    _slow("D2", 2019, 6, 15, 30, 13, 1.5, 10, 4.2, 150),
    _slow("L1", 2016, 11, 20, 60, 80, 5.0, 30, 10.0, 120),
)
"""S on one section every 2.5 years, at the surface; D1 buried (Mw 4.8), D2 larger; L1 (Mw 6.0) far from any station."""
BURSTS: Final = (
    _slow("B1", 2015, 4, 17, 3, 6, 0.0, 6, 2.5, 8, "creep_burst"),
    _slow("B2", 2016, 2, 21, 2, -30, 0.0, 5, 2.0, 5, "creep_burst"),
    _slow("B3", 2016, 7, 3, 5, 24, 0.0, 8, 3.0, 10, "creep_burst"),
    _slow("B4", 2017, 7, 29, 2, -5, 0.0, 4, 1.5, 3, "creep_burst"),
    _slow("B5", 2018, 8, 12, 4, 31, 0.0, 6, 2.5, 7, "creep_burst"),
    _slow("B6", 2018, 11, 23, 3, 2, 0.0, 7, 3.0, 9, "creep_burst"),
    _slow("B7", 2019, 12, 1, 6, -22, 0.0, 8, 3.0, 10, "creep_burst"),
    _slow("B8", 2020, 3, 14, 2, 18, 0.0, 5, 2.0, 4, "creep_burst"),
)
STATIONS: Final = (
    *ismetpasa.STATIONS,
    Station("ISA3", -18.0e3, 2.0e3),
    Station("ISA4", -8.0e3, -0.6e3),
    Station("ISD1", -28.0e3, 0.5e3),
    Station("ISD2", -30.0e3, -4.0e3),
    Station("ISE1", 27.0e3, 0.9e3),
    Station("ISE2", 31.0e3, -2.2e3),
    Station("ISB3", 9.0e3, 5.5e3),
    Station("ISC2", 1.0e3, 3.2e3),
    Station("ISG1", -12.0e3, 20.0e3),
    Station("ISH1", 18.0e3, -14.0e3),
)
"""Sixteen, 0.5 to 20 km from the fault."""
DISTRACTORS: Final = (
    SlowSlipEvent(
        "Q1", datetime.date(2017, 9, 11), 1.0, "linear", -60e3, 3e3, 6e3, 5e3, 0.15, across_m=-38e3, kind="earthquake"
    ),
    Bowl("W1", "basin", datetime.date(2018, 9, 1), 180.0, 55e3, 30e3, 6e3, (0.0, 0.0, -0.020), 0.025, 0.008),
    Bowl("K1", "quarry", datetime.date(2016, 5, 20), 10.0, -35e3, -18e3, 0.8e3, (0.0, 0.0, -0.040)),
    Bowl("R1", "landslide", datetime.date(2019, 3, 20), 60.0, 20e3, -25e3, 1.0e3, (-0.020, 0.0, -0.015), 0.008),
)
ANTENNAS: Final = (Antenna("ISC1", datetime.date(2017, 5, 9), (0.004, -0.003, 0.009)),)
COMMON_SHARE: Final = 0.45
"""Mean correlation of GNSS noise within a network of this size (Kilauea: 0.42 to 0.46)."""

SCENARIOS: Final = {
    "ismetpasa": Scenario("ismetpasa", ismetpasa.EVENTS, ismetpasa.STATIONS),
    "quiet": Scenario("quiet", (), ismetpasa.STATIONS),
    "north_anatolian": Scenario(
        "north_anatolian", (*SLOW_SLIP, *BURSTS), STATIONS, DISTRACTORS, ANTENNAS, COMMON_SHARE
    ),
}
"""By the name that the configuration gives: archive.simulated.scenario."""
