"""What training scenes hold beside events: relief, rate and season of the ground."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from slipscan.errors import SlipscanError

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]
Trace = tuple[float, float, float]
"""A fault's trace: east and north of one of its points (metres), strike (degrees)."""

CREEP_SHARE = 0.6
"""Of the scenes whose rate holds a creeping fault; all others, and some of these, hold areal subsidence."""
SUBSIDENCE_M_YR = (2e-3, 300e-3)
SEASON_M = (3e-3, 0.6e-3)
"""Standard deviations of the annual and the semi-annual amplitude."""
_DAYS_PER_YEAR = 365.25


@dataclass(frozen=True)
class Frame:
    """A scene's cells: east and north of their centres (y, x) from the scene's centre, metres."""

    east: Float32
    north: Float32
    pixel_m: float

    @classmethod
    def square(cls, pixels: int, pixel_m: float) -> Frame:
        """A square of `pixels` cells a side; rows run from north to south."""
        return cls.rectangle((pixels, pixels), pixel_m)

    @classmethod
    def rectangle(cls, shape: tuple[int, int], pixel_m: float) -> Frame:
        """`shape` = (rows, columns) of square cells; rows run from north to south.

        Raises
        ------
        SlipscanError
            no rows or columns, a cell size that is not positive
        """
        rows, columns = shape
        if rows < 1 or columns < 1:
            raise SlipscanError(f"a scene of {rows} x {columns} cells is empty: give rows and columns of 1 or more")
        if not 0 < pixel_m < math.inf:
            raise SlipscanError(f"the pixel size of a scene is {pixel_m} m: give metres above 0")
        y, x = (((np.arange(n) - (n - 1) / 2) * pixel_m).astype(np.float32) for n in (rows, columns))
        east, north = np.meshgrid(x, y[::-1])
        return cls(np.ascontiguousarray(east), np.ascontiguousarray(north), float(pixel_m))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, columns."""
        return self.east.shape[0], self.east.shape[1]

    @property
    def half_m(self) -> float:
        """Half the extent from west to east."""
        return self.east.shape[1] * self.pixel_m / 2

    @property
    def half_north_m(self) -> float:
        """Half the extent from south to north."""
        return self.east.shape[0] * self.pixel_m / 2


@dataclass(frozen=True)
class Ground:
    """How the ground moves without events, in the line of sight.

    Attributes
    ----------
    rate
        (y, x) metres per year
    season
        (wave, y, x) amplitude of each seasonal wave, metres
    cycles, phases
        of each wave: cycles per year; fraction of a cycle at the first epoch
    kinds
        what the rate holds beside long waves: a creeping fault, areal subsidence, or both
    """

    rate: Float32
    season: Float32
    cycles: tuple[int, ...]
    phases: tuple[float, ...]
    kinds: tuple[Literal["creep", "subsidence"], ...]

    def years(self, days: Float) -> Float32:
        """Course of the rate (time, 1), years since the first of `days`."""
        return ((days - days[0]) / _DAYS_PER_YEAR).astype(np.float32)[:, None]

    def waves(self, days: Float) -> Float32:
        """Course of the season (time, wave), zero at the first of `days`."""
        years = (days - days[0]) / _DAYS_PER_YEAR
        angles = years[:, None] * np.array(self.cycles) + np.array(self.phases)
        waves = np.cos(2 * np.pi * angles)
        return np.asarray(waves - waves[0], dtype=np.float32)


def draw_relief(generator: np.random.Generator, frame: Frame) -> Float32:
    """Fractal heights (y, x), metres: power proportional to k^-3.6, standard deviation 30 to 600 m."""
    rows, columns = frame.shape
    # cut out of a torus of twice the size: its edges match
    field = relief_fields(generator, (2 * rows, 2 * columns), frame.pixel_m, 1)[0, :rows, :columns]
    return scale_relief(generator, field)


def relief_fields(generator: np.random.Generator, size: tuple[int, int], pixel_m: float, count: int) -> Float32:
    """Fractal fields (count, y, x) on tori, power proportional to k^-3.6, in no unit."""
    k = np.hypot(fft.fftfreq(size[0], pixel_m)[:, None], fft.rfftfreq(size[1], pixel_m)[None, :]).astype(np.float32)
    white = generator.standard_normal((count, *size), dtype=np.float32)
    amplitude = (k**2 + np.float32(1 / 30e3) ** 2) ** np.float32(-0.9)
    return np.asarray(fft.irfft2(fft.rfft2(white) * amplitude, s=size), dtype=np.float32)


def scale_relief(generator: np.random.Generator, field: Float32) -> Float32:
    """Heights (y, x), metres, of a fractal field: its standard deviation 30 to 600 m, its mean 0 to 2500 m."""
    spread = math.exp(generator.uniform(math.log(30), math.log(600)))
    field = (field - field.mean()) * np.float32(spread / max(float(field.std()), 1e-12))
    return np.asarray(field + np.float32(generator.uniform(0, 2500)), dtype=np.float32)


def draw_background(
    generator: np.random.Generator,
    frame: Frame,
    days: Float,
    los: Float,
    trace: Trace | None,
) -> Float32:
    """Rate and season of the ground in the line of sight (time, y, x), metres, first epoch zero.

    Parameters
    ----------
    generator, frame
        of random numbers; the cells
    days
        (time,) since the first epoch
    los
        (3,) unit vector ground to satellite
    trace
        a fault that may creep steadily, or None: one is drawn
    """
    ground = draw_ground(generator, frame, los, trace)
    out = np.tensordot(ground.years(days), ground.rate[None], axes=1)
    out += np.tensordot(ground.waves(days), ground.season, axes=1)
    return np.asarray(out, dtype=np.float32)


def draw_ground(generator: np.random.Generator, frame: Frame, los: Float, trace: Trace | None) -> Ground:
    """Draw rate and season; every scene has a creeping fault or areal subsidence, and an annual wave.

    Parameters
    ----------
    generator, frame
        of random numbers; the cells
    los
        (3,) unit vector ground to satellite
    trace
        a fault that may creep steadily, or None: one is drawn
    """
    rate = _smooth(generator, frame) * np.float32(generator.normal(0, 6e-3))
    kinds: list[Literal["creep", "subsidence"]] = []
    if generator.random() < CREEP_SHARE:
        rate += _creep_rate(generator, frame, los, trace)
        kinds.append("creep")
    if not kinds or generator.random() < 0.3:
        rate += _subsidence(generator, frame, los)
        kinds.append("subsidence")
    season = np.stack(
        [
            (1 + np.float32(0.5) * _smooth(generator, frame)) * np.float32(generator.normal(0, amplitude))
            for amplitude in SEASON_M
        ]
    )
    phases = float(generator.random()), float(generator.random())
    return Ground(rate, season, (1, 2), phases, tuple(kinds))


def _smooth(generator: np.random.Generator, frame: Frame) -> Float32:
    """A smooth pattern (y, x) of order one: a few long waves."""
    longest = max(frame.half_m, frame.half_north_m)
    kx, ky = (generator.normal(0, 1.2, (2, 3, 1)) / longest).astype(np.float32)
    phase = generator.uniform(0, 2 * np.pi, (3, 1)).astype(np.float32)
    along, down = kx * frame.east[0], ky * frame.north[:, 0] + phase
    # cos(a + b) as products of functions of one axis: two small matrices instead of a cosine per cell
    return (np.cos(down).T @ np.cos(along) - np.sin(down).T @ np.sin(along)) / np.float32(1.5)


def _subsidence(generator: np.random.Generator, frame: Frame, los: Float) -> Float32:
    """Rate of a basin that subsides, mostly slowly and seldom very fast, or rebounds (y, x), m/yr."""
    e0, n0 = generator.uniform(-1, 1, 2) * (frame.half_m, frame.half_north_m)
    sizes = generator.uniform(0.1, 0.5, 2) * min(frame.half_m, frame.half_north_m)
    speed = -math.exp(generator.uniform(*np.log(SUBSIDENCE_M_YR)))
    if generator.random() < 1 / 6:
        speed /= -6  # the ground comes up where pumping has ended
    across, down = (
        np.exp(-((axis - np.float32(centre)) ** 2) / np.float32(2 * size**2))
        for axis, centre, size in ((frame.east[0], e0, sizes[0]), (frame.north[:, 0], n0, sizes[1]))
    )
    return np.outer(down * np.float32(speed * los[2]), across)


def _creep_rate(generator: np.random.Generator, frame: Frame, los: Float, trace: Trace | None) -> Float32:
    """Rate of a strike-slip fault that is locked at depth and creeps at the surface (y, x), m/yr."""
    if trace is None or generator.random() < 0.5:
        e0, n0 = generator.uniform(-0.8, 0.8, 2) * (frame.half_m, frame.half_north_m)
        trace = float(e0), float(n0), float(generator.uniform(0, 360))
    strike = math.radians(trace[2])
    along = los[0] * math.sin(strike) + los[1] * math.cos(strike)
    left = (frame.north - np.float32(trace[1])) * np.float32(math.sin(strike))
    left -= (frame.east - np.float32(trace[0])) * np.float32(math.cos(strike))
    plate, creep = generator.uniform(-30e-3, 30e-3), generator.uniform(0, 1)
    deep, shallow = generator.uniform(8e3, 20e3), generator.uniform(2e3, 8e3)
    side = np.where(left >= 0, np.float32(0.5), np.float32(-0.5))
    step = side - np.arctan(left / np.float32(shallow)) / np.float32(np.pi)
    locked = np.arctan(left / np.float32(deep)) / np.float32(np.pi)
    return np.asarray(np.float32(plate * along) * (locked + np.float32(creep) * step), dtype=np.float32)
