"""A field in scales: Gaussian bands of coarse pixels, and the detail that coarse pixels do not hold.

Atmospheric noise is red: per mode it falls by orders of magnitude from the width of a scene to a pixel. So every scale
is measured in units of its own noise. That of the detail is the faintest: nearly all that tells of a thin surface
break, a step from one pixel to the next, is in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

from slipscan.fit.scatter import MAD_TO_STD
from slipscan.fit.spectrum import Whitening

COARSE: Final = 2
"""Pixels of the scene per side of a coarse pixel."""
BLOCK: Final = 8
"""Coarse pixels per side of a block."""
BAND_SIGMAS: Final = (1.0, 2.0, 4.0, 8.0)
"""Gaussians (coarse pixels) whose differences are the bands."""
MIN_LEVEL: Final = 1e-6
DETAIL_MODES: Final = 1 - 1 / COARSE**2
"""Share of all modes of a field that its detail has."""
MIN_KNOWN: Final = 0.25
"""Share of its pixels that make a coarse pixel."""


@dataclass(frozen=True)
class Levels:
    """Power per mode of noise.

    Attributes
    ----------
    bands
        (band,) in each band of coarse pixels that `whitening` has made white, but for a factor
    detail
        () in the detail, of pixels
    whitening
        of coarse pixels
    """

    bands: Tensor
    detail: Tensor
    whitening: Whitening

    def to(self, device: torch.device) -> Levels:
        """The same on a device."""
        return Levels(self.bands.to(device), self.detail.to(device), self.whitening.to(device))

    @property
    def band_std(self) -> Tensor:
        """Standard deviation of noise in each band, (band,)."""
        return (self.bands * torch.tensor(band_energies(), device=self.bands.device)).sqrt()

    @property
    def detail_std(self) -> Tensor:
        """Standard deviation of noise in the detail, ()."""
        return (DETAIL_MODES * self.detail).sqrt()


def complete(fields: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Coarse fields without holes of fields of which each has holes of its own.

    What is missing is taken from means over ever larger squares (push-pull; Gortler et al. 1996, SIGGRAPH), so that
    neither gaps nor the border of the data have edges.

    Parameters
    ----------
    fields, valid
        (n, y, x) 0 where not valid; bool

    Returns
    -------
    broad, share
        (n, y / COARSE, x / COARSE), and the share of their pixels that is valid
    """
    share = avg_pool2d(valid.float()[None], COARSE)[0]
    return _pulled(avg_pool2d(fields[None], COARSE)[0], share), share


def _pulled(total: Tensor, share: Tensor) -> Tensor:
    """Means of total / share where a quarter is known, else of a field of half the resolution."""
    if bool((share >= MIN_KNOWN).all()) or min(share.shape[1:]) <= 1:
        return total / share.clamp(min=1e-6)
    odd = (0, share.shape[2] % 2, 0, share.shape[1] % 2)
    half, half_share = (avg_pool2d(pad(part, odd)[None], 2)[0] for part in (total, share))
    broader = upsampled(_pulled(half, half_share)[None])[0][:, : share.shape[1], : share.shape[2]]
    return torch.where(share >= MIN_KNOWN, total / share.clamp(min=1e-6), broader)


def coarse(fields: Tensor) -> Tensor:
    """Means (n, y / COARSE, x / COARSE) of fields (n, y, x) that have no holes."""
    return avg_pool2d(fields[None], COARSE)[0]


def upsampled(fields: Tensor) -> Tensor:
    """Fields (n, k, y, x) of coarse pixels on fine ones, linear in between."""
    return interpolate(fields, scale_factor=COARSE, mode="bilinear", align_corners=False)


def detail(fields: Tensor, broad: Tensor, valid: Tensor) -> Tensor:
    """What the coarse fields (n, y / COARSE, x / COARSE) do not hold of fields (n, y, x); 0 where not valid."""
    return (fields - upsampled(broad[None])[0]) * valid


