"""A patch that is whole cycles off, and a series without it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from slipscan.vocabulary import CYCLE_M

Float32 = NDArray[np.float32]
Bool = NDArray[np.bool_]
Place = tuple[slice, slice]

AROUND_PIXELS: Final = 3
"""So far on both sides of an edge a change is level, but for its jump."""
LEVEL_M: Final = 5e-3
"""Most that the levels of both sides may differ by beside whole cycles."""


@dataclass(frozen=True)
class Patch:
    """Pixels that are whole cycles off.

    Attributes
    ----------
    epoch
        the first that is off
    place
        rows and columns
    inside
        (y, x) which pixels of the place
    cycles
        half wavelengths that displacement is too large by
    alone
        whether that epoch alone is off; else all later ones are, too
    """

    epoch: int
    place: Place
    inside: Bool
    cycles: int
    alone: bool = False

    @classmethod
    def of(cls, inside: Bool, place: Place, epoch: int, cycles: int) -> Patch:
        """A patch given by its pixels (y, x) in a place that is larger than it."""
        rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
        own = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
        y, x = (slice(a.start + b.start, a.stop + b.start) for a, b in zip(own, place, strict=True))
        return cls(epoch, (y, x), inside[own], cycles)

    @property
    def pixels(self) -> int:
        """Their number."""
        return int(self.inside.sum())

    def touches(self, other: Patch) -> bool:
        """Whether the rectangles of two patches overlap or are neighbours."""
        return all(a.start <= b.stop and b.start <= a.stop for a, b in zip(self.place, other.place, strict=True))

    def common(self, other: Patch) -> int:
        """Number of pixels that two patches share."""
        rows, columns = other.place
        own, there = self._shared((rows.start, columns.start), other.inside.shape)
        return int((self.inside[own] & other.inside[there]).sum())

    def is_in(self, epoch: int) -> bool:
        """Whether an epoch is off."""
        return epoch == self.epoch if self.alone else epoch >= self.epoch

    def is_level(self, change: Float32) -> bool:
        """Whether a change (y, x) m of the scene goes on across its edge."""
        y, x = (slice(max(part.start - AROUND_PIXELS, 0), part.stop + AROUND_PIXELS) for part in self.place)
        part = change[y, x]
        inside = np.zeros(part.shape, np.bool_)
        own, there = self._shared((y.start, x.start), part.shape)
        inside[there] = self.inside[own]
        return abs(step(part, inside)) <= LEVEL_M

    def take_from(self, layer: Float32, corner: tuple[int, int] = (0, 0)) -> None:
        """Take the cycles from an epoch (y, x) m, or a part of it whose first row and column are `corner`, in place."""
        own, there = self._shared(corner, layer.shape)
        layer[there] -= np.float32(CYCLE_M * self.cycles) * self.inside[own]

    def _shared(self, corner: tuple[int, int], shape: tuple[int, ...]) -> tuple[Place, Place]:
        """What lies both in this patch's rectangle and in another one, in the pixels of either."""

        def both(own: slice, start: int, size: int) -> tuple[slice, slice]:
            low = max(own.start, start)
            high = max(low, min(own.stop, start + size))
            return slice(low - own.start, high - own.start), slice(low - start, high - start)

        y, x = (both(*part) for part in zip(self.place, corner, shape, strict=True))
        return (y[0], x[0]), (y[1], x[1])


def remove_cycles(
    series: NDArray[np.float32], patches: Sequence[Patch], corner: tuple[int, int, int] = (0, 0, 0)
) -> None:
    """Take the cycles of patches from a series (time, y, x) m, or a part that begins at a corner of it, in place."""
    for patch in patches:
        for epoch, layer in enumerate(series, corner[0]):
            if patch.is_in(epoch):
                patch.take_from(layer, corner[1:])


def step(change: Float32, inside: Bool) -> float:
    """Level of a change (y, x) m just inside of an edge less that just outside; NaN: no data on one side.

    What fades out goes on to change beside its edge.
    """
    within, beyond = inside & np.isfinite(change), ~inside & np.isfinite(change)
    within &= ndimage.distance_transform_edt(inside) <= AROUND_PIXELS
    beyond &= ndimage.distance_transform_edt(~inside) <= AROUND_PIXELS
    if not within.any() or not beyond.any():
        return math.nan
    return float(np.median(change[within]) - np.median(change[beyond]))
