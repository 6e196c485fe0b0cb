"""What the air does in a stack, measured."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from slipscan.errors import SlipscanError
from slipscan.field import Observation
from slipscan.fit.clean import NO_DATA
from slipscan.fit.model import design_matrix
from slipscan.noise.estimate_bands import epoch_rms
from slipscan.noise.estimate_power import binned, power
from slipscan.noise.estimate_residual import completed, epoch_variance, left_over, residual_gain, used_epochs
from slipscan.noise.estimate_scales import HeightPart, measure_scales
from slipscan.noise.estimate_spectrum import SpectrumFit, TooLittleDataError, fit_spectrum
from slipscan.noise.estimate_stratified import StratifiedFit, credible_slope, fit_stratified, of_most_pixels
from slipscan.noise.estimate_structure import levels
from slipscan.noise.sample import sample_of
from slipscan.noise.temporal import TemporalNoise, measure_temporal

Float = NDArray[np.float64]


@dataclass(frozen=True)
class NoiseEstimate:
    """Noise of a stack, measured from what rate and season leave of it (of a large one: of a sample).

    All of it is relative to the fit and corrected for the degrees of freedom that the fit took, so that the
    choice of the reference epoch plays no part.

    Attributes
    ----------
    epoch_rms
        (time,) over space of what rate and season leave, about its mean, heights still in it, m
    wavenumber, power
        of `estimate_power.binned`, of the same
    band_m, band_std
        (band,) widths s of Gaussians; (time, band) standard deviation between widths s/2 and s, m (see
        `estimate_bands.band_power`)
    turbulence
        spectrum and strength per epoch, white floor, ramps; None where there is too little data
    stratified
        None without heights
    lacking
        what the stack lacks where turbulence is None, in words
    temporal
        noise in time per band; None where there is too little data
    """

    epoch_rms: Float
    wavenumber: Float
    power: Float
    band_m: Float
    band_std: Float
    turbulence: SpectrumFit | None
    stratified: StratifiedFit | None
    lacking: str = ""
    temporal: TemporalNoise | None = None

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


def measure(seen: Observation, pixel_m: tuple[float, float] | None = None, spectrum_bins: int = 32) -> NoiseEstimate:
    """Measure the noise of a displacement series, which is read tile by tile if it is not in memory.

    A scene of up to `sample.MOST_PIXELS` pixels is taken whole. Of a larger one, scales from a block on come from block
    means of all of it, smaller ones from windows of single pixels (`sample.sample_of`).

    Parameters
    ----------
    seen
        the series
    pixel_m
        height and width of a cell; None: square
    spectrum_bins
        logarithmic bins of wavenumber

    Raises
    ------
    SlipscanError
        no data at all, fewer than 5 epochs
    """
    with threadpool_limits(1, "blas"):  # other threads, other sums
        return _measure(seen, pixel_m or (seen.pixel_m, seen.pixel_m), spectrum_bins)


def _measure(seen: Observation, pixel_m: tuple[float, float], spectrum_bins: int) -> NoiseEstimate:
    matrix = seen.design
    sample = sample_of(seen)
    if not np.isfinite(sample.broad).any():
        raise SlipscanError(NO_DATA)
    residual, parameters = left_over(sample.broad, matrix)
    known = np.asarray(np.isfinite(residual).any(axis=0))
    used = used_epochs(residual)
    lacking = ""
    if not known.any():
        lacking = f"no pixel has the {matrix.shape[1] + 1} valid epochs that rate and season take"
    elif not used.any():
        lacking = "no epoch is valid in more than half of the pixels"
    if lacking:
        part = power(residual, pixel_m, sample.factor)
        spectrum = binned([part] if part else [], seen.shape, pixel_m, spectrum_bins)
        nothing = np.empty(0), np.empty((len(matrix), 0))
        return NoiseEstimate(epoch_rms(residual.reshape(len(matrix), -1)), *spectrum, *nothing, None, None, lacking)
    residual = completed(residual, matrix, used)
    stratified, slopes, height = None, np.zeros(len(matrix)), None
    if sample.height is not None and (height := of_most_pixels(sample.height, known)) is not None:
        names = design_matrix(seen.time, seen.segment)[1][: matrix.shape[1]]
        stratified = fit_stratified(residual, parameters, names, matrix, height)
        slopes = credible_slope(stratified)
    follows = HeightPart(slopes, height)
    temporal = measure_temporal(sample, residual, matrix, used, pixel_m, follows)
    found = measure_scales(sample, residual, matrix, used, pixel_m, follows)
    gain = residual_gain(matrix[used])
    band_std = _placed(np.sqrt(np.maximum(epoch_variance(found.bands, gain), 0)), used)
    squared = [_placed(epoch_variance(every, gain), used) for every in found.squared]
    spectrum = binned(found.power, seen.shape, pixel_m, spectrum_bins)
    numbers = found.rms, *spectrum, found.band_m, band_std
    try:
        return NoiseEstimate(*numbers, fit_spectrum(squared, levels(seen.shape, pixel_m)), stratified, "", temporal)
    except TooLittleDataError as lack:
        return NoiseEstimate(*numbers, None, stratified, str(lack), temporal)


def _placed(values: Float, used: NDArray[np.bool_]) -> Float:
    """Values of the used epochs (used, ...) among all epochs (time, ...); NaN elsewhere."""
    out = np.full((len(used), *values.shape[1:]), np.nan)
    out[used] = values
    return out
