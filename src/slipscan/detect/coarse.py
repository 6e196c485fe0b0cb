"""A series of any size as means over blocks of pixels, which fit in memory: no scale that is scanned needs more."""

from __future__ import annotations

import dataclasses
from typing import Final

import numpy as np
from numpy.typing import NDArray

from slipscan.field import Observation

Float32 = NDArray[np.float32]

TILE: Final = 512
"""Pixels of a side that are read at a time."""
MIN_SHARE: Final = 0.3
"""Of the pixels of a block that have data in any epoch: a block's epoch with fewer has none."""


def coarsened(seen: Observation, factor: int) -> Observation:
    """Means over blocks of `factor` x `factor` pixels, about the temporal mean of every pixel.

    Parameters
    ----------
    seen
        read tile by tile, where it is not in memory
    factor
        side of a block, pixels; blocks at the far edges may be cut
    """
    rows, cols = seen.shape
    shape = (-(-rows // factor), -(-cols // factor))
    out = np.empty((len(seen.time), *shape), np.float32)
    step = max(1, TILE // factor) * factor
    for top in range(0, rows, step):
        for left in range(0, cols, step):
            part = seen.tile(slice(top, top + step), slice(left, left + step)).values
            means = _means(part, factor)
            y, x = top // factor, left // factor
            out[:, y : y + means.shape[1], x : x + means.shape[2]] = means
    height = None
    if seen.height is not None:
        height = block_means(np.asarray(seen.height, np.float32)[None], factor)[0]
    return dataclasses.replace(seen, displacement=out, height=height, los=None, pixel_m=seen.pixel_m * factor)


def block_means(fields: NDArray[np.floating], factor: int) -> Float32:
    """Means over blocks of what is finite, (n, y, x); NaN where nothing is."""
    valid = np.isfinite(fields)
    total, count = _sums(np.where(valid, fields, 0.0), factor), _sums(valid, factor)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)


def _means(series: Float32, factor: int) -> Float32:
    valid = np.isfinite(series)
    count = valid.sum(axis=0)
    filled = np.where(valid, series, np.float32(0.0))
    mean = filled.sum(axis=0, dtype=np.float64) / np.maximum(count, 1)
    filled -= np.where(valid, mean.astype(np.float32), np.float32(0.0))
    if factor == 1:
        return np.where(valid, filled, np.float32(np.nan))
    total, found = _sums(filled, factor), _sums(valid, factor)
    enough = found >= np.maximum(MIN_SHARE * _sums((count > 0)[None], factor), 1)
    return np.where(enough, total / np.maximum(found, 1), np.nan).astype(np.float32)


def _sums(fields: NDArray[np.generic], factor: int) -> Float32:
    """Sums over blocks, (n, y, x)."""
    n, rows, cols = fields.shape
    padded = np.pad(fields, ((0, 0), (0, -rows % factor), (0, -cols % factor)))
    blocks = padded.reshape(n, padded.shape[1] // factor, factor, padded.shape[2] // factor, factor)
    return np.asarray(blocks.sum(axis=(2, 4), dtype=np.float32))
