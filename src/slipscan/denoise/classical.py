"""The classical denoiser: ramps and height delay taken out, then a filter in time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from slipscan import seriesmodel
from slipscan.denoise.background import Background

Float = NDArray[np.float64]


def temporal_filter(closed: Background, time: NDArray[np.datetime64], filter_d: float) -> tuple[Float, Float]:
    """Residuals smoothed in time by a mask-aware Gaussian, and the variance of that, each (time, pixel), m and m2.

    Parameters
    ----------
    closed
        background of the stack
    time
        (time,) epochs
    filter_d
        two standard deviations of the Gaussian, days
    """
    days = seriesmodel.days_since_2014(time)
    sigma_epochs = filter_d / 2 / max(float(np.median(np.diff(days))), 1e-9)
    valid = np.isfinite(closed.residual)
    weight = valid / closed.epoch_std[:, None] ** 2

    def smooth(values: Float) -> Float:
        return np.asarray(gaussian_filter1d(values, sigma_epochs, axis=0, mode="constant"))

    total = smooth(weight)
    enough = total > 1e-6 * total.max()
    safe = np.where(enough, total, 1.0)
    transient = np.where(enough, smooth(weight * np.where(valid, closed.residual, 0.0)) / safe, 0.0)
    # The filter averages about 2 sqrt(pi) sigma epochs of equal noise.
    variance = np.where(enough, 1 / safe, 0.0) / max(1.0, 2 * np.sqrt(np.pi) * sigma_epochs)
    return transient, variance
