"""A window of a track in wavenumbers: what makes its noise white in space, and every epoch's modes.

Beyond its edges a window is mirrored and fades: no edge is taken for signal. The spectrum is that of the window's own
noise, 2-D with its orientation (`fit.spectrum`): of what consecutive epochs differ by, in which no event is.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from slipscan.detect.octaves import SHORTEST_PX, band_windows, octaves
from slipscan.detect.temporal import Filters, TemporalModel
from slipscan.fit.spectrum import whitening_of

MARGIN: Final = 0.2
"""Of the window's side that is mirrored beyond each edge."""
PAIRS: Final = 32
"""Of consecutive epochs, whose whitened differences say how strong noise is from place to place."""
QUIET_M2: Final = 1e-14
"""Power below which no mode of a pixel is believed to be: a ten-thousandth of a millimetre."""
QUIETEST: Final = 0.5
"""Variance, over that of most places, below which no place is believed to be."""
SMOOTH: Final = 0.5
"""Standard deviation of the Gaussian that power is averaged with, over the octave's wavelength."""
MOST_PX: Final = 24.0


@dataclass(frozen=True)
class Window:
    """Modes of a window.

    Attributes
    ----------
    temporal
        noise in time
    modes
        (time, ky, kx) of the residual, orthonormal transform of the mirrored window
    whitening
        (ky, kx) one over the amplitude of the noise of a typical epoch, 1/m
    shape, edge
        (y, x) pixels; what is mirrored beyond each edge (y, x)
    bands
        (band, ky, kx) share of every band of `temporal` in a mode
    place
        (octave, y, x) variance of what is white, near by, over that of a typical place
    changes
        (pair, ky, kx) white modes of what some consecutive epochs differ by
    """

    temporal: TemporalModel
    modes: Tensor
    whitening: Tensor
    shape: tuple[int, int]
    edge: tuple[int, int]
    bands: Tensor
    place: Tensor
    changes: Tensor

    @property
    def padded(self) -> tuple[int, int]:
        """(y, x) with what is mirrored."""
        return self.shape[0] + 2 * self.edge[0], self.shape[1] + 2 * self.edge[1]

    @property
    def octaves(self) -> Tensor:
        """(octave, ky, kx)."""
        return octaves(self.padded)

    def transformed(self, fields: Tensor) -> Tensor:
        """Modes (n, ky, kx) of fields (n, y, x) on the window."""
        return torch.fft.rfft2(_faded(fields, self.edge), norm="ortho")

    def back(self, modes: Tensor) -> Tensor:
        """Fields (..., y, x) of the window from modes."""
        fields = torch.fft.irfft2(modes, s=self.padded, norm="ortho")
        (top, left), (rows, cols) = self.edge, self.shape
        return fields[..., top : top + rows, left : left + cols]

    def dot(self, modes: Tensor, pattern: Tensor) -> Tensor:
        """Products (n,) of fields, given by their modes (n, ky, kx), with one, given by its own (ky, kx)."""
        twice = torch.full((modes.shape[2],), 2.0)
        twice[0] = 1.0
        if self.padded[1] % 2 == 0:
            twice[-1] = 1.0
        return torch.einsum("nij,ij->n", modes, pattern.conj() * twice).real

    def spread(self, values: Tensor) -> Tensor:
        """A value of every band (band,) as one of every mode (ky, kx)."""
        return torch.einsum("b,bij->ij", values.float(), self.bands)

    def amplitude(self, filters: Filters) -> tuple[Tensor, Tensor]:
        """Amplitude of a history in every mode over its standard deviation, and that over a typical epoch's."""
        by_band = torch.einsum("bt,tij->bij", filters.weights.to(self.modes.dtype), self.modes)
        size = self.spread(filters.variance).sqrt()
        return (by_band * self.bands).sum(0) * self.whitening / size, size


