"""A tile in bands of scales, each with the noise of its own epochs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from slipscan.denoise.methods.slipnet import scales
from slipscan.denoise.methods.slipnet.prepare import Prepared
from slipscan.denoise.methods.slipnet.scales import COARSE
from slipscan.fit.scatter import MAD_TO_STD
from slipscan.fit.temporal import TemporalCovariance

THINNED: Final = (1, 1, 2, 4, 4)
"""Side, in coarse pixels, of the pixels that a band is taken on; the detail, the first of all, on pixels."""
CELL: Final = 4
SAMPLED: Final = 1 << 11
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
COMBINATIONS, APART_EPOCHS = 48, 3
"""Sums of epochs with random signs that say how the energy of noise varies, each of every third epoch: what epochs that
are closer differ by from those beside them is correlated."""
UNEVEN: Final = 0.4
"""Variance over space of the power of an epoch's noise, over its square."""
LEAST_VARIANCE: Final = 0.05
"""Of a draw of signs: see `signed`."""
TINY: Final = 1e-30


@dataclass(frozen=True)
class BandSeries:
    """A tile in bands; pixels in the order of the cells that they lie in.

    Attributes
    ----------
    fields
        detail and bands, each (time, pixel), 0 where there is no data; broad bands have fewer pixels
    changes, change_std
        what epochs differ by from those beside them, of the same shapes, and its standard deviation (band, time)
    change_correlation
        (band, time, time) of that, in noise
    place
        (band, y, x) noise of a cell over that of most cells
    whiteners
        (band, time, time) what makes the noise of each white in time
    modes
        (block, band) independent values that its noise has in a whole block of each of BLOCKS, as its energy varies
    share
        (y, x) of a cell's coarse pixels that have data
    design
        (time, column) of the background
    """

    fields: tuple[Tensor, ...]
    changes: tuple[Tensor, ...]
    change_std: Tensor
    change_correlation: Tensor
    place: Tensor
    whiteners: Tensor
    modes: Tensor
    share: Tensor
    design: Tensor


