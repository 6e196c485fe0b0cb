"""The detect stage: a stack and what the denoiser says of it in, transients at a stated false-alarm rate out."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from slipscan import vocabulary
from slipscan.detect import calibration as calibration_module
from slipscan.detect import registry
from slipscan.detect.beside import beside_each
from slipscan.detect.calibrate import calibrate_track
from slipscan.detect.calibration import Calibration
from slipscan.detect.maps import amplitude_maps, coarse_amplitude
from slipscan.detect.ramp import Ramp
from slipscan.detect.refine import projection, refine
from slipscan.detect.track import Track, exposure_of, open_track, window
from slipscan.detect.transient import Transient
from slipscan.fit.model import transient_column
from slipscan.outputs import check_outputs, store_kind
from slipscan.settings import DetectSettings
from slipscan.stack import add_history
from slipscan.store import write_zarr

log = logging.getLogger(__name__)

Float = NDArray[np.float64]

HISTORY_MARGIN_PX = 6.0
"""Pixels of the coarse grid around a footprint that enter the projection for its history."""


@dataclass(frozen=True)
class Described:
    """A transient with its final history."""

    found: Transient
    history: Ramp


def write_transients(
    stack: Path,
    out: Path,
    settings: DetectSettings,
    *,
    denoised: Path | None = None,
    calibration: Path | None = None,
    threads: int = 1,
) -> None:
    """Detect transients in a stack and write the transients product to `out`."""
    check_outputs([(out, store_kind("transients"))], [stack, *(path for path in (denoised, calibration) if path)])
    dataset, track = open_track(stack, settings, denoised)
    if calibration is None:
        log.info("no calibration given: calibrating on this stack")
        used = calibrate_track(track, settings, threads)
    else:
        used = calibration_module.read(calibration)
    write_zarr(detect(dataset, track, settings, used), out)


def detect(dataset: xr.Dataset, track: Track, settings: DetectSettings, calibration: Calibration) -> xr.Dataset:
    """The transients product of a stack, and the track made of it, at the calibration's threshold."""
    # The search is as large as the series: it goes before maps are made.
    transients = registry.build(settings.method).search(track, settings).find(calibration.threshold)
    # Twice: beside the ramps of the scan for histories, and beside those for maps.
    others = beside_each(track, settings, [(one.footprint, one.ramp) for one in transients])
    found = [describe(track, *one) for one in zip(transients, others, strict=True)]
    log.info("%d transient(s) at or above the threshold %.1f", len(found), calibration.threshold)
    exposure = exposure_of(track, settings)
    calibrated = {
        "threshold": calibration.threshold,
        "false_alarms_per_1e4km2_yr": calibration.false_alarms_per_1e4km2_yr,
        "calibration_id": calibration.id,
        "redness": calibration.redness,
    }
    p_values = [float(calibration.p_value(t.found.statistic, exposure)) for t in found]
    return transients_product(dataset, track, settings, found, p_values, calibrated)


def transients_product(
    dataset: xr.Dataset,
    track: Track,
    settings: DetectSettings,
    found: Sequence[Described],
    p_values: Sequence[float],
    calibrated: Mapping[str, Any],
) -> xr.Dataset:
    """The transients product of a stack: maps of what was found, and the scan behind it.

    Parameters
    ----------
    dataset, track
        the stack, and the track made of it
    settings
        of detection
    found, p_values
        transients, strongest first
    calibrated
        attributes that the calibration gives: threshold, false_alarms_per_1e4km2_yr, calibration_id
    """
    start, end = window(track.epochs.time, settings.edge_epochs)
    out = _arrays(dataset, track, settings, found, p_values)
    attrs = dataset.attrs
    until = str(track.epochs.time[-1].astype("datetime64[D]"))
    out.attrs.update(
        {key: value for key, value in attrs.items() if key not in ("product", "title")},
        title="transients",
        window_start=str(start),
        window_end=str(end),
        area_km2=track.area_km2,
        detector=settings.method,
        **calibrated,
        weights=track.label,
        region=attrs.get("region", "unnamed"),
        track=attrs.get("track", "unnamed"),
        data_until=attrs.get("data_until", until),
        inventory_sha256=attrs.get("inventory_sha256", ""),
    )
    add_history(out, f"detect: {len(found)} transient(s) by {settings.method} at {calibrated['calibration_id']}")
    out = vocabulary.annotate(out, "transients")
    vocabulary.check(out, "transients")
    return out


def describe(track: Track, transient: Transient, beside: Sequence[Ramp] = ()) -> Described:
    """The history of a transient, of the raw series projected on the map of its first one, beside ramps of others."""
    around = distance_transform_edt(~transient.footprint) <= HISTORY_MARGIN_PX
    rows, columns = np.nonzero(around)
    parts = [columns.astype(float), rows.astype(float)]
    if track.coarse.height is not None:
        parts.append(np.nan_to_num(track.coarse.height[around]))
    amplitude, _ = coarse_amplitude(track, transient.ramp, around, beside)
    projected = projection(track.coarse.values[:, around].astype(float), amplitude, np.column_stack(parts))
    return Described(transient, refine(projected, track.epochs, transient.ramp, beside))


def _arrays(
    dataset: xr.Dataset, track: Track, settings: DetectSettings, found: Sequence[Described], p_values: Sequence[float]
) -> xr.Dataset:
    """Arrays of the transients product."""
    n, (rows, cols) = len(found), track.seen.shape
    days = track.epochs.days
    origin = np.datetime64("2014-01-01", "ns")

    def dates(fraction: float) -> NDArray[np.datetime64]:
        reached = [t.history.reached(fraction) for t in found]
        return origin + (np.array(reached, float) * 86400e9).round().astype("timedelta64[ns]")

    ramps = [t.history for t in found]
    others = beside_each(track, settings, [(t.found.footprint, t.history) for t in found])
    amplitude, std = amplitude_maps(track, ramps, others)
    footprints = [
        t.found.footprint.repeat(track.factor, axis=0).repeat(track.factor, axis=1)[:rows, :cols] for t in found
    ]
    histories = [transient_column(track.epochs.time, ramp.start_d, ramp.duration_d) for ramp in ramps]
    maps = ("transient", "y", "x")
    out = xr.Dataset(
        {
            "map": (maps, amplitude),
            "map_std": (maps, std),
            "footprint": (maps, np.array(footprints, bool).reshape(n, rows, cols)),
            "history": (("transient", "time"), np.array(histories).reshape(n, len(days))),
            "ongoing": ("transient", np.array([ramp.reached(0.95) >= days[-1] for ramp in ramps], bool)),
            "left_censored": ("transient", np.array([ramp.reached(0.05) <= days[0] for ramp in ramps], bool)),
            "statistic": ("transient", np.array([t.found.statistic for t in found], float)),
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
    return out.assign_coords({name: dataset[name] for name in ("x", "y", "spatial_ref")})
