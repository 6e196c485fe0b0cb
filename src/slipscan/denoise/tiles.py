"""Tiles that a wide scene is cut into, and the weights that blend them.

Tiles lie on a lattice that begins at the first pixel, not at whatever part of a stack is in memory: the answer does not
depend on how the work is dealt out. A tile holds all epochs: a window in time cannot see an event that is not short
beside the window, because a background of its own takes the event along.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

TILE: Final = 192
TILE_STEP: Final = 160
"""Pixels: what is seen at a time, and from one tile to the next."""


def tiles(size: int) -> list[slice]:
    """Tiles along one side of a scene; the last ends with it."""
    if size <= TILE:
        return [slice(0, size)]
    starts = [*range(0, size - TILE, TILE_STEP), size - TILE]
    return [slice(start, start + TILE) for start in starts]


def shares(pieces: list[slice], size: int) -> list[Float32]:
    """Weight of every element of every piece: together 1 everywhere, falling linearly to where a neighbour takes over.

    Parameters
    ----------
    pieces
        overlapping, in order, covering all
    size
        number of elements

    Returns
    -------
    shares
        (element of the piece,) for every piece
    """
    heights = []
    for number, piece in enumerate(pieces):
        at = np.arange(piece.start, piece.stop)
        left = (at - piece.start + 1.0) if number else np.full(len(at), np.inf)
        right = (piece.stop - at) * 1.0 if number < len(pieces) - 1 else np.full(len(at), np.inf)
        overlap_left = pieces[number - 1].stop - piece.start if number else 1
        overlap_right = piece.stop - pieces[number + 1].start if number < len(pieces) - 1 else 1
        heights.append(np.minimum(1.0, np.minimum(left / (overlap_left + 1), right / (overlap_right + 1))))
    total = np.zeros(size)
    for piece, height in zip(pieces, heights, strict=True):
        total[piece] += height
    return [(height / total[piece]).astype(np.float32) for piece, height in zip(pieces, heights, strict=True)]
