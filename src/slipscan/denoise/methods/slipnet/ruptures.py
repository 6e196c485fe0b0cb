"""Slip that breaks the surface: a displacement discontinuity along a line, in a few pixels beside it.

The energy of a block (`search`) dilutes it: some dozens of pixels among a thousand modes of the finest scale. So
filters that are matched to it (`rupture_patterns`) look for it, whitened in space by the 2-D spectrum of single pixels,
and in time as the finest band is: all directions on every other pixel, then, where one stands out, each pixel, more
directions and sizes. Candidate histories span a space of few dimensions, so few fields need to be filtered.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from slipscan.denoise.methods.slipnet.bands import TINY, BandSeries, change_of, random_signs, signed
from slipscan.denoise.methods.slipnet.candidates import Candidates
from slipscan.denoise.methods.slipnet.rupture_patterns import Rupture, matched, power_of, ruptures_near, usual_ruptures
from slipscan.denoise.methods.slipnet.search import Found, units_of
from slipscan.fit.scatter import MAD_TO_STD
from slipscan.fit.spectrum import MARGIN, mirrored, whitening_of, wide

STRIDE: Final = 2
EDGE: Final = 8
"""Pixels from the border of a tile: nearer, mirrored noise makes lines of its own."""
CLOSER: Final = 3
"""Directions, each with its strongest place and history, that are looked at closely."""
LOST: Final = 0.02
"""Share of the energy of histories that the directions in time may leave out."""
AXES, NEAR, LEAST = 3, 9, 0.5
"""Noise of a place: of so many directions one, mean over a square of so many strides, and of its median at least."""
SIGNS, EVERY = 4, 4
"""Times that the signs of epochs are changed, and of how many candidates one says what noise gives."""
GATE: Final = 1.4
"""Times the score of noise that a surface rupture must have."""
LEAST_NOISE: Final = 6.0
"""Standard deviations of the strongest rupture of noise, at least: few changes of signs may say less by chance."""
FEWEST: Final = 4.0
"""Epochs (participation ratio) that must carry a history: the first or the last one alone may just be a bad one."""
CLIP, CLIPPINGS = 3.0, 4
"""Standard deviations by which an epoch may differ: a wrong block of one epoch makes no history."""


class Hit(NamedTuple):
    """The strongest rupture of some histories.

    Attributes
    ----------
    size
        of its amplitude over the error
    candidate
        number of its history
    fault
        where it is
    kernel
        (y, x) whose sum with a mirrored field is that amplitude
    power
        (ky, kx) of the noise
    """

    size: float
    candidate: int
    fault: Rupture
    kernel: Tensor
    power: Tensor


@dataclass(frozen=True)
class _Filters:
    """Of fields of a shape: power of noise, filters, noise at each stride (infinite at the border)."""

    shape: torch.Size
    power: Tensor
    usual: Tensor
    std: Tensor


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
    units, epochs, usable = units_of(bands, tried, beside, apart)
    numbers = torch.nonzero(usable & (epochs[0] >= FEWEST))[:, 0]
    if not len(numbers):
        return None
    units, whitener = units[0, numbers], bands.whiteners[0]
    found = strongest_rupture(units @ whitener, noise_of(units[::EVERY], bands), pixels)
    if found is None:
        return None
    hit, needed = found
    series = whitener @ torch.tensordot(mirrored(pixels), hit.kernel, 2)
    score = rupture_score(abs(float(clipped_amplitude(series, units[hit.candidate]))))
    if score < needed:
        return None
    scores = units.new_zeros(len(usable))
    scores[numbers[hit.candidate]] = score
    return Found(int(numbers[hit.candidate]), score, needed / GATE, scores)


def noise_of(units: Tensor, bands: BandSeries) -> list[Tensor]:
    """Filters (candidate, time) that make noise of a series of pixels, as `units` of its whitened self; SIGNS times."""
    signs = random_signs(SIGNS, units.shape[1]).to(units.device)
    return [signed(units, sign, bands.change_std[0], bands.change_correlation[0]) for sign in signs]


def strongest_rupture(filters: Tensor, of_noise: Sequence[Tensor], pixels: Tensor) -> tuple[Hit, float] | None:
    """The strongest rupture, and the score that was needed; None where none rises above noise.

    Parameters
    ----------
    filters
        (candidate, time) whose sums with a series are amplitudes of histories
    of_noise
        of `noise_of`
    pixels
        (time, y, x) series without holes
    """
    if min(pixels.shape[1:]) < 2 * MARGIN:
        return None
    changes = change_of(pixels)
    seen = _filters_of(changes, of_noise)
    hit, needed = _strongest(filters, pixels, seen), GATE * rupture_score(LEAST_NOISE)
    for some in of_noise:
        if rupture_score(hit.size) < needed:
            return None
        needed = max(needed, GATE * rupture_score(_strongest(some, changes, seen).size))
    return (hit, needed) if rupture_score(hit.size) >= needed else None


def rupture_score(size: float) -> float:
    """Log likelihood ratio of one Gaussian value of so many standard deviations."""
    return 0.5 * (size**2 - 1 - 2 * math.log(size)) if size > 1 else 0.0


def clipped_amplitude(series: Tensor, unit: Tensor) -> Tensor:
    """Amplitude of a unit history (time,) in a whitened series (time,), no epoch of which counts for much."""
    seen = series
    for _ in range(CLIPPINGS):
        fit = (unit @ seen) * unit
        most = CLIP * MAD_TO_STD * (series - fit).abs().median()
        seen = fit + (series - fit).clamp(-most, most)
    return unit @ seen


def _filters_of(changes: Tensor, of_noise: Sequence[Tensor]) -> _Filters:
    shape = changes.shape[1:]
    power = power_of(whitening_of(changes), shape)
    usual = matched(usual_ruptures(shape, changes.device), power, shape)
    variance = torch.stack([_variance(filters, changes, usual[::AXES]) for filters in of_noise]).mean(0)
    border = torch.ones_like(variance, dtype=torch.bool)
    border[EDGE // STRIDE : -(EDGE // STRIDE), EDGE // STRIDE : -(EDGE // STRIDE)] = False
    return _Filters(shape, power, usual, variance.sqrt().masked_fill(border, math.inf))


def _strongest(filters: Tensor, pixels: Tensor, seen: _Filters) -> Hit:
    """Of histories with filters (candidate, time)."""
    share, basis = _few(filters)
    waves = torch.fft.rfft2(mirrored(torch.tensordot(basis, pixels, 1)))
    scale = 1 / seen.std.flatten()
    tops = []
    for direction, gain in enumerate(seen.usual):
        fields = _back(waves * gain, seen.shape)[:, ::STRIDE, ::STRIDE].flatten(1) * scale
        sizes, places = (share @ fields).abs().max(1)
        best = int(sizes.argmax())
        tops.append((float(sizes[best]), best, direction, int(places[best])))
    tops.sort(reverse=True)
    return max((_closely(filters, pixels, seen, *top[1:]) for top in tops[:CLOSER]), key=lambda hit: hit.size)


def _closely(filters: Tensor, pixels: Tensor, seen: _Filters, candidate: int, direction: int, place: int) -> Hit:
    """The strongest rupture of a history near a place (number of a stride), in more directions and sizes."""
    row, column = divmod(place, seen.std.shape[1])
    top, left = (max(0, STRIDE * (at - 1)) for at in (row, column))
    field = torch.tensordot(filters[candidate], pixels, 1)[None]
    spectra, faults = ruptures_near(seen.shape, direction, field.device)
    gains = matched(spectra, seen.power, seen.shape)
    near = _back(torch.fft.rfft2(mirrored(field)) * gains, seen.shape)
    near = near[:, top : STRIDE * (row + 2), left : STRIDE * (column + 2)].abs()
    best = int(near.argmax())
    number, y, x = best // near[0].numel(), *divmod(best % near[0].numel(), near.shape[2])
    y, x = top + y, left + x
    std = float(seen.std[row, column])
    kernel = torch.fft.irfft2(gains[number].conj(), s=wide(seen.shape)) / std
    fault = faults[number]
    return Hit(
        float(near.flatten()[best]) / std,
        candidate,
        fault._replace(y=fault.y + y, x=fault.x + x),
        torch.roll(kernel, (y + MARGIN, x + MARGIN), (0, 1)),
        seen.power,
    )


def _variance(filters: Tensor, pixels: Tensor, gains: Tensor) -> Tensor:
    """Mean square (row, column) over histories and directions, near a stride."""
    share, basis = _few(filters)
    waves = torch.fft.rfft2(mirrored(torch.tensordot(basis, pixels, 1)))
    squares = []
    for gain in gains:
        fields = _back(waves * gain, pixels.shape[1:])[:, ::STRIDE, ::STRIDE]
        squares.append(torch.tensordot(share, fields, 1).square().mean(0))
    total = torch.stack(squares).mean(0)
    near = avg_pool2d(total[None], NEAR, 1, NEAR // 2, count_include_pad=False)[0]
    return near.clamp(min=LEAST * float(near.median()) + TINY)


def _few(filters: Tensor) -> tuple[Tensor, Tensor]:
    """Filters (candidate, time) as shares (candidate, n) of few orthonormal ones (n, time)."""
    left, size, basis = torch.linalg.svd(filters, full_matrices=False)
    energy = size.square().cumsum(0)
    count = int((energy < (1 - LOST) * energy[-1]).sum()) + 1
    return left[:, :count] * size[:count], basis[:count]


def _back(waves: Tensor, shape: torch.Size) -> Tensor:
    """Fields (n, y, x) of a shape of waves of mirrored ones."""
    rows, columns = shape
    return torch.fft.irfft2(waves, s=wide(shape))[:, MARGIN : MARGIN + rows, MARGIN : MARGIN + columns]
