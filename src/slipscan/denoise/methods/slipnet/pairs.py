"""Two steps in one place: a single slow history comes close to both, and hides them from a search one by one."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from slipscan.denoise.methods.slipnet.bands import BandSeries
from slipscan.denoise.methods.slipnet.candidates import Candidates
from slipscan.denoise.methods.slipnet.search import score, units_of

MIN_APART: Final = 0.05
"""Share of a step's energy that the other leaves of it."""


def best_pair(bands: BandSeries, steps: Candidates, beside: Tensor) -> tuple[float, int, int]:
    """Score (see `search.score`) and numbers of the two steps that explain a tile best together; 0 if there are none.

    Parameters
    ----------
    bands
        the tile
    steps
        candidates
    beside
        (time, event) histories that were found before
    """
    units, epochs, usable = units_of(bands, steps, beside, 0.0)
    numbers = torch.nonzero(usable)[:, 0]
    first, second = torch.triu_indices(len(numbers), len(numbers), 1, device=numbers.device)
    alike = torch.stack([unit[numbers] @ unit[numbers].T for unit in units])[:, first, second]
    apart = (alike.square() < 1 - MIN_APART).all(0)
    first, second, alike = first[apart], second[apart], alike[:, apart]
    if not len(first):
        return 0.0, 0, 0
    energies = []
    cells = bands.share.numel()
    for unit, whitener, field, same in zip(units, bands.whiteners, bands.fields, alike, strict=True):
        amplitude = (unit[numbers] @ whitener @ field).reshape(len(numbers), cells, -1).transpose(0, 1)
        product = amplitude @ amplitude.transpose(1, 2) / amplitude.shape[2]
        own = product.diagonal(dim1=1, dim2=2)
        both = own[:, first] + own[:, second] - 2 * same * product[:, first, second]
        energies.append((both / (1 - same.square())).T.reshape(-1, *bands.share.shape))
    fewest = torch.minimum(epochs[:, numbers[first]], epochs[:, numbers[second]])
    scores = score(torch.stack(energies), bands, fewest, histories=2)
    best = int(scores.argmax())
    return float(scores[best]), int(numbers[first[best]]), int(numbers[second[best]])
