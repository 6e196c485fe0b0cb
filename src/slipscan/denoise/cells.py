"""Cells that a wide scene is cut into, windows that a long series is cut into, and the weights that blend them.

Cells and windows lie on a lattice that begins at the first pixel and epoch, not at whatever part of a stack is in
memory: the answer does not depend on how the work is dealt out, and new epochs leave old windows as they are.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

CELL: Final = 128
CELL_STEP: Final = 96
"""Pixels: what the network was trained to see at a time, and from one cell to the next."""
LONGEST: Final = 64
"""Epochs of a series that is taken whole."""
WINDOW: Final = 48
WINDOW_STEP: Final = 24
"""Epochs of a window of a longer one, and from one window to the next."""


def cells(size: int) -> list[slice]:
    """Cells along one side of a scene; the last ends with it."""
    return _pieces(size, CELL, CELL, CELL_STEP)


def windows(epochs: int) -> list[slice]:
    """Windows of a series; the last ends with it."""
    return _pieces(epochs, LONGEST, WINDOW, WINDOW_STEP)


def _pieces(size: int, whole: int, length: int, step: int) -> list[slice]:
    if size <= whole:
        return [slice(0, size)]
    starts = [*range(0, size - length, step), size - length]
    return [slice(start, start + length) for start in starts]


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
