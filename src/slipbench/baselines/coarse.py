"""Large scenes on a coarser grid, for methods whose patterns would not fit into memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from slipbench.estimate import Estimate
from slipscan.field import Observation

MAX_SIDE = 256
"""Pixels. The bank of patterns of a scene of this size takes half a gigabyte."""

Float = NDArray[np.float64]


def coarsened(observation: Observation, max_side: int = MAX_SIDE) -> tuple[Observation, int]:
    """Means of blocks of pixels, as small as fit; a small scene is returned as it is.

    Returns
    -------
    observation, factor
        side of a block in pixels; blocks at the far edges may be cut
    """
    factor = -(-max(observation.shape) // max_side)
    if factor == 1:
        return observation, 1
    height = np.full(observation.shape, np.nan) if observation.height is None else observation.height
    stack = np.concatenate([observation.values, height[None]])
    means = _block_means(stack, factor).astype(np.float32)
    coarse = replace(observation, displacement=means[:-1], height=means[-1], pixel_m=observation.pixel_m * factor)
    return coarse, factor


def refined(estimate: Estimate, factor: int, shape: tuple[int, int]) -> Estimate:
    """An estimate back on the grid it was asked for, every block constant."""
    if factor == 1:
        return estimate
    map_, transient = (
        field.repeat(factor, axis=-2).repeat(factor, axis=-1)[..., : shape[0], : shape[1]]
        for field in (estimate.map, estimate.transient)
    )
    return replace(estimate, map=map_, transient=transient)


def _block_means(fields: NDArray[np.float32], factor: int) -> Float:
    """Means over blocks without NaN, (n, y, x); NaN where a block holds nothing."""
    rows, columns = (np.arange(0, n, factor) for n in fields.shape[1:])
    valid = np.isfinite(fields)
    total, count = (
        np.add.reduceat(np.add.reduceat(part, rows, axis=1), columns, axis=2)
        for part in (np.where(valid, fields, 0.0).astype(float), valid.astype(float))
    )
    return np.where(count > 0, total / np.maximum(count, 1.0), np.nan)