def in_bands(isotropic: Tensor, fine: Tensor, used: Tensor, prepared: Prepared) -> BandSeries:
    """Detail and bands of a series with the noise of every epoch in each.

    Parameters
    ----------
    isotropic, fine
        (time, y, x) coarse pixels, complete: holes are filled, with noise alike in all directions; and detail of
        pixels, 0 where there is no data
    used
        (y, x) bool, coarse pixels that have data
    prepared
        for dates, background, and the noise of an epoch in all bands together
    """
    base_variance = 1 / prepared.weight
    share = avg_pool2d(used.float()[None], CELL)[0]
    inside = _by_cells(used[None].repeat_interleave(COARSE, 1).repeat_interleave(COARSE, 2), CELL * COARSE)[0]
    parts = [(_by_cells(fine, CELL * COARSE), inside)]
    for band, side in zip(scales.bands(isotropic), THINNED, strict=True):
        seen = avg_pool2d(used.float()[None], side)[0] > MIN_USED
        thinned = avg_pool2d(band[None], side)[0] if side > 1 else band
        parts.append((_by_cells(thinned, CELL // side), _by_cells(seen[None], CELL // side)[0]))
    modes = block_modes(max(BLOCKS)) * float(used.sum()) / max(BLOCKS) ** 2
    changes, stds, correlations, places, whiteners = [], [], [], [], []
    for number, (values, seen) in enumerate(parts):
        values *= seen
        change, std, place = _change(values, seen, share.numel())
        spread = std.square() * _own_share(base_variance)
        level = (spread / base_variance).median()
        white = (modes[number] * spread + PRIOR_MODES * level * base_variance) / (modes[number] + PRIOR_MODES)
        noise = TemporalCovariance.relative(white.clamp(min=TINY), float(prepared.red[number]))
        changes.append(change)
        stds.append(std)
        correlations.append(_correlation_of_change(noise.matrix(prepared.days)))
        places.append(place.reshape(share.shape))
        whiteners.append(noise.whitener(prepared.days))
    return BandSeries(
        fields=tuple(values for values, _ in parts),
        changes=tuple(changes),
        change_std=torch.stack(stds),
        change_correlation=torch.stack(correlations),
        place=torch.stack(places),
        whiteners=torch.stack(whiteners),
        modes=_modes(changes, stds, torch.stack(places), share),
        share=share,
        design=prepared.design,
    )


def change_of(series: Tensor) -> Tensor:
    """What an epoch of a series (time, ...) differs by from the mean of those beside it."""
    change = series.clone()
    change[1:-1].sub_(series[:-2], alpha=0.5).sub_(series[2:], alpha=0.5)
    # The first and the last epoch have one beside them.
    change[0] -= series[1]
    change[-1] -= series[-2]
    return change


def _change(series: Tensor, seen: Tensor, cells: int) -> tuple[Tensor, Tensor, Tensor]:
    """What an epoch differs by from the mean of those beside it: no event, which changes slowly, is in it.

    Where a cell differs by many times what it differs by in most epochs, as at the step of an event, it is cut down.

    Parameters
    ----------
    series, seen
        (time, pixel), 0 where there is no data; (pixel,) where there is

    Returns
    -------
    change, std, place
        (time, pixel); (time,) its robust standard deviation; (cell,) that of a cell over that of most
    """
    change = change_of(series)
    pixels = torch.nonzero(seen)[:, 0]
    if not len(pixels):
        return change, torch.ones_like(change[:, 0]), torch.ones(cells, device=change.device)
    sample = change[:, pixels[:: 1 + len(pixels) // SAMPLED]]
    std = (MAD_TO_STD * sample.abs().median(1).values).clamp(min=TINY)
    by_cell = change.reshape(len(change), cells, -1)
    size = torch.linalg.vector_norm(by_cell, dim=2) / std[:, None]
    usual = size.median(0).values
    epoch, cell = torch.nonzero(size > MOST_CHANGE * usual, as_tuple=True)
    by_cell[epoch, cell] *= (MOST_CHANGE * usual[cell] / size[epoch, cell])[:, None]
    return change, std, (usual / usual[usual > 0].median()).clamp(min=MIN_PLACE)


def _correlation_of_change(covariance: Tensor) -> Tensor:
    """Correlation (time, time) of what epochs of a covariance differ by from those beside them."""
    difference = change_of(torch.eye(len(covariance), device=covariance.device))
    changed = difference @ covariance @ difference.T
    scale = changed.diagonal().clamp(min=TINY).rsqrt()
    return scale[:, None] * changed * scale


def random_signs(number: int, epochs: int) -> Tensor:
    """(number, time) of 1 and -1, the same whenever they are drawn."""
    drawn = np.random.default_rng(0).choice([-1.0, 1.0], size=(number, epochs))
    return torch.from_numpy(drawn.astype(np.float32))


def signed(units: Tensor, sign: Tensor, std: Tensor, correlation: Tensor) -> Tensor:
    """Filters of what epochs differ by from those beside them that give noise of variance 1, as `units` of a series do.

    Epochs beside one another share noise, which signs add or take away, so each filter is scaled by what it gives.

    Parameters
    ----------
    units
        (..., candidate, time) unit filters of a whitened series
    sign
        (time,) 1 or -1
    std, correlation
        (..., time), (..., time, time) of what epochs differ by
    """
    filters = units * sign
    variance = ((filters @ correlation) * filters).sum(-1).clamp(min=LEAST_VARIANCE)
    return filters / std[..., None, :] / variance.sqrt()[..., None]


def cell_energy(amplitudes: Tensor, share: Tensor) -> Tensor:
    """Mean squares (n, y, x) over the cells of amplitudes (n, pixel)."""
    pixels = amplitudes.shape[1] // share.numel()
    squares = torch.linalg.vector_norm(amplitudes.reshape(len(amplitudes), -1, pixels), dim=-1).square()
    return (squares / pixels).reshape(-1, *share.shape)


def in_blocks(energy: Tensor, share: Tensor) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Energy of cells (band, n, y, x) in ever larger blocks, half over one another.

    Yields
    ------
    number
        in BLOCKS
    covered
        (by, bx) share of a block that has data
    mean
        (band, n, by, bx) energy of where there is data
    """
    side = CELL
    for number, block in enumerate(BLOCKS):
        size = block // side
        if size > min(share.shape) and number:
            return
        size = min(size, *share.shape)
        stride = max(1, size // 2)
        covered = avg_pool2d(share[None], size, stride)[0]
        yield number, covered, avg_pool2d(energy, size, stride) / covered.clamp(min=MIN_USED)
        if min(share.shape) > 1 and number:
            energy, share, side = avg_pool2d(energy, 2), avg_pool2d(share[None], 2)[0], 2 * side


def _modes(changes: list[Tensor], stds: list[Tensor], place: Tensor, share: Tensor) -> Tensor:
    """Independent values of noise in blocks (block, band): as many as white noise has, or fewer.

    In streaks, or where its power falls steeply within a band, few waves hold most of it. The energy of n independent
    values varies by 2 / n of its square; that of a sum of few epochs also by how uneven they are.
    """
    signs = random_signs(COMBINATIONS, len(changes[0])).to(share.device)
    number = torch.arange(COMBINATIONS, device=share.device)[:, None]
    chosen = torch.arange(len(changes[0]), device=share.device) % APART_EPOCHS == number % APART_EPOCHS
    signs = signs * chosen / chosen.sum(1, keepdim=True).clamp(min=1).sqrt()
    energy = torch.stack([
        cell_energy((signs / std) @ change, share) for change, std in zip(changes, stds, strict=True)
    ]) / place.square()[:, None]  # fmt: skip
    out = torch.stack([block_modes(block) for block in BLOCKS]).to(share.device)
    for block, covered, mean in in_blocks(energy, share):
        seen = mean[:, :, covered > MIN_USED]
        if seen.shape[2]:
            # Within each block: that places differ is no chance.
            spread = (seen.var(1) / seen.mean(1).square().clamp(min=TINY)).mean(1)
            spread = spread / 2 - UNEVEN * APART_EPOCHS / len(changes[0])
            out[block] = torch.minimum(out[block], 1 / spread.clamp(min=TINY))
    return out


def _own_share(variance: Tensor) -> Tensor:
    """Share (time,) of an epoch in the variance of what it differs by from those beside it, by their variances."""
    beside = torch.cat([variance[1:2], variance[:-1]]) + torch.cat([variance[1:], variance[-2:-1]])
    weight = torch.full_like(variance, 0.25)
    weight[[0, -1]] = 0.5
    return variance / (variance + weight * beside)


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
