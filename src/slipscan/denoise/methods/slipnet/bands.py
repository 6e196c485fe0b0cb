"""A tile in bands of scales, each with the noise of its own epochs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from slipscan.denoise.methods.slipnet import scales
from slipscan.denoise.methods.slipnet.prepare import Prepared
from slipscan.denoise.methods.slipnet.scales import COARSE
from slipscan.fit.robust import MAD_TO_STD
from slipscan.fit.temporal import TemporalCovariance

THINNED: Final = (1, 1, 2, 4, 4)
"""Side, in coarse pixels, of the pixels that a band is taken on; the detail, the first of all, on pixels."""
CELL: Final = 4
SAMPLED: Final = 1 << 12
PRIOR_MODES: Final = 12.0
"""So many modes of an epoch's band say that its noise is what the epoch has in all bands together."""
BLOCKS: Final = (8, 16, 32, 64)
"""Coarse pixels of a side of the blocks whose energy is compared with noise."""
MIN_USED: Final = 0.5
"""Share of valid pixels of a coarse pixel that counts, and of counting pixels of a block."""
TINY: Final = 1e-30


@dataclass(frozen=True)
class BandSeries:
    """A tile in bands; pixels in the order of the cells that they lie in.

    Attributes
    ----------
    fields
        detail and bands, each (time, pixel), 0 where there is no data; broad bands have fewer pixels
    whiteners
        (band, time, time) what makes the noise of each white in time
    share
        (y, x) of a cell's coarse pixels that have data
    design
        (time, column) of the background
    """

    fields: tuple[Tensor, ...]
    whiteners: Tensor
    share: Tensor
    design: Tensor


def in_bands(broad: Tensor, fine: Tensor, used: Tensor, prepared: Prepared) -> BandSeries:
    """Detail and bands of a series with the noise of every epoch in each.

    Parameters
    ----------
    broad, fine
        (time, y, x) coarse pixels, complete: holes are filled; and detail of pixels, 0 where there is no data
    used
        (y, x) bool, coarse pixels that have data
    prepared
        for dates, background, and the noise of an epoch in all bands together
    """
    base_variance = 1 / prepared.weight
    share = avg_pool2d(used.float()[None], CELL)[0]
    inside = _by_cells(used[None].repeat_interleave(COARSE, 1).repeat_interleave(COARSE, 2), CELL * COARSE)[0]
    parts = [(_by_cells(fine, CELL * COARSE), inside)]
    for band, side in zip(scales.bands(broad), THINNED, strict=True):
        seen = avg_pool2d(used.float()[None], side)[0] > MIN_USED
        thinned = avg_pool2d(band[None], side)[0] if side > 1 else band
        parts.append((_by_cells(thinned, CELL // side), _by_cells(seen[None], CELL // side)[0]))
    modes = block_modes(max(BLOCKS)) * float(used.sum()) / max(BLOCKS) ** 2
    fields, whiteners = [], []
    for number, (values, seen) in enumerate(parts):
        places = torch.nonzero(seen)[:, 0]
        spread = base_variance
        if len(places):
            spread = _epoch_variance(values[:, places[:: 1 + len(places) // SAMPLED]], base_variance)
        level = (spread / base_variance).median()
        white = (modes[number] * spread + PRIOR_MODES * level * base_variance) / (modes[number] + PRIOR_MODES)
        noise = TemporalCovariance.relative(white.clamp(min=TINY), prepared.red)
        fields.append(values * seen)
        whiteners.append(noise.whitener(prepared.days))
    return BandSeries(tuple(fields), torch.stack(whiteners), share, prepared.design)


def _epoch_variance(series: Tensor, base_variance: Tensor) -> Tensor:
    """Robust noise variance (time,) of series (time, pixel), from what an epoch differs by from those beside it.

    What changes slowly, an event above all, is not in it. The noise of the neighbours is taken to be `base_variance`.
    """
    before, after = (torch.cat(parts) for parts in ((series[1:2], series[:-1]), (series[1:], series[-2:-1])))
    neighbours = torch.cat([base_variance[1:2], base_variance[:-1]]) + torch.cat(
        [base_variance[1:], base_variance[-2:-1]]
    )
    # The first and the last epoch have one neighbour, counted twice.
    share = torch.full_like(base_variance, 0.25)
    share[[0, -1]] = 0.5
    change = (MAD_TO_STD * (series - (before + after) / 2).abs().median(1).values).square()
    return change * base_variance / (base_variance + share * neighbours)


def _by_cells(fields: Tensor, side: int) -> Tensor:
    """Fields (n, y, x) as (n, pixel), the pixels of a cell of side^2 after one another."""
    n, rows, columns = fields.shape
    parts = fields.reshape(n, rows // side, side, columns // side, side)
    return parts.transpose(2, 3).reshape(n, -1)


@lru_cache(maxsize=8)
def block_modes(block: int) -> Tensor:
    """Independent values (detail and band,) that white noise has in a square of coarse pixels, as its energy varies."""
    size = 2 * max(BLOCKS) + 1
    impulse = torch.zeros(1, size, size)
    impulse[0, size // 2, size // 2] = 1
    lag = torch.arange(-block + 1, block)
    out = [scales.DETAIL_MODES * (COARSE * block) ** 2]
    for band in scales.bands(impulse):
        power = torch.fft.rfft2(band[0].double()).abs().square()
        covariance = torch.fft.irfft2(power, s=(size, size))
        correlation = covariance / covariance[0, 0]
        weight = (block - lag.abs()).double()
        part = correlation[lag % size][:, lag % size]
        out.append(float(block**4 / (part.square() * weight[:, None] * weight).sum()))
    return torch.tensor(out)
