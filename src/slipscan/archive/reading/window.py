"""The part of an HDF5 file's lattice that a region needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS

from slipscan.archive.extent import Bounds
from slipscan.archive.reading import hdf5
from slipscan.geometry import Array, Grid
from slipscan.longitudes import shifted

if TYPE_CHECKING:
    import h5py


@dataclass(frozen=True)
class Window:
    """The part of a file's lattice that lies in a box.

    Attributes
    ----------
    rows, columns
        in the file's order
    upward
        whether the file's y ascends: what is read is flipped
    grid
        the cells
    """

    rows: slice
    columns: slice
    upward: bool
    grid: Grid

    def read(self, dataset: h5py.Dataset) -> NDArray[np.float32]:
        """Read the window of a variable, (y, x) float32, rows from north to south; NaN where it has its fill value.

        Only the chunks that the window touches are read.
        """
        leading = (0,) * (dataset.ndim - 2)  # a time axis of one
        out = hdf5.values(dataset, (*leading, self.rows, self.columns), np.float32)
        return out[::-1] if self.upward else out


def find_window(x: Array, y: Array, box: Bounds, crs: CRS) -> Window | None:
    """Find the cells of a lattice that touch a box in the lattice's own coordinates.

    Parameters
    ----------
    x, y
        cell centres, evenly spaced; x ascends
    box
        west, south, east, north in the units of `crs`; longitudes are brought to its side of 180 degrees

    Returns
    -------
    window
        None where fewer than two rows or columns lie in the box
    """
    west, south, east, north = box
    if crs.is_geographic:
        x = shifted(x, (west + east) / 2)
    columns, rows = _touching(x, west, east), _touching(y, south, north)
    if columns.stop - columns.start < 2 or rows.stop - rows.start < 2:
        return None
    upward = bool(y[1] > y[0])
    inside = y[rows][::-1] if upward else y[rows]
    return Window(rows, columns, upward, Grid(np.asarray(x[columns], float), np.asarray(inside, float), crs))


def _touching(centres: Array, low: float, high: float) -> slice:
    """The cells whose extent touches low to high."""
    if len(centres) < 2:
        return slice(0, 0)
    half = abs(float(centres[1] - centres[0])) / 2
    found = np.flatnonzero((centres + half > low) & (centres - half < high))
    return slice(int(found[0]), int(found[-1]) + 1) if len(found) else slice(0, 0)
