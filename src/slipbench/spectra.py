"""Spectra of the benchmark's noise, scaled so that a window of the ground has a stated standard deviation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from slipscan.noise.simulate import torus_shape

Float = NDArray[np.float64]
Density = Callable[[Float, Float], Float]
"""Power spectral density at (kx, ky), eastward and southward, cycles per metre; even in k; of any scale."""


def window_scaled(density: Density, shape: tuple[int, int], pixel_m: float, std_m: float) -> Density:
    """Scale a density so that the modes of a window, its mean left out, add up to a variance.

    What is longer than the window looks like an offset or a ramp in it and is not counted: 10 mm of turbulence are
    10 mm on the map that one looks at.

    Parameters
    ----------
    density
        of any scale
    shape, pixel_m
        (y, x) of the window, side of a cell
    std_m
        standard deviation within it, m

    Returns
    -------
    density
        m2 per (cycle/m)2
    """
    ky, kx = np.meshgrid(*(np.fft.fftfreq(n, pixel_m) for n in shape), indexing="ij")
    values = density(kx, ky)
    values[0, 0] = 0.0
    factor = std_m**2 / (values.sum() / (shape[0] * shape[1] * pixel_m**2))
    return lambda kx, ky: factor * density(kx, ky)


def mode_std(density: Density, shape: tuple[int, int], pixel_m: float) -> NDArray[np.float32]:
    """Standard deviation (ky, kx) of the modes of the torus that a scene (y, x) is cut out of, m."""
    torus = torus_shape(shape)
    ky, kx = np.meshgrid(*(np.fft.fftfreq(n, pixel_m) for n in torus), indexing="ij")
    values = density(kx, ky)
    # At the Nyquist wavenumbers an anisotropic density differs between k and -k, which are one mode there.
    even = (values + np.roll(values[::-1, ::-1], 1, (0, 1))) / 2
    return np.sqrt(even / (torus[0] * torus[1] * pixel_m**2)).astype(np.float32)
