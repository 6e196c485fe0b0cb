"""What the air does in a stack: strength per epoch, slope with height, and the spectrum in space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

Float = NDArray[np.float64]

MIN_VALID_SHARE = 0.5
"""Epochs with fewer valid pixels do not enter the spectrum: too many gaps for a taper."""
LOWEST_FITTED = 0.04
"""Part of the Nyquist wavenumber from which the power law is fitted."""


@dataclass(frozen=True)
class Spectrum:
    """Isotropic power of the residual.

    Attributes
    ----------
    wavenumber
        (wavenumber,) cycles per km, bin centres
    power
        (wavenumber,) m2 per 2-D Fourier cell times the number of cells: summed over the plane it is the variance
    exponent
        b of the 2-D power law k^-b plus a white floor
    white_std
        standard deviation of the white floor, m
    """

    wavenumber: Float
    power: Float
    exponent: float
    white_std: float


def epoch_rms(residual: Float) -> Float:
    """RMS over space of every epoch about its mean, (time,), m; NaN for an empty epoch.

    Parameters
    ----------
    residual
        (time, pixel) m, NaN = no data
    """
    valid = np.isfinite(residual)
    count = valid.sum(axis=1)
    safe = np.maximum(count, 1)
    filled = np.where(valid, residual, 0.0)
    mean = filled.sum(axis=1) / safe
    rms = np.sqrt(np.where(valid, (filled - mean[:, None]) ** 2, 0.0).sum(axis=1) / safe)
    return np.where(count > 0, rms, np.nan)


def stratified_slope(residual: Float, height: Float) -> Float:
    """Slope of every epoch's residual with height, (time,), m per m; NaN for an empty epoch.

    Parameters
    ----------
    residual
        (time, pixel) m
    height
        (pixel,) m
    """
    valid = np.isfinite(residual) & np.isfinite(height)
    count = np.maximum(valid.sum(axis=1), 1)
    filled = np.where(valid, residual, 0.0)
    relief = np.where(np.isfinite(height), height, 0.0)
    mean_height = (valid @ relief) / count
    centred = np.where(valid, relief[None, :] - mean_height[:, None], 0.0)
    spread = (centred**2).sum(axis=1)
    return np.where(spread > 0, (centred * filled).sum(axis=1) / np.where(spread > 0, spread, 1.0), np.nan)


def spectrum(residual: Float, pixel_m: float, bins: int) -> Spectrum:
    """Isotropic power spectrum, the mean over epochs.

    Parameters
    ----------
    residual
        (time, y, x) m; gaps are set to the epoch's mean under a Hann taper and the power is rescaled by
        the share of valid pixels
    pixel_m
        cell size, m
    bins
        logarithmic bins of wavenumber
    """
    _, rows, columns = residual.shape
    taper = np.hanning(rows)[:, None] * np.hanning(columns)[None, :]
    power = np.zeros((rows, columns))
    used = 0
    for epoch in residual:
        valid = np.isfinite(epoch)
        if valid.mean() < MIN_VALID_SHARE:
            continue
        window = taper * valid
        centred = np.where(valid, epoch - epoch[valid].mean(), 0.0)
        power += np.abs(np.fft.fft2(centred * taper)) ** 2 / (window**2).sum()
        used += 1
    cells = rows * columns
    power = power / max(used, 1) / cells
    ky, kx = np.fft.fftfreq(rows, pixel_m / 1e3), np.fft.fftfreq(columns, pixel_m / 1e3)
    k = np.hypot(ky[:, None], kx[None, :])
    nyquist = 0.5 / (pixel_m / 1e3)
    edges = np.geomspace(max(k[k > 0].min(), 1e-6), nyquist, bins + 1)
    which = np.digitize(k.ravel(), edges) - 1
    inside = (which >= 0) & (which < bins)
    count = np.bincount(which[inside], minlength=bins)
    mean = np.bincount(which[inside], power.ravel()[inside], minlength=bins) / np.maximum(count, 1)
    filled = (count > 0) & (mean > 0)
    centre = np.sqrt(edges[1:] * edges[:-1])[filled]
    # The taper bends the lowest wavenumbers: they are shown, but not fitted.
    fitted = centre > LOWEST_FITTED * nyquist
    exponent, white = _fit_power_law(centre[fitted], mean[filled][fitted] * cells)
    return Spectrum(centre, mean[filled], exponent, white)


def _fit_power_law(k: Float, density: Float) -> tuple[float, float]:
    """Exponent and white standard deviation from the spectral density (m2, white noise = its variance).

    A power law plus a constant, fitted to the logarithm of the density by least squares.
    """
    if len(k) < 4:
        return float("nan"), float("nan")
    observed = np.log(density)
    unit = np.log(k) - np.log(k).mean()

    def misfit(parameters: Float) -> Float:
        level, exponent, floor = parameters
        return np.logaddexp(level - exponent * unit, floor) - observed

    steepness = max(-float(np.polyfit(unit, observed, 1)[0]), 0.1)
    # A flat power law and a white floor are the same thing: an exponent of at least 1 keeps them apart.
    starts = [
        (observed.mean(), max(steepness, 1.5), observed.min() - 1.0),
        (observed.min() - 3.0, 2.0, observed.mean()),
    ]
    bounds = ([-np.inf, 1.0, -np.inf], [np.inf, 6.0, np.inf])
    fitted = min((least_squares(misfit, start, bounds=bounds) for start in starts), key=lambda result: result.cost)
    return float(fitted.x[1]), float(np.exp(fitted.x[2] / 2))
