"""Bands of spatial scales: what whitens turbulence, whose power is red in space."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Float = NDArray[np.float64]

TRUNCATE = 3.0
MIN_SUPPORT = 0.3
"""Share of valid pixels (Gaussian-weighted) below which an average is no data."""


def band(series: NDArray[np.floating], scale_px: float) -> Float:
    """Difference of two Gaussian averages, of `scale_px` and twice that, mask-aware.

    Parameters
    ----------
    series
        (time, y, x), NaN = no data
    scale_px
        standard deviation of the narrower Gaussian, pixels

    Returns
    -------
    band
        (time, y, x); NaN where the pixel has no data or too little around it
    """
    return _average(series, scale_px) - _average(series, 2 * scale_px)


def _average(series: NDArray[np.floating], scale_px: float) -> Float:
    out = np.full(series.shape, np.nan)
    for epoch, values in enumerate(series):
        valid = np.isfinite(values)
        support = gaussian_filter(valid.astype(float), scale_px, truncate=TRUNCATE)
        total = gaussian_filter(np.where(valid, values, 0.0).astype(float), scale_px, truncate=TRUNCATE)
        known = valid & (support > MIN_SUPPORT)
        out[epoch][known] = total[known] / support[known]
    return out
