"""When did something happen in a tile: every candidate history at once, in bands of scales each with its own noise.

Every epoch of the residual is split into bands of scales. Noise differs in strength from epoch to epoch and from band
to band, so each band weighs epochs in its own way. The amplitude of a candidate in every place and band is then one
matrix product for all candidates together. A candidate's score is the likelihood ratio of its energy in the block of
the tile, small or large, where there is most of it. What noise alone would give is measured on the tile itself: the
same search, with the signs of its whitened epochs changed pair by pair, so that what changes slowly cancels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from slipscan.denoise.methods.slipnet.bands import BLOCKS, CELL, MIN_USED, SAMPLED, TINY, BandSeries, block_modes
from slipscan.denoise.methods.slipnet.candidates import Candidates
from slipscan.fit.ramps import without
from slipscan.fit.robust import MAD_TO_STD

SAMPLED_CANDIDATES: Final = 32
"""Of which, in as many pixels, a median is noise."""
SIGNS, FEW_SIGNS = 8, 2
"""Times that the signs of epochs are changed to see what noise scores, where it matters, and else."""
DOUBT: Final = 1.5
"""Where a score is within this factor of the gate it matters."""
FAIR_SHARE: Final = 0.05
"""Of the information of the best candidate: histories with less look like the background."""
MIN_EPOCHS: Final = 2.0
"""Epochs that carry a candidate: what one epoch alone shows is air."""
UNEVEN: Final = 0.4
"""Variance over space of the power of an epoch's noise, over its square."""
BESIDE_OTHERS: Final = 0.2
"""Share of a history's energy beside the background that found histories leave of it: of those that are alike, less."""


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


def search(bands: BandSeries, tried: Candidates, beside: Tensor, gate: float = 0.0) -> Found | None:
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
    """
    units, epochs, usable = _units(bands, tried, beside)
    if not usable.any():
        return None
    numbers = torch.nonzero(usable)[:, 0]
    units, epochs = units[:, numbers], epochs[:, numbers]
    energies = torch.stack([
        _energy(unit @ whitener @ field, bands.share)
        for unit, whitener, field in zip(units, bands.whiteners, bands.fields, strict=True)
    ])  # fmt: skip
    first = int(_scores(energies, bands.share, epochs).argmax())
    signs = alternating(units.shape[2], SIGNS).to(units.device)
    noise: list[float] = []
    while len(noise) < SIGNS:
        some = signs[len(noise) : max(FEW_SIGNS, SIGNS * bool(noise))]
        of_noise, levels = _noise(bands, units, first, some)
        noise += (
            _scores(of_noise / levels, bands.share, epochs.repeat(1, len(some))).reshape(len(some), -1).amax(1).tolist()
        )
        scores = _scores(energies / levels, bands.share, epochs)
        best = int(scores.argmax())
        found = Found(int(numbers[best]), float(scores[best]), float(np.median(noise)))
        # A few changes of signs are enough where there is no doubt.
        if not gate * found.noise / DOUBT < found.score < gate * found.noise * DOUBT:
            break
    return found if found.score >= gate * found.noise else None


def _noise(bands: BandSeries, units: Tensor, best: int, signs: Tensor) -> tuple[Tensor, Tensor]:
    """Energies (band, sign and candidate, y, x) of series whose whitened epochs change signs, and the level of bands.

    What is left beside the best candidate is taken: a strong event would leak into it.
    """
    changed = (signs[:, None] * units[:, None]).flatten(1, 2)
    strongest = units[:, best, :, None]
    filters = (changed - (changed @ strongest) @ strongest.transpose(1, 2)) @ bands.whiteners
    amplitudes = [own @ field for own, field in zip(filters, bands.fields, strict=True)]
    levels = torch.stack([_level(amplitude) for amplitude in amplitudes])[:, None, None, None]
    return torch.stack([_energy(amplitude, bands.share) for amplitude in amplitudes]), levels


def _level(amplitudes: Tensor) -> Tensor:
    """Robust mean square () of amplitudes (n, pixel) where there is data, of a sample of them."""
    rows = amplitudes[:: 1 + len(amplitudes) // SAMPLED_CANDIDATES]
    seen = torch.nonzero(rows[0])[:, 0]
    if not len(seen):
        return amplitudes.new_ones(())
    sample = rows[:, seen[:: 1 + len(seen) // SAMPLED]]
    return (MAD_TO_STD * sample.abs().median()).square().clamp(min=TINY)


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


def _units(bands: BandSeries, tried: Candidates, beside: Tensor) -> tuple[Tensor, Tensor, Tensor]:
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
    apart = energy > BESIDE_OTHERS * alone.square().sum(1)
    units = rest / energy.clamp(min=TINY).sqrt()[:, None]
    epochs = 1 / units.pow(4).sum(1).clamp(min=TINY)
    usable = (fair & apart & (epochs > MIN_EPOCHS)).all(0)
    return units.transpose(1, 2).float(), epochs.float(), usable


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
        modes = block_modes(block).to(energy.device)[:, None, None, None] * covered
        modes = modes / (1 + UNEVEN * modes / epochs[:, :, None, None])
        score = (0.5 * modes * (ratio - 1 - ratio.log())).sum(0)
        best = torch.maximum(best, torch.where(covered > MIN_USED, score, 0.0).flatten(1).amax(1))
        if min(share.shape) > 1 and block > BLOCKS[0]:
            energy, share, side = avg_pool2d(energy, 2), avg_pool2d(share[None], 2)[0], 2 * side
    return best
