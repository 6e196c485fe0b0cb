"""One true scene: ground motion, geometry and nuisances that are known at any place and date.

The loopback archives write it in the layouts, units, signs and lattices of the real ones. Everything here is analytic
and smooth, so that every lattice samples the same truth. Lengths in metres; displacement and what looks like it
(delay, ionosphere, tide) are positive TOWARD the satellite.
"""

from __future__ import annotations

import datetime
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from slipscan.geometry import Array, Grid, los_from_incidence_heading, metric_grid
from slipscan.longitudes import near
from slipscan.vocabulary import RADAR_WAVELENGTH_M

Cycles = tuple[datetime.date, datetime.date, int]
"""Older date, newer date, number of cycles."""

DAYS_PER_YEAR = 365.25


def acquisitions(
    first: datetime.date = datetime.date(2020, 1, 3), count: int = 12, days: int = 12
) -> tuple[datetime.date, ...]:
    """The dates of a satellite that passes every `days` days."""
    return tuple(first + datetime.timedelta(days=days * i) for i in range(count))


@dataclass(frozen=True)
class TrueScene:
    """The scene. Methods take longitude and latitude (degrees) that broadcast, and dates.

    Attributes
    ----------
    extent
        west, south, east, north, degrees; east beyond 180 across the antimeridian
    dates
        acquisition dates, ascending; motion is counted from the first
    pass_time
        time of day of every acquisition, UTC
    relative_orbit, orbit_direction
        the track; the radar looks to the right
    rate_m_yr, season_m, event_m
        (east, north, up) at the peak of the steady motion, amplitude of the annual one, and of the slow event
    event_onset, event_days
        the event's displacement grows from zero at the onset to its full value `event_days` later
    delay_m, ionosphere_m, tide_m
        amplitudes of the nuisances, by default absent
    island
        whether a second connected component lies beyond a strait
    island_cycles
        unwrapping errors: interferograms in which the island is wrong by a number of cycles (one cycle is half a
        wavelength toward)
    seed
        of the nuisances
    """

    extent: tuple[float, float, float, float] = (32.44, 40.80, 32.56, 40.90)
    dates: tuple[datetime.date, ...] = acquisitions()
    pass_time: datetime.time = datetime.time(15, 40, 30)
    relative_orbit: int = 87
    orbit_direction: Literal["ascending", "descending"] = "ascending"
    wavelength_m: float = RADAR_WAVELENGTH_M
    rate_m_yr: tuple[float, float, float] = (0.012, 0.004, -0.045)
    season_m: tuple[float, float, float] = (0.001, 0.0, 0.006)
    event_m: tuple[float, float, float] = (-0.012, 0.006, 0.020)
    event_onset: datetime.date = datetime.date(2020, 3, 1)
    event_days: float = 30.0
    delay_m: float = 0.0
    ionosphere_m: float = 0.0
    tide_m: float = 0.0
    island: bool = False
    island_cycles: tuple[Cycles, ...] = ()
    seed: int = 0

    @property
    def reference_point(self) -> tuple[float, float]:
        """Longitude, latitude in the quiet north-west corner, where the motion is below a micrometre."""
        west, south, east, north = self.extent
        return west + 0.1 * (east - west), south + 0.88 * (north - south)

    @property
    def polygon(self) -> tuple[tuple[float, float], ...]:
        """Closed ring of the extent: longitude, latitude."""
        west, south, east, north = self.extent
        return (west, south), (east, south), (east, north), (west, north), (west, south)

    def _unit(self, lon: Array, lat: Array) -> tuple[Array, Array]:
        """Position in the extent: 0 to 1 from west to east, from south to north."""
        west, south, east, north = self.extent
        lon = near(np.asarray(lon, float), (west + east) / 2)
        return (lon - west) / (east - west), (np.asarray(lat, float) - south) / (north - south)

    # Motion ---------------------------------------------------------------------------------------------------------

    def enu(self, lon: Array, lat: Array, date: datetime.date) -> Array:
        """Ground displacement (east, north, up) since the first date, (3, ...), m."""
        x, y = self._unit(lon, lat)
        steady = np.exp(-(((x - 0.65) / 0.17) ** 2) - ((y - 0.35) / 0.18) ** 2)
        seasonal = np.exp(-(((x - 0.60) / 0.20) ** 2) - ((y - 0.30) / 0.20) ** 2)
        slow = np.exp(-(((x - 0.72) / 0.14) ** 2) - ((y - 0.28) / 0.15) ** 2)
        years = (date - self.dates[0]).days / DAYS_PER_YEAR
        season = self._season(date) - self._season(self.dates[0])
        grown = self.event_history(date) - self.event_history(self.dates[0])
        parts = zip(self.rate_m_yr, self.season_m, self.event_m, strict=True)
        return np.stack([rate * years * steady + s * season * seasonal + e * grown * slow for rate, s, e in parts])

    @staticmethod
    def _season(date: datetime.date) -> float:
        return math.sin(2 * math.pi * (date.timetuple().tm_yday - 40) / DAYS_PER_YEAR)

    def event_history(self, date: datetime.date) -> float:
        """Share of the slow event that has happened by a date, 0 to 1 (a smooth step)."""
        part = min(max((date - self.event_onset).days / self.event_days, 0.0), 1.0)
        return part * part * (3 - 2 * part)

    def displacement(self, lon: Array, lat: Array, date: datetime.date) -> Array:
        """Line-of-sight displacement since the first date, m, positive toward the satellite."""
        return (self.enu(lon, lat, date) * self.los(lon, lat)).sum(axis=0)

    # Geometry -------------------------------------------------------------------------------------------------------

    def height(self, lon: Array, lat: Array) -> Array:
        """Height above the ellipsoid, m."""
        x, y = self._unit(lon, lat)
        return 900 + 350 * np.sin(2 * np.pi * (0.6 * x + 0.3 * y)) + 150 * np.cos(2 * np.pi * 0.7 * y)

    def incidence(self, lon: Array, lat: Array, height: Array | float | None = None) -> Array:
        """Incidence angle from the vertical, degrees: 33 to 39 away from the satellite, 0.06 more per km of height.

        Linear in longitude, latitude and height. `height` is by default that of the ground.
        """
        x, y = self._unit(lon, lat)
        across = x if self.orbit_direction == "ascending" else 1 - x
        height = self.height(lon, lat) if height is None else np.asarray(height, float)
        return 33 + 6 * across + 0 * y + 0.06 * height / 1000

    def heading(self, lon: Array, lat: Array) -> Array:
        """Flight direction clockwise from north, degrees; linear in latitude."""
        x, y = self._unit(lon, lat)
        return (-12.0 if self.orbit_direction == "ascending" else -168.0) + 0.1 * (y - 0.5) + 0 * x

    def los(self, lon: Array, lat: Array, height: Array | float | None = None) -> Array:
        """Unit vector from the ground to the satellite (east, north, up), (3, ...)."""
        return np.stack(los_from_incidence_heading(self.incidence(lon, lat, height), self.heading(lon, lat)))

    def perpendicular_baseline(self, date: datetime.date) -> float:
        """Perpendicular baseline to the first date, m."""
        return float(self._draws(date, 4)[0] - self._draws(self.dates[0], 4)[0]) * 60

    # Nuisances: m toward the satellite, one value a date -----------------------------------------------------------

    def _draws(self, date: datetime.date, kind: int) -> Array:
        return np.random.default_rng((self.seed, kind, date.toordinal())).uniform(-1, 1, 4)

    def delay(self, lon: Array, lat: Array, date: datetime.date, height: Array | None = None) -> Array:
        """Apparent displacement of the troposphere, waves of 10 km and a part that follows height, m toward.

        `height` is by default that of the ground.
        """
        x, y = self._unit(lon, lat)
        a, b, phase, slope = self._draws(date, 1)
        height = self.height(lon, lat) if height is None else height
        return self.delay_m * (np.sin(2 * np.pi * (a * x + b * y + phase)) + slope * height / 1000)

    def ionosphere(self, lon: Array, lat: Array, date: datetime.date) -> Array:
        """Apparent displacement of the ionosphere, a plane (exact on the coarse grids of products), m toward."""
        x, y = self._unit(lon, lat)
        a, b, c, _ = self._draws(date, 2)
        return self.ionosphere_m * (a + b * (x - 0.5) + c * (y - 0.5))

    def tide(self, lon: Array, lat: Array, date: datetime.date) -> Array:
        """Line-of-sight part of the solid Earth tide, a plane (exact on the coarse grids of products), m toward."""
        x, y = self._unit(lon, lat)
        a, b, c, _ = self._draws(date, 3)
        return self.tide_m * (a + 0.2 * b * (x - 0.5) + 0.2 * c * (y - 0.5))

    # What an interferogram shows ------------------------------------------------------------------------------------

    def observed(self, lon: Array, lat: Array, date: datetime.date) -> Array:
        """Displacement since the first date with delay, ionosphere and tide of the date in it, m toward."""
        return (
            self.displacement(lon, lat, date)
            + self.delay(lon, lat, date)
            + self.ionosphere(lon, lat, date)
            + self.tide(lon, lat, date)
        )

    def interferogram(self, lon: Array, lat: Array, older: datetime.date, newer: datetime.date) -> Array:
        """What an unwrapped interferogram holds, with the island's cycles, older to newer date, m toward."""
        motion = self.observed(lon, lat, newer) - self.observed(lon, lat, older)
        return motion + self.cycles(lon, lat, older, newer) * (self.wavelength_m / 2)

    def cycles(self, lon: Array, lat: Array, older: datetime.date, newer: datetime.date) -> NDArray[np.int64]:
        """Unwrapping errors of an interferogram: cycles of half a wavelength toward, not 0 on the island alone."""
        count = sum(n for first, second, n in self.island_cycles if (first, second) == (older, newer))
        return np.where(self.component(lon, lat) == 2, count, 0)

    def incoherent(self, lon: Array, lat: Array) -> NDArray[np.bool_]:
        """Where no interferogram is coherent: a patch in the south-west, and the strait around the island."""
        x, y = self._unit(lon, lat)
        patch = ((x - 0.22) / 0.07) ** 2 + ((y - 0.20) / 0.08) ** 2 < 1
        radius = self._from_island(lon, lat)
        return patch | ((radius >= 1) & (radius < 1.3) & self.island)

    def _from_island(self, lon: Array, lat: Array) -> Array:
        """Distance from the island's centre; its shore is at 1."""
        x, y = self._unit(lon, lat)
        return np.hypot((x - 0.80) / 0.12, (y - 0.80) / 0.12)

    def component(self, lon: Array, lat: Array) -> NDArray[np.int16]:
        """Connected component of the unwrapping: 1, on the island 2, 0 where incoherent."""
        island = (self._from_island(lon, lat) < 1) & self.island
        return np.where(self.incoherent(lon, lat), 0, np.where(island, 2, 1)).astype(np.int16)

    def coherence(self, lon: Array, lat: Array, older: datetime.date, newer: datetime.date) -> Array:
        """Coherence, 0 to 1: 0.3 to 0.9, decays with time in 120 d; 0.05 where incoherent."""
        x, y = self._unit(lon, lat)
        decay = math.exp(-abs((newer - older).days) / 120)
        coherent = 0.3 + 0.6 * decay * (0.9 + 0.1 * np.sin(2 * np.pi * x) * np.cos(2 * np.pi * y))
        return np.where(self.incoherent(lon, lat), 0.05, coherent)

    # Dates, pairs and lattices ---------------------------------------------------------------------------------------

    def time(self, date: datetime.date) -> datetime.datetime:
        """The moment of a date's acquisition, UTC."""
        return datetime.datetime.combine(date, self.pass_time, datetime.UTC)

    def pairs(self, neighbours: int = 3) -> list[tuple[datetime.date, datetime.date]]:
        """Every date with the next few: (older, newer)."""
        count = len(self.dates)
        return [
            (self.dates[i], self.dates[j]) for i in range(count) for j in range(i + 1, min(i + 1 + neighbours, count))
        ]

    def geographic_grid(self, step_degrees: float, origin: Literal["edge", "centre"] = "edge") -> Grid:
        """The cells of longitude and latitude that cover the extent.

        Cell edges (or centres, for origin 'centre') lie on multiples of the step.
        """
        from pyproj import CRS

        west, south, east, north = self.extent
        shift = 0.5 if origin == "edge" else 0.0
        columns = np.arange(math.floor(west / step_degrees + 1e-6), math.ceil(east / step_degrees - 1e-6))
        rows = np.arange(math.floor(south / step_degrees + 1e-6), math.ceil(north / step_degrees - 1e-6))
        return Grid((columns + shift) * step_degrees, (rows[::-1] + shift) * step_degrees, CRS.from_epsg(4326))

    def metric_grid(self, posting_m: float) -> Grid:
        """The cells of the UTM zone that cover the extent; edges on multiples of the posting."""
        west, south, east, north = self.extent
        return metric_grid(np.array([west, east, east, west]), np.array([south, south, north, north]), posting_m)