def bands(fields: Tensor) -> list[Tensor]:
    """Bands (n, y, x) of fields (n, y, x), from fine to broad, that sum to them."""
    out, last = [], fields
    for sigma in BAND_SIGMAS:
        blurred = _blur(fields, sigma)
        out.append(last - blurred)
        last = blurred
    return [*out, last]


def noise_levels(broad: Tensor, fine: Tensor, valid: Tensor, whitening: Whitening) -> Levels:
    """Levels of coarse fields (n, y, x) and of their detail (n, y, x), most of which is noise; robust.

    Only places that have data, `valid` (y, x) pixels, say what noise is.
    """
    known = avg_pool2d(valid.float()[None], COARSE)[0] > 0
    powers = [
        (MAD_TO_STD * band[:, known].abs().median()) ** 2 / energy
        for band, energy in zip(bands(whitening.whitened(broad)), band_energies(), strict=True)
    ]
    seen = fine[:, valid]
    faint = (MAD_TO_STD * seen.abs().median()) ** 2 / DETAIL_MODES if seen.numel() else fine.new_tensor(1.0)
    return Levels(torch.stack(powers).clamp(min=MIN_LEVEL), faint.clamp(min=MIN_LEVEL), whitening)


def template(field: Tensor, valid: Tensor, levels: Levels) -> tuple[Tensor, Tensor]:
    """What a matched filter of a map (y, x) without holes projects whitened coarse fields and details on.

    Returns
    -------
    broad, fine
        (y / COARSE, x / COARSE) and (y, x): the projection is `projection` on both parts
    """
    broad = coarse(field[None])
    fine = detail(field[None], broad, valid)[0] / levels.detail
    scaled = [
        band[0] / level for band, level in zip(bands(levels.whitening.whitened(broad)), levels.bands, strict=True)
    ]
    return torch.stack(scaled).sum(0), fine


def projection(white: Tensor, fine: Tensor, on: tuple[Tensor, Tensor]) -> Tensor:
    """Sums over blocks (n, by, bx) of whitened coarse fields and details, each (n, y, x), times a `template`."""
    coarse_part = avg_pool2d((white * on[0])[None], BLOCK)[0] * BLOCK**2
    side = BLOCK * COARSE
    return coarse_part + avg_pool2d((fine * on[1])[None], side)[0] * side**2


def smoothed_blocks(blocks: Tensor) -> Tensor:
    """Means (n, by, bx) over neighbouring blocks, weights 1 2 1."""
    out = pad(blocks[:, None], (1, 1, 1, 1), mode="replicate")
    out = out[..., :-2] + 2 * out[..., 1:-1] + out[..., 2:]
    return (out[..., :-2, :] + 2 * out[..., 1:-1, :] + out[..., 2:, :])[:, 0] / 16


def _blur(fields: Tensor, sigma: float) -> Tensor:
    """Gaussian averages of fields (n, y, x), each continued beyond its edges by the nearest values."""
    down, across = (_averaging(sigma, size, fields.device) for size in fields.shape[1:])
    return down @ fields @ across.T


@lru_cache(maxsize=64)
def _averaging(sigma: float, size: int, device: torch.device) -> Tensor:
    """The average as a matrix (size, size): at sizes of a tile, several times as fast as a convolution."""
    # Kept for all that comes, training too, so no tensor of inference mode.
    with torch.inference_mode(False), torch.device("cpu"):
        shift = torch.arange(-int(3 * sigma), int(3 * sigma) + 1)
        weight = torch.exp(-0.5 * (shift / sigma).double() ** 2)
        nearest = (torch.arange(size)[:, None] + shift).clamp(0, size - 1)
        matrix = torch.zeros(size, size, dtype=torch.float64)
        return matrix.scatter_add_(1, nearest, (weight / weight.sum()).expand(size, -1)).float().to(device)


@lru_cache(maxsize=1)
def band_energies() -> tuple[float, ...]:
    """Energy of a band's response to one pixel: the share of all modes that it holds, weighted by its gain."""
    with torch.device("cpu"):
        impulse = torch.zeros(1, 129, 129)
        impulse[0, 64, 64] = 1
        return tuple(float(band.square().sum()) for band in bands(impulse))
