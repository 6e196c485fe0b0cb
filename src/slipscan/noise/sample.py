"""What of a scene its noise is measured on: all pixels of a small one, windows and block means of a large one."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from slipscan.coarse import TILE, coarsened
from slipscan.field import Observation

Float32 = NDArray[np.float32]
Window = tuple[slice, slice]

MOST_PIXELS: Final = 384**2
"""Scenes of up to so many pixels are taken whole; of larger ones, so many pixels and so many blocks at most."""
WINDOW: Final = 128
"""Pixels of a side of the windows in which a large scene is looked at pixel by pixel."""
MOST_WINDOWS: Final = MOST_PIXELS // WINDOW**2
HELD: Final = 1 << 28
"""Bytes of a complete scene of one tile that stay in memory until its windows are looked at: it is read once."""
MIN_COVER: Final = 0.5
"""A window's data in space and time, of that of the fullest one."""


@dataclass(frozen=True)
class Sample:
    """A scene in a bounded number of pixels.

    Attributes
    ----------
    seen
        the scene, read where it is sliced
    factor
        side of the blocks, pixels; a power of two, 1 for a small scene
    broad
        means over blocks of all of it, about the temporal mean of every pixel
    height
        (y, x) m, of the blocks, NaN = unknown; None: no heights
    windows
        of single pixels, evenly spread over where there is data; none for a small scene, all of which is in `broad`
    """

    seen: Observation
    factor: int
    broad: Float32
    height: Float32 | None
    windows: tuple[Window, ...]


def sample_of(seen: Observation) -> Sample:
    """Read a scene tile by tile, once, and choose its windows."""
    rows, cols = seen.shape
    held = seen
    if max(rows, cols) <= TILE and 4 * math.prod(seen.displacement.shape) <= HELD:
        held = dataclasses.replace(seen, displacement=seen.values)
    factor = 1
    while -(-rows // factor) * -(-cols // factor) > MOST_PIXELS:
        factor *= 2
    blocks = coarsened(held, factor)
    broad = np.asarray(blocks.displacement, np.float32)
    windows = spread_windows(broad, factor, seen.shape) if factor > 1 else ()
    if held is not seen and not all(np.isfinite(epoch).all() for epoch in held.values):
        held = seen  # to fill gaps takes the memory that it would hold
    return Sample(held, factor, broad, blocks.height, windows)


def spread_windows(broad: Float32, factor: int, shape: tuple[int, int]) -> tuple[Window, ...]:
    """Windows of a lattice, each farthest from those before it, among those with data; from north to south.

    Parameters
    ----------
    broad
        (time, y, x) means over blocks of `factor` pixels, NaN = no data
    shape
        rows and columns of the scene, pixels
    """
    height, width = (min(WINDOW, n) for n in shape)
    corners = [(y, x) for y in range(0, shape[0] - height + 1, WINDOW) for x in range(0, shape[1] - width + 1, WINDOW)]
    known = np.isfinite(broad).mean(axis=0)

    def cover(y: int, x: int) -> float:
        return float(known[y // factor : -(-(y + height) // factor), x // factor : -(-(x + width) // factor)].mean())

    full = np.array([cover(y, x) for y, x in corners])
    places = np.array(corners)[full >= MIN_COVER * full.max()]
    chosen = [int(np.argmin(np.hypot(*(places - (np.array(shape) - (height, width)) / 2).T)))]
    while len(chosen) < min(MOST_WINDOWS, len(places)):
        away = np.hypot(*(places[:, None] - places[chosen]).transpose(2, 0, 1)).min(axis=1)
        chosen.append(int(np.argmax(away)))
    return tuple((slice(y, y + height), slice(x, x + width)) for y, x in places[sorted(chosen)].tolist())
