"""The tail of the strongest statistics of null stacks: how often noise reaches a statistic."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

Float = NDArray[np.float64]

TAIL_FRACTION = 0.5
"""Share of the null stacks' maxima that the tail is fitted to."""
MOST = 0.999
"""Share of the null stacks: what is nearer to all of them is not told from all."""
MIN_TAIL = 12
"""Exceedances below which the shape of the generalised Pareto tail is set to 0 (exponential)."""
RATIOS = (1e-4, 1e3)
"""Of shape over scale, that are looked at, over one by the mean excess."""
NO_GAIN = 1e-6
"""In the logarithm of the likelihood, a maximum: a shape of 0."""


@dataclass(frozen=True)
class Tail:
    """The false-alarm rate above a statistic.

    A generalised Pareto tail (Coles 2001, ch. 4) of the square of the strongest cluster's statistic in a null stack: a
    share `rate` x `exposure` x (1 + shape (s^2 - energy) / scale)^(-1 / shape) of all reaches s. The square is an
    energy, whose tail is exponential (shape 0) where the noise is Gaussian. False alarms come at random (Poisson), so
    that their mean number in a stack is -log(1 - share).

    Attributes
    ----------
    energy, shape, scale
        where the tail begins, its shape and scale, of squares
    rate
        share at `energy`, over `exposure`
    exposure
        of one null stack, 10,000 km2 x years; 0: small beside one over the rate
    """

    energy: float
    rate: float
    shape: float
    scale: float
    exposure: float = 0.0

    def rate_above(self, statistic: Float | float) -> Float:
        """False alarms per 10,000 km2 and year with a statistic at or above `statistic`."""
        excess = np.maximum(np.asarray(statistic, float) ** 2 - self.energy, 0.0)
        rate = np.asarray(self.rate * stats.genpareto.sf(excess, self.shape, scale=self.scale))
        return rate if self.exposure == 0 else -np.log1p(-np.minimum(rate * self.exposure, MOST)) / self.exposure

    def threshold(self, rate: float) -> float:
        """The statistic at which the tail reaches a rate; that of `energy` where the rate is larger than the tail's."""
        share = rate if self.exposure == 0 else -math.expm1(-rate * self.exposure) / self.exposure
        if share >= self.rate:
            return self.energy**0.5
        return (self.energy + float(stats.genpareto.isf(share / self.rate, self.shape, scale=self.scale))) ** 0.5


def fit_tail(maxima: Float, exposure_each: float) -> Tail:
    """Fit the tail to the strongest cluster of every null stack.

    Parameters
    ----------
    maxima
        (null,) strongest statistic of each, 0 where it had no cluster
    exposure_each
        area x time of one null, 10,000 km2 x years

    Notes
    -----
    Maxima of independent stacks, not all clusters: at the rates that matter a stack holds at most one
    false alarm, and the clusters of one stack are not independent.
    """
    values = np.sort(np.asarray(maxima, float)) ** 2
    positive = values[values > 0]
    if not len(positive):
        # No cluster at all in any null: the rate is below one in the whole exposure; the tail is unknown.
        return Tail(0.0, 1 / (len(values) * exposure_each), 0.0, 1.0, exposure_each)
    start = float(np.quantile(values, 1 - TAIL_FRACTION))
    start = max(start, float(positive[0]) * (1 - 1e-9))
    excess = values[values >= start] - start
    rate = len(excess) / (len(values) * exposure_each)
    scale = max(float(excess.mean()), 1e-3 * max(start, 1.0))
    if len(excess) < MIN_TAIL:
        return Tail(start, rate, 0.0, scale, exposure_each)
    return Tail(start, rate, *_pareto(excess, scale), exposure_each)


def _pareto(excess: Float, scale: float) -> tuple[float, float]:
    """Shape and scale of greatest likelihood, by its profile over their ratio (Grimshaw 1993).

    Shape 0, and the mean, where that is negative: a bounded tail would state probabilities of exactly zero from a
    handful of nulls.
    """

    def misfit(log_ratio: float) -> float:
        shape = float(np.log1p(np.exp(log_ratio) * excess).mean())
        return float(np.log(shape) - log_ratio) + shape

    found = optimize.minimize_scalar(misfit, bounds=np.log(np.array(RATIOS) / scale), method="bounded")
    if found.fun > np.log(scale) + excess.mean() / scale - NO_GAIN:
        return 0.0, scale
    ratio = float(np.exp(found.x))
    shape = float(np.log1p(ratio * excess).mean())
    return shape, shape / ratio
