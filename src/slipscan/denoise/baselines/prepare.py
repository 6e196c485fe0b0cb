"""What most methods begin with: gaps filled, the delay's closed form taken out, the noise of every epoch known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from slipscan import seriesmodel
from slipscan.denoise.background import epoch_noise
from slipscan.denoise.baselines.gaps import without_mean_or_gaps
from slipscan.denoise.baselines.method import Observation
from slipscan.denoise.nuisance import fit_nuisance, spatial_design
from slipscan.errors import SlipscanError

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]

_MAX_FITTED_PIXELS = 1600
"""Offset, ramp and slope with height of an epoch are four numbers: more pixels make no better ones."""
_EMPTY_EPOCH = 1e3
"""An epoch without data is as good as one this much noisier than the others."""


@dataclass(frozen=True)
class Prepared:
    """A stack that is ready for a method.

    Attributes
    ----------
    days
        (time,) since 2014-01-01
    design
        (time, column) what every pixel has beside events
    series
        (time, y, x) m, temporal mean 0, gaps filled; offset, ramp and height delay still in
    cleaned
        (time, y, x) the same with offset, ramp and height delay of every epoch taken out (robust fit)
    valid
        (time, y, x) where there is data
    covered
        (y, x) pixels that have data in some epoch
    nuisance
        (column, y, x) spatial columns of an epoch's delay: offset, x, y and, where it varies, height
    epoch_std
        (time,) robust standard deviation over space of a cleaned epoch, m, never 0
    pixel_m
        side of a cell, m
    """

    days: Float
    design: Float
    series: Float
    cleaned: Float
    valid: Mask
    covered: Mask
    nuisance: Float
    epoch_std: Float
    pixel_m: float

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.covered.shape[0], self.covered.shape[1]

    @property
    def weight(self) -> Float:
        """(time,) inverse variance of an epoch, 1/m2."""
        return 1 / self.epoch_std**2


def valid_pixels(observation: Observation) -> Mask:
    """Where a stack has data, (time, y, x).

    Raises
    ------
    SlipscanError
        there is none, or there are fewer epochs than slipscan works with
    """
    valid = np.isfinite(observation.displacement)
    if not valid.any():
        raise SlipscanError("the stack holds no data: every pixel of every epoch is missing")
    if len(valid) < seriesmodel.MIN_EPOCHS:
        raise SlipscanError(f"a series of {len(valid)} epochs is too short: slipscan needs {seriesmodel.MIN_EPOCHS}")
    return valid


def prepare(observation: Observation) -> Prepared:
    """Fill gaps, fit offset, ramp and height delay of every epoch, and estimate its noise.

    The background (`observation.design`) is taken out only for the fit of the delay, so that motion of
    years is not taken for it, and put back: methods estimate it beside the event.

    Raises
    ------
    SlipscanError
        a stack without data or of fewer than 5 epochs
    """
    valid = valid_pixels(observation)
    series = without_mean_or_gaps(observation.displacement.astype(float), valid)
    design = observation.design
    n, shape = len(series), observation.shape
    columns = spatial_design(observation.height, shape)
    stride = max(1, int(np.sqrt(np.prod(shape) / _MAX_FITTED_PIXELS)))
    sampled = np.zeros(shape, bool)
    sampled[::stride, ::stride] = True
    pixels = np.flatnonzero(sampled & valid.any(axis=0))
    if len(pixels) < 3 * columns.shape[1]:
        pixels = np.flatnonzero(valid.any(axis=0))
    flat = series.reshape(n, -1)
    seen = np.where(valid.reshape(n, -1)[:, pixels], flat[:, pixels], np.nan)
    rest = seen - design @ (np.linalg.pinv(design) @ flat[:, pixels])
    fitted = fit_nuisance(rest, columns[pixels])
    parameters = np.linalg.pinv(columns[pixels]) @ fitted.T
    std = epoch_noise(rest - fitted)
    empty = ~valid.any(axis=(1, 2))
    std[empty] = _EMPTY_EPOCH * std[~empty].max()
    cleaned = (flat - (columns @ parameters).T).reshape(series.shape)
    return Prepared(
        days=observation.days,
        design=design,
        series=series,
        cleaned=cleaned - cleaned.mean(axis=0),
        valid=valid,
        covered=np.asarray(valid.any(axis=0)),
        nuisance=columns.T.reshape(-1, *shape),
        epoch_std=std,
        pixel_m=observation.pixel_m,
    )


def smoothed(fields: Float, mask: Mask, sigma_px: float) -> Float:
    """Gaussian means over the pixels of a mask, (n, y, x); 0 outside it."""
    if sigma_px < 0.3:
        return np.where(mask, fields, 0.0)
    share = ndimage.gaussian_filter(mask.astype(float), sigma_px, mode="constant", truncate=3.0)
    sums = ndimage.gaussian_filter(np.where(mask, fields, 0.0), (0, sigma_px, sigma_px), mode="constant", truncate=3.0)
    return np.where(mask, sums / np.maximum(share, 1e-6), 0.0)
