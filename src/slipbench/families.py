"""Noise families of slipbench. A is like training scenes; B, C and D are never used in training.

A: Hanssen's power law with about the spread of exponents, outer scales and mild anisotropy that training draws.
B: von Karman turbulence of other exponents (2-D: k^-3 to k^-4), stretched 3 to 5 times.
C: the spectrum of real Sentinel-1 rasters of Kilauea, with random phases and turned at random.
D: A's turbulence, and parts that are red in time: interannual delay with height, phase bias over vegetation,
unwrapping steps that stay.
E: A's turbulence, a share of which walks at random in time, as the air over Erta Ale does (docs/science.md section 11).

This module stands above the training code: nothing that trains can import it (tests/test_imports.py).
"""

from __future__ import annotations

import dataclasses
import functools
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slipbench.plan import Family, SkillPlan
from slipbench.spectra import Density, mode_std, window_scaled
from slipscan.noise.simulate import NoiseModel, TurbulenceSpectrum, random_fields

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]

RASTER_SPECTRUM = Path(__file__).parent / "data" / "kilauea_spectrum.csv"
"""Family C's table, made by benchmarks/skill/real_spectrum.py."""
OUTER_SCALE_M = 80e3
WALK_PER_YEAR = (0.15, 0.3)
"""Family E: variance that the walk gains in a year, over that of a median epoch. Fitted to means of L epochs before and
after in 2-km blocks of Erta Ale, rate and season out: 0.15 leaves 4 % (L = 1 to 35); by likelihood per band 0.3."""
_DAYS_PER_YEAR = 365.25
_EXTRAPOLATED = 8 / 3
"""Exponent of family C beyond the rasters' 12 km (Hanssen's, from 50 to 1.5 km)."""


@dataclass(frozen=True)
class FamilyNoise:
    """The noise of one scene.

    Attributes
    ----------
    density
        of the turbulence of an epoch of strength 1, m2 per (cycle/m)2
    covariance
        (time, time) of the epochs' fields: the noise of spectrum `density` plus white pixels, times this
    white_std_m
        of a pixel in an epoch
    delay
        (time, y, x) m
    """

    density: Density
    covariance: Float
    white_std_m: float
    delay: Float32


def draw_noise(
    family: Family, generator: np.random.Generator, days: Float, height: Float32, pixel_m: float, plan: SkillPlan
) -> FamilyNoise:
    """Draw the noise of a scene.

    Parameters
    ----------
    family
        A, B, C, D or E
    generator
        of random numbers
    days
        (time,) since 2014-01-01
    height
        (y, x) m
    pixel_m
        side of a cell
    plan
        strengths
    """
    shape = (height.shape[0], height.shape[1])
    density = window_scaled(_SPECTRA[family](generator), shape, pixel_m, plan.turbulence_mm / 1e3)
    strength = np.exp(plan.strength_log_std * generator.standard_normal(len(days)))
    covariance = np.diag(strength**2)
    if family == "E":
        covariance = covariance + random_walk(days, math.exp(generator.uniform(*np.log(WALK_PER_YEAR))))
    fields = random_fields(generator, mode_std(density, shape, pixel_m), shape, len(days))
    white_m = plan.white_mm / 1e3
    if plan.background == "unknown":
        # White pixels share the epochs' covariance, so that the noise is one in space times one in time.
        fields += np.float32(white_m) * generator.standard_normal(fields.shape, dtype=np.float32)
    fields = _correlated(fields, strength, covariance)
    model = NoiseModel(
        turbulence_std_m=1.0,
        strength_log_std=0.0,
        stratified_std=plan.stratified_mm_per_km * 1e-6,
        stratified_annual=plan.stratified_mm_per_km * 0.5e-6,
        ramp_std_m=plan.ramp_mm / 1e3,
        white_std_m=white_m if plan.background == "both" else 0.0,
    )
    if family == "D":
        model = _red_in_time(model, generator)
    delay = model.simulate(generator, days, height, pixel_m, fields=fields)
    return FamilyNoise(density, covariance, white_m, delay)


def random_walk(days: Float, per_year: float) -> Float:
    """Covariance (time, time) of a random walk from the first epoch on, whose variance grows by so much a year."""
    since = (days - days[0]) / _DAYS_PER_YEAR
    return np.asarray(per_year * np.minimum(since[:, None], since))


