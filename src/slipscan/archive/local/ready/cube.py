"""The cube of a ready series: its shape, its epochs, its scale, and product 'stack' made of it."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pyproj import CRS

from slipscan.archive.extent import beside, check_overlap, lonlat_bounds, projected
from slipscan.archive.job import Job
from slipscan.archive.reading import hdf5
from slipscan.archive.reading.layers import LOS, checked_line_of_sight, mask_voids
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid, in_degrees, write_grid
from slipscan.metric import check_place
from slipscan.regions import Track
from slipscan.screening import screened
from slipscan.vocabulary import annotate, check

if TYPE_CHECKING:
    import h5py

log = logging.getLogger(__name__)

Single = NDArray[np.float32]

CORRECTIONS = "corrections_as_delivered"
"""Attribute of a stack: names of what was taken out before slipscan got it."""
SAMPLE = 40_000
"""Pixels from which the scale of a series is judged."""
FEW_INTERVALS = 4
LARGEST_CHANGE_M, SMALLEST_CHANGE_M = 0.5, 1e-4
"""No ground moves by 0.5 m between most epochs, and every series has more noise than 0.1 mm."""


def check_shape(dataset: h5py.Dataset, epochs: int, dates: str) -> tuple[int, int]:
    """Check that a cube is (time, y, x) with one epoch a date; `dates` names their dataset.

    Returns
    -------
    shape
        rows, columns

    Raises
    ------
    SlipscanError
        other dimensions, another number of epochs, fewer than two rows or columns, no real numbers
    """
    hdf5.check_numbers(dataset)
    place = hdf5.place(dataset)
    if dataset.ndim != 3:
        raise SlipscanError(f"{place} has the shape {dataset.shape}, not (time, y, x): make it again")
    count, rows, columns = dataset.shape
    if count != epochs:
        raise SlipscanError(
            f"{place} has {count} epochs, but there are {epochs} dates in {dates}: one of them was cut; make it again"
        )
    if min(rows, columns) < 2:
        raise SlipscanError(f"{place} has {rows} x {columns} pixels: a series needs two rows and columns at least")
    return rows, columns


def check_layer(dataset: h5py.Dataset, shape: tuple[int, int], series: str) -> None:
    """Refuse a layer of another size than the series, or one that holds no numbers."""
    hdf5.check_numbers(dataset)
    if dataset.shape != shape:
        found = " x ".join(map(str, dataset.shape))
        raise SlipscanError(
            f"{hdf5.place(dataset)} is {found}, {series} {shape[0]} x {shape[1]} pixels: it belongs to another series"
        )


def read_epochs(dataset: h5py.Dataset, count: int, rows: slice, columns: slice, metres: float) -> Single:
    """Read a window of the first epochs of an HDF5 dataset (time, y, x), times `metres`, as float32.

    In steps of the dataset's chunks: beside the result only one such step is held.
    """
    out = np.empty((count, rows.stop - rows.start, columns.stop - columns.start), np.float32)
    step = dataset.chunks[0] if dataset.chunks else 1
    for start in range(0, count, step):
        part = slice(start, min(start + step, count))
        with np.errstate(over="ignore"):  # 1.8e308, a fill of double precision, is infinite here
            out[part] = hdf5.values(dataset, (part, rows, columns)) * metres
    return out


def window(grid: Grid, job: Job) -> tuple[slice, slice]:
    """Return rows and columns of a grid that the region needs; raises SlipscanError where the polygon lies outside."""
    check_overlap(job.region, job.track, lonlat_bounds(grid))
    bounds = beside(job.bounds, float(grid.x.mean())) if grid.crs.is_geographic else job.bounds
    west, south, east, north = projected(bounds, grid.crs)
    columns = np.flatnonzero((grid.x >= west) & (grid.x <= east))
    rows = np.flatnonzero((grid.y >= south) & (grid.y <= north))
    if min(len(columns), len(rows)) < 2:
        raise SlipscanError(
            f"region {job.region.id}'s polygon covers no two rows and columns of pixels of the data of track"
            f" {job.track.id}"
        )
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def cut(grid: Grid, rows: slice, columns: slice) -> Grid:
    """Return some rows and columns of a grid."""
    return Grid(grid.x[columns], grid.y[rows], grid.crs)


def regular_grid(left: float, top: float, dx: float, dy: float, shape: tuple[int, int], crs: CRS, path: Path) -> Grid:
    """Make a north-up grid of the centre of its upper-left pixel and its postings (dy < 0).

    Longitudes from 180 to 360 are brought to -180 to 180.

    Raises
    ------
    SlipscanError
        not north-up, a number that is none, coordinates that are not those of the CRS
    """
    if not np.isfinite([left, top, dx, dy]).all() or dx <= 0 or dy >= 0:
        raise SlipscanError(
            f"{path} is not north-up, or has no readable grid (x from {left:g} by {dx:g}, y from {top:g} by {dy:g}):"
            " geocode it to a north-up grid"
        )
    rows, columns = shape
    grid = Grid(x=in_degrees(left + np.arange(columns) * dx, crs), y=top + np.arange(rows) * dy, crs=crs)
    check_place(grid, {}, str(path))
    return grid


def stack_of(
    displacement: Single,
    layers: Mapping[str, Single],
    days: Sequence[str],
    grid: Grid,
    track: Track,
    path: Path,
) -> xr.Dataset:
    """Make product 'stack' of arrays, checked.

    Parameters
    ----------
    displacement
        (time, y, x) m, positive toward the satellite, NaN = no data; counted from any epoch; changed in place
    layers
        line of sight (unit vector ground to satellite), height, temporal_coherence: (y, x) each, what there is;
        changed in place
    days
        (time,) epochs, ISO, ascending
    grid
        of the arrays
    track
        for the check of the line of sight
    path
        for sentences

    Returns
    -------
    dataset
        without the epochs that hold nothing (named in the log), counted from its first epoch

    Raises
    ------
    SlipscanError
        most epochs are empty, displacement in another unit, a line of sight that the track cannot have
    """
    time = np.asarray(days, "datetime64[D]").astype("datetime64[ns]")
    variables: dict[str, Any] = {"displacement": (("time", "y", "x"), displacement)}
    variables |= {name: (("y", "x"), values) for name, values in layers.items()}
    return checked(xr.Dataset(variables, coords={"time": time}), grid, track, path)


def checked(out: xr.Dataset, grid: Grid, track: Track, path: Path) -> xr.Dataset:
    """Make a dataset (lazy or in memory) in the contract's dimensions and units product 'stack': see `stack_of`."""
    from slipscan.stack import since_first_epoch  # which brings torch: interferograms do without

    if missing := [name for name in LOS if name not in out]:
        log.warning(
            "%s comes without line of sight (%s): no source inversion, no projection of GNSS", path, ", ".join(missing)
        )
        out = out.drop_vars(LOS, errors="ignore")
    if "height" not in out:
        log.warning("%s comes without height: nothing that follows topography can be removed", path)
    out = screened(out, in_memory=True, where=str(path))
    keep = filled_epochs(out["displacement"].values, out["time"].values, path)
    if not keep.all():
        out = out.isel(time=keep)
    if out.sizes["time"] < 2:
        raise SlipscanError(f"{path} has one epoch: displacement is counted from it, so a series needs two; move as_of")
    check_scale(out["displacement"].values, path)
    if since_first_epoch(out["displacement"].values):
        log.info("%s is not zero in its first epoch: displacement is counted from each pixel's first valid epoch", path)
    if "height" in out:
        mask_voids(out["height"].values, f"height of {path}")
    if "los_up" in out:
        east, north, up = (out[name].values for name in LOS)
        checked_line_of_sight(east, north, up, track.orbit_direction, str(path))
    out = annotate(write_grid(out.assign_coords(reference_time=out["time"].values[0]), grid), "stack")
    check(out, "stack", str(path))
    return out


