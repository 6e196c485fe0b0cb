"""How the delay of a stack follows height."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slipscan.noise.estimate_residual import MIN_VALID_SHARE
from slipscan.noise.estimate_slope import height_slope

Float = NDArray[np.float64]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StratifiedFit:
    """Slope of a stack's delay with height, with standard errors; m per m.

    Attributes
    ----------
    slope, slope_error
        (time,) of the residual of each epoch; NaN = no data or no relief
    std, std_error
        standard deviation of the slope between epochs, without its annual part and its own error
    annual, annual_error
        amplitude of its annual part (NaN in series of less than a year): what of the season follows height,
        whether delay or ground
    """

    slope: Float
    slope_error: Float
    std: float
    std_error: float
    annual: float
    annual_error: float


def of_most_pixels(height: NDArray[np.floating], pixels: NDArray[np.bool_]) -> Float | None:
    """Heights (y, x), or None where half or more of the `pixels` (y, x) that have a series have no height."""
    heights = np.asarray(height, dtype=float)
    share = float(np.isfinite(heights[pixels]).mean())
    if share > MIN_VALID_SHARE:
        return heights
    log.warning("heights are known in %.0f %% of the valid pixels only: no slope with height is estimated", 100 * share)
    return None


def fit_stratified(
    residual: NDArray[np.floating], parameters: Float, names: list[str], matrix: Float, height: Float
) -> StratifiedFit:
    """Slopes of the residual and of the season with height."""
    slope, error = height_slope(residual, height)
    # The mean over epochs of the variance, freed of the slopes' own errors and of what the fit took.
    known = np.isfinite(slope)
    freedom = max(float(known.sum() - matrix.shape[1]), 1.0)
    spread, own = float((slope[known] ** 2).sum() / freedom), float((error[known] ** 2).sum() / freedom)
    variance = max(spread - own, 0.0) if known.any() else math.nan
    std_error = _root_error(variance, spread * math.sqrt(2 / freedom)) if known.any() else math.nan
    annual, annual_error = math.nan, math.nan
    if "annual_cos" in names and known.any():
        season = [names.index("annual_cos"), names.index("annual_sin")]
        waves, wave_errors = height_slope(parameters[season], height)
        in_time = np.linalg.pinv(matrix.T @ matrix).diagonal()[season] * variance
        noise = wave_errors**2 + in_time
        amplitude = max(float((waves**2 - noise).sum()), 0.0)
        annual, annual_error = (
            math.sqrt(amplitude),
            _root_error(amplitude, 2 * float(np.sqrt((waves**2 * noise).sum()))),
        )
        annual_error = max(annual_error, float(np.sqrt(noise.mean())) / 2)
    return StratifiedFit(slope, error, math.sqrt(variance), std_error, annual, annual_error)


def credible_slope(fit: StratifiedFit) -> Float:
    """Slopes shrunk by how far they stand above their errors (time,); 0 where unknown."""
    error = np.where(np.isfinite(fit.slope_error), fit.slope_error, np.inf)
    share = fit.std**2 / np.maximum(fit.std**2 + error**2, 1e-300) if fit.std > 0 else np.zeros(len(error))
    return np.where(np.isfinite(fit.slope), fit.slope, 0.0) * share


def _root_error(variance: float, error: float) -> float:
    """Standard error of a standard deviation whose variance has the standard error `error`; finite at zero."""
    std = math.sqrt(variance)
    return error / (std + math.sqrt(variance + error)) if error > 0 else 0.0
