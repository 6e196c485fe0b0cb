"""How a transient grows in time: the fraction of its final displacement that is reached."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from slipscan.errors import SlipscanError

Float = NDArray[np.float64]

_LOG_SPAN = 100.0
"""A logarithmic history ends when ln(1 + t / tau) has reached ln(100): it would never end by itself."""


def _linear(u: Float) -> Float:
    return np.clip(u, 0.0, 1.0)


def _gaussian_cdf(u: Float) -> Float:
    return np.asarray(ndtr(u), dtype=float)


def _raised_cosine(u: Float) -> Float:
    v = np.clip(u, 0.0, 1.0)
    return np.asarray(v - np.sin(2 * np.pi * v) / (2 * np.pi), dtype=float)


def _exponential(u: Float) -> Float:
    return -np.expm1(-np.maximum(u, 0.0))


def _log(u: Float) -> Float:
    return np.asarray(np.log1p((_LOG_SPAN - 1) * np.clip(u, 0.0, 1.0)) / math.log(_LOG_SPAN), dtype=float)


_SHAPES: Final[dict[str, tuple[Callable[[Float], Float], float, float, float]]] = {
    # kind: (shape of the dimensionless time, its times at 5, 50 and 95 %)
    "linear": (_linear, 0.05, 0.5, 0.95),
    "gaussian_cdf": (_gaussian_cdf, -1.6448536269514722, 0.0, 1.6448536269514722),
    "raised_cosine": (_raised_cosine, 0.20195932521401722, 0.5, 0.7980406747859828),
    "exponential": (_exponential, math.log(20 / 19), math.log(2), math.log(20)),
    "log": (_log, *((_LOG_SPAN**fraction - 1) / (_LOG_SPAN - 1) for fraction in (0.05, 0.5, 0.95))),
}
KINDS: Final[tuple[str, ...]] = tuple(_SHAPES)


def history(days: ArrayLike, kind: str, t50_d: float, duration_d: float) -> Float:
    """Fraction of a transient's final displacement at given times.

    Parameters
    ----------
    days
        (time,) days, in the count of `t50_d`
    kind
        'linear', 'gaussian_cdf', 'raised_cosine' (of the rate), 'exponential' or 'log' (both start at once
        and decay, as afterslip does)
    t50_d
        the time at which half is reached, days
    duration_d
        t95 - t05, days; 0 is a step at `t50_d`, and an epoch at that very time has seen it

    Returns
    -------
    fraction
        (time,) 0 to 1, never falling

    Raises
    ------
    SlipscanError
        an unknown kind, a negative duration
    """
    if kind not in _SHAPES:
        raise SlipscanError(f"there is no history {kind!r}: slipscan knows {', '.join(KINDS)}")
    if not duration_d >= 0:
        raise SlipscanError(f"the duration of a history is {duration_d} d: it must not be negative")
    since = np.asarray(days, dtype=float) - t50_d
    if duration_d == 0:
        return (since >= 0).astype(float)
    shape, u05, u50, u95 = _SHAPES[kind]
    return shape(u50 + since * ((u95 - u05) / duration_d))
