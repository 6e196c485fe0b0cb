"""Gaussian blur of many epochs, as products with a matrix that holds the kernel."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

PART: Final = 32
"""Cells that are blurred at a time: with those that the kernel reaches, a matrix of few zeros."""


def blurred(fields: Float32, width: float, cut: int = 3) -> Float32:
    """Gaussian blur of epochs; beyond the edges is nothing.

    Parameters
    ----------
    fields
        (n, y, x)
    width
        standard deviation of the kernel, cells
    cut
        widths at which the kernel ends
    """
    half, out = np.empty_like(fields), np.empty_like(fields)
    for there, near, kernel in _parts(fields.shape[1], width, cut):
        np.matmul(kernel.T, fields[:, near], out=half[:, there])
    rows = half.reshape(-1, fields.shape[2])
    into = out.reshape(rows.shape)
    for there, near, kernel in _parts(fields.shape[2], width, cut):
        np.matmul(rows[:, near], kernel, out=into[:, there])
    return out


@lru_cache(maxsize=64)
def _parts(cells: int, width: float, cut: int) -> list[tuple[slice, slice, Float32]]:
    """Of a row: its parts, what of it the kernel reaches from there, and the kernel as a matrix (near, there)."""
    reach = int(cut * width + 0.5)
    weight = np.exp(-((np.arange(-reach, reach + 1) / width) ** 2) / 2)
    weight /= weight.sum()
    out = []
    for first in range(0, cells, PART):
        there = slice(first, min(first + PART, cells))
        near = slice(max(first - reach, 0), min(first + PART + reach, cells))
        away = np.arange(near.start, near.stop)[:, None] - np.arange(there.start, there.stop)
        inside = np.abs(away) <= reach
        kernel = np.where(inside, weight[np.where(inside, away + reach, 0)], 0.0)
        out.append((there, near, kernel.astype(np.float32)))
    return out