def filled_epochs(values: Single, time: NDArray[np.datetime64], path: Path) -> NDArray[np.bool_]:
    """Tell which epochs hold data, (time,), and name those that do not in the log.

    One that has no valid pixel is empty, and one that is 0 everywhere among others that are not: only the reference
    epoch, and what comes before the first motion of a simulated series, is zero by right.

    Raises
    ------
    SlipscanError
        half of the epochs or more are empty
    """
    valid = np.array([bool(np.isfinite(layer).any()) for layer in values])
    zero = valid & np.array([not np.nan_to_num(layer).any() for layer in values])
    if not zero[valid][:1].all():
        # Counted from another epoch, which is the one of zeros.
        zero &= zero.sum() > 1
    else:
        zero &= np.cumsum(valid & ~zero) > 0
    keep = valid & ~zero
    if 2 * keep.sum() <= len(keep):
        raise SlipscanError(
            f"{len(keep) - keep.sum()} of {len(keep)} epochs of {path} hold no data in the region (the first:"
            f" {_days(time[~keep][:1])}): make the series again, or correct its mask or the region's polygon"
        )
    for empty, why in ((~valid, "have no valid pixel"), (zero, "are 0 in every pixel")):
        if empty.any():
            log.warning(
                "%d of %d epochs of %s %s and are left out: %s", empty.sum(), len(keep), path, why, _days(time[empty])
            )
    return keep


def _days(time: NDArray[np.datetime64]) -> str:
    return ", ".join(time.astype("datetime64[D]").astype(str))


def check_scale(values: Single, path: Path) -> None:
    """Refuse displacement (time, y, x) m whose changes from epoch to epoch are those of another unit or quantity.

    Values in millimetres that are said to be metres can lie within the range of a displacement, their changes do not.
    """
    step = max(1, math.isqrt(values[0].size // SAMPLE))
    sample = values[:, ::step, ::step]
    changes = [np.abs(other - one) for one, other in itertools.pairwise(sample)]
    typical = [float(np.percentile(change[known], 99)) for change in changes if (known := np.isfinite(change)).any()]
    if len(typical) < FEW_INTERVALS:
        return
    usual = float(np.median(typical))
    small = 0 < usual < SMALLEST_CHANGE_M and max(typical) < 10 * SMALLEST_CHANGE_M
    if usual > LARGEST_CHANGE_M or small:
        raise SlipscanError(
            f"the displacement in {path} changes by {usual:.3g} m from epoch to epoch, which no ground and no noise"
            " does: its unit is another than it says; correct the unit"
        )
