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

from slipscan.denoise.methods.slipnet.bands import (
    MIN_USED,
    TINY,
    UNEVEN,
    BandSeries,
    cell_energy,
    in_blocks,
    random_signs,
)
from slipscan.denoise.methods.slipnet.candidates import Candidates
from slipscan.fit.ramps import without

SIGNS, FEW_SIGNS = 8, 2
"""Times that the signs of epochs are changed to see what noise scores, where it matters, and else."""
RARE: Final = 6 / 7
"""Share of the changes of signs after which noise scores less: all but the second largest of eight."""
EVERY: Final = 2
"""One candidate in so many says what noise scores: those beside one another are alike."""
DOUBT: Final = 1.5
"""Where a score is within this factor of the gate it matters."""
FAIR_SHARE: Final = 0.005
"""Of the information of the best candidate: histories with less look like the background."""
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
        best score of noise, which it stays below after RARE of the changes of signs
    """

    number: int
    score: float
    noise: float


def search(
    bands: BandSeries, tried: Candidates, beside: Tensor, gate: float = 0.0, apart: float = APART
) -> Found | None:
    """The candidate of the best score; None where none is told from the background, or its score is below the gate.

    Parameters
    ----------
    bands
        the tile
    tried
        candidates
    beside
        (time, event) histories that were found before
    gate
        times the score of noise that is asked for
    apart
        share of a history's energy beside the background that the found histories must leave of it
    """
    if not len(tried.middle_d):
        return None
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
    signs = random_signs(SIGNS, units.shape[2]).to(units.device)
    of_noise: list[float] = []
    while len(of_noise) < SIGNS:
        for sign in signs[len(of_noise) : SIGNS if of_noise else FEW_SIGNS]:
            some = slice(len(of_noise) % min(EVERY, units.shape[1]), None, EVERY)
            filters = units[:, some] * (sign / bands.change_std[:, None])
            amplitudes = [own @ change for own, change in zip(filters, bands.changes, strict=True)]
            of_noise.append(float(_scores(amplitudes, bands, epochs[:, some]).max()))
        found = Found(int(numbers[best]), float(scores[best]), float(np.quantile(of_noise, RARE)))
        # A few changes of signs are enough where there is no doubt.
        if not gate * found.noise / DOUBT < found.score < gate * found.noise * DOUBT:
            break
    return found if found.score >= gate * found.noise else None


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
    energies = torch.stack([cell_energy(amplitude, bands.share) for amplitude in amplitudes])
    return score(energies, bands, epochs)


def score(energy: Tensor, bands: BandSeries, epochs: Tensor) -> Tensor:
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
    """
    energy = energy / bands.place.square()[:, None]
    best = energy.new_zeros(energy.shape[1])
    for block, covered, mean in in_blocks(energy, bands.share):
        ratio = mean.clamp(min=1.0)
        modes = bands.modes[block][:, None, None, None] * covered
        modes = modes / (1 + UNEVEN * modes / epochs[:, :, None, None])
        found = (0.5 * modes * (ratio - 1 - ratio.log())).sum(0)
        best = torch.maximum(best, torch.where(covered > MIN_USED, found, 0.0).flatten(1).amax(1))
    return best
