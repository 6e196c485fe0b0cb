"""A ready displacement series: projected where it is geographic, referenced, and passed on, tile by tile."""

from __future__ import annotations

import logging
import math

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from rasterio.warp import Resampling

from slipscan.errors import SlipscanError
from slipscan.geometry import Grid, read_grid, write_grid
from slipscan.metric import not_metric
from slipscan.outofcore import Empty
from slipscan.settings import TimeseriesSettings
from slipscan.stack import since_first_epoch
from slipscan.timeseries.grid import LOS, choose_resampling, inside, project, project_geometry, target_grid, tiles
from slipscan.timeseries.patches import without_patches
from slipscan.timeseries.reference import check_most, reference_area, reference_medians
from slipscan.timeseries.region import reference_point, region_polygon, where
from slipscan.timeseries.resample import resampler
from slipscan.timeseries.results import as_variable

log = logging.getLogger(__name__)

TILE_VALUES = 2**23
"""Values (time x row x column) that are read at once."""


def stack_from_series(dataset: xr.Dataset, settings: TimeseriesSettings, empty: Empty = np.zeros) -> xr.Dataset:
    """Bring a ready series onto a metric grid and reference every epoch to the area's median.

    Parameters
    ----------
    dataset
        product 'stack' on any grid, lazily opened or in memory; a metric grid of square pixels is kept as it is
    settings
        of the stage: pixel_m (where the grid is not metric), reference_radius_m, min_reference_pixels
    empty
        makes the arrays that hold the series

    Returns
    -------
    stack
        product 'stack', its series lazy where `empty` makes files; NaN outside the region's polygon; `segment` 0
        where the input has none. Epochs that are empty or have no reference are left out (named in the log), and
        displacement is counted from the first that is left.

    Raises
    ------
    SlipscanError
        half of the epochs have too few valid pixels in the reference area, or none at all; no valid pixel
    """
    native = read_grid(dataset, where(dataset))
    polygon = region_polygon(dataset)
    if problem := not_metric(native):
        log.info("%s is projected to UTM: %s", where(dataset), problem)
        target = target_grid(native, polygon, settings.pixel_m)
        resampling = choose_resampling(native, settings.pixel_m)
        log.info("projected by '%s' to %d x %d pixels of %g m", resampling.name, *target.shape, settings.pixel_m)
    else:
        target, resampling = native, Resampling.nearest
        log.info("the series keeps its own metric grid of %g m (timeseries.pixel_m is not used)", native.spacing[0])
    mask = inside(polygon, target)
    offset = _offsets(dataset, native, target, resampling, settings)
    series = [name for name, array in dataset.data_vars.items() if array.dims == ("time", "y", "x")]
    values = {name: empty((dataset.sizes["time"], *target.shape), np.float32) for name in series}
    for name, layers in values.items():
        _project(dataset[name], native, target, resampling, layers)
    keep = _referenced(values["displacement"], offset, mask, dataset, settings)
    if not keep.all():
        dataset = dataset.isel(time=keep)
        values = {name: _compacted(layers, keep) for name, layers in values.items()}
    if since_first_epoch(values["displacement"]):
        log.info("%s: displacement is counted from each pixel's first valid epoch", where(dataset))
    mended = without_patches(values["displacement"], settings)
    out = write_grid(dataset.drop_dims(["y", "x"]), target)
    for name, array in dataset.data_vars.items():
        if name in values:
            out[name] = as_variable(values[str(name)])
        elif array.dims == ("y", "x") and name not in (*LOS, "height"):
            out[name] = (array.dims, project(array.values[None], native, target, resampling)[0])
    for geometry, layer in project_geometry(dataset, native, target, resampling).items():
        out[geometry] = (("y", "x"), layer)
    if "segment" not in out.coords:
        out = out.assign_coords(segment=("time", np.zeros(out.sizes["time"], np.int64)))
    out = out.assign_coords(reference_time=out["time"].values[0])
    out.attrs = dict(dataset.attrs) | mended
    return out