def _correlated(fields: Float32, strength: Float, covariance: Float) -> Float32:
    """Independent fields (time, y, x) of unit strength, given a covariance in time."""
    if np.count_nonzero(covariance) == len(covariance):
        fields *= strength.astype(np.float32)[:, None, None]
        return fields
    root = np.linalg.cholesky(covariance).astype(np.float32)
    return (root @ fields.reshape(len(fields), -1)).reshape(fields.shape)


def _red_in_time(model: NoiseModel, generator: np.random.Generator) -> NoiseModel:
    """Family D's parts, of the size that docs/science.md section 3 gives."""
    return dataclasses.replace(
        model,
        stratified_interannual=5e-6,
        phase_bias_m_yr=float(generator.uniform(-6e-3, 6e-3)),
        phase_bias_wander_m=2e-3,
        unwrapping_rate=0.01,
        unwrapping_size_m=2e3,
        unwrapping_persistent=0.5,
    )


def _hanssen(generator: np.random.Generator) -> Density:
    exponent = generator.uniform(2.4, 2.9)
    return _of_spectrum(
        TurbulenceSpectrum(
            exponents=(exponent, exponent + 1.0, 5 / 3),
            outer_scale_m=float(generator.choice((50e3, 75e3, 100e3))),
            anisotropy=float(generator.uniform(1.0, 1.5)),
            azimuth_deg=float(generator.uniform(0, 180)),
        )
    )


def _von_karman(generator: np.random.Generator) -> Density:
    exponent = generator.uniform(3.0, 4.0)
    # No breaks within what a scene resolves: the same slope down to the cell.
    return _of_spectrum(
        TurbulenceSpectrum(
            exponents=(exponent,) * 3,
            outer_scale_m=math.exp(generator.uniform(math.log(20e3), math.log(60e3))),
            anisotropy=float(generator.uniform(3.0, 5.0)),
            azimuth_deg=float(generator.uniform(0, 180)),
        )
    )


def _of_spectrum(spectrum: TurbulenceSpectrum) -> Density:
    return lambda kx, ky: spectrum.density(spectrum.stretched(ky, kx))


def _of_rasters(generator: np.random.Generator) -> Density:
    wavenumber, log_power = _raster_table()
    turn = generator.uniform(0, 180)

    def density(kx: Float, ky: Float) -> Float:
        k = np.hypot(kx, ky)
        sector = ((np.degrees(np.arctan2(kx, -ky)) - turn) % 180) / 180 * log_power.shape[1] - 0.5
        ring = np.interp(np.log(np.maximum(k, 1e-12)), np.log(wavenumber), np.arange(len(wavenumber), dtype=float))
        measured = np.exp(_bilinear(log_power, ring, sector))
        k0, first = 1 / OUTER_SCALE_M, wavenumber[0]
        beyond = ((np.minimum(k, first) ** 2 + k0**2) / (first**2 + k0**2)) ** (-_EXTRAPOLATED / 2)
        return np.asarray(measured * beyond)

    return density


@functools.cache
def _raster_table() -> tuple[Float, Float]:
    """Wavenumbers (ring,), ascending, and logarithm of the power (ring, sector)."""
    table = pd.read_csv(RASTER_SPECTRUM).pivot(index="wavelength_m", columns="azimuth_deg", values="power")
    table = table.sort_index(ascending=False)
    return 1 / table.index.to_numpy(), np.log(table.to_numpy())


def _bilinear(table: Float, ring: Float, sector: Float) -> Float:
    """Interpolate (ring, sector); azimuth is periodic."""
    low = np.minimum(ring.astype(int), len(table) - 2)
    left = np.floor(sector).astype(int)
    up, right = ring - low, sector - left
    columns = table.shape[1]
    near, far = left % columns, (left + 1) % columns
    return np.asarray(
        (1 - up) * ((1 - right) * table[low, near] + right * table[low, far])
        + up * ((1 - right) * table[low + 1, near] + right * table[low + 1, far])
    )


_SPECTRA = {"A": _hanssen, "B": _von_karman, "C": _of_rasters, "D": _hanssen, "E": _hanssen}
