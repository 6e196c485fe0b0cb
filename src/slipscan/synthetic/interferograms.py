"""Interferograms of the Ismetpasa twin as one track would see them.

Every random field has a generator of its own, keyed by the seed, the track and the dates it belongs to. So an
epoch's delay does not depend on how many epochs there are, and a longer series only adds interferograms.
"""

from __future__ import annotations

import datetime
import math
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from slipscan.geometry import Grid
from slipscan.noise.simulate import NoiseModel, TurbulenceSpectrum, decorrelation, turbulence
from slipscan.regions import Track
from slipscan.settings import SimulatedArchive
from slipscan.synthetic import ismetpasa, terrain
from slipscan.synthetic.north_anatolian import SCENARIOS

Float32 = NDArray[np.float32]

PHASE_STEP_RAD = 1 / 4096
"""Phases are rounded to it (a micrometre): the files compress better."""
MIN_COHERENCE = 0.08
"""Pixels below it were not unwrapped: no data."""
_EPOCH, _PAIR, _MISSING, _VEGETATION = 1, 2, 3, 4
_VEGETATION_PATCHES = TurbulenceSpectrum(outer_scale_m=6e3)


def acquisition_dates(track: Track, settings: SimulatedArchive) -> list[datetime.date]:
    """Dates of the track's acquisitions, in order; some fail, never the first."""
    start = datetime.date.fromisoformat(settings.start)
    dates = [start + datetime.timedelta(days=settings.interval_d * n) for n in range(settings.epochs)]
    return dates[:1] + [
        date
        for date in dates[1:]
        if _generator(settings, track, _MISSING, date).random() >= settings.missing_epoch_fraction
    ]


def pairs(track: Track, settings: SimulatedArchive) -> list[tuple[datetime.date, datetime.date]]:
    """Interferograms (older, newer date): from every acquisition to each of the next ones, in order."""
    dates = acquisition_dates(track, settings)
    return [
        (older, newer)
        for index, older in enumerate(dates)
        for newer in dates[index + 1 : index + 1 + settings.pairs_per_epoch]
    ]


def _generator(
    settings: SimulatedArchive, track: Track | None, kind: int, *dates: datetime.date
) -> np.random.Generator:
    """The generator of one random field; one without a track belongs to the ground and is shared by all."""
    where = [0, 0] if track is None else [track.relative_orbit, int(track.orbit_direction == "ascending")]
    return np.random.default_rng([settings.seed, *where, kind, *(date.toordinal() for date in dates)])


class TrackSimulator:
    """Interferograms of one track on one grid (geographic, cell centres in degrees)."""

    def __init__(self, grid: Grid, track: Track, settings: SimulatedArchive) -> None:
        self.grid, self.track, self.settings = grid, track, settings
        lon, lat = np.meshgrid(grid.x, grid.y)
        self._lon, self._lat = lon.ravel(), lat.ravel()
        north_m = math.radians(grid.spacing[1]) * 6.371e6
        east_m = math.radians(grid.spacing[0]) * 6.371e6 * math.cos(math.radians(float(grid.y.mean())))
        self.pixel_m = (north_m, east_m)
        self._events = SCENARIOS[settings.scenario].movers
        self._delays: dict[datetime.date, Float32] = {}
        self.noise = NoiseModel(
            turbulence_std_m=settings.turbulence_std_mm / 1e3,
            stratified_std=settings.stratified_mm_per_km / 1e6,
            stratified_annual=settings.stratified_mm_per_km / 2e6,
            ramp_std_m=settings.ramp_std_mm / 1e3,
        )

    @cached_property
    def height(self) -> Float32:
        """Topography (y, x), metres."""
        return terrain.height(self._lon, self._lat).reshape(self.grid.shape).astype(np.float32)

    @cached_property
    def los(self) -> Float32:
        """Unit vector ground to satellite (3, y, x): east, north, up."""
        los = terrain.line_of_sight(self._lon, self._lat, self.track.orbit_direction)
        return los.T.reshape(3, *self.grid.shape).astype(np.float32)

    @cached_property
    def _patterns(self) -> NDArray[np.float64]:
        """Patterns of the ground's motion in the line of sight (pattern, y, x), toward the satellite."""
        patterns = ismetpasa.patterns(self._lon, self._lat, self._events)
        los = terrain.line_of_sight(self._lon, self._lat, self.track.orbit_direction)
        return np.einsum("kpc,pc->kp", patterns, los).reshape(-1, *self.grid.shape)

    @cached_property
    def _vegetation(self) -> Float32:
        """Density of vegetation (y, x), 0 to 1, in patches of kilometres."""
        patches = turbulence(
            _generator(self.settings, None, _VEGETATION), self.grid.shape, self.pixel_m, 1, _VEGETATION_PATCHES
        )[0]
        return (1 / (1 + np.exp(-1.7 * patches))).astype(np.float32)

    def displacement(self, older: datetime.date, newer: datetime.date) -> NDArray[np.float64]:
        """True motion of the ground from one date to another (y, x), metres toward the satellite."""
        course = ismetpasa.courses([_days(older), _days(newer)], self._events)
        return np.asarray(np.tensordot(course[1] - course[0], self._patterns, axes=1))

    def delay(self, date: datetime.date) -> Float32:
        """Atmospheric delay of an acquisition (y, x), metres, positive toward the satellite."""
        if date not in self._delays:
            generator = _generator(self.settings, self.track, _EPOCH, date)
            field = self.noise.simulate(generator, [_days(date)], self.height, self.pixel_m)
            self._delays[date] = field[0]
        return self._delays[date]

    def coherence(self, older: datetime.date, newer: datetime.date, generator: np.random.Generator) -> Float32:
        """Coherence (y, x), 0 to 1: it decays exponentially with time, sooner where plants grow."""
        v = self._vegetation
        lasting, first = 0.5 - 0.45 * v, 0.92 - 0.25 * v
        memory_d = 90.0 - 75.0 * v
        coherence = lasting + (first - lasting) * np.exp(-(newer - older).days / memory_d)
        coherence[v > 0.95] = 0.04
        coherence += 0.02 * generator.standard_normal(coherence.shape, dtype=np.float32)
        return np.clip(coherence, 0.0, 1.0)

    def interferogram(self, older: datetime.date, newer: datetime.date) -> tuple[Float32, NDArray[np.uint8]]:
        """One interferogram as LiCSAR delivers it.

        Returns
        -------
        phase, coherence
            (y, x) unwrapped phase, rad, positive AWAY from the satellite, 0 = no data; coherence 0 to 255
        """
        generator = _generator(self.settings, self.track, _PAIR, older, newer)
        coherence = self.coherence(older, newer, generator)
        white = decorrelation(generator, coherence.shape, coherence) * (self.settings.white_std_mm / 1e3)
        toward = self.displacement(older, newer) + (self.delay(newer) - self.delay(older)) + white
        steps = np.rint(-4 * math.pi / self.track.radar_wavelength_m / PHASE_STEP_RAD * toward)
        steps[steps == 0] = 1.0  # 0 means no data
        phase = np.where(coherence < MIN_COHERENCE, 0.0, steps * PHASE_STEP_RAD).astype(np.float32)
        return phase, np.rint(coherence * 255).astype(np.uint8)


def _days(date: datetime.date) -> float:
    """Days since 2014-01-01."""
    return float((date - datetime.date(2014, 1, 1)).days)
