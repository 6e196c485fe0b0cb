"""Noise part by part; ramps, decorrelation, and series that are red in time."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from slipscan.errors import SlipscanError

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]

SOLAR_PEAK_D = 3930.0
"""Days since 2014-01-01 of the maximum of solar cycle 25 (October 2024; ionospheric ramps are largest)."""
SOLAR_CYCLE_D = 11.0 * 365.25


@dataclass(frozen=True)
class NoiseParts:
    """Noise of a series, part by part, metres of line of sight, positive toward the satellite.

    Attributes
    ----------
    shape
        (time, y, x)
    turbulence, stratified, ramp, decorrelation, unwrapping, reference, phase_bias, red
        (time, y, x) float32, or None for a part that is switched off
    """

    shape: tuple[int, int, int]
    turbulence: Float32 | None = None
    stratified: Float32 | None = None
    ramp: Float32 | None = None
    decorrelation: Float32 | None = None
    unwrapping: Float32 | None = None
    reference: Float32 | None = None
    phase_bias: Float32 | None = None
    red: Float32 | None = None

    @property
    def by_name(self) -> dict[str, Float32]:
        """The parts that are switched on."""
        every = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "shape"}
        return {name: part for name, part in every.items() if part is not None}

    @property
    def total(self) -> Float32:
        """Sum of the parts (time, y, x); a new array."""
        out = np.zeros(self.shape, np.float32)
        for part in self.by_name.values():
            out += part
        return out


def ramps(generator: np.random.Generator, shape: tuple[int, int], count: int) -> Float32:
    """Planes of random direction (count, y, x): ionosphere and orbits.

    Zero at the centre; variance over scene and ensemble 1.
    """
    gradients = generator.standard_normal((count, 2)).astype(np.float32)
    y, x = (_unit_axis(n) for n in shape)
    return gradients[:, 0, None, None] * y[:, None] + gradients[:, 1, None, None] * x


def track_ramps(
    generator: np.random.Generator, days: ArrayLike, shape: tuple[int, int], std_m: float, solar: float
) -> Float32 | None:
    """Ramps (time, y, x) of a standard deviation that the solar cycle modulates; None, but drawn, where it is 0."""
    t = np.asarray(days, dtype=float)
    if std_m == 0:
        generator.standard_normal((len(t), 2))
        return None
    std = np.full(len(t), std_m)
    if solar > 0:
        std *= 1 + solar * solar_activity(t)
    return std.astype(np.float32)[:, None, None] * ramps(generator, shape, len(t))


def _unit_axis(n: int) -> Float32:
    """Positions along an axis, of variance 1/2 (0 for a single one)."""
    position = np.arange(n) - (n - 1) / 2
    spread = position.std()
    return (position / spread / math.sqrt(2) if spread > 0 else position).astype(np.float32)


def solar_activity(days: ArrayLike) -> Float:
    """Phase of the solar cycle (time,): 1 at the maximum of October 2024, -1 at the minima, period 11 years."""
    return np.asarray(np.cos(2 * np.pi * (np.asarray(days, dtype=float) - SOLAR_PEAK_D) / SOLAR_CYCLE_D))


def decorrelation(
    generator: np.random.Generator, shape: tuple[int, ...], coherence: NDArray[np.floating] | None = None
) -> Float32:
    """White noise of decorrelated pixels, of the given shape.

    Unit variance, or, with a coherence, a standard deviation of sqrt(1 - g^2) / g relative to that at
    g = 0.6 (the Cramer-Rao bound of the phase; Rodriguez & Martin 1992), at most 3.
    """
    white = generator.standard_normal(shape, dtype=np.float32)
    if coherence is None:
        return white
    g = np.clip(np.asarray(coherence, np.float32), 1e-3, 1.0)
    return white * np.minimum(np.sqrt(1 - g**2) / g * np.float32(0.6 / 0.8), np.float32(3.0))


def coherence_after(
    separation_d: ArrayLike, memory_d: ArrayLike, first: ArrayLike = 0.9, lasting: ArrayLike = 0.1
) -> Float:
    """Coherence of an interferogram: (first - lasting) exp(-separation / memory) + lasting.

    Parameters
    ----------
    separation_d
        days between its two dates
    memory_d
        time constant: 6-12 d over forest, 30-60 d over crops, above 200 d over desert
    first, lasting
        coherence after no time and after a long one

    Returns
    -------
    coherence
        of the shape that the arguments broadcast to

    Raises
    ------
    SlipscanError
        a memory that is not positive
    """
    memory = np.asarray(memory_d, dtype=float)
    if not (memory > 0).all():
        raise SlipscanError("the memory of the coherence must be above 0 days: drop pixels that never cohere")
    lasts = np.asarray(lasting, dtype=float)
    decay = np.exp(-np.abs(np.asarray(separation_d, dtype=float)) / memory)
    return np.asarray((np.asarray(first, dtype=float) - lasts) * decay + lasts)


def red_series(generator: np.random.Generator, days: ArrayLike, memory_d: float) -> Float:
    """Temporally red series (time,) of unit variance: its correlation is exp(-lag / memory).

    Parameters
    ----------
    generator
        of random numbers
    days
        (time,) ascending
    memory_d
        time constant, days
    """
    t = np.asarray(days, dtype=float)
    white = generator.standard_normal(len(t))
    keep = np.exp(-np.diff(t) / memory_d)
    series = white.copy()
    for index, kept in enumerate(keep, start=1):
        series[index] = kept * series[index - 1] + math.sqrt(1 - kept**2) * white[index]
    return series
