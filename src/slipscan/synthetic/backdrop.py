"""What training scenes hold beside events: relief, rate and season of the ground, strengths of the noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from slipscan.noise.simulate import NoiseModel

Float32 = NDArray[np.float32]
Trace = tuple[float, float, float]
"""A fault's trace: east and north of one of its points (metres), strike (degrees)."""

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
        axis = ((np.arange(pixels) - (pixels - 1) / 2) * pixel_m).astype(np.float32)
        east, north = np.meshgrid(axis, axis[::-1])
        return cls(np.ascontiguousarray(east), np.ascontiguousarray(north), pixel_m)

    @property
    def half_m(self) -> float:
        """Half the side."""
        return self.east.shape[1] * self.pixel_m / 2


def draw_relief(generator: np.random.Generator, frame: Frame) -> Float32:
    """Fractal heights (y, x), metres: power proportional to k^-3.6, standard deviation 30 to 600 m."""
    rows, columns = frame.east.shape
    size = (2 * rows, 2 * columns)  # cut out of a torus of twice the size: its edges match
    k = np.hypot(fft.fftfreq(size[0], frame.pixel_m)[:, None], fft.rfftfreq(size[1], frame.pixel_m)[None, :]).astype(
        np.float32
    )
    white = generator.standard_normal(size, dtype=np.float32)
    amplitude = (k**2 + np.float32(1 / 30e3) ** 2) ** np.float32(-0.9)
    field = fft.irfft2(fft.rfft2(white) * amplitude, s=size)[:rows, :columns]
    spread = math.exp(generator.uniform(math.log(30), math.log(600)))
    field = (field - field.mean()) * (spread / max(float(field.std()), 1e-12))
    return np.asarray(field + generator.uniform(0, 2500), dtype=np.float32)


def draw_background(
    generator: np.random.Generator,
    frame: Frame,
    days: NDArray[np.float64],
    los: NDArray[np.float64],
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
    scale = np.float32(frame.half_m)
    rate = _smooth(generator, frame) * np.float32(generator.normal(0, 6e-3))
    if generator.random() < 0.5:
        rate += _creep_rate(generator, frame, los, trace)
    if generator.random() < 0.3:  # subsidence of a basin: mostly slow, seldom very fast
        e0, n0 = generator.uniform(-1, 1, 2) * frame.half_m
        size = np.float32(generator.uniform(0.1, 0.5)) * scale
        bowl = np.exp(-((frame.east - np.float32(e0)) ** 2 + (frame.north - np.float32(n0)) ** 2) / (2 * size**2))
        rate -= np.float32(math.exp(generator.uniform(math.log(2e-3), math.log(150e-3)))) * bowl
    years = days / _DAYS_PER_YEAR
    out = years.astype(np.float32)[:, None, None] * rate
    for cycles, amplitude in ((1, 3e-3), (2, 0.6e-3)):
        pattern = (1 + np.float32(0.5) * _smooth(generator, frame)) * np.float32(generator.normal(0, amplitude))
        wave = np.cos(2 * np.pi * (cycles * years + generator.random()))
        out += (wave - wave[0]).astype(np.float32)[:, None, None] * pattern
    return np.asarray(out, dtype=np.float32)


def _smooth(generator: np.random.Generator, frame: Frame) -> Float32:
    """A smooth pattern (y, x) of order one: a few long waves."""
    out = np.zeros_like(frame.east)
    for _ in range(3):
        kx, ky = (generator.normal(0, 1.2, 2) / frame.half_m).astype(np.float32)
        phase = np.float32(generator.uniform(0, 2 * np.pi))
        out += np.cos(kx * frame.east + ky * frame.north + phase)
    return out / np.float32(1.5)


def _creep_rate(generator: np.random.Generator, frame: Frame, los: NDArray[np.float64], trace: Trace | None) -> Float32:
    """Rate of a strike-slip fault that is locked at depth and creeps at the surface (y, x), m/yr."""
    if trace is None or generator.random() < 0.5:
        e0, n0 = generator.uniform(-0.8, 0.8, 2) * frame.half_m
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


def draw_noise(generator: np.random.Generator) -> NoiseModel:
    """Strengths of the noise of one track: turbulence of 3 to 15 mm, log-uniform, and its companions."""
    return NoiseModel(
        turbulence_std_m=math.exp(generator.uniform(math.log(3e-3), math.log(15e-3))),
        strength_log_std=float(generator.uniform(0.2, 0.6)),
        stratified_std=float(generator.uniform(0, 12e-6)),
        stratified_annual=float(generator.uniform(0, 8e-6)),
        ramp_std_m=float(generator.uniform(0, 10e-3)),
        white_std_m=float(generator.uniform(0.5e-3, 3e-3)),
        outer_scale_m=float(generator.choice((50e3, 75e3, 100e3))),
    )
