"""Events laid on null stacks of a track, and the size at which the search finds them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slipscan.completeness.ground import Ground
from slipscan.completeness.pattern import Box, Part, Pattern
from slipscan.detect.bands import Band, spread
from slipscan.detect.ramp import Ramp
from slipscan.detect.scan import Scanner
from slipscan.detect.statistic import Filters, filters_of
from slipscan.detect.transient import MERGE_GAP_D
from slipscan.fit.background import fitted
from slipscan.fit.delay import MIN_STD_M
from slipscan.fit.robust import temporal_std

OF_RAMP: Final = 0.9
"""Of a ramp's duration lies between 5 and 95 %."""
CLOSE: Final = 0.1
"""Share of the threshold that a statistic may differ by: from there on it grows as the size does."""
STEP: Final = 2.0
"""From one size to the next, at most."""
ROUNDS: Final = 6
SETTLED: Final = 0.25
"""In the logarithm of the size: so little changes the noise of the epochs by a few percent."""
TRIED: Final = 12
"""Sizes: a factor of 1,000 at least in which none is found."""


@dataclass(frozen=True)
class Laid:
    """An event in one band of a null stack.

    Attributes
    ----------
    band
        places near the event, noise alone
    signal
        (time, place) of the event, at the size of the pattern
    within
        (place,) where the event is
    noise, known, event
        (time, sampled) noise, where it is known, and the event, all over the band, m
    """

    band: Band
    signal: Tensor
    within: NDArray[np.bool_]
    noise: Tensor
    known: Tensor
    event: Tensor

    def with_noise_at(self, size: float, order: NDArray[np.intp]) -> Band:
        """The band with the noise of epochs and places that is measured with the event, of a size, in them."""
        weight, within = self.weight(size), torch.from_numpy(np.flatnonzero(self.within))
        epochs, values = torch.from_numpy(order), self.band.values[:, within]
        known = self.band.known(within)[epochs]
        alone, both = (
            temporal_std((some * own.sqrt()[:, None])[epochs], known)
            for some, own in ((values, self.band.weight), (values + size * self.signal[:, within], weight))
        )
        ratio = torch.ones_like(self.band.std) if self.band.noise_ratio is None else self.band.noise_ratio.clone()
        ratio[within] *= torch.where((alone > 0) & (both > 0), alone / both.clamp(min=1e-30), 1.0)
        return replace(self.band, weight=weight, noise_ratio=ratio)

    def weight(self, size: float) -> Tensor:
        """(time,) of the epochs, whose noise is measured with the event in them."""
        alone, both = (spread(values, self.known) for values in (self.noise, self.noise + size * self.event))
        return self.band.weight * (alone / both.clamp(min=MIN_STD_M)).square().clamp(max=1)


@dataclass(frozen=True)
class Injected:
    """An event on a null stack, at any size.

    Attributes
    ----------
    search
        of histories near it
    laid
        the event in every band
    order
        of the epochs
    threshold
        of the statistic
    """

    search: Scanner
    laid: Sequence[Laid]
    order: NDArray[np.intp]
    threshold: float

    def least_size(self, start: float) -> float:
        """The size at which it reaches the threshold, from a first guess; inf where it does at none that is tried.

        A large event makes epochs and places noisier, and the statistic is over that noise: so by turns.
        """
        size = start
        for _ in range(ROUNDS):
            before, size = size, self.weighed(size).least_size(size)
            if not math.isfinite(size) or abs(math.log(size / before)) <= SETTLED:
                break
        return size

    def _filters(self, band: Band) -> Filters:
        return filters_of(self.search.columns, self.search.epochs, (), band.weight, self.order, red=band.red)

    def weighed(self, size: float) -> Weighed:
        """The search with the noise that the epochs have with an event of a size."""
        bands = [one.with_noise_at(size, self.order) for one in self.laid]
        filters = [self._filters(band) for band in bands]
        within = [one.within for one in self.laid]
        return Weighed(self.search.near(bands), filters, [one.signal for one in self.laid], within, self.order,
                       self.threshold)  # fmt: skip


@dataclass(frozen=True)
class Weighed:
    """The search for an event of about a size: weights of the epochs stay the same.

    Attributes
    ----------
    search, filters, signals, within
        bands of noise and histories near the event; of every band the filters, (time, place) of the event, and (place,)
        where it is
    order, threshold
        as before
    """

    search: Scanner
    filters: Sequence[Filters]
    signals: Sequence[Tensor]
    within: Sequence[NDArray[np.bool_]]
    order: NDArray[np.intp]
    threshold: float

    def statistic(self, size: float) -> float:
        """Of the strongest cluster, where it lies at the event; else 0."""
        bands = [
            replace(band, values=torch.add(band.values, signal, alpha=size))
            for band, signal in zip(self.search.bands, self.signals, strict=True)
        ]
        cluster = self.search.near(bands).strongest((), self.order, self.filters)
        if cluster is None or not self.within[cluster.band][cluster.places].any():
            return 0.0
        return cluster.statistic

    def least_size(self, start: float) -> float:
        """The size at which it reaches the threshold, from a first guess; inf where it does at none that is tried."""
        size, low, high = start, (0.0, 0.0), (math.inf, math.inf)
        for _ in range(TRIED):
            reached = self.statistic(size) / self.threshold
            if abs(reached - 1) <= CLOSE:
                return size / reached
            if reached < 1:
                low = max(low, (size, reached))
            else:
                high = min(high, (size, reached))
            size = _between(low, high)
            if high[0] < math.inf and math.log(high[0] / max(low[0], 1e-30)) <= CLOSE:
                break
        return size if high[0] < math.inf else math.inf


