"""How the ground moves in time: transients from 0 to 1, seasons, and several of them in one series.

Each function takes numpy arrays or torch tensors and answers in kind; with tensors the parameters may be
batches of sources, on any device, and gradients flow where the history is smooth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple, overload

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr
from torch import Tensor

from slipscan.errors import SlipscanError
from slipscan.fit.model import DAYS_PER_YEAR

Float = NDArray[np.float64]

_LOG_SPAN = 100.0
"""A logarithmic history ends when ln(1 + t / tau) has reached ln(100): it would never end by itself."""


def _linear(u: Any, xp: Any) -> Any:
    return xp.clip(u, 0.0, 1.0)


def _gaussian_cdf(u: Any, xp: Any) -> Any:
    return torch.special.ndtr(u) if xp is torch else ndtr(u)


def _raised_cosine(u: Any, xp: Any) -> Any:
    v = xp.clip(u, 0.0, 1.0)
    return v - xp.sin(2 * np.pi * v) / (2 * np.pi)


def _exponential(u: Any, xp: Any) -> Any:
    return -xp.expm1(-xp.clip(u, 0.0, None))


def _log(u: Any, xp: Any) -> Any:
    return xp.log1p((_LOG_SPAN - 1) * xp.clip(u, 0.0, 1.0)) / math.log(_LOG_SPAN)


_SHAPES: Final[dict[str, tuple[Callable[[Any, Any], Any], float, float, float]]] = {
    # kind: (shape of the dimensionless time, its times at 5, 50 and 95 %)
    "linear": (_linear, 0.05, 0.5, 0.95),
    "gaussian_cdf": (_gaussian_cdf, -1.6448536269514722, 0.0, 1.6448536269514722),
    "raised_cosine": (_raised_cosine, 0.20195932521401722, 0.5, 0.7980406747859828),
    "exponential": (_exponential, math.log(20 / 19), math.log(2), math.log(20)),
    "log": (_log, *((_LOG_SPAN**fraction - 1) / (_LOG_SPAN - 1) for fraction in (0.05, 0.5, 0.95))),
}
KINDS: Final[tuple[str, ...]] = tuple(_SHAPES)


class Transient(NamedTuple):
    """One event of a series; the parameters are numbers, or tensors (S,) of a batch of series.

    Attributes
    ----------
    kind
        of history
    t50_d, duration_d
        the time of its half, and t95 - t05, days
    amplitude
        what it reaches in the end, in the unit of the answer
    """

    kind: str
    t50_d: float | Tensor
    duration_d: float | Tensor
    amplitude: float | Tensor = 1.0


@overload
def history(days: Tensor, kind: str, t50_d: float | Tensor, duration_d: float | Tensor) -> Tensor: ...
@overload
def history(days: ArrayLike, kind: str, t50_d: float, duration_d: float) -> Float: ...
def history(days: ArrayLike | Tensor, kind: str, t50_d: float | Tensor, duration_d: float | Tensor) -> Float | Tensor:
    """Fraction of a transient's final displacement at given times.

    It may begin before the first time or end after the last (unfinished): nothing is stretched to fit.

    Parameters
    ----------
    days
        (time,) days, in the count of `t50_d`; a tensor makes the answer a tensor of its dtype and device
    kind
        'linear', 'gaussian_cdf', 'raised_cosine' (of the rate), 'exponential' or 'log' (both start at once
        and decay, as afterslip does)
    t50_d
        the time at which half is reached, days; with a tensor of days also (S,)
    duration_d
        t95 - t05, days; 0 is a step at `t50_d`, and an epoch at that very time has seen it; also (S,)

    Returns
    -------
    fraction
        (time,), or (S, time) where a parameter is (S,); 0 to 1, never falling

    Raises
    ------
    SlipscanError
        an unknown kind, a negative duration
    """
    if kind not in _SHAPES:
        raise SlipscanError(f"there is no history {kind!r}: slipscan knows {', '.join(KINDS)}")
    if isinstance(days, Tensor):
        return _of_tensors(days, kind, t50_d, duration_d)
    if not duration_d >= 0:
        raise SlipscanError(f"the duration of a history is {duration_d} d: it must not be negative")
    since = np.asarray(days, dtype=float) - t50_d
    if duration_d == 0:
        return (since >= 0).astype(float)
    shape, u05, u50, u95 = _SHAPES[kind]
    return np.asarray(shape(u50 + since * ((u95 - u05) / duration_d), np), dtype=float)


def _of_tensors(days: Tensor, kind: str, t50_d: float | Tensor, duration_d: float | Tensor) -> Tensor:
    """Steps and transients in one batch."""
    t50, duration = (_batch(v, days) for v in (t50_d, duration_d))
    if not (duration >= 0).all():
        raise SlipscanError(f"the duration of a history is {float(duration.min())} d: it must not be negative")
    since = days - t50
    is_step = duration == 0
    shape, u05, u50, u95 = _SHAPES[kind]
    smooth = shape(u50 + since * ((u95 - u05) / torch.where(is_step, torch.ones_like(duration), duration)), torch)
    return torch.where(is_step, (since >= 0).to(days.dtype), smooth)


def _batch(parameter: float | Tensor, days: Tensor) -> Tensor:
    """A number () or one number per series (S, 1), on the days' device."""
    value = torch.as_tensor(parameter, dtype=days.dtype, device=days.device)
    return value[:, None] if value.ndim == 1 else value


