"""A patch that is whole cycles off, and a series without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slipscan.vocabulary import CYCLE_M

Float32 = NDArray[np.float32]
Bool = NDArray[np.bool_]
Place = tuple[slice, slice]


@dataclass(frozen=True)
class Patch:
    """Pixels that are whole cycles off.

    Attributes
    ----------
    epoch
        the first that is off; all later ones are, too
    place
        rows and columns
    inside
        (y, x) which pixels of the place
    cycles
        half wavelengths that displacement is too large by
    """

    epoch: int
    place: Place
    inside: Bool
    cycles: int

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


def mend(series: NDArray[np.float32], patches: Sequence[Patch], corner: tuple[int, int, int] = (0, 0, 0)) -> None:
    """Take the cycles of patches from a series (time, y, x) m, or a part that begins at a corner of it, in place."""
    for patch in patches:
        for layer in series[max(patch.epoch - corner[0], 0) :]:
            patch.take_from(layer, corner[1:])
