"""The history of a transient: the series of its band projected on its cluster, and the ramp that fits it best.

Not the raw series projected on the map: that holds the turbulence of all scales, and the map the noise of the series
that are projected on it, so that weak events of a wide footprint look long.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from slipscan.detect.ramp import Epochs, Ramp
from slipscan.fit.model import MIN_EPOCHS
from slipscan.fit.ramps import without
from slipscan.fit.robust import temporal_std
from slipscan.fit.temporal import TemporalCovariance

Float = NDArray[np.float64]
Errors = tuple[float, float, float]

UNKNOWN: Final[Errors] = (math.nan, math.nan, math.nan)

SEARCH_D = 48.0
"""The middle is searched within so many days of the candidate's: the smoothing of the denoised transient."""
STEP_D = 3.0
DURATIONS_D = (0.0, 6.0, 12.0, 18.0, 24.0, 30.0, 36.0, 48.0, 60.0, 72.0, 96.0, 120.0, 160.0, 200.0)
AMPLITUDE_STD = 0.5
"""The projection of a transient rises by about 1. Without this prior, long ramps that rate and season nearly
hide fit best, with amplitudes of many times the transient's."""
TIE = 1e-6


def refine(
    projected_series: Float, epochs: Epochs, first: Ramp, beside: Sequence[Ramp] = (), red: float = 0.0
) -> tuple[Ramp, Errors]:
    """The ramp that fits a projected series best, jointly with offset, rate, season and other ramps.

    And the standard deviations of its t05, t50 and t95, days: those of all ramps by their likelihood; NaN if none fits.

    Parameters
    ----------
    projected_series
        (time,) less rate and season, in units of the transient; NaN for an epoch without data
    epochs
        of the series
    first
        the ramp that was detected; kept where none of positive amplitude fits
    beside
        ramps that are estimated along
    red
        variance that a random walk gains in a year over that of a typical epoch, 1/yr
    """
    known = np.isfinite(projected_series)
    if known.sum() < MIN_EPOCHS + 5:
        return first, UNKNOWN
    series = projected_series[known]
    segment = None if epochs.segment is None else epochs.segment[known]
    own = Epochs(epochs.time[known], segment, epochs.background_known)
    middles = first.middle_d + np.arange(-SEARCH_D, SEARCH_D + STEP_D / 2, STEP_D)
    tried = [Ramp(float(middle), duration) for duration in DURATIONS_D for middle in middles]
    noise = temporal_std(torch.from_numpy(series[:, None]), torch.ones(len(own), 1, dtype=torch.bool))
    white = torch.full((len(own),), max(float(noise[0]) ** 2, 1e-12), dtype=torch.float64)
    whitener = TemporalCovariance.relative(white, red).whitener(torch.from_numpy(own.days))
    shapes = without(whitener @ own.columns(tried), whitener @ own.design(beside)).numpy()
    data = (whitener @ torch.from_numpy(series)).numpy()
    precision = (shapes**2).sum(axis=0)
    prior = 1 / AMPLITUDE_STD**2
    amplitude = (shapes.T @ data + prior) / (precision + prior)
    misfit = -amplitude * (2 * shapes.T @ data - precision * amplitude)
    misfit += prior * (amplitude - 1) ** 2
    misfit = np.where(amplitude > 0, misfit, np.inf)
    if not np.isfinite(misfit).any():
        return first, UNKNOWN
    best = tried[int(np.argmin(misfit))]
    # A step is the same to the data wherever between two epochs it happens: say half way.
    equal = [
        ramp.middle_d
        for ramp, value in zip(tried, misfit, strict=True)
        if value <= misfit.min() + TIE and ramp.duration_d == best.duration_d
    ]
    found = Ramp(float(np.mean(equal)), best.duration_d)
    return found, _errors(found, tried, misfit - misfit.min(), own.days)


def _errors(found: Ramp, tried: Sequence[Ramp], misfit: Float, days: Float) -> Errors:
    """Standard deviations of t05, t50 and t95 about a ramp, of ramps by their likelihood."""
    shares = (0.05, 0.5, 0.95)
    reached = np.array([[ramp.reached(share) for share in shares] for ramp in tried])
    weight = np.exp(-0.5 * misfit)
    about = np.array([found.reached(share) for share in shares])
    spread = np.sqrt(weight @ (reached - about) ** 2 / weight.sum())
    # Anything lies anywhere between two epochs.
    number = int(np.clip(np.searchsorted(days, about[1]), 1, len(days) - 1))
    t05, t50, t95 = np.maximum(spread, (days[number] - days[number - 1]) / np.sqrt(12))
    return float(t05), float(t50), float(t95)
