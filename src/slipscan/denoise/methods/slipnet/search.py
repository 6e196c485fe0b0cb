"""When did something happen in a tile: every candidate history at once, in bands of scales each with its own noise.

Every epoch of the residual is split into bands of scales. Noise differs in strength from epoch to epoch and from band
to band, so each band weighs epochs in its own way. The amplitude of a candidate in every place and band is then one
matrix product for all candidates together. A candidate's score is the likelihood ratio of its energy in the block of
the tile, small or large, where there is most of it. What noise alone would give is measured on the tile itself: the
same search, with the signs of its whitened epochs changed pair by pair, so that what changes slowly cancels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from slipscan.denoise.methods.slipnet import scales
from slipscan.denoise.methods.slipnet.scales import COARSE
from slipscan.fit.ramps import middles, ramps
from slipscan.fit.robust import MAD_TO_STD

DURATIONS_D: Final = (0.0, 48.0, 96.0, 192.0, 384.0, 768.0, 1095.0)
STEPS_A_RAMP: Final = 4.0
"""Candidates of a duration begin this many times a duration."""
THINNED: Final = (1, 1, 2, 4, 4)
"""Side, in coarse pixels, of the pixels that a band is taken on; the detail, the first of all, on pixels."""
SAMPLED: Final = 1 << 12
SAMPLED_CANDIDATES: Final = 32
"""Of which, in as many pixels, a median is noise."""
TINY: Final = 1e-30
FAIR_SHARE: Final = 0.05
"""Of the information of the best candidate: histories with less look like the background."""
MIN_EPOCHS: Final = 2.0
"""Epochs that carry a candidate: what one epoch alone shows is air."""
UNEVEN: Final = 0.4
"""Variance over space of the power of an epoch's noise, over its square."""
BESIDE_OTHERS: Final = 0.2
"""Share of a history's energy beside the background that found histories leave of it: of those that are alike, less."""
PRIOR_MODES: Final = 12.0
"""So many modes of an epoch's band say that its noise is what the epoch has in all bands together."""
BLOCKS: Final = (8, 16, 32, 64)
"""Coarse pixels of a side of the blocks whose energy is compared with noise."""
CELL: Final = 4
MIN_USED: Final = 0.5
"""Share of valid pixels of a coarse pixel that counts, and of counting pixels of a block."""


@dataclass(frozen=True)
class Candidates:
    """Histories to choose from.

    Attributes
    ----------
    columns
        (time, candidate) from 0 at the first to 1 at the last epoch
    middle_d, duration_d
        (candidate,) days
    """

    columns: Tensor
    middle_d: Tensor
    duration_d: Tensor


@dataclass(frozen=True)
class BandSeries:
    """A tile in bands, whitened in time; pixels in the order of the cells that they lie in.

    Attributes
    ----------
    fields
        detail and bands, each (time, pixel), over `std`, 0 where there is no data; broad bands have fewer pixels
    std
        (band, time) noise of an epoch in each
    share
        (y, x) of a cell's coarse pixels that have data
    design
        (time, column) of the background
    """

    fields: tuple[Tensor, ...]
    std: Tensor
    share: Tensor
    design: Tensor


@dataclass(frozen=True)
class Found:
    """The best candidate of a search.

    Attributes
    ----------
    number
        of the candidate
    score
        log likelihood ratio of its energy, where there is most of it, against noise
    noise
        (sign,) best scores of noise
    """

    number: int
    score: float
    noise: Tensor


def candidates(days: Tensor) -> Candidates:
    """Ramps of all durations that the series is long enough for."""
    columns, middle, duration = [], [], []
    between = middles(days)
    for length in DURATIONS_D:
        if length > float(days[-1] - days[0]):
            break
        chosen = _spaced(between, length / STEPS_A_RAMP)
        ramp = ramps(days, chosen, length)
        columns.append((ramp - ramp[0]) / (ramp[-1] - ramp[0]).clamp(min=1e-3))
        middle.append(chosen)
        duration.append(torch.full_like(chosen, length))
    return Candidates(torch.cat(columns, 1), torch.cat(middle), torch.cat(duration))


