"""What most methods begin with: gaps filled, the delay's closed form taken out, the noise of every epoch known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from slipbench.baselines.gaps import without_mean_or_gaps
from slipscan.errors import SlipscanError
from slipscan.field import Observation
from slipscan.fit.delay import MAX_SAMPLED, fit_delay, spatial_columns
from slipscan.fit.model import MIN_EPOCHS

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]


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
    covariance
        (time, time) of the epochs, where it is told; None: independent epochs of `epoch_std`
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
    covariance: Float | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.covered.shape[0], self.covered.shape[1]

    @property
    def weight(self) -> Float:
        """(time,) inverse variance of an epoch, 1/m2."""
        return 1 / self.epoch_std**2

    @property
    def root(self) -> Float:
        """(time, time) square root of the epochs' covariance, lower triangular."""
        return np.diag(self.epoch_std) if self.covariance is None else np.asarray(np.linalg.cholesky(self.covariance))


def valid_pixels(observation: Observation) -> Mask:
    """Where a stack has data, (time, y, x).

    Raises
    ------
    SlipscanError
        there is none, or there are fewer epochs than slipscan works with
    """
    valid = np.isfinite(observation.values)
    if not valid.any():
        raise SlipscanError("the stack holds no data: every pixel of every epoch is missing")
    if len(valid) < MIN_EPOCHS:
        raise SlipscanError(f"a series of {len(valid)} epochs is too short: slipscan needs {MIN_EPOCHS}")
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
    series = without_mean_or_gaps(observation.values.astype(float), valid)
    design = observation.design
    n, shape = len(series), observation.shape
    heights = np.full(shape, np.nan) if observation.height is None else observation.height
    columns = spatial_columns(torch.from_numpy(np.asarray(heights, float)))
    stride = max(1, int(np.sqrt(np.prod(shape) / MAX_SAMPLED)))
    sampled = np.zeros(shape, bool)
    sampled[::stride, ::stride] = True
    chosen = torch.from_numpy(np.flatnonzero(sampled & valid.any(axis=0)))
    if len(chosen) < 3 * len(columns):
        chosen = torch.from_numpy(np.flatnonzero(valid.any(axis=0)))
    flat = torch.from_numpy(series.reshape(n, -1))
    rest = flat[:, chosen] - torch.from_numpy(design @ np.linalg.pinv(design)) @ flat[:, chosen]
    mask = torch.from_numpy(valid.reshape(n, -1))[:, chosen]
    delay = fit_delay(rest * mask, mask, columns.flatten(1)[:, chosen])
    cleaned = (flat - delay.coefficients @ columns.flatten(1)).numpy().reshape(series.shape)
    return Prepared(
        days=observation.days,
        design=design,
        series=series,
        cleaned=cleaned - cleaned.mean(axis=0),
        valid=valid,
        covered=np.asarray(valid.any(axis=0)),
        nuisance=columns.numpy(),
        epoch_std=delay.std.numpy(),
        pixel_m=observation.pixel_m,
    )


def smoothed(fields: Float, mask: Mask, sigma_px: float) -> Float:
    """Gaussian means over the pixels of a mask, (n, y, x); 0 outside it."""
    if sigma_px < 0.3:
        return np.where(mask, fields, 0.0)
    share = ndimage.gaussian_filter(mask.astype(float), sigma_px, mode="constant", truncate=3.0)
    sums = ndimage.gaussian_filter(np.where(mask, fields, 0.0), (0, sigma_px, sigma_px), mode="constant", truncate=3.0)
    return np.where(mask, sums / np.maximum(share, 1e-6), 0.0)
