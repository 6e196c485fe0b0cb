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
MOST_CHANGE: Final = 3.0
"""Times what a cell differs by in most epochs that it is believed to differ by in one."""
MIN_PLACE: Final = 0.7
"""A place is not believed to be quieter than that."""
MIN_USED: Final = 0.5
"""Share of valid pixels of a coarse pixel that counts, and of counting pixels of a block."""
TINY: Final = 1e-30


@dataclass(frozen=True)
class BandSeries:
    """A tile in bands; pixels in the order of the cells that they lie in.

    Attributes
    ----------
    fields
        detail and bands, each (time, pixel), over the noise of the place (1 of most), 0 where there is no data; broad
        bands have fewer pixels
    noise
        the same of what epochs differ by from those beside them, in units of its own noise: no event is in it
    whiteners
        (band, time, time) what makes the noise of each white in time
    share
        (y, x) of a cell's coarse pixels that have data
    design
        (time, column) of the background
    """

    fields: tuple[Tensor, ...]
    noise: tuple[Tensor, ...]
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
    fields, changes, whiteners = [], [], []
    for number, (values, seen) in enumerate(parts):
        change, spread = _change(values, seen, base_variance)
        level = (spread / base_variance).median()
        white = (modes[number] * spread + PRIOR_MODES * level * base_variance) / (modes[number] + PRIOR_MODES)
        noise = TemporalCovariance.relative(white.clamp(min=TINY), float(prepared.red[number]))
        place, clipped = _by_place(change, share.numel())
        fields.append(values * (seen / place))
        changes.append(clipped)
        whiteners.append(noise.whitener(prepared.days))
    return BandSeries(tuple(fields), tuple(changes), torch.stack(whiteners), share, prepared.design)


def _change(series: Tensor, seen: Tensor, base_variance: Tensor) -> tuple[Tensor, Tensor]:
    """What an epoch differs by from those beside it.

    What changes slowly, an event above all, is not in it.

    Parameters
    ----------
    series, seen
        (time, pixel); (pixel,) where there is data
    base_variance
        (time,) in proportion to which the noise of the epochs beside is taken to be

    Returns
    -------
    change, variance
        (time, pixel) over its robust noise, 0 where there is no data; (time,) robust noise variance of an epoch
    """
    # The first and the last epoch have one beside them, which counts twice.
    before, after = torch.cat([series[1:2], series[:-1]]), torch.cat([series[1:], series[-2:-1]])
    change = (series - (before + after) / 2) * seen
    beside = torch.cat([base_variance[1:2], base_variance[:-1]]) + torch.cat([base_variance[1:], base_variance[-2:-1]])
    share = torch.full_like(base_variance, 0.25)
    share[[0, -1]] = 0.5
    places = torch.nonzero(seen)[:, 0]
    if not len(places):
        return change, base_variance
    sample = change[:, places[:: 1 + len(places) // SAMPLED]]
    std = (MAD_TO_STD * sample.abs().median(1).values).clamp(min=TINY)[:, None]
    return change / std, std[:, 0].square() * base_variance / (base_variance + share * beside)


def _by_place(change: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    """Noise of the cell of every pixel (pixel,) over that of most cells; and a change (time, pixel) over it.

    Where a cell differs by many times what it differs by in most epochs, as at the step of an event, it is cut down.
    """
    by_cell = change.reshape(len(change), cells, -1)
    size = torch.linalg.vector_norm(by_cell, dim=2)
    usual = size.median(0).values
    known = usual[usual > 0]
    if not len(known):
        return torch.ones_like(change[0]), change
    place = (usual / known.median()).clamp(min=MIN_PLACE)
    factor = (MOST_CHANGE * usual / size.clamp(min=TINY)).clamp(max=1) / place
    return place.repeat_interleave(by_cell.shape[2]), (by_cell * factor[:, :, None]).reshape(change.shape)


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
