"""A ready displacement series: projected where it is geographic, referenced, and passed on."""

from __future__ import annotations

import logging

import numpy as np
import xarray as xr

from slipscan.errors import SlipscanError
from slipscan.geometry import Grid, read_grid, write_grid
from slipscan.settings import TimeseriesSettings
from slipscan.timeseries.grid import LOS, choose_resampling, inside, project, project_geometry, target_grid
from slipscan.timeseries.reference import reference_area, reference_offsets
from slipscan.timeseries.region import reference_point, region_polygon, where

log = logging.getLogger(__name__)


def stack_from_series(dataset: xr.Dataset, settings: TimeseriesSettings) -> xr.Dataset:
    """Bring a ready series onto a metric grid and reference every epoch to the area's median.

    Parameters
    ----------
    dataset
        product 'stack' on any grid; a metric one is kept as it is
    settings
        of the stage: pixel_m (geographic input), reference_radius_m, min_reference_pixels

    Returns
    -------
    stack
        product 'stack'; NaN outside the region's polygon; `segment` 0 where the input has none

    Raises
    ------
    SlipscanError
        too few valid pixels in the reference area, no valid pixel
    """
    dataset = dataset.load()
    native = read_grid(dataset, where(dataset))
    polygon = region_polygon(dataset)
    if native.crs.is_geographic:
        target = target_grid(native, polygon, settings.pixel_m)
        out = _projected(dataset, native, target, settings.pixel_m)
    else:
        out, target = dataset, native
        log.info("the series keeps its own metric grid of %g m (timeseries.pixel_m is not used)", native.spacing[0])

    values = out["displacement"].values.copy()
    days = out["time"].values.astype("datetime64[D]")
    point = reference_point(dataset)
    if point is not None:
        area = reference_area(target, *point, settings.reference_radius_m)
        offset = reference_offsets(
            values, area, settings.min_reference_pixels, [f"the epoch {day} of {where(dataset)}" for day in days]
        )
        values = (values - offset[:, None, None]).astype(np.float32)
    values[:, ~inside(polygon, target)] = np.nan
    if not np.isfinite(values).any():
        raise SlipscanError(f"{where(dataset)} has no valid pixel in the region's polygon: check polygon and data")
    out["displacement"] = (("time", "y", "x"), values)
    if "segment" not in out.coords:
        out = out.assign_coords(segment=("time", np.zeros(len(days), np.int64)))
    if "reference_time" not in out.coords:
        out = out.assign_coords(reference_time=out["time"].values[0])
    out.attrs = dict(dataset.attrs)
    return out


def _projected(dataset: xr.Dataset, native: Grid, target: Grid, pixel_m: float) -> xr.Dataset:
    """Project every variable of a stack to a metric grid."""
    resampling = choose_resampling(native, pixel_m)
    log.info("projected by '%s' to %d x %d pixels of %g m", resampling.name, *target.shape, pixel_m)
    out = dataset.drop_dims(["y", "x"])
    for name, array in dataset.data_vars.items():
        if name not in (*LOS, "height"):
            layers = array.values.reshape(-1, *native.shape)
            values = project(layers, native, target, resampling)
            out[name] = (array.dims, values.reshape(*array.shape[:-2], *target.shape))
    for geometry, values in project_geometry(dataset, native, target, resampling).items():
        out[geometry] = (("y", "x"), values)
    return write_grid(out, target)
