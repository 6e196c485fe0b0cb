"""Turbulent delay: Gaussian random fields with the power law of the atmosphere, isotropic or stretched."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft

from slipscan.errors import SlipscanError
from slipscan.noise.simulate_checks import checked_shape, pixel_size

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]

OUTER_SCALE_M = 80e3
"""Turbulence saturates at larger scales (50-100 km)."""
BREAKS_M = (1500.0, 250.0)
"""Scales at which the exponent of the power spectrum changes (Hanssen 2001, Radar Interferometry)."""
EXPONENTS = (8 / 3, 11 / 3, 5 / 3)
"""Exponents of the 2-D power law at large, middle and small scales (one less in one dimension)."""
STEEPEST = 6.0
"""Largest exponent: no air is smoother."""

NORMAL_MODES = 12
"""Up to so many cycles per torus, quick modes are normal."""
_BYTE_SCALE = np.float32(math.sqrt(12 / (2**16 - 1)))
"""Makes the variance of the whole numbers from -128 to 127 one."""


@dataclass(frozen=True)
class TurbulenceSpectrum:
    """Power spectrum of turbulent delay: k^-b in three ranges, constant well above the outer scale.

    Defaults are those of Hanssen (2001): k^-8/3 from 50 to 1.5 km, k^-11/3 to 0.25 km, k^-5/3 below.

    Attributes
    ----------
    exponents
        of the 2-D power law at large, middle and small scales, 0 to 6; the first > 2, so that most of the
        variance is at large scales
    breaks_m
        wavelengths at which the exponent changes, the longer first
    outer_scale_m
        wavelength above which the spectrum saturates
    anisotropy
        correlation length along the long axis over that across it, >= 1 (1 = isotropic); the areas of equal
        power keep their size, so that breaks and outer scale are geometric means over directions
    azimuth_deg
        of the long axis, clockwise from north; rows run from north to south

    Raises
    ------
    SlipscanError
        values outside of these ranges
    """

    exponents: tuple[float, float, float] = EXPONENTS
    breaks_m: tuple[float, float] = BREAKS_M
    outer_scale_m: float = OUTER_SCALE_M
    anisotropy: float = 1.0
    azimuth_deg: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what no atmosphere has."""
        if len(self.exponents) != 3 or not self.exponents[0] > 2 or not all(0 <= b <= STEEPEST for b in self.exponents):
            raise SlipscanError(
                f"the exponents of turbulence are {self.exponents}: give three from 0 to 6, the first above 2"
            )
        if len(self.breaks_m) != 2 or not self.breaks_m[0] > self.breaks_m[1] > 0:
            raise SlipscanError(
                f"the breaks of the turbulence spectrum are {self.breaks_m}: give two wavelengths, the longer first"
            )
        if not 0 < self.outer_scale_m < math.inf:
            raise SlipscanError(f"the outer scale of turbulence is {self.outer_scale_m}: give metres above 0")
        if not 1 <= self.anisotropy < math.inf:
            raise SlipscanError(f"the anisotropy of turbulence is {self.anisotropy}: give a ratio of 1 or more")
        if not math.isfinite(self.azimuth_deg):
            raise SlipscanError(f"the azimuth of turbulence is {self.azimuth_deg}: give degrees from north")

    def density(self, wavenumber: ArrayLike) -> Float:
        """Two-dimensional power spectral density of isotropic delay of (about) unit variance.

        Parameters
        ----------
        wavenumber
            cycles per metre, any shape, >= 0; under anisotropy, that of `stretched`

        Returns
        -------
        density
            of the same shape, m2 per (cycle/m)2; what lies beyond the first break holds next to nothing of
            the variance and is not counted: 2 pi k (k^2 + k0^2)^(-b/2) integrates to 2 pi k0^(2-b) / (b-2)
        """
        k = np.asarray(wavenumber, dtype=float)
        k0 = 1 / self.outer_scale_m
        large, middle, small = self.exponents
        density = (k**2 + k0**2) ** (-large / 2) / (2 * math.pi / (large - 2) * k0 ** (2 - large))
        first, second = (1 / wavelength for wavelength in self.breaks_m)
        density = density * np.minimum(1.0, first / np.maximum(k, first)) ** (middle - large)
        return np.asarray(density * (np.maximum(k, second) / second) ** (middle - small))

    def stretched(self, ky: ArrayLike, kx: ArrayLike) -> Float:
        """Wavenumber at which isotropic turbulence has the density of this one at (ky, kx), cycles per metre.

        ky counts along rows (southward), kx along columns (eastward).
        """
        ky, kx = np.asarray(ky, dtype=float), np.asarray(kx, dtype=float)
        if self.anisotropy == 1:
            return np.hypot(ky, kx)
        azimuth = math.radians(self.azimuth_deg)
        along = kx * math.sin(azimuth) - ky * math.cos(azimuth)
        across = kx * math.cos(azimuth) + ky * math.sin(azimuth)
        root = math.sqrt(self.anisotropy)
        return np.hypot(along * root, across / root)

    def mode_std(self, shape: tuple[int, int], pixel_m: float | tuple[float, float]) -> Float32:
        """Standard deviation of every Fourier mode of a torus.

        Parameters
        ----------
        shape
            (y, x) of the torus: `torus_shape` of the scene's
        pixel_m
            cell size, or height and width of a cell

        Returns
        -------
        mode_std
            (ky, kx) in the order of numpy.fft.fftfreq, read-only; the squares add up to 1

        Raises
        ------
        SlipscanError
            an empty shape, a cell size that is not positive
        """
        return _mode_std(self, checked_shape(shape), pixel_size(pixel_m))


HANSSEN = TurbulenceSpectrum()


