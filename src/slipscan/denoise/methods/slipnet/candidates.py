"""Candidate histories: ramps of any length, and relaxations, at any time of the series."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from slipscan.fit.ramps import middles, ramps

DURATIONS_D: Final = (0.0, 60.0, 120.0, 240.0, 480.0, 960.0)
RELAXATIONS_D: Final = (50.0, 150.0, 450.0)
"""Times in which relaxations fall to 1/e."""
SETTLED: Final = 6.0
"""Times as long a series has to be: in a shorter one a relaxation is hardly told from the rate."""
STEPS_A_RAMP: Final = 4.0
"""Ramps begin this many times their duration,"""
SPACING_D: Final = 24.0
"""but no closer than that, days; `near` looks between them."""
LEAST_RAMPS: Final = 60
"""In a series, unless it has fewer epochs."""
STARTS_A_RELAXATION: Final = 2.0
"""Relaxations begin this many times the time in which they fall."""
MOST_STEPS: Final = 48
"""Times of which two are those of `pairs`."""
MOST_APART_D: Final = 730.0
"""They are no further apart: two that are do not look like one of the other sign, and are found one by one."""
END: Final = 4
"""Epochs at either end in which none of them lies: a step there has next to nothing on one side."""
FINER_MIDDLES: Final = (-0.5, -0.25, 0.0, 0.25, 0.5)
FINER_DURATIONS: Final = (0.7, 0.85, 1.0, 1.2, 1.4)
SHORT_D: Final = (0.0, 12.0, 24.0, 36.0)
"""Between a candidate and the next: shares of the spacing, and of the duration; durations beside that of a step."""


@dataclass(frozen=True)
class Candidates:
    """Histories to choose from.

    Attributes
    ----------
    columns
        (time, candidate) from 0 at the first to 1 at the last epoch
    middle_d, duration_d
        (candidate,) days, of a ramp; of a relaxation, its start and minus the time in which it falls to 1/e; of
        pairs, the middle of the first and how much later that of the second is; NaN of any other
    """

    columns: Tensor
    middle_d: Tensor
    duration_d: Tensor


def candidates(days: Tensor) -> Candidates:
    """Ramps of all durations that the series is long enough for, and relaxations that begin before its end."""
    between, length = middles(days), float(days[-1] - days[0])
    parts = [_ramps(days, _spaced(between, _spacing(days, own)), own) for own in DURATIONS_D if own <= length]
    parts += [
        _relaxations(days, _spaced(between, own / STARTS_A_RELAXATION), own)
        for own in RELAXATIONS_D
        if SETTLED * own <= length
    ]
    return _joined(parts)


def near(days: Tensor, tried: Candidates, number: int, step: float = 1.0) -> Candidates:
    """Histories of its kind between a candidate and its neighbours; a smaller `step` looks closer."""
    middle, length = tried.middle_d[number], float(tried.duration_d[number])
    factors = [factor**step for factor in FINER_DURATIONS]
    if length < 0:
        between = middles(days)
        starts = between[(between - middle).abs() <= -step * length / STARTS_A_RELAXATION]
        return _joined([_relaxations(days, starts, -factor * length) for factor in factors])
    shift = step * torch.tensor(FINER_MIDDLES, device=days.device) * _spacing(days, length)
    lengths = [factor * length for factor in factors] if length else []
    # A ramp may have been nearer to an event than the steps before and after it.
    lengths += [step * own for own in SHORT_D] if length <= step * DURATIONS_D[1] else []
    return _joined([_ramps(days, middle + shift, own) for own in lengths])


def pairs(days: Tensor, apart_d: float = 0.0) -> Candidates:
    """Two events of one size, at any two of some times at least so far, at most MOST_APART_D apart, none near an end.

    Each takes as long as it is from one of these times to the next. A series that is no longer than they may be apart
    has none: of its season next to nothing is known.
    """
    between = middles(days, MOST_STEPS)
    if float(days[-1] - days[0]) <= MOST_APART_D:
        between = between[:0]
    between = between[(between > days[min(END, len(days) - 1)]) & (between < days[-1 - min(END, len(days) - 1)])]
    first, second = torch.triu_indices(len(between), len(between), 1, device=days.device)
    first_d, second_d = between[first], between[second]
    chosen = (second_d - first_d >= apart_d) & (second_d - first_d <= MOST_APART_D)
    return _pairs(days, first_d[chosen], second_d[chosen], each_of(days))


def each_of(days: Tensor) -> float:
    """Days that each of two events of `pairs` takes."""
    return float(days[-1] - days[0]) / MOST_STEPS


def pairs_near(days: Tensor, tried: Candidates, number: int, each_d: float) -> Candidates:
    """Two ramps of so many days between the times of a candidate of `pairs` and of its neighbours.

    There is as much time between them: two that run into one another are one event of another shape.
    """
    shift = torch.tensor(FINER_MIDDLES, device=days.device) * each_of(days)
    first, second = (at + shift for at in (tried.middle_d[number], tried.middle_d[number] + tried.duration_d[number]))
    first_d, second_d = (part.flatten() for part in torch.meshgrid(first, second, indexing="ij"))
    between = middles(days)
    inside = (first_d >= between[0]) & (second_d <= between[-1])
    chosen = inside & (second_d - first_d >= 2 * each_d)
    return _pairs(days, first_d[chosen], second_d[chosen], each_d)


def pair_of(days: Tensor, tried: Candidates, number: int, each_d: float) -> Tensor:
    """The two courses (time, 2) of a candidate of `pairs`, or of `pairs_near`."""
    first = tried.middle_d[number]
    return ramps(days, torch.stack([first, first + tried.duration_d[number]]), each_d)


def _pairs(days: Tensor, first_d: Tensor, second_d: Tensor, each_d: float) -> Candidates:
    one, other = (ramps(days, at, each_d) for at in (first_d, second_d))
    return Candidates(((one + other) / 2).clamp(0, 1), first_d, second_d - first_d)


def only(course: Tensor) -> Candidates:
    """One history (time,) alone."""
    unknown = course.new_full((1,), math.nan)
    return Candidates(course[:, None], unknown, unknown)


def _ramps(days: Tensor, middle_d: Tensor, duration_d: float) -> Candidates:
    """Ramps with middles (middle,) of a duration."""
    return _candidates(ramps(days, middle_d, duration_d), middle_d, duration_d)


def _relaxations(days: Tensor, start_d: Tensor, time_d: float) -> Candidates:
    """1 - exp(-t / time_d) from starts (start,) on."""
    since = (days[:, None] - start_d).clamp(min=0)
    return _candidates(1 - torch.exp(-since / time_d), start_d, -time_d)


def _candidates(rise: Tensor, at_d: Tensor, duration_d: float) -> Candidates:
    whole = (rise - rise[0]) / (rise[-1] - rise[0]).clamp(min=1e-3)
    return Candidates(whole, at_d, torch.full_like(at_d, duration_d))


def _joined(parts: list[Candidates]) -> Candidates:
    return Candidates(
        torch.cat([part.columns for part in parts], 1),
        torch.cat([part.middle_d for part in parts]),
        torch.cat([part.duration_d for part in parts]),
    )


def _spacing(days: Tensor, duration_d: float) -> float:
    """Days between ramps of a duration; those of a short series are closer."""
    return max(duration_d / STEPS_A_RAMP, min(SPACING_D, float(days[-1] - days[0]) / LEAST_RAMPS))


def _spaced(days: Tensor, least: float) -> Tensor:
    """Some of ascending days, no two closer than `least`."""
    kept = [0]
    values = days.tolist()
    for number, day in enumerate(values):
        if day - values[kept[-1]] >= least:
            kept.append(number)
    return days[kept]
