"""The detect stage: a (denoised) stack in, transients at a stated false-alarm rate out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from slipscan import seriesmodel, vocabulary
from slipscan.detect import calibration as calibration_module
from slipscan.detect.calibrate import calibrate_stack
from slipscan.detect.calibration import Calibration
from slipscan.detect.field import RAW, area_of, exposure_of, field_of, find, flat, open_field, window
from slipscan.detect.history import projection, refine
from slipscan.detect.scan import Transient
from slipscan.errors import SlipscanError
from slipscan.settings import DetectSettings
from slipscan.stack import add_history, heights, segments
from slipscan.store import write_zarr

log = logging.getLogger(__name__)

HISTORY_MARGIN_PX = 6.0
"""Pixels around a footprint that enter the projection for its history."""


def run(stack: Path, out: Path, settings: DetectSettings, calibration: Path | None, threads: int) -> None:
    """Detect transients in a (denoised) stack and write the transients product to `out`."""
    dataset = open_field(stack)
    if calibration is None:
        log.info("no calibration given: calibrating on this stack")
        used = calibrate_stack(dataset, settings, threads)
    else:
        used = calibration_module.read(calibration)
        if used.weights != dataset.attrs.get("weights", RAW):
            raise SlipscanError(
                f"the calibration {calibration} is for weights {used.weights}, but {stack} was denoised with "
                f"{dataset.attrs.get('weights', RAW)}: run slipscan calibrate on it"
            )
    write_zarr(detect(dataset, settings, used), out)


def _with_history(transient: Transient, dataset: xr.Dataset) -> Transient:
    """The transient with its history from the raw series around it."""
    shape = dataset["displacement"].shape[1:]
    rows, columns = np.indices(shape).reshape(2, -1).astype(float)
    around = distance_transform_edt(~transient.footprint.reshape(shape)).ravel() <= HISTORY_MARGIN_PX
    parts = [columns[around], rows[around]]
    if (height := heights(dataset)) is not None:
        parts.append(np.nan_to_num(height.ravel()[around]))
    series = flat(dataset["displacement"].values)[:, around]
    projected = projection(series, np.nan_to_num(transient.amplitude[around]), np.column_stack(parts))
    refined = refine(projected, dataset["time"].values, segments(dataset), transient.candidate)
    return replace(transient, candidate=refined)


def detect(dataset: xr.Dataset, settings: DetectSettings, calibration: Calibration) -> xr.Dataset:
    """The transients product of a (denoised) stack at the calibration's threshold."""
    found = [_with_history(t, dataset) for t in find(dataset, settings, calibration.threshold)]
    log.info("%d transient(s) at or above the threshold %.1f", len(found), calibration.threshold)
    exposure = exposure_of(dataset, settings)
    start, end = window(dataset["time"].values, settings.edge_epochs)
    out = _product(dataset, found, [float(calibration.p_value(t.statistic, exposure)) for t in found])
    out.attrs.update(
        {key: value for key, value in dataset.attrs.items() if key not in ("product", "title")},
        title="transients",
        window_start=str(start),
        window_end=str(end),
        area_km2=area_of(dataset),
        threshold=calibration.threshold,
        false_alarms_per_1e4km2_yr=calibration.false_alarms_per_1e4km2_yr,
        calibration_id=calibration.id,
        redness=calibration.redness,
        weights=dataset.attrs.get("weights", RAW),
        region=dataset.attrs.get("region", "unnamed"),
        track=dataset.attrs.get("track", "unnamed"),
        data_until=dataset.attrs.get("data_until", str(dataset["time"].values[-1].astype("datetime64[D]"))),
        inventory_sha256=dataset.attrs.get("inventory_sha256", ""),
    )
    add_history(out, f"detect: {len(found)} transient(s) at {calibration.id}")
    out = vocabulary.annotate(out, "transients")
    vocabulary.check(out, "transients")
    return out


def _product(dataset: xr.Dataset, found: Sequence[Transient], p_values: Sequence[float]) -> xr.Dataset:
    """Arrays of the transients product."""
    time = dataset["time"].values
    days = seriesmodel.days_since_2014(time)
    n, shape = len(found), dataset["displacement"].shape[1:]
    field = field_of(dataset)
    std = np.where(np.isfinite(field.std), field.std, np.nan).reshape(shape)
    origin = np.datetime64("2014-01-01", "ns")

    def dates(fraction: float) -> NDArray[np.datetime64]:
        reached = [t.candidate.reached(fraction) for t in found]
        return origin + (np.array(reached, float) * 86400e9).round().astype("timedelta64[ns]")

    histories = [seriesmodel.transient_column(time, t.candidate.start_d, t.candidate.duration_d) for t in found]
    out = xr.Dataset(
        {
            "map": (("transient", "y", "x"), np.array([t.amplitude for t in found]).reshape(n, *shape)),
            "map_std": (("transient", "y", "x"), np.broadcast_to(std, (n, *shape)).copy()),
            "footprint": (("transient", "y", "x"), np.array([t.footprint for t in found]).reshape(n, *shape)),
            "history": (("transient", "time"), np.array(histories).reshape(n, len(time))),
            "ongoing": ("transient", np.array([t.candidate.reached(0.95) >= days[-1] for t in found], bool)),
            "left_censored": (
                "transient",
                np.array([t.candidate.reached(0.05) <= days[0] for t in found], bool),
            ),
            "statistic": ("transient", np.array([t.statistic for t in found], float)),
            "p_value": ("transient", np.array(p_values, float)),
        },
        coords={
            "transient": np.arange(n),
            "time": dataset["time"],
            "t05": ("transient", dates(0.05)),
            "t50": ("transient", dates(0.5)),
            "t95": ("transient", dates(0.95)),
        },
    )
    for name in ("los_east", "los_north", "los_up", "height"):
        if name in dataset:
            out[name] = dataset[name]
    return out.assign_coords(x=dataset["x"], y=dataset["y"], spatial_ref=dataset["spatial_ref"])
