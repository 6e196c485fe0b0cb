"""A scan of a window that needs no network: places and histories where white octaves rise most above noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from slipscan.detect.octaves import SHORTEST_PX
from slipscan.detect.window import Window

PLACES_A_WAVE: Final = 4
SCANNED_D: Final = (0.0, 48.0, 192.0, 768.0)
REACH: Final = 1.0
"""Standard deviation of a seed's place, over the octave's wavelength."""
CHUNK: Final = 1 << 23


@dataclass(frozen=True)
class Seed:
    """Where something may have happened.

    Attributes
    ----------
    value
        statistic of the place
    history
        number of the history
    row, column, wavelength
        pixels
    """

    value: float
    history: int
    row: float
    column: float
    wavelength: float

    def taper(self, shape: tuple[int, int]) -> Tensor:
        """(y, x) 1 at the place, falling to 0 around it."""
        y, x = (torch.arange(side) + 0.5 - at for side, at in zip(shape, (self.row, self.column), strict=True))
        return torch.exp(-0.5 * (y[:, None].square() + x.square()) / (REACH * self.wavelength) ** 2)


def seeds(window: Window, histories: Tensor, beside: Tensor, at_most: int) -> list[Seed]:
    """The strongest places, no two within a wavelength of one another, strongest first.

    Parameters
    ----------
    histories, beside
        (time, candidate) that are looked for, and (time, n) that are estimated along
    """
    found: list[Seed] = []
    for octave in range(len(window.octaves)):
        wavelength = SHORTEST_PX * 2.0**octave
        values, side = _places(window, octave)
        units = _units(window, octave, histories, beside)
        best = torch.zeros(values[0].numel())
        number = torch.zeros(values[0].numel(), dtype=torch.long)
        flat = values.flatten(1)
        step = max(1, CHUNK // flat.shape[1])
        for first in range(0, len(units), step):
            top, at = (units[first : first + step] @ flat).abs().max(0)
            better = top > best
            best = torch.where(better, top, best)
            number = torch.where(better, at + first, number)
        columns = values.shape[2]
        for place in best.topk(min(4 * at_most, len(best))).indices.tolist():
            row, column = divmod(place, columns)
            centre = (row + 0.5) * side, (column + 0.5) * side
            found.append(Seed(float(best[place]), int(number[place]), *centre, wavelength))
    found.sort(key=lambda seed: -seed.value)
    kept: list[Seed] = []
    for seed in found:
        near = (((seed.row - k.row) ** 2 + (seed.column - k.column) ** 2) ** 0.5 <= max(k.wavelength, seed.wavelength)
                for k in kept)  # fmt: skip
        if not any(near):
            kept.append(seed)
        if len(kept) == at_most:
            break
    return kept


def _places(window: Window, octave: int) -> tuple[Tensor, int]:
    """White series (time, row, column) of an octave, noise 1, on places, and the side of one in pixels."""
    side = max(1, int(SHORTEST_PX) * 2**octave // PLACES_A_WAVE)
    side = min(side, *window.shape)
    windowed = window.octaves[octave] * window.whitening
    parts = [avg_pool2d(window.back(windowed * few)[:, None], side)[:, 0] for few in torch.split(window.modes, 16)]
    changes = avg_pool2d(window.back(window.octaves[octave] * window.changes)[:, None], side)[:, 0]
    std = changes.abs().mean(0) * (torch.pi / 2) ** 0.5
    return torch.cat(parts) / std.clamp(min=float(std.median()) / 2 + 1e-12), side


def _units(window: Window, octave: int, histories: Tensor, beside: Tensor) -> Tensor:
    """Filters (candidate, time) of the amplitude over its standard deviation; 0 where nothing is left of a history."""
    temporal = window.temporal
    strength = (window.octaves[octave].square() * window.bands).sum(dim=(1, 2))
    band = int(strength.argmax())
    whitener = temporal.every.whiteners[band]
    basis = whitener @ torch.cat([temporal.design, beside], 1)
    left, size, _ = torch.linalg.svd(basis / basis.square().sum(0).sqrt().clamp(min=1e-30), full_matrices=False)
    left = left[:, size > 1e-6 * size[0]]
    columns = whitener @ histories
    rest = columns - left @ (left.T @ columns)
    energy = rest.square().sum(0)
    usable = (energy > 1e-3 * columns.square().sum(0)) & (energy > 0.02 * energy.max())
    return torch.where(usable, (whitener.T @ rest) / energy.clamp(min=1e-30).sqrt(), 0.0).T.float()
