"""Parts of a stack, read one after another, so that memory does not grow with its size."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr
from numpy.typing import NDArray

BLOCK = 256
"""Rows and columns of a block, those of a chunk of the store."""


def blocks(shape: tuple[int, int], size: int = BLOCK) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of the blocks that cover a grid of (y, x)."""
    for row in range(0, shape[0], size):
        for column in range(0, shape[1], size):
            yield slice(row, min(row + size, shape[0])), slice(column, min(column + size, shape[1]))


def read(array: xr.DataArray, rows: slice, columns: slice) -> NDArray[np.float32]:
    """Read a window of a variable, (..., y, x) float32."""
    return np.asarray(array.isel(y=rows, x=columns).values, np.float32)


def dates(dataset: xr.Dataset) -> list[str]:
    """Epochs of a stack as YYYYMMDD."""
    return [str(day).replace("-", "") for day in dataset["time"].values.astype("datetime64[D]")]


def delivered(dataset: xr.Dataset, variable: str) -> list[str]:
    """What was taken out of `variable` before slipscan and by it: names for file names and metadata."""
    names = dataset.attrs.get("corrections_as_delivered", [])
    names = [names] if isinstance(names, str) else list(names)
    return [str(name) for name in names if name] + ([variable] if variable != "displacement" else [])
