"""Windows of the interferograms, read from the store and masked."""

from __future__ import annotations

import itertools
import math

import numpy as np
import xarray as xr
from numpy.typing import NDArray

PAIRS_AT_ONCE = 64
"""Interferograms in one reading: a chunk of the store."""


TILE_VALUES = 2**23
"""Values (pair x row x column) in one tile, on the finer of the native and the target grid: 32 MB."""
LARGEST_SIDE = 512


def tile_side(pairs: int) -> int:
    """Side of a square of so many interferograms that fits in memory."""
    return min(LARGEST_SIDE, max(2, math.isqrt(TILE_VALUES // pairs)))


def pair_groups(count: int, first: int = 0) -> list[slice]:
    """Divide interferograms, from the first on, into the groups that are read at once: those of the store."""
    ends = [first, *range(first - first % PAIRS_AT_ONCE + PAIRS_AT_ONCE, count, PAIRS_AT_ONCE), count]
    return [slice(start, end) for start, end in itertools.pairwise(ends) if start < end]


def window(dataset: xr.Dataset, pairs: slice, rows: slice, columns: slice) -> xr.Dataset:
    """A part of product 'interferograms', not read yet."""
    return dataset.isel(pair=pairs, y=rows, x=columns)


def masked(part: xr.Dataset, min_coherence: float) -> NDArray[np.float32]:
    """Read interferograms, (pair, y, x) m; NaN where the coherence is below the minimum, or unknown."""
    values = np.array(part["interferogram"].values, np.float32)
    if "coherence" in part and min_coherence > 0:
        values[~(part["coherence"].values >= min_coherence)] = np.nan
    return values


def labels(part: xr.Dataset) -> NDArray[np.int16]:
    """Read connected components, (pair, y, x); 0 = none."""
    return np.maximum(part["component"].values, 0)


def shifted(values: NDArray[np.float32], label: NDArray[np.int16], shift: NDArray[np.float32]) -> None:
    """Add every component's shift to interferograms in place.

    Parameters
    ----------
    values, label
        (pair, y, x)
    shift
        (pair, label) m; NaN = the component is not used
    """
    for layer, component, row in zip(values, label, shift, strict=True):
        if row[1:].any() or (component == 0).any():  # NaN is true
            layer += row[component]
