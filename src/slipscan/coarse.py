"""A series of any size as means over blocks of pixels, which fit in memory."""

from __future__ import annotations

import dataclasses
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import avg_pool2d

from slipscan.field import Observation

Float32 = NDArray[np.float32]

TILE: Final = 512
"""Pixels of a side that are read at a time."""
BATCH: Final = 16
"""Epochs of a tile that are copied at a time."""
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
            means = _means(seen.tile(slice(top, top + step), slice(left, left + step)).values, factor)
            y, x = top // factor, left // factor
            out[:, y : y + means.shape[1], x : x + means.shape[2]] = means
    height = None
    if seen.height is not None:
        height = block_means(np.asarray(seen.height, np.float32)[None], factor)[0]
    return dataclasses.replace(seen, displacement=out, height=height, los=None, pixel_m=seen.pixel_m * factor)


def block_means(fields: NDArray[np.floating], factor: int, min_share: float = 0.0) -> Float32:
    """Means over blocks of what is finite, (n, y, x); NaN where nothing is, or less than a share of `factor`^2."""
    if factor == 1:
        return np.asarray(fields, np.float32)
    valid = np.isfinite(fields)
    if valid.all():
        total, count = _sums(fields, factor), _sums(valid[:1], factor)
    else:
        total, count = _sums(np.where(valid, fields, np.float32(0.0)), factor), _sums(valid, factor)
    enough = count >= max(min_share * factor**2, 1)
    return np.where(enough, total / np.maximum(count, 1), np.float32(np.nan)).astype(np.float32)


def _means(series: Float32, factor: int) -> Float32:
    mean, count = _temporal_mean(series)
    ever = _sums((count > 0)[None], factor)
    covered = np.maximum(MIN_SHARE * ever, 1)
    complete = bool((count == len(series)).all())
    out = np.empty((len(series), *covered.shape[1:]), np.float32)
    for few in _batches(len(series)):
        if complete:
            total, found = _sums(series[few] - mean, factor), ever
        else:
            valid = np.isfinite(series[few])
            total, found = _sums(np.where(valid, series[few] - mean, np.float32(0.0)), factor), _sums(valid, factor)
        out[few] = np.where(found >= covered, total / np.maximum(found, 1), np.float32(np.nan))
    return out


def _temporal_mean(series: Float32) -> tuple[Float32, NDArray[np.intp]]:
    """Mean of what is finite and how much is, both (y, x)."""
    total, count = np.zeros(series.shape[1:]), np.zeros(series.shape[1:], np.intp)
    for few in _batches(len(series)):
        valid = np.isfinite(series[few])
        complete = bool(valid.all())
        count += len(valid) if complete else valid.sum(axis=0)
        known = series[few] if complete else np.where(valid, series[few], np.float32(0.0))
        total += known.sum(axis=0, dtype=np.float64)
    return (total / np.maximum(count, 1)).astype(np.float32), count


def _batches(epochs: int) -> list[slice]:
    return [slice(first, first + BATCH) for first in range(0, epochs, BATCH)]


def _sums(fields: NDArray[np.generic], factor: int) -> Float32:
    """Sums over blocks, (n, y, x)."""
    values = torch.from_numpy(np.ascontiguousarray(fields, np.float32))[None]
    return np.asarray(avg_pool2d(values, factor, ceil_mode=True, divisor_override=1)[0].numpy())
