"""The 2-D spectrum of noise on a grid, orientation included, and the filter that whitens it.

Atmospheric noise is red, and often stretched: streaks along a coast or a front. Its power per mode is a smooth function
of wavenumber and direction, fitted to the periodograms of many fields of noise. Their logarithms are averaged, so that
the few fields in which something happened have little say (the geometric mean; Wahba 1980, JASA 75, 122).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import pad

MARGIN: Final = 16
"""Pixels by which a field is mirrored at its borders before it is filtered."""
OCTAVES: Final = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)
"""Wavenumbers, cycles per pixel, between which the logarithm of power is linear in that of the wavenumber."""
TURNS: Final = (2, 4)
"""Multiples of a direction that power follows: modes k and -k have the same."""
STIFFNESS: Final = 3.0
"""Weight of equal directions in neighbouring octaves, in modes: the lowest octave has few."""
EULER: Final = 0.5772156649
"""The mean logarithm of the periodogram of a mode lies this much below that of its power."""
SMALLEST: Final = 12
"""Pixels of a side of a grid whose spectrum is estimated; of a smaller one noise is taken as white."""
MOST_FIELDS: Final = 64


@dataclass(frozen=True)
class Whitening:
    """The spectrum of noise, and filters made of it.

    Attributes
    ----------
    log_power
        (octave, 1 + 2 len(TURNS)) logarithm of power per mode, and its waves in direction
    """

    log_power: Tensor

    def whitened(self, fields: Tensor) -> Tensor:
        """Fields (n, y, x), each mode over the standard deviation of noise in it."""
        return self._filtered(fields, (-0.5 * self._log_power(fields)).exp())

    def isotropic(self, fields: Tensor) -> Tensor:
        """Fields (n, y, x) whose noise is as strong in all directions: its spectrum stays as red as it is."""
        return self._filtered(fields, (0.5 * (self._of_wavenumber(fields) - self._log_power(fields))).exp())

    def low_noise(self, fields: Tensor) -> Tensor:
        """The part of fields (n, y, x) whose direction has less noise than others; half of each where all are alike."""
        return self._filtered(fields, torch.sigmoid(self._of_wavenumber(fields) - self._log_power(fields)))

    def to(self, device: torch.device) -> Whitening:
        """The same on a device."""
        return Whitening(self.log_power.to(device))

    def log_power_of(self, shape: tuple[int, int]) -> Tensor:
        """Logarithm of power (ky, kx) of the modes of rfft2 of fields of a shape."""
        return _basis(shape, self.log_power.device) @ self.log_power.T.flatten()

    def _log_power(self, fields: Tensor) -> Tensor:
        return self.log_power_of(wide(fields.shape[1:]))

    def _of_wavenumber(self, fields: Tensor) -> Tensor:
        return _basis(wide(fields.shape[1:]), fields.device)[..., : len(OCTAVES)] @ self.log_power[:, 0]

    @staticmethod
    def _filtered(fields: Tensor, gains: Tensor) -> Tensor:
        rows, columns = fields.shape[1:]
        down, across = (min(MARGIN, side - 1) for side in (rows, columns))
        out = torch.fft.irfft2(torch.fft.rfft2(mirrored(fields)) * gains, s=wide(fields.shape[1:]))
        return out[:, down : down + rows, across : across + columns]


def mirrored(fields: Tensor) -> Tensor:
    """Fields (n, y, x) with MARGIN pixels more on all sides, or as many as there are."""
    down, across = (min(MARGIN, side - 1) for side in fields.shape[1:])
    return pad(fields[:, None], (across, across, down, down), mode="reflect")[:, 0]


def no_whitening(device: torch.device) -> Whitening:
    """That of noise which is white already: it leaves fields as they are."""
    return Whitening(torch.zeros(len(OCTAVES), 1 + 2 * len(TURNS), device=device))


def whitening_of(fields: Tensor) -> Whitening:
    """Fit the spectrum of fields (n, y, x) of noise, complete; their strengths may differ.

    A field that is zero everywhere says nothing; without any, noise is taken as white.
    """
    fields = fields[:: 1 + (len(fields) - 1) // MOST_FIELDS]
    fields = fields - fields.mean((1, 2), keepdim=True)
    size = fields.square().mean((1, 2)).sqrt()
    told = size > 0
    width = 1 + 2 * len(TURNS)
    if not bool(told.any()) or min(fields.shape[1:]) < SMALLEST:
        return no_whitening(fields.device)
    fields = fields[told] / size[told, None, None]
    rows, columns = fields.shape[1:]
    taper = (
        torch.hann_window(rows + 1, device=fields.device)[1:, None]
        * torch.hann_window(columns + 1, device=fields.device)[1:]
    )
    power = torch.fft.rfft2(fields * taper).abs().square() / taper.square().sum()
    logs = power.clamp(min=1e-20).log().mean(0) + EULER
    fit = _fit((rows, columns), fields.device) @ logs.flatten()
    return Whitening(fit.reshape(width, len(OCTAVES)).T.contiguous())


def wide(shape: torch.Size) -> tuple[int, int]:
    """Rows and columns of fields of a shape once they are mirrored."""
    rows, columns = shape
    return rows + 2 * min(MARGIN, rows - 1), columns + 2 * min(MARGIN, columns - 1)


@lru_cache(maxsize=16)
def _basis(shape: tuple[int, int], device: torch.device) -> Tensor:
    """What logarithms of power (ky, kx) of rfft2 are sums of (ky, kx, direction x octave)."""
    with torch.inference_mode(False), torch.device("cpu"):
        ky, kx = torch.meshgrid(torch.fft.fftfreq(shape[0]), torch.fft.rfftfreq(shape[1]), indexing="ij")
        k = torch.hypot(ky, kx).double()
        place = (k.clamp(min=OCTAVES[0], max=OCTAVES[-1]) / OCTAVES[0]).log2()
        hats = (1 - (place[..., None] - torch.arange(len(OCTAVES))).abs()).clamp(min=0)
        angle = torch.atan2(ky, kx).double()
        waves = [torch.ones_like(angle)]
        for turn in TURNS:
            waves += [torch.cos(turn * angle), torch.sin(turn * angle)]
        # The mean has no direction, and the shortest waves of an axis run both ways.
        both = (ky.abs() == 0.5) | (kx.abs() == 0.5)
        for number, wave in enumerate(waves[1:]):
            wave[0, 0] = 0.0
            if number % 2:
                wave[both] = 0.0
        return torch.cat([wave[..., None] * hats for wave in waves], -1).float().to(device)


@lru_cache(maxsize=16)
def _fit(shape: tuple[int, int], device: torch.device) -> Tensor:
    """Least squares of logarithms of power: (direction x octave, mode), stiff from octave to octave."""
    with torch.inference_mode(False):
        basis = _basis(shape, torch.device("cpu")).flatten(0, 1).double()
        ky, kx = torch.meshgrid(torch.fft.fftfreq(shape[0]), torch.fft.rfftfreq(shape[1]), indexing="ij")
        # The taper mixes the lowest modes with the mean; of most modes k the plane holds k only, and not -k.
        weight = (torch.hypot(ky, kx) > 1.5 / max(shape)) * torch.where((kx == 0) | (kx == 0.5), 0.5, 1.0)
        weighted = basis * weight.flatten().double()[:, None]
        octaves, width = len(OCTAVES), 1 + 2 * len(TURNS)
        differences = torch.zeros(width - 1, octaves - 1, width, octaves, dtype=torch.float64)
        for wave in range(1, width):
            for octave in range(octaves - 1):
                differences[wave - 1, octave, wave, octave] = 1
                differences[wave - 1, octave, wave, octave + 1] = -1
        # In the lowest octaves the slope goes on where no mode tells it.
        bends = torch.zeros(octaves - 2, width, octaves, dtype=torch.float64)
        for octave in range(octaves - 2):
            bends[octave, 0, octave : octave + 3] = torch.tensor([1.0, -2.0, 1.0], dtype=torch.float64)
        stiff = torch.cat([STIFFNESS**0.5 * differences.flatten(0, 1), 0.3 * bends]).flatten(1)
        normal = weighted.T @ basis + stiff.T @ stiff + 1e-6 * torch.eye(basis.shape[1], dtype=torch.float64)
        return torch.linalg.solve(normal, weighted.T).float().to(device)
