"""A scene's series as the transients product that detection would write of it."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from slipbench.bound import TEMPORAL, temporal_columns
from slipbench.scenes import Geometry
from slipscan import vocabulary
from slipscan.detect.maps import size_error
from slipscan.detect.ramp import Ramp
from slipscan.fit.model import days_since_2014, transient_column
from slipscan.geometry import Grid, from_lonlat, utm_crs, write_grid
from slipscan.source.covariance import change_weights
from slipscan.source.elsewhere import timing_of
from slipscan.source.times import Times

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]

PLACE: Final = (32.6, 40.8)
"""Longitude and latitude of a scene's centre."""


def transients_of(
    seen: Float32, valid: NDArray[np.bool_], footprint: NDArray[np.bool_], height: Float32, place: Geometry,
    ramp: tuple[float, float], errors_d: tuple[float, float], name: str, statistic: float,
) -> xr.Dataset:  # fmt: skip
    """The transients product of one track.

    `ramp` is when it began and how long it took, days; `errors_d` those of its middle and of its duration.
    """
    time = np.datetime64("2014-01-01", "ns") + (place.days * 86400e9).astype("timedelta64[ns]")
    course = transient_column(time, *ramp)
    weight, change, std = _estimated(seen, time, course)
    maps = ("transient", "y", "x")
    value = np.where(valid, change, np.nan)[None]
    grid = grid_of(place)
    days = [ramp[0] + f * ramp[1] for f in (0.05, 0.5, 0.95)]
    t05, t50, t95 = (np.datetime64("2014-01-01", "ns") + np.timedelta64(int(d * 86400), "s") for d in days)
    ends = errors_d[1] / 2
    told = timing_of(Times((t05, t50, t95), (ends, errors_d[0], ends)))
    error = size_error(weight, time, Ramp(ramp[0] + ramp[1] / 2, ramp[1]), told.alike)
    inside = np.where(footprint, np.nan_to_num(value[0]), 0.0)
    out = xr.Dataset(
        {
            "map": (maps, value.astype(np.float32)),
            "map_std": (maps, np.where(valid, std.reshape(valid.shape), np.nan)[None].astype(np.float32)),
            "footprint": (maps, footprint[None].astype("int8")),
            "history": (("transient", "time"), course[None].astype(np.float32)),
            "change_error": ("transient", np.array([error])),
            "peak_positive": ("transient", np.array([max(float(inside.max()), 0.0)])),
            "peak_negative": ("transient", np.array([min(float(inside.min()), 0.0)])),
            "ongoing": ("transient", np.array([days[2] >= place.days[-1]], "int8")),
            "left_censored": ("transient", np.array([days[0] <= place.days[0]], "int8")),
            "statistic": ("transient", np.array([max(statistic, 8.5)])),
            "p_value": ("transient", np.array([1e-3])),
            "height": (("y", "x"), height),
            **{
                f"los_{axis}": (("y", "x"), np.full(valid.shape, part, np.float32))
                for axis, part in zip(("east", "north", "up"), place.los, strict=True)
            },
        },
        coords={
            "transient": [0], "time": time, "t05": ("transient", np.array([t05])),
            "t50": ("transient", np.array([t50])), "t95": ("transient", np.array([t95])),
        },
        attrs=_attributes(name, time),
    )  # fmt: skip
    return vocabulary.annotate(write_grid(out, grid), "transients")


def _estimated(seen: Float32, time: NDArray[np.datetime64], course: Float) -> tuple[Float, Float, Float]:
    """Weights of the epochs (time,), the change that they tell (y, x), and its standard deviation (pixel,)."""
    weight = change_weights(time, course, np.ones(len(time)))
    if weight is None:
        weight = np.zeros(len(time))
    days = days_since_2014(time.astype("M8[ns]"))
    design = np.column_stack([temporal_columns(days - days.mean(), TEMPORAL), course])
    basis = np.linalg.qr(design)[0].astype(np.float32)
    flat = seen.reshape(len(time), -1) - seen.reshape(len(time), -1).mean(axis=1, keepdims=True)
    rest = flat - basis @ (basis.T @ flat)
    std = np.sqrt((rest**2).sum(axis=0) / max(1, len(time) - basis.shape[1])) * math.sqrt(float((weight**2).sum()))
    return weight, np.tensordot(weight, seen, (0, 0)), std


def _attributes(name: str, time: NDArray[np.datetime64]) -> dict[str, str | float]:
    """Of the product of a track."""
    return {
        "region": "BENCH", "track": name, "window_start": str(time[0])[:10], "window_end": str(time[-1])[:10],
        "data_until": str(time[-1])[:10], "area_km2": 4096.0, "threshold": 8.0, "false_alarms_per_1e4km2_yr": 0.1,
        "calibration_id": "bench", "weights": "none", "inventory_sha256": "", "slipscan_version": "bench",
    }  # fmt: skip


def grid_of(place: Geometry) -> Grid:
    """The cells of a scene in UTM."""
    crs = utm_crs(*PLACE)
    x0, y0 = (float(value) for value in from_lonlat(np.array(PLACE[0]), np.array(PLACE[1]), crs))
    return Grid(x0 + place.frame.east[0].astype(float), y0 + place.frame.north[:, 0].astype(float), crs)