def _spaced(days: Tensor, least: float) -> Tensor:
    """Some of ascending days, no two closer than `least`."""
    kept = [0]
    values = days.tolist()
    for number, day in enumerate(values):
        if day - values[kept[-1]] >= least:
            kept.append(number)
    return days[kept]


def in_bands(broad: Tensor, fine: Tensor, used: Tensor, design: Tensor, base_variance: Tensor) -> BandSeries:
    """Detail and bands of a series with the noise of every epoch in each.

    Parameters
    ----------
    broad, fine
        (time, y, x) coarse pixels, complete: holes are filled; and detail of pixels, 0 where there is no data
    used
        (y, x) bool, coarse pixels that have data
    design
        (time, column) of the background
    base_variance
        (time,) of an epoch, in all bands together
    """
    share = avg_pool2d(used.float()[None], CELL)[0]
    inside = _by_cells(used[None].repeat_interleave(COARSE, 1).repeat_interleave(COARSE, 2), CELL * COARSE)[0]
    parts = [(_by_cells(fine, CELL * COARSE), inside)]
    for band, side in zip(scales.bands(broad), THINNED, strict=True):
        seen = avg_pool2d(used.float()[None], side)[0] > MIN_USED
        thinned = avg_pool2d(band[None], side)[0] if side > 1 else band
        parts.append((_by_cells(thinned, CELL // side), _by_cells(seen[None], CELL // side)[0]))
    modes = _block_modes(max(BLOCKS)) * float(used.sum()) / max(BLOCKS) ** 2
    fields, stds = [], []
    for number, (values, seen) in enumerate(parts):
        places = torch.nonzero(seen)[:, 0]
        spread = _epoch_variance(values[:, places[:: 1 + len(places) // SAMPLED]], base_variance)
        level = (spread / base_variance).median()
        std = ((modes[number] * spread + PRIOR_MODES * level * base_variance) / (modes[number] + PRIOR_MODES)).sqrt()
        std = std.clamp(min=TINY)
        fields.append(values * seen / std[:, None])
        stds.append(std)
    return BandSeries(tuple(fields), torch.stack(stds), share, design)


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


def search(bands: BandSeries, tried: Candidates, beside: Tensor, signs: Tensor) -> Found | None:
    """The candidate of the best score; None where no candidate is told from the background.

    Parameters
    ----------
    bands
        the tile
    tried
        candidates
    beside
        (time, event) histories that were found before
    signs
        (sign, time) of `alternating`: what noise scores is measured with each
    """
    units, epochs, usable = _units(bands, tried, beside)
    if not usable.any():
        return None
    numbers = torch.nonzero(usable)[:, 0]
    units, epochs = [unit[numbers] for unit in units], epochs[:, numbers]
    energies = torch.stack([
        _energy(unit @ field, bands.share) for unit, field in zip(units, bands.fields, strict=True)
    ])  # fmt: skip
    first = int(_scores(energies, bands.share, epochs).argmax())
    of_noise = [_noise(unit, field, first, signs) for unit, field in zip(units, bands.fields, strict=True)]
    levels = torch.stack([_level(amplitudes) for amplitudes in of_noise])[:, None, None, None]
    noise = torch.stack([_energy(amplitudes, bands.share) for amplitudes in of_noise])
    scores = _scores(energies / levels, bands.share, epochs)
    by_sign = _scores(noise / levels, bands.share, epochs.repeat(1, len(signs))).reshape(len(signs), -1)
    best = int(scores.argmax())
    return Found(int(numbers[best]), float(scores[best]), by_sign.amax(1))


def _noise(unit: Tensor, field: Tensor, best: int, signs: Tensor) -> Tensor:
    """Amplitudes (sign and candidate, pixel) of what is left beside the best candidate, with changed signs.

    A strong event would leak into them.
    """
    rest = field - unit[best][:, None] * (unit[best] @ field)
    return (signs[:, None] * unit).flatten(0, 1) @ rest


def _level(amplitudes: Tensor) -> Tensor:
    """Robust mean square () of amplitudes (n, pixel) where there is data, of a sample of them."""
    rows = amplitudes[:: 1 + len(amplitudes) // SAMPLED_CANDIDATES]
    seen = torch.nonzero(rows[0])[:, 0]
    sample = rows[:, seen[:: 1 + len(seen) // SAMPLED]]
    return (MAD_TO_STD * sample.abs().median()).square()


def _energy(amplitudes: Tensor, share: Tensor) -> Tensor:
    """Mean squares (n, y, x) over the cells of amplitudes (n, pixel)."""
    pixels = amplitudes.shape[1] // share.numel()
    squares = torch.linalg.vector_norm(amplitudes.reshape(len(amplitudes), -1, pixels), dim=-1).square()
    return (squares / pixels).reshape(-1, *share.shape)


def alternating(epochs: int, number: int) -> Tensor:
    """Signs (sign, time) that differ within every pair of neighbouring epochs: what changes slowly cancels."""
    generator = np.random.default_rng(0)
    first = generator.choice([-1.0, 1.0], size=(number, epochs // 2 + 2))
    signs = np.stack([first, -first], 2).reshape(number, -1)
    return torch.from_numpy(np.stack([row[turn % 2 :][:epochs] for turn, row in enumerate(signs)]).astype(np.float32))


def _units(bands: BandSeries, tried: Candidates, beside: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
    """Filters of the amplitudes of candidates over their errors, of whitened series.

    Returns
    -------
    units
        per band (candidate, time)
    epochs
        (band, candidate) number of epochs that carry it (participation ratio)
    usable
        (candidate,) background and found histories leave enough of it
    """
    design = torch.cat([bands.design, beside], 1).double()
    design = design / design.square().mean(0).sqrt()
    out, carried, usable = [], [], torch.ones(tried.columns.shape[1], dtype=torch.bool, device=design.device)
    for std in bands.std.double():
        scaled = tried.columns.double() / std[:, None]
        alone, rest = (
            scaled - basis @ (basis.T @ scaled)
            for basis in (
                torch.linalg.qr(columns / std[:, None])[0] for columns in (design[:, : bands.design.shape[1]], design)
            )
        )
        energy = rest.square().sum(0)
        unit = rest / energy.clamp(min=TINY).sqrt()
        number = 1 / unit.pow(4).sum(0).clamp(min=TINY)
        usable &= (energy > FAIR_SHARE * energy.max()) & (energy > BESIDE_OTHERS * alone.square().sum(0))
        usable &= number > MIN_EPOCHS
        out.append(unit.T.float())
        carried.append(number.float())
    return out, torch.stack(carried), usable


def _by_cells(fields: Tensor, side: int) -> Tensor:
    """Fields (n, y, x) as (n, pixel), the pixels of a cell of side^2 after one another."""
    n, rows, columns = fields.shape
    parts = fields.reshape(n, rows // side, side, columns // side, side)
    return parts.transpose(2, 3).reshape(n, -1)


def _scores(energy: Tensor, share: Tensor, epochs: Tensor) -> Tensor:
    """Best log likelihood ratio of any block (candidate,) of energies (band, candidate, y, x) of cells over noise.

    Of the energy of n independent Gaussian values, rho times what noise gives, it is n / 2 (rho - 1 - ln rho). Noise
    differs from place to place in an epoch: of a candidate that few `epochs` (band, candidate) carry fewer count.
    """
    best = energy.new_zeros(energy.shape[1])
    side = CELL
    for block in BLOCKS:
        size = block // side
        if size > min(share.shape) and block > BLOCKS[0]:
            break
        size = min(size, *share.shape)
        stride = max(1, size // 2)
        covered = avg_pool2d(share[None], size, stride)[0]
        ratio = (avg_pool2d(energy, size, stride) / covered.clamp(min=MIN_USED)).clamp(min=1.0)
        modes = _block_modes(block).to(energy.device)[:, None, None, None] * covered
        modes = modes / (1 + UNEVEN * modes / epochs[:, :, None, None])
        score = (0.5 * modes * (ratio - 1 - ratio.log())).sum(0)
        best = torch.maximum(best, torch.where(covered > MIN_USED, score, 0.0).flatten(1).amax(1))
        if min(share.shape) > 1 and block > BLOCKS[0]:
            energy, share, side = avg_pool2d(energy, 2), avg_pool2d(share[None], 2)[0], 2 * side
    return best


@lru_cache(maxsize=8)
def _block_modes(block: int) -> Tensor:
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
