"""The matched statistic in time: a step or ramp beside offset, rate, season and other events, per place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slipscan.detect.bands import Band
from slipscan.detect.ramp import Epochs, Ramp
from slipscan.fit.ramps import ABSORBED, projected, without
from slipscan.fit.temporal import TemporalCovariance

MIN_SHAPE: Final = 1e-3
"""Share of a series' information below which rate, season and other events leave nothing of a candidate."""
MIN_INFORMATION: Final = 0.2
"""Share of a filter's information that the valid epochs of a place must hold."""


@dataclass(frozen=True)
class Filters:
    """What candidates are looked for with.

    Attributes
    ----------
    matched, energy
        (candidate, time) whose sums over time with a series, and with its validity, are amplitude times information,
        and information
    least
        (candidate, 1) information below which there is no estimate
    white
        (candidate, time) variance that the white part of an epoch adds to `matched`; None where all of the noise is
        white, and this is `energy`
    """

    matched: Tensor
    energy: Tensor
    least: Tensor
    white: Tensor | None = None

    def some(self, chosen: slice | Sequence[int]) -> Filters:
        """Those of some candidates."""
        white = None if self.white is None else self.white[chosen]
        return Filters(self.matched[chosen], self.energy[chosen], self.least[chosen], white)

    def variance(self, energy: Tensor, valid: Tensor) -> Tensor:
        """Of the sums with series (candidate, place), whose epochs (time, place) are 1 where valid.

        It is `energy`, that of these epochs, where noise is white. Beside a random walk that is an approximation, and
        at least the variance of the white part is taken.
        """
        return energy if self.white is None else torch.maximum(energy, self.white @ valid)


def filters_of(
    columns: Tensor,
    epochs: Epochs,
    beside: Sequence[Ramp],
    weight: Tensor,
    order: NDArray[np.intp] | None = None,
    chosen: NDArray[np.bool_] | None = None,
    red: float = 0.0,
) -> Filters:
    """Filters of histories (time, candidate), of generalized least squares under the covariance of the noise.

    Parameters
    ----------
    beside
        ramps that are estimated along with rate and season
    weight
        (time,) of the band's epochs
    order
        epochs of a null stack, as numbers of the real ones: the filters are then for the data in their real order,
        so that a null costs no copy of them
    chosen
        (time,) the only epochs that are used, in the order of the null
    red
        variance that a random walk gains in a year over that of a typical epoch, 1/yr
    """
    shuffled = weight.double() if order is None else weight.double()[torch.from_numpy(order)]
    if chosen is not None:
        shuffled = shuffled * torch.from_numpy(chosen)
    design = epochs.design(beside)
    white: Tensor | None = None
    if red > 0:
        matched, shapes = _beside_walk(columns, design, shuffled, torch.from_numpy(epochs.days), red)
        white = matched.square() / shuffled.clamp(min=1e-30) * (shuffled > 0)
    else:
        shapes = projected(columns, design, shuffled).T
        matched = shapes * shuffled
    energy = matched * shapes
    information = energy.sum(1, keepdim=True)
    least = MIN_INFORMATION * information + MIN_SHAPE * shuffled.sum()
    out = [matched, energy] if white is None else [matched, energy, white]
    if order is not None:
        back = torch.from_numpy(np.argsort(order))
        out = [part[:, back] for part in out]
    matched, energy, *rest = (part.float() for part in out)
    return Filters(matched, energy, least.float(), *rest)


def _beside_walk(columns: Tensor, design: Tensor, weight: Tensor, days: Tensor, red: float) -> tuple[Tensor, Tensor]:
    """Filters (candidate, time), and what they respond to: C m = c less its generalized fit of the design."""
    white = torch.where(weight > 0, 1 / weight.clamp(min=1e-30), math.inf)
    covariance = TemporalCovariance.relative(white, red)
    whitener = covariance.whitener(days)
    scaled = whitener @ columns
    rest = without(scaled, whitener @ design)
    kept = rest.square().sum(0) > ABSORBED * scaled.square().sum(0)
    matched = (whitener.T @ (rest * kept)).T
    counts = weight > 0
    known = torch.where(counts[:, None] & counts, covariance.matrix(days), 0.0)
    return matched, matched @ torch.nan_to_num(known, nan=0.0)


def statistics(band: Band, filters: Filters, places: Tensor | None = None) -> Tensor:
    """Amplitude over its standard deviation, (candidate, place); 0 where too little of the filter's information is.

    The joint generalised least-squares estimate where a series is complete, and the estimate from the valid epochs of
    the same filter elsewhere.
    """
    values = band.values if places is None else band.series(places)
    out = filters.matched @ values
    if band.noise_ratio is not None:
        out.mul_(band.noise_ratio if places is None else band.noise_ratio[places])
    whole = filters.energy.sum(1, keepdim=True)
    root = torch.where(whole > filters.least, whole.clamp(min=1e-30).rsqrt(), 0.0)
    gappy, valid, at = band.gappy, band.valid, band.gappy
    if places is not None:
        # Where each chosen place stands among those with gaps.
        number = torch.full((band.values.shape[1],), -1)
        number[gappy] = torch.arange(len(gappy))
        at = torch.nonzero(number[places] >= 0)[:, 0]
        valid = valid[:, number[places][at]]
    if len(at) == 0:
        return out.mul_(root)
    part = out[:, at]
    out.mul_(root)
    information = filters.energy @ valid
    safe = filters.variance(information, valid).clamp(min=1e-30).rsqrt()
    out[:, at] = torch.where(information > filters.least, part * safe, 0.0)
    return out


def amplitudes(series: Tensor, valid: Tensor, filters: Filters) -> tuple[Tensor, Tensor]:
    """Amplitude (m) and root of its information (1/m), each (candidate, pixel); both 0 where not determined.

    Parameters
    ----------
    series, valid
        (time, pixel) m, 0 where not valid; 1 where valid
    """
    information = filters.energy @ valid
    known = information > filters.least
    safe = torch.where(known, information, 1.0)
    amplitude = torch.where(known, filters.matched @ series / safe, 0.0)
    return amplitude, torch.where(known, safe.sqrt(), 0.0)
