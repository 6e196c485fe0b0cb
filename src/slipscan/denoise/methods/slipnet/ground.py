"""Where and how the image of a history is seen, and what noise it has: what a fit of sources needs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from slipscan.denoise.methods.slipnet.source_patterns import Kind, displacement
from slipscan.fit.scatter import MAD_TO_STD
from slipscan.fit.spectrum import MARGIN, Whitening, mirrored, whitening_of, wide


@dataclass(frozen=True)
class Ground:
    """Where and how an image is seen, on coarse pixels.

    Attributes
    ----------
    pixel_m
        side of a coarse pixel
    los
        (3,) unit vector from the ground to the satellite
    columns, known
        (column, y, x) of the delay that was taken from every epoch: a plane, the height; (y, x) where there are data
    whitening, level
        spectrum of noise of images, and its standard deviation once it is white
    """

    pixel_m: float
    los: Tensor
    columns: Tensor
    known: Tensor
    whitening: Whitening
    level: float

    @cached_property
    def gain(self) -> Tensor:
        """(ky, kx) of mirrored fields, over the standard deviation of noise."""
        return (-0.5 * self.whitening.log_power_of(wide(self.known.shape))).exp() / self.level

    def white(self, fields: Tensor) -> Tensor:
        """Fields (n, y, x) as columns (pixel, n), noise being 1, less what is as the delay."""
        columns = self._whitened(fields)
        return columns - self.delay @ (self.delay.T @ columns)

    def explained(self, image: Tensor, by: Tensor) -> float:
        """Energy of an image (y, x) that a map (y, x) explains, noise being 1."""
        seen, own = self.white(torch.stack([image, by])).T
        return float((2 * seen - own) @ own)

    def _whitened(self, fields: Tensor) -> Tensor:
        rows, columns = self.known.shape
        out = torch.fft.irfft2(torch.fft.rfft2(mirrored(fields)) * self.gain, s=wide(self.known.shape))
        return (out[:, MARGIN : MARGIN + rows, MARGIN : MARGIN + columns] * self.known).flatten(1).T

    @cached_property
    def delay(self) -> Tensor:
        """(pixel, column) orthonormal: the delay's columns, whitened."""
        return torch.linalg.qr(self._whitened(self.columns).double())[0].float()

    def points(self, finer: int = 1) -> tuple[Tensor, Tensor]:
        """East and north (pixel,) of the middles of pixels, so many times finer, from the upper left corner, m."""
        side = self.pixel_m / finer
        rows, columns = (torch.arange(n * finer, device=self.known.device) + 0.5 for n in self.known.shape)
        south, east = torch.meshgrid(rows * side, columns * side, indexing="ij")
        return east.flatten(), -south.flatten()

    def maps(self, kind: Kind, unknowns: Tensor, finer: int = 1) -> Tensor:
        """Displacement (source, part, y, x) in the line of sight of unit parts of sources with unknowns (source, n)."""
        seen = displacement(kind, unknowns, *self.points(finer)) @ self.los
        rows, columns = self.known.shape
        return seen.reshape(*seen.shape[:2], rows * finer, columns * finer)


def ground_of(fields: Tensor, los: Tensor, columns: Tensor, known: Tensor, pixel_m: float) -> Ground:
    """Where images are seen; their noise is that of fields (n, y, x) in most of which nothing happens."""
    whitening = whitening_of(fields)
    level = MAD_TO_STD * float(whitening.whitened(fields)[:, known].abs().median()) if bool(known.any()) else 0.0
    return Ground(pixel_m, los, columns, known, whitening, max(level, 1e-6))
