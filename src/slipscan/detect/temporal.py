"""Noise in time: per band of scales every epoch's own white variance, and a random walk."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from slipscan.fit.masks import count_valid
from slipscan.fit.ramps import without
from slipscan.fit.temporal import TemporalCovariance
from slipscan.noise.temporal import covariance_of, told_red

MIN_COVER: Final = 0.3
"""Share of the pixels with data that an epoch must have to count."""
LEAST: Final = 1e-3
"""Share of a history's information that background and other events must leave."""


@dataclass(frozen=True)
class Subset:
    """Some epochs of a series, with what makes the noise of every band white in them.

    Attributes
    ----------
    whiteners
        (band, time, time); rows and columns of other epochs are 0
    """

    whiteners: Tensor


@dataclass(frozen=True)
class Filters:
    """What the amplitude of a history is estimated with, beside the background and other histories.

    Attributes
    ----------
    weights
        (band, time) whose sum over time with a series is the amplitude
    variance
        (band,) of the amplitude over that of a typical epoch
    """

    weights: Tensor
    variance: Tensor


@dataclass(frozen=True)
class TemporalModel:
    """Noise in time.

    Attributes
    ----------
    days
        (time,)
    design
        (time, column) of the background
    white
        (band, time) variance of the white part over that of a typical epoch; inf: the epoch does not count
    red
        (band,) variance that the random walk gains in a year over that of the white part of a typical epoch, 1/yr
    width_km
        (band,) larger width of the two Gaussians between which a band lies, ascending
    """

    days: Tensor
    design: Tensor
    white: Tensor
    red: Tensor
    width_km: Tensor

    def shuffled(self, order: NDArray[np.intp]) -> TemporalModel:
        """Of a null stack of the epochs in another order: every epoch keeps its variance."""
        return replace(self, white=self.white[:, torch.from_numpy(order)])

    def mixed(self, shares: Tensor) -> TemporalModel:
        """Of something that lies in all bands, with their shares (band,) of it: one band."""
        white = torch.where(torch.isfinite(self.white), self.white, torch.inf)
        mixed, red = (white * shares[:, None]).sum(0), (self.red * shares).sum()
        return TemporalModel(self.days, self.design, mixed[None], red[None], self.width_km[:1])

    def covariances(self) -> list[TemporalCovariance]:
        """Of every band."""
        return [TemporalCovariance(white, float(red)) for white, red in zip(self.white, self.red, strict=True)]

    @cached_property
    def every(self) -> Subset:
        """All epochs."""
        return self.subset(torch.ones(len(self.days), dtype=torch.bool))

    @cached_property
    def halves(self) -> tuple[Subset, Subset]:
        """Even epochs and odd ones of those that count."""
        number = torch.cumsum(torch.isfinite(self.white[0]), 0)
        return self.subset(number % 2 == 1), self.subset(number % 2 == 0)

    def subset(self, chosen: Tensor) -> Subset:
        """Some epochs (time,) bool."""
        return Subset(torch.stack([one.whitener(self.days, chosen) for one in self.covariances()]))

    def filters(self, history: Tensor, beside: Tensor, subset: Subset) -> Filters | None:
        """Filters of a history (time,) beside others (time, n); None where too little of it is left.

        Of generalized least squares under the covariance of the noise.
        """
        columns = subset.whiteners @ history
        rest = without(columns[:, :, None], subset.whiteners @ torch.cat([self.design, beside], 1))[:, :, 0]
        information = rest.square().sum(1)
        if bool((information <= LEAST * columns.square().sum(1)).any()):
            return None
        weights = torch.einsum("bst,bs->bt", subset.whiteners, rest) / information[:, None]
        return Filters(weights, 1 / information)

    def covariance(self, one: Filters, other: Filters) -> Tensor:
        """Covariance (band,) of the amplitudes of two filters."""
        out = []
        for temporal, f, g in zip(self.covariances(), one.weights, other.weights, strict=True):
            matrix = temporal.matrix(self.days)
            used = torch.isfinite(temporal.white)
            out.append(f[used] @ matrix[used][:, used] @ g[used])
        return torch.stack(out)


def temporal_model_of(
    days: NDArray[np.floating], design: Tensor, valid: Tensor, std: Tensor, noise: xr.Dataset | None
) -> TemporalModel:
    """That of the noise product, or, without one, white noise of the strength that every epoch has.

    Parameters
    ----------
    days
        (time,)
    design
        (time, column) of the background
    valid
        (time, pixel) where there is data: an epoch with little does not count
    std
        (time,) of every epoch's noise, m
    noise
        product 'noise' of the same epochs; None: not measured
    """
    cover = count_valid(valid.T) / max(int(valid.any(0).sum()), 1)
    counts = cover > MIN_COVER
    if not counts.any():
        counts = torch.ones_like(counts)
    white, red, width = [], [], []
    measured_bands = 0 if noise is None or "red_variance" not in noise else noise.sizes["band"]
    told = np.zeros(0) if noise is None or not measured_bands else np.nan_to_num(told_red(noise))
    for band in range(measured_bands):
        assert noise is not None
        if np.isfinite(noise["band_white_std"].values[:, band]).any() and np.isfinite(noise["red_variance"][band]):
            measured = covariance_of(noise, band, dtype=torch.float64)
            level = float(measured.white[torch.isfinite(measured.white)].median())
            white.append(measured.white / level)
            red.append(float(told[band]))
            width.append(float(noise["band"][band]))
    if not white:
        own = std.double().square()
        white, red, width = [own / own[counts].median()], [0.0], [1.0]
    variances = torch.stack(white)
    return TemporalModel(
        torch.as_tensor(days, dtype=torch.float64),
        design.double(),
        torch.where(counts & (variances > 0), variances, torch.inf),
        torch.tensor(red, dtype=torch.float64),
        torch.tensor(width, dtype=torch.float64),
    )
