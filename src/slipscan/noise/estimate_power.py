"""Isotropic power spectrum of a residual, the mean over epochs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import fft

Float = NDArray[np.float64]

MIN_TAPERED_SHARE: Final = 0.5
"""Epochs with fewer valid pixels do not enter the spectrum: too many gaps for a taper."""
MIN_TAPERED_SIDE: Final = 4


@dataclass(frozen=True)
class Power:
    """Power of the Fourier cells of a scene or a part of it.

    Attributes
    ----------
    density
        (ky, kx) m2 per (cycle/km)2, mean over epochs
    wavenumber
        (ky, kx) cycles per km
    """

    density: Float
    wavenumber: Float

    def between(self, low: float, high: float) -> Power:
        """The cells (cell,) whose wavenumber is `low` or more and below `high`."""
        inside = (self.wavenumber >= low) & (self.wavenumber < high)
        return Power(self.density[inside], self.wavenumber[inside])


def power(residual: NDArray[np.floating], pixel_m: tuple[float, float], factor: int = 1) -> Power | None:
    """Power of a residual; None for fewer than 4 rows or columns, or without an epoch of few gaps.

    Parameters
    ----------
    residual
        (time, y, x) m; gaps are set to the epoch's mean under a Hann taper and the power is rescaled by
        the share of valid pixels
    pixel_m
        height and width of a cell, m
    factor
        cells a side that were averaged: what that took is given back
    """
    _, rows, columns = residual.shape
    if min(rows, columns) < MIN_TAPERED_SIDE:
        return None
    taper = np.hanning(rows)[:, None] * np.hanning(columns)[None, :]
    half = np.zeros((rows, columns // 2 + 1))
    used = 0
    for epoch in residual:
        valid = np.isfinite(epoch)
        complete = bool(valid.all())
        seen = taper if complete else taper * valid
        weight = float(np.vdot(seen, seen))
        if valid.mean() < MIN_TAPERED_SHARE or weight == 0:
            continue
        centred = epoch - (epoch if complete else epoch[valid]).mean(dtype=float)
        centred = centred * taper if complete else np.where(valid, centred, 0.0) * taper
        modes = fft.rfft2(centred, overwrite_x=True)
        half += (np.square(modes.real) + np.square(modes.imag)) / weight
        used += 1
    if not used:
        return None
    total = _both_halves(half, columns)
    height, width = (factor * side / 1e3 for side in pixel_m)
    ky, kx = np.fft.fftfreq(rows, height)[:, None], np.fft.fftfreq(columns, width)
    if factor > 1:
        taken = [np.sinc(k * side) / np.sinc(k * side / factor) for k, side in ((ky, height), (kx, width))]
        total /= (taken[0] * taken[1]) ** 2
    return Power(total / used * height * width, np.hypot(ky, kx))


def _both_halves(half: Float, columns: int) -> Float:
    """All modes (ky, kx) from those of `rfft2`: of a real field, the power at -k is that at k."""
    there = np.arange(half.shape[1], columns)
    mirrored = half[-np.arange(len(half)) % len(half)][:, columns - there]
    return np.concatenate([half, mirrored], axis=1)


def binned(
    parts: Sequence[Power], shape: tuple[int, int], pixel_m: tuple[float, float], bins: int
) -> tuple[Float, Float]:
    """Isotropic power spectrum of a scene from the Fourier cells of parts of it.

    Parameters
    ----------
    shape, pixel_m
        (y, x) of the scene in cells; height and width of a cell, m
    bins
        logarithmic bins of wavenumber

    Returns
    -------
    wavenumber, power
        (wavenumber,) cycles per km, bin centres; (wavenumber,) m2 per 2-D Fourier cell of the scene: summed over the
        plane of the cells it is the variance. Empty where there are no parts
    """
    if not parts:
        return np.empty(0), np.empty(0)
    sides = [n * pixel / 1e3 for n, pixel in zip(shape, pixel_m, strict=True)]
    k = np.concatenate([part.wavenumber.ravel() for part in parts])
    density = np.concatenate([part.density.ravel() for part in parts]) / math.prod(sides)
    edges = np.geomspace(1 / max(sides), 0.5e3 / max(pixel_m), bins + 1)
    which = np.digitize(k, edges) - 1
    inside = (which >= 0) & (which < bins)
    count = np.bincount(which[inside], minlength=bins)
    mean = np.bincount(which[inside], density[inside], minlength=bins) / np.maximum(count, 1)
    filled = (count > 0) & (mean > 0)
    return np.sqrt(edges[1:] * edges[:-1])[filled], mean[filled]
