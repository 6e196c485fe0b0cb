"""When did something happen in a tile: every candidate history at once, in bands of scales each with its own noise.

Every epoch of the residual is split into bands of scales. Noise differs in strength from epoch to epoch and from band
to band, so each band weighs epochs in its own way. The amplitude of a candidate in every place and band is then one
matrix product for all candidates together. A candidate's score is the likelihood ratio of its energy in the block of
the tile, small or large, where there is most of it. What noise alone would give is measured on the tile itself: the
same search of what epochs differ by from those beside them, with random signs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from slipscan.denoise.methods.slipnet.bands import BLOCKS, CELL, MIN_USED, TINY, BandSeries, block_modes
from slipscan.denoise.methods.slipnet.candidates import Candidates
from slipscan.fit.ramps import without

SIGNS, FEW_SIGNS = 8, 2
"""Times that the signs of epochs are changed to see what noise scores, where it matters, and else."""
EVERY: Final = 2
"""One candidate in so many says what noise scores: those beside one another are alike."""
DOUBT: Final = 1.5
"""Where a score is within this factor of the gate it matters."""
FAIR_SHARE: Final = 0.005
"""Of the information of the best candidate: histories with less look like the background."""
UNEVEN: Final = 0.4
"""Variance over space of the power of an epoch's noise, over its square."""
APART: Final = 0.005
"""See `search`: histories that are alike leave less of one another."""


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
        best score of noise, median over changes of signs
    """

    number: int
    score: float
    noise: float


def search(
    bands: BandSeries, tried: Candidates, beside: Tensor, gate: float = 0.0, apart: float = APART
) -> Found | None:
    """The candidate of the best score; None where none is told from the background, or the score is below the gate.

    Parameters
    ----------
    bands
        the tile
    tried
        candidates
    beside
        (time, event) histories that were found before
    gate
        times the score of noise (median) that is asked for
    apart
        share of a history's energy beside the background that the found histories must leave of it
    """
    units, epochs, usable = units_of(bands, tried, beside, apart)
    if not usable.any():
        return None
    numbers = torch.nonzero(usable)[:, 0]
    units, epochs = units[:, numbers], epochs[:, numbers]
    amplitudes = [
        unit @ whitener @ field for unit, whitener, field in zip(units, bands.whiteners, bands.fields, strict=True)
    ]
    scores = _scores(amplitudes, bands, epochs)
    best = int(scores.argmax())
    signs = random_signs(units.shape[2]).to(units.device)
    of_noise: list[float] = []
    while len(of_noise) < SIGNS:
        for sign in signs[len(of_noise) : SIGNS if of_noise else FEW_SIGNS]:
            some = slice(len(of_noise) % min(EVERY, units.shape[1]), None, EVERY)
            filters = units[:, some] * (sign / bands.change_std[:, None])
            amplitudes = [own @ change for own, change in zip(filters, bands.changes, strict=True)]
            of_noise.append(float(_scores(amplitudes, bands, epochs[:, some]).max()))
        found = Found(int(numbers[best]), float(scores[best]), float(np.median(of_noise)))
        # A few changes of signs are enough where there is no doubt.
        if not gate * found.noise / DOUBT < found.score < gate * found.noise * DOUBT:
            break
    return found if found.score >= gate * found.noise else None


def _energy(amplitudes: Tensor, share: Tensor) -> Tensor:
    """Mean squares (n, y, x) over the cells of amplitudes (n, pixel)."""
    pixels = amplitudes.shape[1] // share.numel()
    squares = torch.linalg.vector_norm(amplitudes.reshape(len(amplitudes), -1, pixels), dim=-1).square()
    return (squares / pixels).reshape(-1, *share.shape)


def random_signs(epochs: int) -> Tensor:
    """(SIGNS, time) of 1 and -1, the same whenever they are drawn."""
    return torch.from_numpy(np.random.default_rng(0).choice([-1.0, 1.0], size=(SIGNS, epochs)).astype(np.float32))


def units_of(bands: BandSeries, tried: Candidates, beside: Tensor, least: float) -> tuple[Tensor, Tensor, Tensor]:
    """Filters of the amplitudes of candidates over their errors, of whitened series.

    Returns
    -------
    units
        (band, candidate, time)
    epochs
        (band, candidate) number of epochs that carry it (participation ratio)
    usable
        (candidate,) background and found histories leave enough of it
    """
    whiteners = bands.whiteners.double()
    design = bands.design.double()
    design = design / design.square().mean(0).sqrt()
    scaled = whiteners @ tried.columns.double()
    alone = without(scaled, whiteners @ design)
    rest = without(scaled, whiteners @ torch.cat([design, beside.double()], 1)) if beside.shape[1] else alone
    energy = rest.square().sum(1)
    fair = energy > FAIR_SHARE * energy.amax(1, keepdim=True)
    apart = energy > least * alone.square().sum(1)
    units = rest / energy.clamp(min=TINY).sqrt()[:, None]
    epochs = 1 / units.pow(4).sum(1).clamp(min=TINY)
    usable = (fair & apart).all(0)
    return units.transpose(1, 2).float(), epochs.float(), usable


def _scores(amplitudes: list[Tensor], bands: BandSeries, epochs: Tensor) -> Tensor:
    """`score` of amplitudes (candidate, pixel) in bands."""
    energies = torch.stack([_energy(amplitude, bands.share) for amplitude in amplitudes])
    return score(energies, bands, epochs)


def score(energy: Tensor, bands: BandSeries, epochs: Tensor, histories: int = 1) -> Tensor:
    """Best log likelihood ratio of any block (candidate,) of energies (band, candidate, y, x) of cells over noise.

    Of the energy of n independent Gaussian values, rho times what noise gives, it is n / 2 (rho - 1 - ln rho). Noise
    differs from place to place in an epoch: of a candidate that few `epochs` (band, candidate) carry fewer count.

    Parameters
    ----------
    energy
        mean square of amplitudes over their errors, of pixels
    bands
        what it was taken of
    epochs
        (band, candidate)
    histories
        of which it is the energy together
    """
    share = bands.share
    energy = energy / (histories * bands.place.square()[:, None])
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
        modes = block_modes(block).to(energy.device)[:, None, None, None] * covered
        modes = histories * modes / (1 + UNEVEN * modes / epochs[:, :, None, None])
        found = (0.5 * modes * (ratio - 1 - ratio.log())).sum(0)
        best = torch.maximum(best, torch.where(covered > MIN_USED, found, 0.0).flatten(1).amax(1))
        if min(share.shape) > 1 and block > BLOCKS[0]:
            energy, share, side = avg_pool2d(energy, 2), avg_pool2d(share[None], 2)[0], 2 * side
    return best
