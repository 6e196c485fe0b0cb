"""The detect stage: a (denoised) stack in, transients at a stated false-alarm rate out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from slipscan import seriesmodel, vocabulary
from slipscan.detect import calibration as calibration_module
from slipscan.detect.calibrate import calibrate_track
from slipscan.detect.calibration import Calibration
from slipscan.detect.field import Track, amplitude_map, area_of, exposure_of, find, flat, open_track, window
from slipscan.detect.history import projection, refine
from slipscan.detect.scan import Transient
from slipscan.detect.statistic import Candidate
from slipscan.outputs import check_outputs, store_kind
from slipscan.settings import DetectSettings
from slipscan.stack import add_history
from slipscan.store import write_zarr

log = logging.getLogger(__name__)

Float = NDArray[np.float64]

HISTORY_MARGIN_PX = 6.0
"""Pixels around a footprint that enter the projection for its history."""


@dataclass(frozen=True)
class Described:
    """A transient with its final history, and its map and standard deviation, each (pixel,) m."""

    found: Transient
    history: Candidate
    amplitude: Float
    std: Float


def run(stack: Path, out: Path, settings: DetectSettings, calibration: Path | None, threads: int) -> None:
    """Detect transients in a (denoised) stack and write the transients product to `out`."""
    check_outputs([(out, store_kind("transients"))], [stack, *([calibration] if calibration else [])])
    track = open_track(stack)
    if calibration is None:
        log.info("no calibration given: calibrating on this stack")
        used = calibrate_track(track, settings, threads)
    else:
        used = calibration_module.read(calibration)
    write_zarr(detect(track, settings, used), out)


def detect(track: Track, settings: DetectSettings, calibration: Calibration) -> xr.Dataset:
    """The transients product of a track at the calibration's threshold."""
    found = [describe(track, transient) for transient in find(track, settings, calibration.threshold).found]
    log.info("%d transient(s) at or above the threshold %.1f", len(found), calibration.threshold)
    exposure = exposure_of(track, settings)
    start, end = window(track.time, settings.edge_epochs)
    out = _product(track, found, [float(calibration.p_value(t.found.statistic, exposure)) for t in found])
    attrs = track.dataset.attrs
    until = str(track.time[-1].astype("datetime64[D]"))
    out.attrs.update(
        {key: value for key, value in attrs.items() if key not in ("product", "title")},
        title="transients",
        window_start=str(start),
        window_end=str(end),
        area_km2=area_of(track),
        threshold=calibration.threshold,
        false_alarms_per_1e4km2_yr=calibration.false_alarms_per_1e4km2_yr,
        calibration_id=calibration.id,
        redness=calibration.redness,
        weights=attrs.get("weights", "none"),
        region=attrs.get("region", "unnamed"),
        track=attrs.get("track", "unnamed"),
        data_until=attrs.get("data_until", until),
        inventory_sha256=attrs.get("inventory_sha256", ""),
    )
    add_history(out, f"detect: {len(found)} transient(s) at {calibration.id}")
    out = vocabulary.annotate(out, "transients")
    vocabulary.check(out, "transients")
    return out


def describe(track: Track, transient: Transient) -> Described:
    """Map and history of a transient, in turn: the map of the candidate, the history on it, the map of that."""
    shape = track.grid.shape
    amplitude, _ = amplitude_map(track, transient.candidate)
    rows, columns = np.indices(shape).reshape(2, -1).astype(float)
    around = distance_transform_edt(~transient.footprint.reshape(shape)).ravel() <= HISTORY_MARGIN_PX
    parts = [columns[around], rows[around]]
    if track.height is not None:
        parts.append(np.nan_to_num(track.height.ravel()[around]))
    series = flat(track.dataset["displacement"].values)[:, around]
    projected = projection(series, np.nan_to_num(amplitude[around]), np.column_stack(parts))
    history = refine(projected, track.time, track.segment, transient.candidate)
    return Described(transient, history, *amplitude_map(track, history))


def _product(track: Track, found: Sequence[Described], p_values: Sequence[float]) -> xr.Dataset:
    """Arrays of the transients product."""
    n, shape = len(found), track.grid.shape
    days = seriesmodel.days_since_2014(track.time)
    origin = np.datetime64("2014-01-01", "ns")

    def dates(fraction: float) -> NDArray[np.datetime64]:
        reached = [t.history.reached(fraction) for t in found]
        return origin + (np.array(reached, float) * 86400e9).round().astype("timedelta64[ns]")

    def maps(values: list[NDArray[np.generic]]) -> tuple[tuple[str, str, str], NDArray[np.generic]]:
        return ("transient", "y", "x"), np.array(values).reshape(n, *shape)

    histories = [seriesmodel.transient_column(track.time, t.history.start_d, t.history.duration_d) for t in found]
    ongoing = [t.history.reached(0.95) >= days[-1] for t in found]
    left_censored = [t.history.reached(0.05) <= days[0] for t in found]
    out = xr.Dataset(
        {
            "map": maps([t.amplitude for t in found]),
            "map_std": maps([t.std for t in found]),
            "footprint": maps([t.found.footprint for t in found]),
            "history": (("transient", "time"), np.array(histories).reshape(n, len(days))),
            "ongoing": ("transient", np.array(ongoing, bool)),
            "left_censored": ("transient", np.array(left_censored, bool)),
            "statistic": ("transient", np.array([t.found.statistic for t in found], float)),
            "p_value": ("transient", np.array(p_values, float)),
        },
        coords={
            "transient": np.arange(n),
            "time": track.dataset["time"],
            "t05": ("transient", dates(0.05)),
            "t50": ("transient", dates(0.5)),
            "t95": ("transient", dates(0.95)),
        },
    )
    for name in ("los_east", "los_north", "los_up", "height"):
        if name in track.dataset:
            out[name] = track.dataset[name]
    return out.assign_coords({name: track.dataset[name] for name in ("x", "y", "spatial_ref")})
