"""The history of a transient: the raw series projected on its map, and the ramp that fits it best.

The denoised transient is smoothed in time; the data projected on the map that was found are not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from slipscan.detect.ramp import Epochs, Ramp
from slipscan.fit.background import fit_series
from slipscan.fit.model import MIN_EPOCHS
from slipscan.fit.ramps import without
from slipscan.fit.robust import temporal_std
from slipscan.fit.temporal import TemporalCovariance

Float = NDArray[np.float64]

SEARCH_D = 48.0
"""The middle is searched within so many days of the candidate's: the smoothing of the denoised transient."""
STEP_D = 3.0
DURATIONS_D = (0.0, 6.0, 12.0, 18.0, 24.0, 30.0, 36.0, 48.0, 60.0, 72.0, 96.0, 120.0, 160.0, 200.0)
AMPLITUDE_STD = 0.5
"""The projection of a transient rises by about 1. Without this prior, long ramps that rate and season nearly
hide fit best, with amplitudes of many times the transient's."""
TIE = 1e-6
MIN_SHARE_OF_PEAK = 0.1
"""Pixels whose amplitude is a smaller share of the peak carry no weight."""


def projection(series: Float, amplitude: Float, coordinates: Float) -> Float:
    """A series in units of the transient: the data projected on its signed map.

    Parameters
    ----------
    series
        (time, pixel) raw displacement, m, NaN = no data
    amplitude
        (pixel,) the transient's map, m
    coordinates
        (pixel, column) what delay may look like here (x, y, height); with a constant it is estimated beside
        the map in every epoch, so that most of the turbulence, which is red in space, does not enter

    Returns
    -------
    projected
        (time,), 1 is the whole transient; NaN for an epoch without data
    """
    peak = np.nanmax(np.abs(amplitude))
    strong = np.abs(amplitude) > MIN_SHARE_OF_PEAK * peak
    nuisance = coordinates[strong] - coordinates[strong].mean(axis=0)
    nuisance = nuisance / np.maximum(np.abs(nuisance).max(axis=0), 1e-12)
    design = np.column_stack([amplitude[strong] / peak, np.ones(len(nuisance)), nuisance])
    if len(design) <= 3 * design.shape[1]:
        design = design[:, :1]
    return fit_series(design, series[:, strong].T)[0] / peak


def refine(projected_series: Float, epochs: Epochs, first: Ramp, beside: Sequence[Ramp] = (), red: float = 0.0) -> Ramp:
    """The ramp that fits a projected series best, jointly with offset, rate, season and other ramps.

    Parameters
    ----------
    projected_series
        (time,) from `projection`
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
        return first
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
    best = tried[int(np.argmin(misfit))]
    # A step is the same to the data wherever between two epochs it happens: say half way.
    equal = [
        ramp.middle_d
        for ramp, value in zip(tried, misfit, strict=True)
        if value <= misfit.min() + TIE and ramp.duration_d == best.duration_d
    ]
    return Ramp(float(np.mean(equal)), best.duration_d)
