"""Noise that the ground and the processing make: unwrapping blocks, phase bias, the reference pixel."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from slipscan.noise.simulate_parts import red_series
from slipscan.noise.simulate_turbulence import TurbulenceSpectrum, turbulence
from slipscan.vocabulary import CYCLE_M

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]
Bool = NDArray[np.bool_]

PHASE_BIAS_MEMORY_D = 365.0
"""Time constant of the wander of the phase bias: soil and plants differ from year to year."""
PATCH_M = 6e3
"""Outer scale of patches of vegetation."""
_BARE, _OVERGROWN = 0.6, 0.2
_SIZE_LOG_STD = 0.5
_REACH = 3.0
"""Blocks are looked for within so many of their radii of a random place."""
_HALVINGS = 8
_AREA_M2 = 1e10
_DAYS_PER_YEAR = 365.25


def land_cover(generator: np.random.Generator, shape: tuple[int, int], pixel_m: float | tuple[float, float]) -> Float32:
    """Long-term coherence (y, x), 0.1 to 0.9, of a land with patches of vegetation of kilometres."""
    patches = turbulence(generator, shape, pixel_m, 1, TurbulenceSpectrum(outer_scale_m=PATCH_M))[0]
    return np.asarray(0.9 - 0.8 / (1 + np.exp(-1.7 * patches)), dtype=np.float32)


def vegetation(coherence: NDArray[np.floating]) -> Float32:
    """Density of vegetation that a coherence tells of: 0 at 0.6 and above, 1 at 0.2 and below, same shape."""
    return np.asarray(np.clip((_BARE - coherence) / (_BARE - _OVERGROWN), 0, 1), dtype=np.float32)


def unwrapping_blocks(
    generator: np.random.Generator,
    count: int,
    coherence: NDArray[np.floating],
    pixel_m: tuple[float, float],
    rate: float,
    size_m: float,
    persistent: float = 0.0,
) -> Float32:
    """Unwrapping errors of a series: blocks that are whole cycles off, bounded by low coherence.

    Parameters
    ----------
    generator
        of random numbers
    count
        number of epochs
    coherence
        (y, x)
    pixel_m
        height and width of a cell
    rate
        expected number of new blocks per epoch and 10^4 km2
    size_m
        median radius of a block of equal area; log-normal
    persistent
        share of the blocks that last from their epoch to the end of the series, not for one epoch

    Returns
    -------
    delay
        (time, y, x), whole multiples of 27.73 mm
    """
    cycles = np.zeros((count, *coherence.shape), np.int8)
    cell_m2 = pixel_m[0] * pixel_m[1]
    blocks = generator.poisson(rate * coherence.size * cell_m2 / _AREA_M2, count)
    # Single dark pixels bound nothing: look for valleys that are wide against a cell and narrow against a block.
    smooth = ndimage.gaussian_filter(
        np.asarray(coherence, dtype=float), tuple(max(1.0, size_m / pixel / 5) for pixel in pixel_m)
    )
    smooth /= max(float(smooth.std()), 1e-6)
    for epoch in np.repeat(np.arange(count), blocks):
        radius_m = size_m * math.exp(_SIZE_LOG_STD * generator.standard_normal())
        around, block = _block(smooth, pixel_m, generator.integers(smooth.shape), radius_m)
        sign = np.int8(generator.choice((-1, 1)))
        end = count if generator.random() < persistent else epoch + 1
        cycles[epoch:end, *around] += sign * block
    return cycles * np.float32(CYCLE_M)


def _block(
    smooth: Float, pixel_m: tuple[float, float], centre: NDArray[np.integer], radius_m: float
) -> tuple[tuple[slice, ...], Bool]:
    """Part of the scene around (y, x) `centre`, and the pixels of a block in it."""
    spans = [
        (max(int(c - _REACH * radius_m / pixel), 0), min(int(c + _REACH * radius_m / pixel) + 1, n))
        for c, pixel, n in zip(centre, pixel_m, smooth.shape, strict=True)
    ]
    around = tuple(slice(*span) for span in spans)
    y, x = ((np.arange(*span) - c) * (pixel / radius_m) for span, c, pixel in zip(spans, centre, pixel_m, strict=True))
    compact = smooth[around] - (y[:, None] ** 2 + x**2) / 2
    return around, _closed_patch(compact, math.pi * radius_m**2 / (pixel_m[0] * pixel_m[1]))


def _closed_patch(field: Float, most: float) -> Bool:
    """The patch round the maximum of a field (y, x) that its valleys close off, of up to `most` pixels."""
    top = np.unravel_index(int(np.argmax(field)), field.shape)
    low, high = float(field.min()), float(field[top])
    patch = field >= high
    for _ in range(_HALVINGS):
        level = (low + high) / 2
        labels, _ = ndimage.label(field >= level)
        found = labels == labels[top]
        if found.sum() <= most:
            patch, high = found, level
        else:
            low = level
    return np.asarray(patch)


def phase_bias(
    generator: np.random.Generator,
    days: ArrayLike,
    coherence: NDArray[np.floating],
    rate_m_yr: float,
    wander_std_m: float = 0.0,
) -> Float32:
    """Bias of short-pair networks over vegetation: it grows with time and wanders slowly.

    Parameters
    ----------
    generator
        of random numbers
    days
        (time,) since 2014-01-01
    coherence
        (y, x); see `vegetation`
    rate_m_yr
        where all is vegetation, positive toward the satellite
    wander_std_m
        standard deviation there of a temporally red part (time constant a year)

    Returns
    -------
    delay
        (time, y, x) metres, relative to the first epoch but for the red part
    """
    t = np.asarray(days, dtype=float)
    course = rate_m_yr * (t - t[0]) / _DAYS_PER_YEAR + wander_std_m * red_series(generator, t, PHASE_BIAS_MEMORY_D)
    return course.astype(np.float32)[:, None, None] * vegetation(coherence)


def reference_offset(generator: np.random.Generator, shape: tuple[int, int, int], std_m: float) -> Float32:
    """The reference pixel's own noise (time, y, x), metres: a constant over the scene, new in every epoch."""
    offset = (std_m * generator.standard_normal(shape[0])).astype(np.float32)
    return np.repeat(offset, shape[1] * shape[2]).reshape(shape)
