"""Histories to choose from: steps, ramps up to three years and relaxations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slipscan.detect.ramp import Epochs, Ramp

DURATIONS_D: Final = (0.0, 12.0, 24.0, 36.0, 48.0, 72.0, 96.0, 144.0, 192.0, 288.0, 384.0, 576.0, 768.0, 1095.0)
RELAXATIONS_D: Final = (75.0, 150.0, 300.0, 600.0, 1095.0)
"""Times in which 95 % of a relaxation has happened."""
FINENESS: Final = 6.0
"""Histories of a duration are this part of it apart, and no closer than epochs are."""

CLOSE_DURATIONS_D: Final = (
    0.0, 6.0, 12.0, 18.0, 24.0, 30.0, 36.0, 48.0, 60.0, 72.0, 90.0, 108.0, 132.0, 160.0, 192.0, 230.0, 276.0, 330.0,
    400.0, 480.0, 576.0, 690.0, 830.0, 1095.0,
)  # fmt: skip
CLOSE_RELAXATIONS_D: Final = (18.0, 36.0, 72.0, 110.0, 150.0, 220.0, 300.0, 440.0, 600.0, 1095.0)
USUAL_D: Final = 30.0
CLOSE_FINENESS: Final = 24.0
LEAST_STEP_D: Final = 3.0
REACH_D: Final = 48.0
"""Middles are looked for within so many days of that of a candidate, and half the duration."""
NEAR_D: Final = 200.0
CLOSE: Final = {False: (CLOSE_DURATIONS_D, 1.0), True: (CLOSE_RELAXATIONS_D, 0.5)}
"""Durations of ramps and of relaxations, and how likely one of each is beside one another."""
POSSIBLE: Final = 1e-4
"""Probability from which a history counts where one looks closer."""
CLOSER: Final = (41, 17)
"""Middles and durations then."""


@dataclass(frozen=True)
class Histories:
    """Histories to choose from, of a series.

    Attributes
    ----------
    epochs, ramps
        dates; histories
    columns
        (time, history)
    log_prior
        (history,) logarithm of the weight of each before the data are seen
    """

    epochs: Epochs
    ramps: list[Ramp]
    columns: Tensor
    log_prior: Tensor


def tried_histories(epochs: Epochs) -> Histories:
    """Ramps and relaxations that the series is long enough for; they may begin before it or end after it."""
    days = epochs.days
    between = (days[1:] + days[:-1]) / 2
    length = float(np.ptp(days))
    out = [Ramp(day, own) for own in DURATIONS_D if own <= length for day in spaced(between, own / FINENESS)]
    for own in RELAXATIONS_D:
        if own <= length:
            one = Ramp(0.0, own, relaxes=True)
            out += [Ramp(day - one.start_d, own, relaxes=True) for day in spaced(between, own / FINENESS)]
    return Histories(epochs, out, epochs.columns(out), torch.zeros(len(out), dtype=torch.float64))


def close_histories(epochs: Epochs, near_d: float) -> Histories:
    """The same in small steps, with middles about a day: any middle is as likely, long durations are rarer."""
    length = float(np.ptp(epochs.days))
    out: list[Ramp] = []
    weight: list[float] = []
    for relaxes, (durations, share) in CLOSE.items():
        for own in (one for one in durations if one <= length):
            step, reach = _step(own), REACH_D + own / 2
            new = [Ramp(float(day), own, relaxes) for day in near_d + np.arange(-reach, reach + step / 2, step)]
            out += new
            weight += [share * step * _rarity(own)] * len(new)
    return Histories(epochs, out, epochs.columns(out), torch.tensor(weight, dtype=torch.float64).log())


def near_histories(epochs: Epochs, near_d: float) -> Histories:
    """Ramps in small steps whose middles are within `REACH_D` of a day, no longer than `NEAR_D`."""
    middles = near_d + np.arange(-REACH_D, REACH_D + LEAST_STEP_D / 2, LEAST_STEP_D)
    out = [Ramp(float(day), own) for own in CLOSE_DURATIONS_D if own <= NEAR_D for day in middles]
    return Histories(epochs, out, epochs.columns(out), torch.zeros(len(out), dtype=torch.float64))


def closer_histories(close: Histories, probability: NDArray[np.float64]) -> Histories:
    """Those of `close_histories` that are possible, with what lies between them."""
    out: list[Ramp] = []
    weight: list[float] = []
    possible = [ramp for ramp, one in zip(close.ramps, probability, strict=True) if one > POSSIBLE]
    for relaxes, (durations, share) in CLOSE.items():
        some = [ramp for ramp in possible if ramp.relaxes == relaxes]
        if some:
            number = [durations.index(ramp.duration_d) for ramp in some]
            first, last = max(min(number) - 1, 0), min(max(number) + 1, len(durations) - 1)
            # Evenly between the durations that were tried.
            own = np.interp(np.linspace(first, last, CLOSER[1]), np.arange(len(durations)), durations)
            step = _step(durations[last])
            low, high = (edge(ramp.middle_d for ramp in some) for edge in (min, max))
            middles = np.linspace(low - step, high + step, CLOSER[0])
            out += [Ramp(float(day), float(duration), relaxes) for duration in own for day in middles]
            each = share * (middles[1] - middles[0]) * (last - first) / CLOSER[1]
            weight += [each * _rarity(float(duration)) for duration in own for _ in middles]
    return Histories(close.epochs, out, close.epochs.columns(out), torch.tensor(weight, dtype=torch.float64).log())


def _rarity(duration_d: float) -> float:
    """How likely a duration is beside a step, by the logarithm of durations: long ones are rarer."""
    return (1 + duration_d / USUAL_D) ** -0.5


def _step(duration_d: float) -> float:
    return max(LEAST_STEP_D, duration_d / CLOSE_FINENESS)


def spaced(days: NDArray[np.floating], least: float) -> list[float]:
    """Days (n,), ascending, no closer to one another than so many days."""
    kept = [float(days[0])]
    for day in days[1:]:
        if day - kept[-1] >= least:
            kept.append(float(day))
    return kept