def _project(array: xr.DataArray, native: Grid, target: Grid, resampling: Resampling, out: NDArray[np.float32]) -> None:
    """Project a series into `out`, (time, y, x)."""
    ratio = max(1.0, len(native.y) / len(target.y), len(native.x) / len(target.x))
    side = max(2, int(math.isqrt(TILE_VALUES // array.sizes["time"]) / ratio))
    for rows, columns in tiles(target.shape, side):
        tile = Grid(target.x[columns], target.y[rows], target.crs)
        take = resampler(native, tile, np.ones(tile.shape, bool), resampling, target.spacing)
        values = np.asarray(array.isel(y=take.rows, x=take.columns).values, np.float32)
        out[:, rows, columns] = take(values).reshape(len(out), *tile.shape)


def _offsets(
    dataset: xr.Dataset, native: Grid, target: Grid, resampling: Resampling, settings: TimeseriesSettings
) -> NDArray[np.float64]:
    """Return the median of every epoch over the reference area, (time,) m; 0 without a reference point.

    NaN where an epoch has too few valid pixels there; raises SlipscanError where half of them have.
    """
    days = dataset["time"].values.astype("datetime64[D]")
    point = reference_point(dataset)
    if point is None:
        return np.zeros(len(days))
    area = reference_area(target, *point, settings.reference_radius_m)
    rows, columns = (slice(int(index.min()), int(index.max()) + 1) for index in np.nonzero(area))
    tile = Grid(target.x[columns], target.y[rows], target.crs)
    take = resampler(native, tile, area[rows, columns], resampling, target.spacing)
    values = take(np.asarray(dataset["displacement"].isel(y=take.rows, x=take.columns).values, np.float32))
    median, count = reference_medians(values[:, None], np.ones((1, take.pixels), bool), settings.min_reference_pixels)
    names = [f"the epoch {day} of {where(dataset)}" for day in days]
    check_most(count, lambda epoch: _is_empty(dataset, epoch), names, settings.min_reference_pixels)
    return median


def _is_empty(dataset: xr.Dataset, epoch: int) -> bool:
    """Whether an epoch has no valid pixel; it is read whole."""
    return not np.isfinite(dataset["displacement"].isel(time=epoch).values).any()


def _referenced(
    values: NDArray[np.float32],
    offset: NDArray[np.float64],
    mask: NDArray[np.bool_],
    dataset: xr.Dataset,
    settings: TimeseriesSettings,
) -> NDArray[np.bool_]:
    """Subtract every epoch's offset and drop what is outside, in place; name the epochs that are left with nothing.

    Returns
    -------
    keep
        (time,) whether an epoch has a reference, and a valid pixel in the polygon

    Raises
    ------
    SlipscanError
        no epoch has, or half of them have no valid pixel
    """
    valid = np.zeros(len(values), bool)
    for epoch, (layer, constant) in enumerate(zip(values, offset, strict=True)):
        layer[~mask] = np.nan
        valid[epoch] = np.isfinite(layer).any()
        layer[:] = layer - constant
    if not valid.any():
        raise SlipscanError(f"{where(dataset)} has no valid pixel in the region's polygon: check polygon and data")
    days = dataset["time"].values.astype("datetime64[D]").astype(str)
    if 2 * valid.sum() <= len(valid):
        raise SlipscanError(
            f"{len(valid) - valid.sum()} of {len(valid)} epochs of {where(dataset)} have no valid pixel in the region's"
            f" polygon (the first: {days[~valid][0]}): remove what is empty, or make the series again"
        )
    poor = f"fewer than {settings.min_reference_pixels} valid pixels in the reference area"
    for left, why in ((~valid, "no valid pixel in the region's polygon"), (valid & np.isnan(offset), poor)):
        if left.any():
            named = ", ".join(days[left])
            log.warning(
                "%d of %d epochs of %s are left out, with %s: %s", left.sum(), len(left), where(dataset), why, named
            )
    return valid & np.isfinite(offset)


def _compacted(values: NDArray[np.float32], keep: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Move the layers that are kept to the front, in place, and return these."""
    for to, layer in enumerate(np.flatnonzero(keep)):
        if to != layer:
            values[to] = values[layer]
    return values[: keep.sum()]
