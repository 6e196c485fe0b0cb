"""The history of a series that was projected on a map: ramps up to three years and relaxations, with errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slipscan.detect.ramp import Epochs, Ramp
from slipscan.detect.temporal import TemporalModel

DURATIONS_D: Final = (0.0, 12.0, 24.0, 36.0, 48.0, 72.0, 96.0, 144.0, 192.0, 288.0, 384.0, 576.0, 768.0, 1095.0)
RELAXATIONS_D: Final = (75.0, 150.0, 300.0, 600.0, 1095.0)
"""Times in which 95 % of a relaxation has happened."""
FINENESS: Final = 6.0
"""Histories of a duration are this part of it apart, and no closer than epochs are."""
DETERMINED: Final = 0.1
"""Of the largest information of a history: with more its amplitude says how large the event is."""
LARGEST: Final = 2.0
"""Standard deviation of amplitudes, over that one: long ramps that rate and season nearly hide would fit any noise."""
UNKNOWN: Final = 0.3
"""Probability that an end lies beyond the series, from which that is said."""


@dataclass(frozen=True)
class Timing:
    """When a transient was.

    Attributes
    ----------
    ramp
        the likeliest history
    statistic
        amplitude of it over its standard deviation
    errors_d
        standard deviations of t05, t50 and t95, days
    ongoing, left_censored
        t95 may lie past the last epoch, t05 before the first
    """

    ramp: Ramp
    statistic: float
    errors_d: tuple[float, float, float]
    ongoing: bool
    left_censored: bool


@dataclass(frozen=True)
class Histories:
    """Histories to choose from, of a series.

    Attributes
    ----------
    epochs, ramps
        dates; histories
    columns
        (time, history)
    """

    epochs: Epochs
    ramps: list[Ramp]
    columns: Tensor


def tried_histories(epochs: Epochs) -> Histories:
    """Ramps and relaxations that the series is long enough for; they may begin before it or end after it."""
    days = epochs.days
    between = (days[1:] + days[:-1]) / 2
    length = float(np.ptp(days))
    out = [Ramp(day, own) for own in DURATIONS_D if own <= length for day in _spaced(between, own / FINENESS)]
    for own in RELAXATIONS_D:
        if own <= length:
            one = Ramp(0.0, own, relaxes=True)
            out += [Ramp(day - one.start_d, own, relaxes=True) for day in _spaced(between, own / FINENESS)]
    return Histories(epochs, out, epochs.columns(out))


def _spaced(days: NDArray[np.float64], least: float) -> list[float]:
    kept = [float(days[0])]
    for day in days[1:]:
        if day - kept[-1] >= least:
            kept.append(float(day))
    return kept


def timing_of(
    course: Tensor, temporal: TemporalModel, shares: Tensor, tried: Histories, beside: Tensor
) -> Timing | None:
    """The history of a course (time,), jointly with background and other events; None where nothing is left.

    Parameters
    ----------
    course
        white series projected on a map, its noise being that of `temporal`
    shares
        (band,) of its bands
    tried
        `tried_histories`
    beside
        (time, n) histories of other events
    """
    white = torch.where(torch.isfinite(temporal.white), temporal.white, torch.inf)
    mixed = (white * shares[:, None]).sum(0)
    own = TemporalModel(
        temporal.days, temporal.design, mixed[None], (temporal.red * shares).sum()[None], temporal.width_km[:1]
    )
    whitener = own.every.whiteners[0]
    basis = whitener @ torch.cat([temporal.design, beside], 1)
    basis = basis / basis.square().sum(0).sqrt().clamp(min=1e-30)
    left, size, _ = torch.linalg.svd(basis, full_matrices=False)
    left = left[:, size > 1e-6 * size[0]]
    columns = whitener @ tried.columns
    rest = columns - left @ (left.T @ columns)
    information = rest.square().sum(0)
    usable = information > 1e-3 * columns.square().sum(0).clamp(min=1e-30)
    if not usable.any():
        return None
    series = whitener @ course.double()
    product = rest.T @ series
    signal = torch.where(usable, product / information.clamp(min=1e-30).sqrt(), 0.0)
    fair = usable & (information > DETERMINED * information.max())
    size_of = (signal.abs() / information.clamp(min=1e-30).sqrt())[fair][signal.abs()[fair].argmax()]
    prior = (LARGEST * size_of).square() * information
    evidence = 0.5 * signal.square() * prior / (1 + prior) - 0.5 * torch.log1p(prior)
    evidence = torch.where(usable, evidence, -torch.inf)
    best = int(evidence.argmax())
    weight = torch.exp(evidence - evidence[best]).numpy()
    return _timing(tried, best, weight / weight.sum(), float(signal[best]))


def _timing(tried: Histories, best: int, weight: NDArray[np.float64], statistic: float) -> Timing:
    days = tried.epochs.days
    reached = np.array([[ramp.reached(share) for share in (0.05, 0.5, 0.95)] for ramp in tried.ramps])
    mean = weight @ reached
    spread = np.sqrt(weight @ (reached - mean) ** 2)
    # A step lies anywhere between two epochs.
    number = int(np.clip(np.searchsorted(days, reached[best, 1]), 1, len(days) - 1))
    least = (days[number] - days[number - 1]) / np.sqrt(12)
    errors = np.maximum(spread, least)
    late, early = weight @ (reached[:, 2] > days[-1]), weight @ (reached[:, 0] < days[0])
    return Timing(
        tried.ramps[best], statistic, (float(errors[0]), float(errors[1]), float(errors[2])),
        bool(late > UNKNOWN), bool(early > UNKNOWN),
    )  # fmt: skip
