"""Delay that is red in time: turbulence whose fields add up, as a random walk, each scale at a rate of its own."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from slipscan.errors import SlipscanError
from slipscan.fit.model import DAYS_PER_YEAR
from slipscan.noise.simulate_turbulence import TurbulenceSpectrum, random_fields, torus_shape

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]

RedPart = tuple[tuple[float, float], ...]
"""Wavelength, m, ascending, and what a year adds to the variance at it, over that of a usual epoch, 1/yr."""


def checked_red(red: RedPart) -> None:
    """SlipscanError unless wavelengths ascend and no variance is negative."""
    wavelengths = [wavelength for wavelength, _ in red]
    finite = all(math.isfinite(value) for pair in red for value in pair)
    if not finite or sorted({0.0, *wavelengths})[1:] != wavelengths or any(gained < 0 for _, gained in red):
        raise SlipscanError(f"the red part of the noise is {red}: give ascending wavelengths, variances of 0 or more")


def gained(red: RedPart, wavenumber: ArrayLike) -> Float:
    """What a year adds at wavenumbers of any shape, cycles per metre: linear in the logarithm of the wavelength."""
    k = np.maximum(np.asarray(wavenumber, dtype=float), 1e-12)
    wavelengths, gains = np.array(red, dtype=float).T
    return np.interp(-np.log(k), np.log(wavelengths), gains)


def red_turbulence(
    generator: np.random.Generator,
    days: ArrayLike,
    shape: tuple[int, int],
    pixel_m: tuple[float, float],
    spectrum: TurbulenceSpectrum,
    red: RedPart,
) -> Float32:
    """Random walk in time of turbulent fields, 0 in the first epoch.

    Parameters
    ----------
    generator
        of random numbers
    days
        (time,) ascending
    shape
        (y, x)
    pixel_m
        height and width of a cell
    spectrum
        of the delay of an epoch
    red
        per wavelength; not empty

    Returns
    -------
    fields
        (time, y, x): differences of two epochs have `red` times the years between them of the variance of an epoch
    """
    t = np.asarray(days, dtype=float)
    torus = torus_shape(shape)
    ky, kx = (np.fft.fftfreq(n, pixel) for n, pixel in zip(torus, pixel_m, strict=True))
    strength = np.sqrt(gained(red, np.hypot(ky[:, None], kx[None, :]))).astype(np.float32)
    out = np.zeros((len(t), *shape), np.float32)
    steps = random_fields(generator, spectrum.mode_std(torus, pixel_m) * strength, shape, len(t) - 1, quick=True)
    years = np.sqrt(np.diff(t) / DAYS_PER_YEAR).astype(np.float32)
    np.cumsum(steps * years[:, None, None], axis=0, out=out[1:])
    return out