@overload
def seasonal(
    days: Tensor, amplitude: float | Tensor, phase_rad: float | Tensor, *, cycles_per_year: float = 1.0
) -> Tensor: ...
@overload
def seasonal(days: ArrayLike, amplitude: float, phase_rad: float, *, cycles_per_year: float = 1.0) -> Float: ...
def seasonal(
    days: ArrayLike | Tensor, amplitude: float | Tensor, phase_rad: float | Tensor, *, cycles_per_year: float = 1.0
) -> Float | Tensor:
    """A season, amplitude x cos(2 pi cycles t / 365.25 d - phase).

    Parameters
    ----------
    days
        (time,) days since a 1 January, as 2014-01-01
    amplitude
        half the range, in the unit of the answer; with a tensor of days also (S,)
    phase_rad
        of its maximum, 1 January = 0, as `seasonal_phase` of a stack; also (S,)
    cycles_per_year
        1 annual, 2 semi-annual

    Returns
    -------
    displacement
        (time,), or (S, time) where a parameter is (S,), in the unit of `amplitude`

    Raises
    ------
    SlipscanError
        a number of cycles that is not positive
    """
    if not cycles_per_year > 0:
        raise SlipscanError(f"a season of {cycles_per_year} cycles a year: the number must be positive")
    turn = 2 * math.pi * cycles_per_year / DAYS_PER_YEAR
    if isinstance(days, Tensor):
        return _batch(amplitude, days) * torch.cos(turn * days - _batch(phase_rad, days))
    return np.asarray(amplitude * np.cos(turn * np.asarray(days, dtype=float) - phase_rad), dtype=float)


@overload
def superposed(days: Tensor, transients: Iterable[Transient]) -> Tensor: ...
@overload
def superposed(days: ArrayLike, transients: Iterable[Transient]) -> Float: ...
def superposed(days: ArrayLike | Tensor, transients: Iterable[Transient]) -> Float | Tensor:
    """Add up the transients of a series: the sum of amplitude x history.

    What an event reached before the first time or will reach after the last one counts as such: subtract the
    first time's value for a series that starts at zero.

    Parameters
    ----------
    days
        (time,) days, in the count of the transients
    transients
        any number, none included; they may overlap

    Returns
    -------
    displacement
        (time,), or (S, time) for batches, in the unit of the amplitudes

    Raises
    ------
    SlipscanError
        an unknown kind, a negative duration
    """
    if isinstance(days, Tensor):
        total = torch.zeros_like(days)
        for event in transients:
            grown = history(days, event.kind, event.t50_d, event.duration_d)
            total = total + _batch(event.amplitude, days) * grown
        return total
    out = np.zeros(np.shape(days))
    for event in transients:
        out = out + event.amplitude * history(days, event.kind, float(event.t50_d), float(event.duration_d))
    return np.asarray(out, dtype=float)
