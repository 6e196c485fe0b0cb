"""Candidate histories: ramps of any length, at any time of the series."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from slipscan.fit.ramps import middles, ramps

DURATIONS_D: Final = (0.0, 48.0, 96.0, 192.0, 384.0, 768.0, 1095.0)
SHORT_D: Final = 48.0
STEPS_A_RAMP: Final = 4.0
"""Candidates of a duration begin this many times a duration."""
FINER_MIDDLES: Final = (-0.5, -0.25, 0.0, 0.25, 0.5)
FINER_DURATIONS: Final = (0.7, 0.85, 1.0, 1.2, 1.4)
"""Between a candidate and the next: shares of the step in time, and of the duration."""


@dataclass(frozen=True)
class Candidates:
    """Histories to choose from.

    Attributes
    ----------
    columns
        (time, candidate) from 0 at the first to 1 at the last epoch
    middle_d, duration_d
        (candidate,) days; NaN of what is no ramp
    """

    columns: Tensor
    middle_d: Tensor
    duration_d: Tensor


def candidates(days: Tensor) -> Candidates:
    """Ramps of all durations that the series is long enough for."""
    between = middles(days)
    lengths = [length for length in DURATIONS_D if length <= float(days[-1] - days[0])]
    return _ramps(days, [(_spaced(between, length / STEPS_A_RAMP), length) for length in lengths])


def near(days: Tensor, tried: Candidates, number: int) -> Candidates:
    """Ramps between a candidate and its neighbours."""
    middle, length = tried.middle_d[number], float(tried.duration_d[number])
    shift = torch.tensor(FINER_MIDDLES, device=days.device) * max(length, SHORT_D) / STEPS_A_RAMP
    lengths = [factor * length for factor in FINER_DURATIONS] if length else [0.0, 0.25 * SHORT_D, 0.5 * SHORT_D]
    return _ramps(days, [(middle + shift, length) for length in lengths])


def only(course: Tensor) -> Candidates:
    """One history (time,) alone."""
    unknown = course.new_full((1,), math.nan)
    return Candidates(course[:, None], unknown, unknown)


def _ramps(days: Tensor, chosen: list[tuple[Tensor, float]]) -> Candidates:
    """Ramps with middles (middle,) of durations, days."""
    columns = []
    for middle, length in chosen:
        ramp = ramps(days, middle, length)
        columns.append((ramp - ramp[0]) / (ramp[-1] - ramp[0]).clamp(min=1e-3))
    durations = [torch.full_like(middle, length) for middle, length in chosen]
    return Candidates(torch.cat(columns, 1), torch.cat([middle for middle, _ in chosen]), torch.cat(durations))


def _spaced(days: Tensor, least: float) -> Tensor:
    """Some of ascending days, no two closer than `least`."""
    kept = [0]
    values = days.tolist()
    for number, day in enumerate(values):
        if day - values[kept[-1]] >= least:
            kept.append(number)
    return days[kept]
