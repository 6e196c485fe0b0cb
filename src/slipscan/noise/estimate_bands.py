"""Strength of a residual per epoch: overall, and per spatial band."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from slipscan.noise.estimate_blur import blurred

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]
Bool = NDArray[np.bool_]

MIN_WEIGHT: Final = 0.3
"""Part of a smoothing kernel's weight that must lie on valid pixels."""
SMALLEST_SIDE: Final = 8
"""Bands end where the scene is this many of their widths wide."""
BATCH: Final = 16
"""Epochs that are smoothed at a time."""


def epoch_rms(residual: NDArray[np.floating]) -> Float:
    """RMS over space of every epoch about its mean, (time,), m; NaN for an empty epoch.

    Parameters
    ----------
    residual
        (time, pixel) m, NaN = no data
    """
    out = np.full(len(residual), np.nan)
    for epoch, values in enumerate(residual):
        valid = np.isfinite(values)
        known = values if valid.all() else values[valid]
        if known.size:
            out[epoch] = known.std(dtype=np.float64)
    return out


def band_widths(shape: tuple[int, int], pixel_m: tuple[float, float], factor: int = 1) -> Float:
    """Widths s (band,) of the bands of a scene, m: a pixel (whose band holds all that is finer), two pixels, four, ...

    Parameters
    ----------
    shape
        (y, x) of the scene in blocks
    pixel_m
        height and width of a cell
    factor
        side of a block in cells, a power of two
    """
    pixel = float(np.sqrt(pixel_m[0] * pixel_m[1]))
    return np.asarray(pixel * 2.0 ** np.arange(factor.bit_length() + _octaves(shape, alone=factor == 1)))


def band_power(residual: NDArray[np.floating], pixel_m: tuple[float, float]) -> tuple[Float, Float]:
    """Mean square of a residual in spatial bands: differences of Gaussians of width s/2 and s.

    Parameters
    ----------
    residual
        (time, y, x) m, NaN = no data
    pixel_m
        height and width of a cell

    Returns
    -------
    scale_m, power
        (band,) of `band_widths`; (time, band) m2, NaN for an empty epoch. The bands add up to the residual less its
        smoothest part
    """
    return band_widths((residual.shape[1], residual.shape[2]), pixel_m), mean_of(*band_sums(residual))


def mean_of(total: Float, count: Float, least: int = 1) -> Float:
    """Means from sums and what they are over; NaN where that is less than the least."""
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count >= least)


def band_sums(residual: NDArray[np.floating], octaves: int | None = None, finest: bool = True) -> tuple[Float, Float]:
    """Sums of squares in bands and the pixels that they are over, both (time, band): of windows they can be added.

    Parameters
    ----------
    residual
        (time, y, x) m, NaN = no data
    octaves
        bands beyond the finest; None: as many as the scene has
    finest
        whether the first band is what is finer than a pixel's Gaussian
    """
    many = _octaves((residual.shape[1], residual.shape[2]), alone=finest) if octaves is None else octaves
    total, count = np.zeros((2, len(residual), many + finest))
    for first in range(0, len(residual), BATCH):
        few = slice(first, first + BATCH)
        for band, (field, where) in enumerate(_bands(residual[few], many, finest)):
            seen = where.astype(np.float32)
            field *= seen
            total[few, band], count[few, band] = squares(field), squares(seen)
    return total, count


def squares(fields: Float32) -> Float:
    """Sums of the squares of fields (n, y, x), (n,): of a row in single precision, of the rows in double."""
    return np.asarray(np.einsum("nyx,nyx->ny", fields, fields).sum(axis=1, dtype=np.float64))


def _bands(residual: NDArray[np.floating], octaves: int, finest: bool) -> list[tuple[Float32, Bool]]:
    """The bands of a few epochs, each on the pixels of its octave, and where they count (time or 1, y, x)."""
    valid = np.isfinite(residual)
    field = np.where(valid, residual, np.float32(0.0)).astype(np.float32, copy=False)
    weight = (valid[:1] if (valid == valid[:1]).all() else valid).astype(np.float32)
    out = []
    for octave in range(octaves):
        one, solid = _smooth(field, weight, 1.0)
        two, broad = _smooth(field, weight, 2.0)
        seen = (weight > 0) & solid
        if finest and octave == 0:
            out.append((np.divide(field, weight, out=np.zeros_like(field), where=weight > 0) - one, seen))
        out.append((one - two, seen & broad))
        field, weight = _halve(field), _halve(weight)
    return out


def _octaves(shape: tuple[int, int], alone: bool) -> int:
    """How often a scene can be halved; at least once where there are no other bands."""
    out, side = 0, min(shape)
    while side >= SMALLEST_SIDE or (alone and out == 0):
        out, side = out + 1, side // 2
    return out


def _smooth(field: Float32, weight: Float32, width: float) -> tuple[Float32, Bool]:
    """Weighted Gaussian mean (time, y, x) of width `width` cells, and where its kernel is on data (time or 1, y, x)."""
    below = blurred(weight, width)
    above = blurred(field, width)
    above /= np.where(below > 0, below, np.float32(np.inf))
    return above, below > MIN_WEIGHT


def _halve(field: Float32) -> Float32:
    """Means of blocks of 2 x 2 cells (time, y/2, x/2)."""
    rows, columns = (n - n % 2 for n in field.shape[1:])
    even, odd = field[:, 0:rows:2, :columns], field[:, 1:rows:2, :columns]
    return np.asarray((even[:, :, ::2] + even[:, :, 1::2] + odd[:, :, ::2] + odd[:, :, 1::2]) / 4)
