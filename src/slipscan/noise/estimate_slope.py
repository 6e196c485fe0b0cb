"""Slope of fields with height, from increments between neighbours, with its standard error."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

LAGS = (1, 2, 4, 8, 16)
BLOCKS = 8
"""Blocks a side of the scene: increments of different blocks are taken as independent."""
MIN_BLOCKS = 6
BATCH = 16
"""Epochs whose increments are in memory at once."""


def height_slope(fields: NDArray[np.floating], height: Float) -> tuple[Float, Float]:
    """Slope of fields with height, by least squares on increments, and its standard error.

    Delay is red in space: over a scene it correlates with height by chance, and a plain regression mistakes
    that for a slope. Increments over a few cells are next to white. Of several lags, the one whose errors
    (from the scatter between blocks of the scene) are smallest over the fields is taken.

    Parameters
    ----------
    fields
        (time, y, x) any unit, NaN = no data
    height
        (y, x) m, NaN = no data

    Returns
    -------
    slope, error
        (time,) field's unit per m; NaN where there is no relief or no data
    """
    n = len(fields)
    if min(height.shape) < BLOCKS:
        return np.full(n, np.nan), np.full(n, np.nan)
    best = np.full(n, np.nan), np.full(n, np.nan)
    smallest = np.inf
    for lag in LAGS:
        if lag > max(min(height.shape) // (2 * BLOCKS), 1):
            break  # increments would tie the blocks together
        slope, error = _slope_at(fields, height, lag)
        typical = float(np.median(error[np.isfinite(error)])) if np.isfinite(error).any() else np.inf
        if typical < smallest:
            best, smallest = (slope, error), typical
    return best


def _slope_at(fields: NDArray[np.floating], height: Float, lag: int) -> tuple[Float, Float]:
    """Slope and error (time,) from increments over `lag` cells along both axes."""
    n, (rows, columns) = len(fields), height.shape
    cross, square = np.zeros((n, BLOCKS, BLOCKS)), np.zeros((n, BLOCKS, BLOCKS))
    for axis in (0, 1):
        rise = _increment(height[None], axis, lag)
        for first in range(0, n, BATCH):
            few = slice(first, first + BATCH)
            change = _increment(fields[few], axis, lag)
            known = np.isfinite(rise) & np.isfinite(change)
            same = bool((known == known[:1]).all())
            along = np.where(known[:1] if same else known, rise, 0.0)
            if not known.all():
                change = np.where(known, change, 0.0)
            cross[few] += _block_sums(along * change, rows, columns)
            square[few] += _block_sums(along**2, rows, columns)
    total, blocks = square.sum(axis=(1, 2)), (square > 0).sum(axis=(1, 2))
    known = (total > 0) & (blocks >= MIN_BLOCKS)
    safe = np.where(known, total, 1.0)
    slope = cross.sum(axis=(1, 2)) / safe
    scatter = ((cross - slope[:, None, None] * square) ** 2).sum(axis=(1, 2)) * blocks / np.maximum(blocks - 1, 1)
    return np.where(known, slope, np.nan), np.where(known, np.sqrt(scatter) / safe, np.nan)


def _increment(fields: NDArray[np.floating], axis: int, lag: int) -> NDArray[np.floating]:
    """Differences (n, y, x) over `lag` cells along an axis of space; smaller than the fields by the lag."""
    if axis == 0:
        return np.asarray(fields[:, lag:] - fields[:, :-lag])
    return np.asarray(fields[:, :, lag:] - fields[:, :, :-lag])


def _block_sums(values: Float, rows: int, columns: int) -> Float:
    """Sums over the blocks of scenes (n, y, x) of (rows, columns); `values` lacks a margin at the end."""
    scene = zip((rows, columns), values.shape[1:], strict=True)
    bounds = [np.minimum(np.arange(BLOCKS + 1) * whole // BLOCKS, there) for whole, there in scene]
    down = np.stack([values[:, a:b].sum(axis=1) for a, b in itertools.pairwise(bounds[0])], axis=1)
    return np.stack([down[:, :, a:b].sum(axis=2) for a, b in itertools.pairwise(bounds[1])], axis=2)
