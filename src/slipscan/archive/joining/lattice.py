"""Crops of one track on the lattice that they share: its extent, and where a crop lies on it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from slipscan.errors import SlipscanError
from slipscan.geometry import Grid

ALIGNMENT = 0.1
"""Crops may be off the common lattice by this share of a pixel, no more."""


def union_grid(grids: Sequence[Grid], names: Sequence[str]) -> Grid:
    """Return the smallest grid that holds all grids of one lattice.

    Parameters
    ----------
    grids
        of the crops; at least one
    names
        (grid,) how a sentence calls each

    Raises
    ------
    SlipscanError
        another CRS, posting, or pixels between those of the first
    """
    first = grids[0]
    left = top = 0
    right, bottom = len(first.x), len(first.y)
    for grid, name in zip(grids, names, strict=True):
        rows, columns = place(grid, first, name, names[0])
        left, top = min(left, columns.start), min(top, rows.start)
        right, bottom = max(right, columns.stop), max(bottom, rows.stop)
    dx, dy = first.spacing
    return Grid(
        x=float(first.x[0]) + dx * np.arange(left, right),
        y=float(first.y[0]) - dy * np.arange(top, bottom),
        crs=first.crs,
    )


def place(grid: Grid, on: Grid, name: str, of: str = "the others") -> tuple[slice, slice]:
    """Return the rows and columns of a grid on the lattice of another; they may lie outside it.

    Raises
    ------
    SlipscanError
        another CRS, posting, or pixels between those of the other grid
    """
    if grid.crs != on.crs:
        raise SlipscanError(
            f"{name} has CRS {grid.crs.to_string()}, {of} {on.crs.to_string()}: the granules of a track must share one;"
            " choose frames or bursts of one UTM zone"
        )
    (dx, dy), (on_dx, on_dy) = grid.spacing, on.spacing
    drift = max(abs(dx - on_dx) * len(grid.x) / on_dx, abs(dy - on_dy) * len(grid.y) / on_dy)
    column = (float(grid.x[0]) - float(on.x[0])) / on_dx
    row = (float(on.y[0]) - float(grid.y[0])) / on_dy
    if max(drift, abs(column - round(column)), abs(row - round(row))) > ALIGNMENT:
        raise SlipscanError(
            f"{name} lies between the pixels of {of}, or has another posting: the granules of a track must share one"
            " lattice; keep one product version"
        )
    return (
        slice(round(row), round(row) + len(grid.y)),
        slice(round(column), round(column) + len(grid.x)),
    )
