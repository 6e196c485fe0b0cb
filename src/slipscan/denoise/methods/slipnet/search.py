"""When did something happen in a tile: every candidate history at once, in bands of scales each with its own noise.

Every epoch of the residual is split into bands of scales. Noise differs in strength from epoch to epoch and from band
to band, so each band weighs epochs in its own way. The amplitude of a candidate in every place and band is then one
matrix product for all candidates together. A candidate's score is the likelihood ratio of its energy in the block of
the tile, small or large, where there is most of it. What noise alone would give is measured on the tile itself: the
same search of what epochs differ by from those beside them, with random signs.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Final

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
    signed,
)
from slipscan.denoise.methods.slipnet.candidates import Candidates
from slipscan.fit.ramps import without

SIGNS, FEW_SIGNS = 8, 2
"""Times that the signs of epochs are changed to see what noise scores, and where there is no doubt."""
RANK: Final = 2
"""Of the scores of noise, largest first: the one that counts."""
EVERY: Final = 2
"""One candidate in so many says what noise scores: those beside one another are alike."""
DOUBT: Final = 1.5
"""There is none above this many times the gate."""
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
        what noise scores: the second largest of SIGNS; 0 where it was not asked for
    scores
        (candidate,) of all; 0 of those that are not told from the background
    """

    number: int
    score: float
    noise: float
    scores: Tensor

    def best_of(self, chosen: Tensor) -> int | None:
        """Number of the best of some candidates (candidate,), if any has a score."""
        scores = torch.where(chosen, self.scores, 0.0)
        best = int(scores.argmax())
        return best if float(scores[best]) > 0 else None


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
        times the score of noise that is asked for; 0: the best, whatever it scores
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
    every = scores.new_zeros(len(usable)).index_copy(0, numbers, scores)
    found = Found(int(numbers[best]), float(scores[best]), 0.0, every)
    return found if gate == 0 else _above_noise(found, units, bands, epochs, gate)


def _above_noise(found: Found, units: Tensor, bands: BandSeries, epochs: Tensor, gate: float) -> Found | None:
    """The same with what noise scores, if its score is the gate times that."""
    of_noise: list[float] = []
    for number, sign in enumerate(random_signs(SIGNS, units.shape[2]).to(units.device)):
        some = slice(number % min(EVERY, units.shape[1]), None, EVERY)
        filters = signed(units[:, some], sign, bands.change_std, bands.change_correlation)
        amplitudes = [own @ change for own, change in zip(filters, bands.changes, strict=True)]
        of_noise.append(float(_scores(amplitudes, bands, epochs[:, some]).max()))
        # What is below the gate now stays so; and a few changes of signs are enough where there is no doubt.
        if sum(found.score < gate * noise for noise in of_noise) >= RANK:
            return None
        if len(of_noise) == FEW_SIGNS and found.score >= DOUBT * gate * max(of_noise):
            break
    rank = RANK if len(of_noise) == SIGNS else 1
    return dataclasses.replace(found, noise=sorted(of_noise)[-rank])


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
