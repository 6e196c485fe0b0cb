"""Octaves of wavelength: windows in wavenumber whose squares add up to 1, and bands of the noise product."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

import torch
from torch import Tensor

SHORTEST_PX: Final = 8.0
"""Wavelength of the finest octave. Finer ones hold what is each pixel's own, phase bias above all, which is red in time
and has no source."""


def wavenumbers(shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Radius (cycles a pixel) and angle (0 to pi) of the modes of rfft2, each (y, x / 2 + 1)."""
    ky = torch.fft.fftfreq(shape[0])[:, None]
    kx = torch.fft.rfftfreq(shape[1])[None, :]
    return torch.hypot(ky, kx), torch.atan2(ky.expand(-1, kx.shape[1]), kx.expand(ky.shape[0], -1)) % math.pi


@lru_cache(maxsize=8)
def octaves(shape: tuple[int, int]) -> Tensor:
    """Windows (octave, y, x / 2 + 1), finest first, each to be applied twice; the broadest takes all beyond it."""
    radius = wavenumbers(shape)[0]
    count = 1 + int(math.log2(max(min(shape), SHORTEST_PX) / SHORTEST_PX))
    position = (-torch.log2((radius * SHORTEST_PX).clamp(min=1e-9))).clamp(max=count - 1)
    return torch.stack([(1 - (position - number).abs()).clamp(min=0).sqrt() for number in range(count)])


def band_windows(shape: tuple[int, int], width_px: Tensor) -> Tensor:
    """Share (band, y, x / 2 + 1) that every band of the noise product has in a mode; together 1.

    A band lies between Gaussians of a width and of half of it (standard deviations, pixels).
    """
    squared = wavenumbers(shape)[0].square()
    passed = [torch.exp(-2 * math.pi**2 * float(width) ** 2 * squared) for width in width_px]
    above = [torch.ones_like(squared), *passed[:-1]]
    below = [*passed[:-1], torch.zeros_like(squared)]
    return torch.stack([a - b for a, b in zip(above, below, strict=True)])
