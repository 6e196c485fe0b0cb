"""The bound: a matched filter that is told the event's pattern and history and the law of the noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slipbench.baselines.gaps import without_mean_or_gaps
from slipbench.baselines.gls import Density, StationaryNoise, projected_information
from slipbench.baselines.histories import filters_in
from slipbench.baselines.prepare import valid_pixels
from slipbench.estimate import Estimate
from slipscan.errors import SlipscanError
from slipscan.field import Observation

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """What no method can know.

    Attributes
    ----------
    template
        (y, x) displacement of the event where `history` is 1, m
    history
        (time,) fraction that has happened
    density
        power spectral density of the correlated noise of an epoch of variance 1, see `gls.StationaryNoise`
    white_std
        standard deviation of the white noise of such an epoch, m
    covariance
        (time, time) of the epochs' noise relative to that
    nuisance
        (column, y, x) what an epoch's delay holds in unknown amounts (offset, x, y, height); may be empty
    """

    template: Float
    history: Float
    density: Density
    white_std: float
    covariance: Float
    nuisance: Float


def match_truth(observation: Observation, truth: Truth) -> Estimate:
    """Generalised least-squares amplitude of the true event; the score is its size over its standard deviation.

    All that is unknown is the amplitude, the background of every pixel (`observation.design`) and the nuisance
    of every epoch. The noise has one covariance in space, and one in time. Gaps that
    last for most of the series are left out exactly; short ones are filled, which costs a little.

    Raises
    ------
    SlipscanError
        a stack without data or of fewer than 5 epochs, or a truth that does not fit it
    """
    valid = valid_pixels(observation)
    if truth.template.shape != observation.shape or not len(truth.history) == len(truth.covariance) == len(valid):
        raise SlipscanError(
            f"the truth of {truth.template.shape} pixels and {len(truth.history)} epochs does not belong to a stack"
            f" of {observation.shape} pixels and {len(valid)} epochs"
        )
    usable = np.asarray(valid.mean(axis=0) > 0.5)
    if not usable.any():
        usable = np.asarray(valid.any(axis=0))
    noise = StationaryNoise(observation.shape, observation.pixel_m, truth.density, truth.white_std)
    mask = None if usable.all() else usable
    in_space, information = projected_information(noise, truth.template, truth.nuisance, mask)
    series = without_mean_or_gaps(observation.values.astype(float), valid)
    in_time = filters_in(truth.history[:, None], observation.design, truth.covariance)[0]
    statistic = float(in_time @ np.tensordot(series, in_space, 2))
    root = float(in_time @ truth.history) * information**0.5
    if root <= 0:
        raise SlipscanError("the true event cannot be told from background and nuisance: there is no bound")
    amplitude = statistic / (root * information**0.5)
    course = amplitude * truth.history
    return Estimate(
        map=((course[-1] - course[0]) * truth.template).astype(np.float32),
        transient=((course - course.mean())[:, None, None] * truth.template).astype(np.float32),
        score=abs(statistic) / information**0.5,
        t50_d=half_time(observation.days, truth.history),
    )


def signal_to_noise(observation: Observation, truth: Truth) -> float:
    """Expected score of the oracle for an event of the template's size."""
    noise = StationaryNoise(observation.shape, observation.pixel_m, truth.density, truth.white_std)
    _, information = projected_information(noise, truth.template, truth.nuisance)
    in_time = filters_in(truth.history[:, None], observation.design, truth.covariance)[0]
    return float(in_time @ truth.history) * information**0.5


def half_time(days: Float, history: Float) -> float:
    """Day at which a history is halfway between its first and last value, by linear interpolation."""
    half = (history[0] + history[-1]) / 2
    later = np.flatnonzero((history[1:] - half) * (history[:-1] - half) <= 0)
    if history[0] == history[-1] or not later.size:
        return float("nan")
    i = int(later[0])
    rise = history[i + 1] - history[i]
    return float(days[i] + (days[i + 1] - days[i]) * (((half - history[i]) / rise) if rise != 0 else 0.5))