def window_of(residual: Tensor, temporal: TemporalModel, pixel_km: float) -> Window:
    """The window of a residual (time, y, x), m, less delay, rate and season; 0 where there is no data."""
    shape = (residual.shape[1], residual.shape[2])
    edge = (_edge(shape[0]), _edge(shape[1]))
    modes = torch.fft.rfft2(_faded(residual, edge), norm="ortho")
    padded = (shape[0] + 2 * edge[0], shape[1] + 2 * edge[1])
    bands = band_windows(padded, temporal.width_km / pixel_km)
    draft = Window(temporal, modes, torch.ones(modes.shape[1:]), shape, edge, bands, torch.ones(1), modes[:0])
    changes = _changes(draft)
    fields = draft.back(changes)
    power = whitening_of(fields).log_power_of(padded).exp() * fields.square().mean((1, 2)).median()
    whitening = power.clamp(min=max(1e-6 * float(power.max()), QUIET_M2)).rsqrt()
    changes = changes[torch.linspace(0, len(changes) - 1, min(PAIRS, len(changes))).long()] * whitening
    kept = octaves(padded).square()
    inside = draft.back(changes * kept.sum(0).sqrt()).square().mean(dim=(1, 2)).median()
    strength = math.sqrt(float(inside) / float(kept.sum(0).mean()))
    changes = changes / max(strength, 1e-12)
    place = _place(replace(draft, whitening=whitening), changes)
    return Window(temporal, modes, whitening / max(strength, 1e-12), shape, edge, bands, place, changes)


def _place(window: Window, changes: Tensor) -> Tensor:
    """Variance (octave, y, x) of white differences (pair, ky, kx) near by, over that of most places.

    By their mean size: the step of an event is in few of them.
    """
    out = []
    for number, octave in enumerate(window.octaves):
        size = blurred(window.back(octave * changes).abs().mean(0), number)
        out.append((size / size.median().clamp(min=1e-12)).square().clamp(min=QUIETEST))
    return torch.stack(out)


def blurred(field: Tensor, octave: int) -> Tensor:
    """Average (y, x) near by, of the scale of an octave."""
    kernel = _kernel(min(SMOOTH * SHORTEST_PX * 2.0**octave, MOST_PX))
    half = len(kernel) // 2
    both = pad(torch.stack([field, torch.ones_like(field)])[:, None], (half, half, half, half))
    both = conv2d(conv2d(both, kernel[None, None, :, None]), kernel[None, None, None, :])
    return both[0, 0] / both[1, 0]


@lru_cache(maxsize=16)
def _kernel(sigma: float) -> Tensor:
    half = max(1, int(3 * sigma + 0.5))
    values = torch.exp(-0.5 * (torch.arange(-half, half + 1) / sigma) ** 2)
    return values / values.sum()


def _edge(side: int) -> int:
    return min(side, max(2, round(MARGIN * side)))


def _faded(fields: Tensor, edge: tuple[int, int]) -> Tensor:
    """Fields (n, y, x) with what is mirrored beyond their edges, which fades to 0."""
    out = torch.cat([fields[:, : edge[0]].flip(1), fields, fields[:, fields.shape[1] - edge[0] :].flip(1)], 1)
    out = torch.cat([out[:, :, : edge[1]].flip(2), out, out[:, :, out.shape[2] - edge[1] :].flip(2)], 2)
    for axis, width in enumerate(edge, start=1):
        # From the mirrored pixels, which lie next to the window.
        rise = torch.sin((torch.arange(width) + 0.5) / width * math.pi / 2).square()
        fade = torch.cat([rise, torch.ones(fields.shape[axis]), rise.flip(0)])
        out = out * (fade[:, None] if axis == 1 else fade)
    return out


def _changes(window: Window) -> Tensor:
    """What consecutive epochs that count differ by, over its standard deviation in time, (pair, ky, kx)."""
    counted = torch.nonzero(torch.isfinite(window.temporal.white).all(0))[:, 0]
    out = []
    for first, second in itertools.pairwise(counted.tolist()):
        variance = window.temporal.white[:, first] + window.temporal.white[:, second]
        out.append((window.modes[second] - window.modes[first]) * window.spread(variance).clamp(min=1e-12).rsqrt())
    return torch.stack(out)
