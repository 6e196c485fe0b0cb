"""HDF5 (NetCDF-4) granules: the window of a region is read, nothing else; what is broken is said in one sentence."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS

from slipscan.archive.extent import Bounds
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid

if TYPE_CHECKING:
    import h5py

Array = NDArray[np.floating]
AGAIN = "fetch it again"


@contextlib.contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open a granule for reading.

    Raises
    ------
    SlipscanError
        it is no HDF5 file, is truncated, or cannot be read to its end, here or within the block
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(". ")
        raise SlipscanError(f"{path} is truncated or no HDF5 file ({reason}): {AGAIN}") from error


def variable(file: h5py.File, name: str) -> h5py.Dataset:
    """Return a variable by its path; raises SlipscanError where the file has none."""
    import h5py

    found = file.get(name)
    if not isinstance(found, h5py.Dataset):
        raise SlipscanError(f"{file.filename} has no variable {name}: it is another product, or broken: {AGAIN}")
    return found


def number(file: h5py.File, name: str) -> float:
    """Return a variable of one number."""
    return float(np.asarray(variable(file, name)[()]).reshape(-1)[0])


def text(file: h5py.File, name: str) -> str:
    """Return a variable of one string."""
    value = np.asarray(variable(file, name)[()]).reshape(-1)[0]
    return value.decode() if isinstance(value, bytes) else str(value)


def check_wavelength(file: h5py.File, name: str, expected_m: float) -> float:
    """Return the radar wavelength of a file, m; raises SlipscanError where it is not the track's."""
    wavelength = number(file, name)
    if abs(wavelength - expected_m) > 0.01 * expected_m:
        raise SlipscanError(
            f"{file.filename} has a radar wavelength of {wavelength:g} m, the track of {expected_m:g} m: it is another"
            " satellite's, or radar_wavelength_m of the track is wrong"
        )
    return wavelength


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
        values = np.asarray(dataset[(*leading, self.rows, self.columns)])
        fill = dataset.attrs.get("_FillValue")
        out = values.astype(np.float32)
        if fill is not None:
            out[values == np.asarray(fill).reshape(-1)[0]] = np.nan
        return out[::-1] if self.upward else out


def window(x: Array, y: Array, box: Bounds, crs: CRS) -> Window | None:
    """Find the cells of a lattice that touch a box in the lattice's own coordinates.

    Parameters
    ----------
    x, y
        cell centres, evenly spaced; x ascends
    box
        west, south, east, north in the units of `crs`

    Returns
    -------
    window
        None where fewer than two rows or columns lie in the box
    """
    west, south, east, north = box
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