def _between(low: tuple[float, float], high: tuple[float, float]) -> float:
    """The next size to try, between one that does not reach the threshold and one that does (size, share of it)."""
    if high[0] == math.inf:
        return low[0] * min(max(1.05 / max(low[1], 1e-3), 1 + CLOSE), STEP)
    if low[0] == 0.0:
        return high[0] * max(min(0.95 / high[1], 1 - CLOSE), 1 / STEP)
    share = (1 - low[1]) / (high[1] - low[1]) if low[1] > 0 else 0.5
    return float(low[0] * (high[0] / low[0]) ** min(max(share, 0.1), 0.9))


def injected(ground: Ground, pattern: Pattern, middle_d: float, duration_d: float, number: int | None) -> Injected:
    """An event of a duration (t95 - t05) whose middle is at a day, on a null stack; None: on no noise at all."""
    noise, order = ground.noise, ground.order(number)
    ramp = Ramp(middle_d, duration_d / OF_RAMP)
    first, last = _seen_between(noise.epochs.days, middle_d - ramp.duration_d / 2, middle_d + ramp.duration_d / 2)
    near = [i for i, one in enumerate(noise.tried) if first - MERGE_GAP_D <= one.middle_d <= last + MERGE_GAP_D]
    laid = [_laid(ground, part, ramp, order, number) for part in pattern.parts]
    return Injected(noise.near((), near), laid, order, ground.threshold)


def _seen_between(days: NDArray[np.floating], start_d: float, end_d: float) -> tuple[float, float]:
    """The last epoch before a time and the first one after it: an event in a gap may be anywhere in the gap."""
    before, after = days[days <= start_d], days[days >= end_d]
    return float(before[-1]) if len(before) else start_d, float(after[0]) if len(after) else end_d


def _laid(ground: Ground, part: Part, ramp: Ramp, order: NDArray[np.intp], number: int | None) -> Laid:
    whole = ground.scanner(number).bands[part.number]
    band = cropped(whole, part.box)
    left = _Left.of(ground, ramp, order, whole.weight)
    signal = left.series(part.change, part.delay, band.known())
    if number is None:
        band = replace(band, values=torch.zeros_like(band.values))
    known = whole.known(part.sampled)
    event = left.series(part.sampled_change, part.sampled_delay, known)
    values = whole.values[:, part.sampled] * whole.std[part.sampled]
    return Laid(band, signal, part.within, values, known, event)


@dataclass(frozen=True)
class _Left:
    """What cleaning leaves of a history, its epochs where those of a null stack lie.

    Attributes
    ----------
    history, rest
        (time,) of the event, and what rate and season leave of it for the fit of an epoch's delay
    design, weight
        (time, column) of the background, and (time,) of the epochs
    """

    history: Tensor
    rest: Tensor
    design: Tensor
    weight: Tensor

    @staticmethod
    def of(ground: Ground, ramp: Ramp, order: NDArray[np.intp], weight: Tensor) -> _Left:
        """Of a ramp."""
        back, design = torch.from_numpy(np.argsort(order)), ground.design
        history = torch.from_numpy(ramp.column(ground.noise.epochs.time))
        rest = history - design @ (ground.fitting @ history)
        return _Left(history[back].float(), rest[back].float(), design[back].float(), weight)

    def series(self, change: Tensor, delay: Tensor, valid: Tensor) -> Tensor:
        """(time, place) of displacements (place,) and of what the fit of the delay takes of them."""
        out = (torch.outer(self.history, change) - torch.outer(self.rest, delay)) * valid
        return (out - fitted(out, valid, self.design, self.weight)) * valid


def cropped(band: Band, box: Box) -> Band:
    """The places of a band in a box, with the random walk of a null stack in its values."""
    numbers = torch.arange(len(band.std)).reshape(band.shape)[box]
    places = numbers.flatten()
    position = torch.full((len(band.std),), -1)
    position[band.gappy] = torch.arange(len(band.gappy))
    gaps = position[places]
    return replace(
        band,
        values=band.series(places),
        std=band.std[places],
        gappy=torch.nonzero(gaps >= 0)[:, 0],
        valid=band.valid[:, gaps[gaps >= 0]],
        shape=(numbers.shape[0], numbers.shape[1]),
        noise=None,
        noise_ratio=None if band.noise_ratio is None else band.noise_ratio[places],
        walk=None,
    )
