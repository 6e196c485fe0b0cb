"""Bands of spatial scales, each on a grid of its own: what whitens turbulence, whose power is red in space."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from slipscan.fit.delay import MIN_STD_M
from slipscan.fit.masks import all_valid
from slipscan.fit.robust import masked_median, temporal_std
from slipscan.fit.scatter import MAD_TO_STD

TRUNCATE: Final = 3.0
MIN_SUPPORT: Final = 0.3
"""Share of the scene's pixels around one (Gaussian-weighted) that must be valid, or an average is no data."""
FINEST: Final = 1.25
"""Cells of a band's grid in the standard deviation of its Gaussian, at least; at most twice as many."""
MIN_RELATIVE_NOISE: Final = 0.5
"""A place is not believed to be quieter than half the epoch's noise."""
LEAST_KNOWN: Final = 0.5
"""Share of its epochs that the place opposite must have."""
PLACES: Final = 1 << 14
"""Whose series are put in another order at once."""
BATCH: Final = 16
"""Epochs whose averages are taken at once."""
CACHED: Final = 1 << 18
"""Values of fields that stay in the processor's cache while they are averaged."""


@dataclass(frozen=True)
class Band:
    """A displacement series in one band of scales, ready to be scanned.

    Attributes
    ----------
    values
        (time, place) m, less delay, rate and season, over `std`; 0 where there is no data
    weight
        (time,) inverse variance of an epoch, m^-2
    std
        (place,) noise of the place over that of the epoch; infinite where it has no data
    gappy, valid
        (gap,) numbers of the places that lack epochs, and (time, gap) 1 where they have data
    shape, level
        (y, x) places; a place is a square of 2^level pixels of the coarse grid
    place_km2, cell_km2
        area of a place, and that over which the noise is correlated
    noise
        (place,) of `values`, as `std` was measured: 1 but where something was taken out of them; None: not measured
    noise_ratio
        (place,) noise before a shuffle of the epochs over that after it: statistics of a null stack are multiplied by
        it; None: 1
    red
        variance that a random walk gains in a year over that of the white part of a typical epoch, 1/yr
    walk
        (time, time) what makes the random walk of a null stack of `values`; None: none
    blocks
        (time, time) what makes the blocks of a null stack of `values` (`nulls.turned_round`); None: these are it
    """

    values: Tensor
    weight: Tensor
    std: Tensor
    gappy: Tensor
    valid: Tensor
    shape: tuple[int, int]
    level: int
    place_km2: float
    cell_km2: float
    noise: Tensor | None = None
    noise_ratio: Tensor | None = None
    red: float = 0.0
    walk: Tensor | None = None
    blocks: Tensor | None = None

    @property
    def is_made(self) -> bool:
        """Whether it stands for a null stack whose series have to be made of `values`."""
        return self.walk is not None or self.blocks is not None

    def series(self, places: Tensor) -> Tensor:
        """`values` of some places (time, place), or the series of a null stack that are made of them.

        A random walk is made of the noise of the place opposite (the scene turned by half a circle), so that it does
        not go with the white noise beside it; of the place's own where that has less than half of the epochs.
        """
        values = self.values[:, places]
        if self.blocks is not None:
            return (self.blocks @ values) * self.known(places)
        if self.walk is None:
            return values
        turned = len(self.std) - 1 - places
        own = self.known(turned).float().mean(0) < LEAST_KNOWN
        others = torch.where(own, places, turned)
        # Epochs without data have no step: the others are as much larger.
        share = self.known(others).float().mean(0).clamp(min=1 / len(values))
        return values + self.walk @ self.values[:, others] * self.known(places) / share.sqrt()

    def known(self, places: Tensor | None = None) -> Tensor:
        """Where some places (None: all) have data, (time, place) bool."""
        places = torch.arange(len(self.std)) if places is None else places
        number = torch.full((len(self.std),), -1)
        number[self.gappy] = torch.arange(len(self.gappy))
        valid = torch.ones(len(self.values), len(places), dtype=torch.bool)
        at = number[places] >= 0
        valid[:, at] = self.valid[:, number[places][at]].bool()
        return valid

    def touched(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which places (place,) hold any pixel of a mask (y, x) of the coarse grid."""
        side = 2**self.level
        rows, cols = self.shape
        padded = np.zeros((rows * side, cols * side), bool)
        padded[: mask.shape[0], : mask.shape[1]] = mask
        return np.asarray(padded.reshape(rows, side, cols, side).any(axis=(1, 3)).ravel())

    def walking(self, walk: Tensor) -> Band:
        """The band with a random walk, beside the noise as it was without."""
        return replace(self if self.noise is not None else self.measured(), walk=walk)

    def with_blocks(self, blocks: Tensor) -> Band:
        """The band for blocks in another order, which are made by a matrix, beside the noise as it was."""
        return replace(self if self.noise is not None else self.measured(), blocks=blocks)

    def measured(self) -> Band:
        """The band with the noise of its places as it is now."""
        return replace(self, noise=self._noise(np.arange(len(self.values))))

    def shuffled(self, order: NDArray[np.intp]) -> Band:
        """The band for a null stack: epochs in another order (see `statistic.filters_of`), noise estimated anew.

        The noise of a place is estimated from differences of consecutive epochs. Where it comes out low by chance the
        series is smooth, and ramps fit it well. With the estimate of the real order the statistics of null stacks would
        lack that and be too low.
        """
        before = self._noise(np.arange(len(order))) if self.noise is None else self.noise
        after = self._noise(order)
        return replace(self, noise_ratio=torch.where(after > 0, before / after, 0.0))

    def _noise(self, order: NDArray[np.intp]) -> Tensor:
        """(place,) noise of `values` in an order, over the noise of the epochs."""
        epochs = torch.from_numpy(order)
        root = self.weight.sqrt()[epochs, None]
        out = []
        for places in torch.split(torch.arange(len(self.std)), PLACES):
            out.append(temporal_std(self.series(places)[epochs] * root, self.known(places)[epochs]))
        return torch.maximum(torch.cat(out), MIN_RELATIVE_NOISE / self.std)


def coarse_factor(pixel_km: float, scales_km: list[float]) -> int:
    """Side of the blocks of pixels that the smallest scale can be scanned on."""
    return max(1, int(min(scales_km) / pixel_km / FINEST))


def bands_of(
    residual: Tensor, valid: Tensor, shape: tuple[int, int], pixel_km: float, scales_km: list[float]
) -> list[Band]:
    """Differences of two Gaussian averages, of each scale and of twice that, mask-aware.

    Parameters
    ----------
    residual, valid
        (time, pixel) m, 0 where not valid; valid
    shape
        (y, x) of the pixels
    pixel_km
        side of one
    scales_km
        standard deviation of the narrower Gaussian
    """
    out = []
    for scale in scales_km:
        level = max(0, int(math.log2(max(scale / pixel_km / FINEST, 1.0))))
        side_km = pixel_km * 2**level
        grid = (-(-shape[0] // 2**level), -(-shape[1] // 2**level))
        values = residual.new_empty(len(residual), grid[0] * grid[1])
        known = torch.empty_like(values, dtype=torch.bool)
        batches = zip(
            torch.split(values, BATCH), torch.split(known, BATCH), _pooled(residual, valid, shape, level), strict=True
        )
        for some, seen, pooled in batches:
            for into, field in zip((some, seen), _band(*pooled, scale / side_km), strict=True):
                into.copy_(field.flatten(1))
        out.append(band_of(values, known, grid, level, side_km**2, 4 * math.pi * scale**2))
    return out


def filtered(fields: Tensor, band: Band, pixel_km: float, known: Tensor | None = None) -> Tensor:
    """Fields (n, y, x) of the coarse grid in a band, on its places (n, y, x); known (y, x) where not everywhere.

    Fields are 0 where they are not known.
    """
    sigma_km = math.sqrt(band.cell_km2 / (4 * math.pi))
    everywhere = torch.ones(fields.flatten(1).shape, dtype=torch.bool)
    if known is not None:
        everywhere &= known.flatten()
    shape = (fields.shape[1], fields.shape[2])
    parts = [
        _band(*pooled, sigma_km / (pixel_km * 2**band.level))[0]
        for pooled in _pooled(fields.flatten(1), everywhere, shape, band.level)
    ]
    return torch.cat(parts)


def band_of(
    values: Tensor, known: Tensor, shape: tuple[int, int], level: int, place_km2: float, cell_km2: float
) -> Band:
    """A band with the noise of its epochs and places.

    Parameters
    ----------
    values, known
        (time, place) m, 0 where not known; known. They become the band's, without a copy
    """
    std = torch.cat(
        [spread(*batch) for batch in zip(torch.split(values, BATCH), torch.split(known, BATCH), strict=True)]
    )
    std = std.clamp(min=MIN_STD_M)
    std = torch.where(known.any(1), std, std.max())
    # Differences of all places at once would be as large as the band again.
    some = torch.split(torch.arange(values.shape[1]), PLACES)
    relative = torch.cat([temporal_std(values[:, places], known[:, places], std) for places in some])
    place_std = torch.where(relative > 0, relative.clamp(min=MIN_RELATIVE_NOISE), math.inf)
    known &= torch.isfinite(place_std)
    gappy = torch.nonzero(~all_valid(known))[:, 0]
    return Band(
        values=values.mul_(known).div_(place_std),
        weight=std**-2,
        std=place_std,
        gappy=gappy,
        valid=known[:, gappy].float(),
        shape=shape,
        level=level,
        place_km2=place_km2,
        cell_km2=cell_km2,
    )


def spread(values: Tensor, known: Tensor) -> Tensor:
    """Robust scatter over the places of every epoch, (time,) m; 0 where there is no data."""
    centre = masked_median(values, known, 1)
    return MAD_TO_STD * torch.nan_to_num(masked_median((values - centre).abs(), known, 1)[:, 0], nan=0.0)


def _pooled(residual: Tensor, valid: Tensor, shape: tuple[int, int], level: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Sums of what is valid and shares of it over squares of 2^level pixels, batches of (time, y, x)."""
    for first in range(0, len(residual), BATCH):
        some = slice(first, first + BATCH)
        fields = torch.stack([residual[some], valid[some].to(residual.dtype)], 1).reshape(-1, 2, *shape)
        for _ in range(level):
            fields = avg_pool2d(pad(fields, (0, fields.shape[3] % 2, 0, fields.shape[2] % 2)), 2)
        yield fields[:, 0], fields[:, 1]


def _band(total: Tensor, share: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """Values and where they are known, each (time, y, x)."""
    known = share > MIN_SUPPORT
    fields = torch.cat([total * known, share * known])
    scene = torch.ones_like(share[:1])
    averages = []
    for width in (sigma, 2 * sigma):
        sums, support = _blur(fields, width).chunk(2)
        # What lies beyond the scene's edges is not missing: a scene smaller than the Gaussian has its average, too.
        known = known & (support > MIN_SUPPORT * _blur(scene, width))
        averages.append(sums / support.clamp(min=1e-6))
    return (averages[0] - averages[1]) * known, known


def _blur(fields: Tensor, sigma: float) -> Tensor:
    """Gaussian sums of (n, y, x), nothing beyond the edges."""
    few = max(1, CACHED // fields[0].numel())
    return torch.cat([_summed(_summed(some, sigma, 2), sigma, 1) for some in torch.split(fields, few)])


def _summed(fields: Tensor, sigma: float, dim: int) -> Tensor:
    """Gaussian sums along a dimension: shifted copies are added (a convolution of one channel is ten times slower)."""
    count = fields.shape[dim]
    out = torch.zeros_like(fields)
    for shift, weight in _kernel(sigma):
        if (length := count - abs(shift)) > 0:
            into, taken = out.narrow(dim, max(-shift, 0), length), fields.narrow(dim, max(shift, 0), length)
            into.add_(taken, alpha=weight)
    return out


@lru_cache(maxsize=16)
def _kernel(sigma: float) -> list[tuple[int, float]]:
    """Shifts and weights of a Gaussian."""
    half = int(TRUNCATE * sigma + 0.5)
    weights = [math.exp(-0.5 * (shift / sigma) ** 2) for shift in range(-half, half + 1)]
    return [(shift, weight / sum(weights)) for shift, weight in zip(range(-half, half + 1), weights, strict=True)]
