"""Edges of a change between two sets of epochs, and whether they jump by whole cycles."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

from slipscan.fit.scatter import MAD_TO_STD
from slipscan.patches.patch import LEVEL_M, Float32, Patch, Place, step
from slipscan.vocabulary import CYCLE_M

NOISY: Final = 6.0
"""Where a cycle is less than so many of them nothing is looked for."""
LEAST_PIXELS: Final = 8
LEAST_EDGE: Final = 12
"""Sides of pixels along an edge."""
HOLE_PIXELS: Final = 2.5
"""Pixels without data take the value of the nearest one as near as that."""
TOLERANCE_M: Final = (2.5e-3, 4e-3)
"""How far a jump may be from whole cycles beside twice its error, and with it."""
MOST_ERROR_M: Final = 1.5e-3
UNEVEN: Final = 2.5
"""Most scatter of a jump along the edge, over that of neighbouring pixels."""
WHOLE_SHARE: Final = 0.75
"""Least share of the edge that jumps by just these cycles."""
CLOSED_SHARE: Final = 0.5
"""Least share of an edge that has data on both sides and is not that of the scene."""
_Sides = tuple[NDArray[np.int64], NDArray[np.int64], Float32]
_GAP: Final = 3
"""Sides that jump and lie so near are one edge."""


@dataclass(frozen=True)
class Jump:
    """A patch whose edge jumps in an interval: by how much in the median, m, and whether by whole cycles."""

    patch: Patch
    median_m: float
    sure: bool

    @property
    def miss_m(self) -> float:
        """How far the jump is from whole cycles."""
        return abs(self.median_m - self.patch.cycles * CYCLE_M)

    def is_overtaken(self, others: Sequence[Jump]) -> bool:
        """Whether one of the next interval is a larger patch, or the same by a jump that is nearer to whole cycles.

        Means that reach over the true interval show a part of the jump, and pieces of the patch.
        """
        return any(
            other.sure and (self._is_piece_of(other.patch) or (self._is_like(other) and other.miss_m < self.miss_m))
            for other in others
        )

    def _is_piece_of(self, patch: Patch) -> bool:
        return self.patch.pixels < patch.pixels / 2 and self.patch.touches(patch)

    def _is_like(self, other: Jump) -> bool:
        return (
            other.patch.cycles * self.patch.cycles > 0
            and abs(other.median_m) > abs(self.median_m)
            and self.patch.common(other.patch) > self.patch.pixels / 2
        )


def scatter_of(differences: Float32) -> float:
    """Standard deviation of differences of neighbours by their median, of any shape; NaN without one."""
    known = np.abs(differences[np.isfinite(differences)])
    return MAD_TO_STD * float(np.median(known)) if len(known) else np.nan


def jumping(change: Float32, epoch: int) -> list[Jump]:
    """Patches of a change (y, x) m whose edge jumps."""
    jumps = np.zeros(change.shape, np.bool_)
    with np.errstate(invalid="ignore"):
        far = [np.abs(np.diff(change, axis=axis)) > CYCLE_M / 2 for axis in (0, 1)]
    if far[0].sum() + far[1].sum() < LEAST_EDGE / 2:
        return []
    jumps[1:] |= far[0]
    jumps[:, 1:] |= far[1]
    scatter = scatter_of(
        np.concatenate([np.diff(change[::4], axis=1).ravel(), np.diff(change[:, ::4], axis=0).ravel()])
    )
    if not scatter < CYCLE_M / NOISY:
        return []
    # A running maximum along either axis: a dilation by a square, and many times as fast.
    near = jumps.view(np.uint8)
    for axis in (0, 1):
        near = ndimage.maximum_filter1d(near, 2 * _GAP + 1, axis)
    edges, _ = ndimage.label(near)
    counts = np.bincount(edges[jumps])
    out: list[Jump] = []
    for number, place in enumerate(ndimage.find_objects(edges), 1):
        if counts[number] >= LEAST_EDGE / 2:
            out += _patches_in(change, _widened(place, change.shape), epoch, scatter)
    return out


def _widened(place: Place, shape: tuple[int, int]) -> Place:
    """Rows and columns around an edge, so that what is inside is the smaller part."""

    def wide(part: slice, whole: int) -> slice:
        half = (part.stop - part.start) // 2
        return slice(max(part.start - half, 0), min(part.stop + half, whole))

    return wide(place[0], shape[0]), wide(place[1], shape[1])


def _patches_in(change: Float32, place: Place, epoch: int, scatter: float) -> Iterator[Jump]:
    """Patches of a part of a change."""
    raw = change[place]
    distance, nearest = ndimage.distance_transform_edt(np.isnan(raw), return_indices=True)
    part = np.where(distance <= HOLE_PIXELS, raw[tuple(nearest)], np.nan)
    labels = _parts(part)
    sizes = np.bincount(labels.ravel(), weights=np.isfinite(part).ravel())
    sides = _sides(part, labels)
    for number in np.flatnonzero(sizes >= LEAST_PIXELS).tolist():
        if (
            number != sizes.argmax()
            and (one := _judged(number, part, labels, sides, place, epoch, scatter)) is not None
        ):
            yield one


def _parts(part: Float32) -> NDArray[np.int64]:
    """Label (y, x) pixels that hang together without a jump."""
    numbers = np.arange(part.size).reshape(part.shape)
    with np.errstate(invalid="ignore"):
        down, right = (np.abs(np.diff(part, axis=axis)) <= CYCLE_M / 2 for axis in (0, 1))
    one = np.concatenate([numbers[:-1][down], numbers[:, :-1][right]])
    other = np.concatenate([numbers[1:][down], numbers[:, 1:][right]])
    graph = sparse.coo_matrix((np.ones(len(one), np.int8), (one, other)), shape=(part.size,) * 2)
    _, labels = sparse.csgraph.connected_components(graph, directed=False)
    return np.asarray(labels, np.int64).reshape(part.shape)


def _sides(part: Float32, labels: NDArray[np.int64]) -> _Sides:
    """Labels on both sides of each edge between parts, and the jump from the first to the second, m."""
    first = np.concatenate([labels[:-1].ravel(), labels[:, :-1].ravel()])
    second = np.concatenate([labels[1:].ravel(), labels[:, 1:].ravel()])
    jump = np.concatenate([np.diff(part, axis=0).ravel(), np.diff(part, axis=1).ravel()])
    between = first != second
    return first[between], second[between], jump[between]


def _judged(
    number: int, part: Float32, labels: NDArray[np.int64], sides: _Sides, place: Place, epoch: int, scatter: float
) -> Jump | None:
    """A part and the jump into it; None: its edge is too short, or jumps by no cycle."""
    first, second, jump = sides
    own = (first == number) | (second == number)
    into = np.where(second[own] == number, jump[own], -jump[own])
    known = into[np.isfinite(into)]
    if len(known) < LEAST_EDGE:
        return None
    median = float(np.median(known))
    cycles = round(median / CYCLE_M)
    if cycles == 0:
        return None
    inside = labels == number
    of_scene = inside[0].sum() + inside[-1].sum() + inside[:, 0].sum() + inside[:, -1].sum()
    sure = (
        len(known) >= CLOSED_SHARE * (len(into) + of_scene)
        and _is_whole(known, median, cycles, scatter)
        and abs(step(part, inside) - cycles * CYCLE_M) <= LEVEL_M
    )
    return Jump(Patch.of(inside, place, epoch, cycles), median, sure)


def _is_whole(jumps: Float32, median: float, cycles: int, scatter: float) -> bool:
    """Whether the jumps (side,) along an edge are these cycles and nothing else."""
    uneven = float(jumps.std())
    error = 1.25 * max(scatter, uneven) / math.sqrt(len(jumps))
    return (
        error <= MOST_ERROR_M
        and abs(median - cycles * CYCLE_M) <= min(TOLERANCE_M[0] + 2 * error, TOLERANCE_M[1])
        and uneven <= UNEVEN * scatter
        and float((np.rint(jumps / CYCLE_M) == cycles).mean()) >= WHOLE_SHARE
    )
