"""What slip that breaks the surface looks like: displacement along a fault, of opposite sign on either side of it.

The pattern is that of a vertical strike-slip fault from the surface down (Okada 1985, BSSA 75, 1135), the component
along the fault. Nearly all that tells it from noise is the discontinuity, which dip-slip on a steep fault has, too.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final, NamedTuple

import torch
from torch import Tensor

from slipscan.fit.spectrum import Whitening, wide
from slipscan.forward.okada import okada_surface

DIRECTIONS: Final = 24
LENGTH_PX, DEPTH_PX = 20.0, 5.0
"""Of the ruptures that are looked for first, in all places."""
FINER: Final = 2
"""So many times as many directions are looked at where one of those stands out,"""
SIZES_PX: Final = ((12.0, 4.0), (20.0, 5.0), (36.0, 8.0))
"""and so many lengths and depths."""
BROADEST_PX: Final = 32.0
"""Longer waves hardly count: delay and distant sources are in them, and next to nothing of a rupture."""


class Rupture(NamedTuple):
    """A vertical fault that has slipped from the surface down; rows y run south, columns x east.

    Attributes
    ----------
    y, x
        middle of its trace, pixels
    strike_deg
        clockwise from north
    length_px, depth_px
        along strike, and of its lower edge
    """

    y: float
    x: float
    strike_deg: float
    length_px: float
    depth_px: float


def pattern_of(one: Rupture, y: Tensor, x: Tensor) -> Tensor:
    """Displacement along strike at pixels, of the shape of `y` and `x`, for unit slip."""
    strike = math.radians(one.strike_deg)
    moved = okada_surface(
        (x - one.x).flatten(), (one.y - y).flatten(), east0=0.0, north0=0.0, depth_top=0.0,
        strike_deg=one.strike_deg, dip_deg=90.0, length=one.length_px, width=one.depth_px, rake_deg=0.0, slip=1.0,
    )[0]  # fmt: skip
    return (moved[:, 0] * math.sin(strike) + moved[:, 1] * math.cos(strike)).reshape(y.shape)


def power_of(whitening: Whitening, shape: torch.Size) -> Tensor:
    """Power of noise (ky, kx) per mode of mirrored fields of a shape, that of broad waves beyond measure."""
    size = wide(shape)
    ky, kx = (torch.fft.fftfreq(size[0]), torch.fft.rfftfreq(size[1]))
    k = torch.hypot(ky[:, None], kx).to(whitening.log_power.device)
    k[0, 0] = 1 / max(size)
    return whitening.log_power_of(size).exp() * (1 + (1 / (BROADEST_PX * k)) ** 4)


def matched(templates: Tensor, power: Tensor, shape: torch.Size) -> Tensor:
    """Filters (n, ky, kx) of mirrored fields of a shape; noise of that power leaves them with a variance of one."""
    filters = templates.conj() / power
    return filters / torch.fft.irfft2(templates * filters, s=wide(shape))[:, :1, :1].sqrt()


def usual_ruptures(shape: torch.Size, device: torch.device) -> Tensor:
    """Those of one size in all directions, as `matched` takes them."""
    size = ((LENGTH_PX, DEPTH_PX),)
    return torch.cat([_spectra(wide(shape), FINER * number, size, device) for number in range(DIRECTIONS)])


def ruptures_near(shape: torch.Size, direction: int, device: torch.device) -> tuple[Tensor, list[Rupture]]:
    """Ruptures of all sizes near a direction of `usual_ruptures`: spectra (n, ky, kx), and what they are at (0, 0)."""
    directions = [(FINER * direction + offset) % (FINER * DIRECTIONS) for offset in range(1 - FINER, FINER)]
    spectra = torch.cat([_spectra(wide(shape), number, SIZES_PX, device) for number in directions])
    return spectra, [_at_origin(number, size) for number in directions for size in SIZES_PX]


def _at_origin(number: int, size: tuple[float, float]) -> Rupture:
    """Half a pixel off, so that no pixel lies on the fault."""
    return Rupture(0.5, 0.5, 180 / (FINER * DIRECTIONS) * number, *size)


@lru_cache(maxsize=200)
def _spectra(
    shape: tuple[int, int], number: int, sizes: tuple[tuple[float, float], ...], device: torch.device
) -> Tensor:
    """Transforms (size, ky, kx) of ruptures in one direction, about the first pixel."""
    # Kept for all that comes, training too, so no tensor of inference mode.
    with torch.inference_mode(False), torch.device("cpu"):
        y, x = torch.meshgrid(*(torch.fft.fftfreq(n, 1 / n) for n in shape), indexing="ij")
        return torch.fft.rfft2(torch.stack([pattern_of(_at_origin(number, size), y, x) for size in sizes])).to(device)


def grid_of(shape: torch.Size, device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows and columns (y, x) of the pixels of a mirrored field of a shape; its own first pixel is (0, 0)."""
    down, across = ((full - side) // 2 for full, side in zip(wide(shape), shape, strict=True))
    rows, columns = (torch.arange(side, dtype=torch.float32, device=device) for side in wide(shape))
    y, x = torch.meshgrid(rows - down, columns - across, indexing="ij")
    return y, x
