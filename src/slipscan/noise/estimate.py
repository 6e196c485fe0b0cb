"""What the air does in a stack, measured."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slipscan.errors import SlipscanError
from slipscan.fit.background import fit_series
from slipscan.noise.estimate_bands import band_power, epoch_variance, fill_gaps, residual_gain
from slipscan.noise.estimate_slope import height_slope
from slipscan.noise.estimate_spectrum import SpectrumFit, TooLittleDataError, fit_spectrum
from slipscan.noise.estimate_structure import levels, structure_function

Float = NDArray[np.float64]

log = logging.getLogger(__name__)

MIN_VALID_SHARE = 0.5
"""Epochs of fewer valid pixels, and pixels of fewer valid epochs, do not count."""


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


@dataclass(frozen=True)
class NoiseEstimate:
    """Noise of a stack, measured from what rate and season leave of it.

    All of it is relative to the fit and corrected for the degrees of freedom that the fit took, so that the
    choice of the reference epoch plays no part.

    Attributes
    ----------
    residual
        (time, y, x) m: what rate and season leave, heights still in it
    band_m, band_std
        (band,) widths s of Gaussians; (time, band) standard deviation between widths s/2 and s, m (see
        `estimate_bands.band_power`)
    turbulence
        spectrum and strength per epoch, white floor, ramps; None where there is too little data
    stratified
        None without heights
    lacking
        what the stack lacks where turbulence is None, in words
    """

    residual: Float
    band_m: Float
    band_std: Float
    turbulence: SpectrumFit | None
    stratified: StratifiedFit | None
    lacking: str = ""

    @property
    def median_std(self) -> tuple[float, float]:
        """Standard deviation of the turbulence of an epoch of median strength, m, and its standard error."""
        if self.turbulence is None:
            return math.nan, math.nan
        logs = self._log_strengths
        std = math.exp(float(logs.mean()))
        error = math.hypot(self.strength_log_std[0] / math.sqrt(len(logs)), self.turbulence.power_log_error / 2)
        return std, std * error

    @property
    def strength_log_std(self) -> tuple[float, float]:
        """Standard deviation between epochs of the logarithm of the strength, and its standard error."""
        if self.turbulence is None:
            return math.nan, math.nan
        logs = self._log_strengths
        total = float(logs.var(ddof=1))
        if total == 0:  # all of them at the least that is told from nothing
            return 0.0, 0.0
        own = math.sqrt(max(total - self.turbulence.epoch_std_log_error**2, 0.0))
        return own, math.sqrt(total / (2 * (len(logs) - 1))) * math.sqrt(total) / max(own, math.sqrt(total) / 2)

    @property
    def _log_strengths(self) -> Float:
        assert self.turbulence is not None
        return np.log(self.turbulence.epoch_std[np.isfinite(self.turbulence.epoch_std)])


def estimate(
    displacement: NDArray[np.floating],
    matrix: Float,
    names: list[str],
    pixel_m: tuple[float, float],
    height: NDArray[np.floating] | None = None,
) -> NoiseEstimate:
    """Measure the noise of a displacement series.

    Parameters
    ----------
    displacement
        (time, y, x) m, relative to whichever epoch, NaN = no data
    matrix, names
        (time, column) of the background model and its columns, of `design_matrix`
    pixel_m
        height and width of a cell
    height
        (y, x) m, or None

    Raises
    ------
    SlipscanError
        arrays that do not match
    """
    shape = displacement.shape
    if len(matrix) != shape[0] or (height is not None and height.shape != shape[1:]):
        raise SlipscanError(f"displacement {shape} does not match {len(matrix)} epochs of the model or the heights")
    series = displacement.reshape(shape[0], -1).astype(float)
    parameters = fit_series(matrix, series)
    flat = series - matrix @ parameters
    known = np.isfinite(flat)
    if not known.any():
        lacking = f"no pixel has the {matrix.shape[1] + 1} valid epochs that rate and season take"
        return NoiseEstimate(flat.reshape(shape), np.empty(0), np.empty((shape[0], 0)), None, None, lacking)
    used = known.sum(axis=1) > MIN_VALID_SHARE * known.any(axis=0).sum()
    if not used.any():
        lacking = "no epoch is valid in more than half of the pixels"
        return NoiseEstimate(flat.reshape(shape), np.empty(0), np.empty((shape[0], 0)), None, None, lacking)
    sparse = known[used].sum(axis=0) < np.maximum(MIN_VALID_SHARE * used.sum(), matrix.shape[1] + 1)
    residual = np.where(sparse, np.nan, flat).reshape(shape)
    residual[used] = fill_gaps(residual[used], matrix[used])
    turbulent, gain, stratified = residual[used], residual_gain(matrix[used]), None
    if height is not None and (heights := _of_most_pixels(height, np.asarray(known.any(axis=0)))) is not None:
        stratified = _fit_stratified(residual, parameters.reshape(-1, *shape[1:]), names, matrix, heights)
        turbulent = turbulent - _credible_slope(stratified)[used, None, None] * (heights - np.nanmean(heights))
    band_m, power = band_power(turbulent, pixel_m)
    band_std = _placed(np.sqrt(np.maximum(epoch_variance(power, gain), 0)), used)
    grids = levels((shape[1], shape[2]), pixel_m)
    squared = [_placed(epoch_variance(structure_function(turbulent, grid), gain), used) for grid in grids]
    try:
        return NoiseEstimate(residual, band_m, band_std, fit_spectrum(squared, grids), stratified)
    except TooLittleDataError as lack:
        return NoiseEstimate(residual, band_m, band_std, None, stratified, str(lack))


def _of_most_pixels(height: NDArray[np.floating], pixels: NDArray[np.bool_]) -> Float | None:
    """Heights (y, x), or None where half or more of the `pixels` (pixel,) that have a series have no height."""
    heights = np.asarray(height, dtype=float)
    share = float(np.isfinite(heights.ravel()[pixels]).mean())
    if share > MIN_VALID_SHARE:
        return heights
    log.warning("heights are known in %.0f %% of the valid pixels only: no slope with height is estimated", 100 * share)
    return None


def _placed(values: Float, used: NDArray[np.bool_]) -> Float:
    """Values of the used epochs (used, ...) among all epochs (time, ...); NaN elsewhere."""
    out = np.full((len(used), *values.shape[1:]), np.nan)
    out[used] = values
    return out


def _fit_stratified(
    residual: Float, parameters: Float, names: list[str], matrix: Float, height: Float
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


def _credible_slope(fit: StratifiedFit) -> Float:
    """Slopes shrunk by how far they stand above their errors (time,); 0 where unknown."""
    error = np.where(np.isfinite(fit.slope_error), fit.slope_error, np.inf)
    share = fit.std**2 / np.maximum(fit.std**2 + error**2, 1e-300) if fit.std > 0 else np.zeros(len(error))
    return np.where(np.isfinite(fit.slope), fit.slope, 0.0) * share


def _root_error(variance: float, error: float) -> float:
    """Standard error of a standard deviation whose variance has the standard error `error`; finite at zero."""
    std = math.sqrt(variance)
    return error / (std + math.sqrt(variance + error)) if error > 0 else 0.0
