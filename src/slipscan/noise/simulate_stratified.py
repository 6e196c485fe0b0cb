"""Stratified delay: it follows height, with a slope of its own in every epoch."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from slipscan.noise.simulate_turbulence import TurbulenceSpectrum, turbulence

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]

STRATIFIED_PEAK_D = 200.0
"""Day of the year at which the annual part of the slope with height peaks (humid summer)."""
PATTERN = TurbulenceSpectrum(exponents=(5.0, 5.0, 5.0), outer_scale_m=60e3)
"""Spatial variation of the slope: smooth, over tens of kilometres."""
_DAYS_PER_YEAR = 365.25


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
    slope += slope_annual * annual(t)
    return slope.astype(np.float32)[:, None, None] * relative_height(height)


def annual(days: Float) -> Float:
    """Annual cycle of the stratified slope: cosine with its maximum on day 200 of the year."""
    return np.asarray(np.cos(2 * np.pi * (days - STRATIFIED_PEAK_D) / _DAYS_PER_YEAR))


def relative_height(height: NDArray[np.floating]) -> Float32:
    """Heights (y, x) relative to the scene's mean, metres."""
    return np.asarray(height, np.float32) - np.float32(np.nanmean(height, dtype=float))


def bent_stratified(
    generator: np.random.Generator,
    relative: Float32,
    pixel_m: tuple[float, float],
    slope: Float,
    bend: Float,
    spatial: float,
) -> Float32:
    """Stratified delay whose slope varies in space, and which bends with height.

    Parameters
    ----------
    generator
        of random numbers
    relative
        (y, x) height relative to the scene's mean, metres
    pixel_m
        height and width of a cell
    slope, bend
        (time,) delay per height, m per m, and per squared height, 1/m
    spatial
        standard deviation over space of the slope, as a share of it; one smooth pattern for all epochs

    Returns
    -------
    delay
        (time, y, x), metres
    """
    pattern = (
        1 + np.float32(spatial) * turbulence(generator, (len(relative), relative.shape[1]), pixel_m, 1, PATTERN)[0]
    )
    delay = slope.astype(np.float32)[:, None, None] * (relative * pattern)
    square = relative**2
    square -= np.float32(np.nanmean(square, dtype=float))
    delay += bend.astype(np.float32)[:, None, None] * square
    return np.asarray(delay)