@lru_cache(maxsize=8)
def _mode_std(spectrum: TurbulenceSpectrum, shape: tuple[int, int], pixel_m: tuple[float, float]) -> Float32:
    ky, kx = (np.fft.fftfreq(n, pixel) for n, pixel in zip(shape, pixel_m, strict=True))
    cell = 1 / (shape[0] * pixel_m[0] * shape[1] * pixel_m[1])
    variance = spectrum.density(spectrum.stretched(ky[:, None], kx[None, :])) * cell
    # The spectrum is far from constant over the cell of the mean: integrate it over a disc of equal area.
    k0_sq, edge_sq = spectrum.outer_scale_m**-2, cell / math.pi
    variance[0, 0] = 1 - (k0_sq / (k0_sq + edge_sq)) ** (spectrum.exponents[0] / 2 - 1)
    mode_std = np.sqrt(variance / variance.sum()).astype(np.float32)
    mode_std.flags.writeable = False
    return mode_std


def power_spectrum(wavenumber: ArrayLike, outer_scale_m: float = OUTER_SCALE_M) -> Float:
    """Density of `TurbulenceSpectrum` with Hanssen's exponents, m2 per (cycle/m)2 for unit variance.

    Parameters
    ----------
    wavenumber
        cycles per metre, any shape, >= 0
    outer_scale_m
        scale at which it saturates
    """
    return TurbulenceSpectrum(outer_scale_m=outer_scale_m).density(wavenumber)


def torus_shape(shape: tuple[int, int], factor: float = 2.0) -> tuple[int, int]:
    """Sides of a torus that a scene (y, x) can be cut out of: longer, so that its edges are strangers.

    Twice is exact to 0.3 % of the structure function at an outer scale of 80 km and 64 km sides. 1.5 times
    costs half of that; differences of opposite edges are then 4 % too small (80 km) or right (40 km).
    """
    rows, columns = checked_shape(shape)
    return int(fft.next_fast_len(math.ceil(factor * rows))), int(fft.next_fast_len(math.ceil(factor * columns)))


def random_fields(
    generator: np.random.Generator,
    mode_std: NDArray[np.floating],
    shape: tuple[int, int],
    count: int,
    *,
    quick: bool = False,
) -> Float32:
    """Independent stationary Gaussian random fields, cut out of tori.

    Parameters
    ----------
    generator
        of random numbers
    mode_std
        (ky, kx) standard deviation of every Fourier mode of the torus, as `TurbulenceSpectrum.mode_std` gives
        it; must not depend on the sign of (ky, kx)
    shape
        (y, x) of the fields, not larger than the torus
    count
        number of fields
    quick
        draw normal numbers for the lowest modes only, and uniform ones from bytes for the thousands of
        others: the same covariance, pixels as normal as can be told, in a third of the time (the normal
        numbers take most of it); other fields than without

    Returns
    -------
    fields
        (count, y, x), of variance sum(mode_std^2)

    Raises
    ------
    SlipscanError
        fields larger than the torus
    """
    rows, columns = checked_shape(shape)
    if rows > mode_std.shape[0] or columns > mode_std.shape[1]:
        raise SlipscanError(f"fields of {shape} cells do not fit on a torus of {mode_std.shape}: enlarge the torus")
    draw = _draw_modes_quickly if quick else draw_modes
    fields = np.empty((count, rows, columns), np.float32)
    for first in range(0, count, 2):
        # The real and the imaginary part of a complex field with independent modes are independent fields.
        modes = draw(generator, mode_std.shape)
        modes *= mode_std
        cut = fft.ifft(fft.ifft(modes, axis=1, norm="forward", overwrite_x=True)[:, :columns], axis=0, norm="forward")
        fields[first] = cut[:rows].real
        if first + 1 < count:
            fields[first + 1] = cut[:rows].imag
    return fields


def _draw_modes_quickly(generator: np.random.Generator, torus: tuple[int, ...]) -> NDArray[np.complex64]:
    """As `draw_modes`, of the same mean and covariance; above the lowest modes the numbers are uniform."""
    parts = np.empty((*torus, 2), np.float32)
    step = np.frombuffer(generator.bytes(parts.size), np.int8).reshape(parts.shape)
    np.multiply(step, _BYTE_SCALE, out=parts)
    parts += _BYTE_SCALE / 2  # bytes run from -128 to 127
    low = [np.unique(np.arange(-NORMAL_MODES, NORMAL_MODES + 1) % n) for n in torus]
    parts[np.ix_(*low)] = generator.standard_normal((len(low[0]), len(low[1]), 2), dtype=np.float32)
    return parts.view(np.complex64)[..., 0]


def draw_modes(generator: np.random.Generator, torus: tuple[int, ...]) -> NDArray[np.complex64]:
    """White complex modes of two fields (ky, kx): unit variance of the real and of the imaginary part."""
    return generator.standard_normal((*torus, 2), dtype=np.float32).view(np.complex64)[..., 0]


def turbulence(
    generator: np.random.Generator,
    shape: tuple[int, int],
    pixel_m: float | tuple[float, float],
    count: int,
    spectrum: TurbulenceSpectrum = HANSSEN,
) -> Float32:
    """Turbulent delays: independent Gaussian random fields of a power spectrum.

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
    spectrum
        of the delay

    Returns
    -------
    fields
        (count, y, x), variance 1 of a pixel over the ensemble; less within a scene that is smaller than the
        outer scale, the rest being an offset that the scene shares

    Raises
    ------
    SlipscanError
        an empty shape, a cell size that is not positive
    """
    return random_fields(generator, spectrum.mode_std(torus_shape(shape), pixel_m), shape, count)


def epoch_strength(generator: np.random.Generator, count: int, log_std: float) -> Float:
    """Log-normal factor of each epoch (count,), median 1."""
    return np.exp(log_std * generator.standard_normal(count))
