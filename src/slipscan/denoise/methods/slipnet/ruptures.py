"""Slip that breaks the surface: a displacement discontinuity along a line, in a few pixels beside it.

The energy of a block (`search`) dilutes it: a dozen pixels among a thousand modes of the finest scale. So a matched
filter looks for surface ruptures of one length in all directions, whitened in space by the 2-D spectrum of single
pixels, and in time as the finest band is. Candidate histories span a space of few dimensions, so few fields need to be
filtered.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from slipscan.denoise.methods.slipnet.bands import TINY, BandSeries, change_of
from slipscan.denoise.methods.slipnet.candidates import Candidates
from slipscan.denoise.methods.slipnet.search import Found, random_signs, units_of
from slipscan.fit.scatter import MAD_TO_STD
from slipscan.fit.spectrum import MARGIN, Whitening, mirrored, whitening_of, wide

DIRECTIONS: Final = 12
LENGTH_PX, DEPTH_PX = 12.0, 2.0
"""Length of a rupture, and distance over which the displacement beside it falls to 1/e."""
STRIDE: Final = 2
LOST: Final = 0.02
"""Share of the energy of histories that the directions in time may leave out."""
AXES, NEAR, LEAST = 3, 9, 0.5
"""Noise of a place: of so many directions one, mean over a square of so many strides, and of its median at least."""
SIGNS, EVERY = 2, 4
"""Times that the signs of epochs are changed, and of how many candidates one says what noise gives."""
GATE: Final = 1.8
"""Times the score of noise that a surface rupture must have; of Gaussian noise, some 7 standard deviations for 5.3."""
CLIP, CLIPPINGS = 3.0, 4
"""Standard deviations by which an epoch may differ: a wrong block of one epoch makes no history."""


class Ruptures(NamedTuple):
    """The strongest surface rupture of every history: size (candidate,) over its error; its direction and place."""

    size: Tensor
    direction: Tensor
    place: Tensor


def search_ruptures(pixels: Tensor, bands: BandSeries, tried: Candidates, beside: Tensor, apart: float) -> Found | None:
    """The candidate of the strongest surface rupture; None where none rises above noise.

    Parameters
    ----------
    pixels
        (time, y, x) series without holes, less what was found
    bands
        the same in bands, for its noise in time
    tried, beside, apart
        see `search.search`
    """
    if min(pixels.shape[1:]) < 2 * MARGIN:
        return None
    units, _, usable = units_of(bands, tried, beside, apart)
    numbers = torch.nonzero(usable)[:, 0]
    if not len(numbers):
        return None
    changes = change_of(pixels)
    gains = _gains(whitening_of(changes), pixels.shape[1:])
    units = units[0, numbers]
    signs = random_signs(units.shape[1])[:SIGNS].to(units.device)
    of_noise = [units[::EVERY] * (sign / bands.change_std[0]) for sign in signs]
    std = torch.stack([_power(filters, changes, gains) for filters in of_noise]).mean(0).sqrt()
    noise = max(float(_strongest(filters, changes, gains, std).size.max()) for filters in of_noise)
    filters = units @ bands.whiteners[0]
    found = _strongest(filters, pixels, gains, std)
    best = int(found.size.argmax())
    needed = GATE * rupture_score(noise)
    if rupture_score(float(found.size[best])) < needed:
        return None
    at = int(found.place[best])
    series = _filtered(pixels, gains[found.direction[best]]).flatten(1)[:, at]
    score = rupture_score(abs(float(clipped_amplitude(bands.whiteners[0] @ series, units[best]) / std[at])))
    return Found(int(numbers[best]), score, needed / GATE) if score >= needed else None


def rupture_score(size: float) -> float:
    """Log likelihood ratio of one Gaussian value of so many standard deviations."""
    return 0.5 * (size**2 - 1 - 2 * math.log(size)) if size > 1 else 0.0


def _strongest(filters: Tensor, pixels: Tensor, gains: Tensor, std: Tensor) -> Ruptures:
    """Of histories with filters (candidate, time), in units of noise std (place,)."""
    share, basis = _few(filters)
    fields = torch.tensordot(basis, pixels, 1)
    waves = torch.fft.rfft2(mirrored(fields))
    best = Ruptures(*(filters.new_zeros(len(filters), dtype=kind) for kind in (torch.float32, torch.long, torch.long)))
    for direction, gain in enumerate(gains):
        sizes, at = (share @ (_back(waves * gain, fields.shape[1:]).flatten(1) / std)).abs().max(1)
        larger = sizes > best.size
        best = Ruptures(
            torch.where(larger, sizes, best.size),
            torch.where(larger, direction, best.direction),
            torch.where(larger, at, best.place),
        )
    return best


def _power(filters: Tensor, pixels: Tensor, gains: Tensor) -> Tensor:
    """Mean square (place,) over histories and directions, near a place."""
    share, basis = _few(filters)
    waves = torch.fft.rfft2(mirrored(torch.tensordot(basis, pixels, 1)))
    shape = pixels.shape[1:]
    total = torch.zeros(_strided(shape), device=pixels.device)
    for gain in gains[::AXES]:
        fields = _back(waves * gain, shape)
        total += (share @ fields.flatten(1)).square().mean(0).reshape(total.shape)
    near = avg_pool2d(total[None], NEAR, 1, NEAR // 2, count_include_pad=False)[0] / len(gains[::AXES])
    return near.flatten().clamp(min=LEAST * float(near.median()) + TINY)


def _few(filters: Tensor) -> tuple[Tensor, Tensor]:
    """Filters (candidate, time) as shares (candidate, n) of few orthonormal ones (n, time)."""
    left, size, basis = torch.linalg.svd(filters, full_matrices=False)
    energy = size.square().cumsum(0)
    count = int((energy < (1 - LOST) * energy[-1]).sum()) + 1
    return left[:, :count] * size[:count], basis[:count]


def _filtered(fields: Tensor, gain: Tensor) -> Tensor:
    return _back(torch.fft.rfft2(mirrored(fields)) * gain, fields.shape[1:])


def _back(waves: Tensor, shape: torch.Size) -> Tensor:
    """Every STRIDE-th pixel (n, y, x) of waves of mirrored fields of a shape."""
    rows, columns = shape
    fields = torch.fft.irfft2(waves, s=wide(shape))
    return fields[:, MARGIN : MARGIN + rows : STRIDE, MARGIN : MARGIN + columns : STRIDE]


def _strided(shape: torch.Size) -> tuple[int, int]:
    rows, columns = shape
    return -(-rows // STRIDE), -(-columns // STRIDE)


def _gains(whitening: Whitening, shape: torch.Size) -> Tensor:
    """Matched filters (direction, ky, kx) of mirrored fields of a shape; their noise has one variance."""
    templates = _templates(wide(shape), whitening.log_power.device)
    power = whitening.log_power_of(wide(shape)).exp()
    energy = (templates.abs().square() / power).sum((1, 2), keepdim=True)
    return templates.conj() / power / energy.sqrt()


@lru_cache(maxsize=4)
def _templates(shape: tuple[int, int], device: torch.device) -> Tensor:
    """Ruptures (direction, ky, kx): displacement of opposite signs on either side of a line, fading away from it."""
    with torch.inference_mode(False), torch.device("cpu"):
        y, x = (torch.fft.fftfreq(n, 1 / n) for n in shape)
        out = []
        for number in range(DIRECTIONS):
            angle = math.pi * number / DIRECTIONS
            # Half a pixel off, so that no pixel lies on the line.
            across = (y[:, None] - 0.5) * math.cos(angle) - (x - 0.5) * math.sin(angle)
            along = (y[:, None] - 0.5) * math.sin(angle) + (x - 0.5) * math.cos(angle)
            side = across.sign() * torch.exp(-across.abs() / DEPTH_PX)
            out.append(side * torch.sigmoid(2 * (LENGTH_PX / 2 - along.abs())))
        return torch.fft.rfft2(torch.stack(out)).to(device)


def clipped_amplitude(series: Tensor, unit: Tensor) -> Tensor:
    """Amplitude of a unit history (time,) in a whitened series (time,), no epoch of which counts for much."""
    seen = series
    for _ in range(CLIPPINGS):
        fit = (unit @ seen) * unit
        most = CLIP * MAD_TO_STD * (series - fit).abs().median()
        seen = fit + (series - fit).clamp(-most, most)
    return unit @ seen
