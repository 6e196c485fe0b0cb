"""Simulate what the atmosphere and the surface add to a line-of-sight series: numpy, explicit generators.

Every part can be called alone; `NoiseModel` adds them up. Delays are those of single EPOCHS, in metres of
line of sight; an interferogram holds the difference of two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft

Float32 = NDArray[np.float32]

OUTER_SCALE_M = 80e3
"""Turbulence saturates at larger scales (50-100 km)."""
BREAKS_M = (1500.0, 250.0)
"""Scales at which the exponent of the power spectrum changes (Hanssen 2001, Radar Interferometry)."""
STRATIFIED_PEAK_D = 200.0
"""Day of the year at which the annual part of the slope with height peaks (humid summer)."""
_DAYS_PER_YEAR = 365.25


def power_spectrum(wavenumber: ArrayLike, outer_scale_m: float = OUTER_SCALE_M) -> NDArray[np.float64]:
    """Two-dimensional power spectral density of turbulent delay of unit variance.

    Proportional to k^-8/3 from 50 to 1.5 km, k^-11/3 from 1.5 to 0.25 km, k^-5/3 below (Hanssen 2001: one
    less in one dimension, -5/3, -8/3, -2/3), constant well above the outer scale.

    Parameters
    ----------
    wavenumber
        cycles per metre, any shape, >= 0
    outer_scale_m
        scale at which it saturates

    Returns
    -------
    density
        of the same shape, m2 per (cycle/m)2, for a variance of about 1 m2 over the plane of wavenumbers
    """
    k = np.asarray(wavenumber, dtype=float)
    k0 = 1 / outer_scale_m
    # The steep middle part holds next to nothing of the variance; the integral of the first part is exact:
    # 2 pi k (k^2 + k0^2)^(-4/3) integrates to 3 pi k0^(-2/3).
    density = (k**2 + k0**2) ** (-4 / 3) / (3 * math.pi * k0 ** (-2 / 3))
    first, second = 1 / BREAKS_M[0], 1 / BREAKS_M[1]
    density = density * np.minimum(1.0, first / np.maximum(k, first))
    return np.asarray(density * (np.maximum(k, second) / second) ** 2)


@lru_cache(maxsize=16)
def _mode_amplitudes(shape: tuple[int, int], pixel_m: tuple[float, float], outer_scale_m: float) -> Float32:
    """Standard deviation of every Fourier mode of a torus (y, x); their squares add up to 1."""
    ky, kx = (np.fft.fftfreq(n, pixel) for n, pixel in zip(shape, pixel_m, strict=True))
    k = np.hypot(ky[:, None], kx[None, :])
    cell = 1 / (shape[0] * pixel_m[0] * shape[1] * pixel_m[1])
    variance = power_spectrum(k, outer_scale_m) * cell
    # The spectrum is far from constant over the cell of the mean: integrate it over a disc of equal area.
    k0_sq, edge_sq = outer_scale_m**-2, cell / math.pi
    variance[0, 0] = 1 - (k0_sq / (k0_sq + edge_sq)) ** (1 / 3)
    amplitudes = np.sqrt(variance / variance.sum()).astype(np.float32)
    amplitudes.flags.writeable = False
    return amplitudes


def turbulence(
    generator: np.random.Generator,
    shape: tuple[int, int],
    pixel_m: float | tuple[float, float],
    count: int,
    outer_scale_m: float = OUTER_SCALE_M,
) -> Float32:
    """Isotropic turbulent delays: independent Gaussian random fields with Hanssen's power law.

    The fields are cut out of tori of twice the size, so that opposite edges know nothing of each other.

    Parameters
    ----------
    generator
        of random numbers
    shape
        (y, x)
    pixel_m
        cell size, or height and width of a cell
    count
        number of independent fields
    outer_scale_m
        scale at which the spectrum saturates

    Returns
    -------
    fields
        (count, y, x), variance 1 of a pixel over the ensemble; less within a scene that is smaller than the
        outer scale, the rest being an offset that the scene shares
    """
    torus = tuple(fft.next_fast_len(2 * n) for n in shape)
    pixel = pixel_m if isinstance(pixel_m, tuple) else (float(pixel_m), float(pixel_m))
    amplitudes = _mode_amplitudes((torus[0], torus[1]), pixel, float(outer_scale_m))
    fields = np.empty((count, *shape), np.float32)
    for first in range(0, count, 2):
        # The real and the imaginary part of a complex field with independent modes are independent fields.
        modes = generator.standard_normal((*torus, 2), dtype=np.float32).view(np.complex64)[..., 0]
        modes *= amplitudes
        cut = fft.ifft(fft.ifft(modes, axis=1, norm="forward", overwrite_x=True)[:, : shape[1]], axis=0, norm="forward")
        fields[first] = cut[: shape[0]].real
        if first + 1 < count:
            fields[first + 1] = cut[: shape[0]].imag
    return fields


def epoch_strength(generator: np.random.Generator, count: int, log_std: float) -> NDArray[np.float64]:
    """Log-normal factor of each epoch (count,), median 1."""
    return np.exp(log_std * generator.standard_normal(count))


def stratified(
    generator: np.random.Generator,
    days: ArrayLike,
    height: NDArray[np.floating],
    slope_std: float,
    slope_annual: float = 0.0,
) -> Float32:
    """Stratified delay: proportional to height, with a slope per epoch that also has an annual cycle.

    Parameters
    ----------
    generator
        of random numbers
    days
        (time,) since 2014-01-01
    height
        (y, x) metres; delays are relative to the mean height
    slope_std, slope_annual
        standard deviation of the random part, amplitude of the annual part, metres per metre

    Returns
    -------
    delay
        (time, y, x), metres
    """
    t = np.asarray(days, dtype=float)
    slope = slope_std * generator.standard_normal(len(t))
    slope += slope_annual * np.cos(2 * np.pi * (t - STRATIFIED_PEAK_D) / _DAYS_PER_YEAR)
    relative = np.asarray(height, np.float32) - np.float32(np.nanmean(height, dtype=float))
    return slope.astype(np.float32)[:, None, None] * relative


def ramps(generator: np.random.Generator, shape: tuple[int, int], count: int) -> Float32:
    """Planes of random direction (count, y, x): ionosphere and orbits.

    Zero at the centre; variance over scene and ensemble 1.
    """
    gradients = generator.standard_normal((count, 2)).astype(np.float32)
    y, x = (_unit_axis(n) for n in shape)
    return gradients[:, 0, None, None] * y[:, None] + gradients[:, 1, None, None] * x


def _unit_axis(n: int) -> Float32:
    """Positions along an axis, of variance 1/2 (0 for a single one)."""
    position = np.arange(n) - (n - 1) / 2
    spread = position.std()
    return (position / spread / math.sqrt(2) if spread > 0 else position).astype(np.float32)


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


@dataclass(frozen=True)
class NoiseModel:
    """What one track's epochs suffer, in SI units.

    Attributes
    ----------
    turbulence_std_m
        standard deviation of the turbulent delay of an epoch of median strength
    strength_log_std
        standard deviation of the logarithm of the strength between epochs
    stratified_std, stratified_annual
        slope of the delay with height (m per m): standard deviation of the random part, amplitude of the
        annual part
    ramp_std_m
        standard deviation of a plane across the scene
    white_std_m
        standard deviation of the white part of a pixel in an epoch
    outer_scale_m
        scale at which turbulence saturates
    """

    turbulence_std_m: float
    strength_log_std: float = 0.35
    stratified_std: float = 0.0
    stratified_annual: float = 0.0
    ramp_std_m: float = 0.0
    white_std_m: float = 0.0
    outer_scale_m: float = OUTER_SCALE_M

    def simulate(
        self,
        generator: np.random.Generator,
        days: ArrayLike,
        height: NDArray[np.floating],
        pixel_m: float | tuple[float, float],
    ) -> Float32:
        """Delay of each epoch.

        Parameters
        ----------
        generator
            of random numbers; parts of zero strength draw none
        days
            (time,) since 2014-01-01
        height
            (y, x) metres
        pixel_m
            cell size, or height and width of a cell

        Returns
        -------
        delay
            (time, y, x), metres of line of sight, positive toward the satellite like a displacement
        """
        count, shape = len(np.asarray(days)), (height.shape[0], height.shape[1])
        delay = np.zeros((count, *shape), np.float32)
        if self.turbulence_std_m > 0:
            strength = self.turbulence_std_m * epoch_strength(generator, count, self.strength_log_std)
            delay = turbulence(generator, shape, pixel_m, count, self.outer_scale_m)
            delay *= strength.astype(np.float32)[:, None, None]
        if self.stratified_std > 0 or self.stratified_annual > 0:
            delay += stratified(generator, days, height, self.stratified_std, self.stratified_annual)
        if self.ramp_std_m > 0:
            delay += np.float32(self.ramp_std_m) * ramps(generator, shape, count)
        if self.white_std_m > 0:
            delay += np.float32(self.white_std_m) * decorrelation(generator, delay.shape)
        return delay
