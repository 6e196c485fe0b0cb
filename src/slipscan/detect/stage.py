"""The detect stage: a stack and what the denoiser says of it in, transients at a stated false-alarm rate out."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from slipscan import vocabulary
from slipscan.detect import calibration as calibration_module
from slipscan.detect import registry
from slipscan.detect.calibrate import calibrate_track
from slipscan.detect.calibration import Calibration
from slipscan.detect.faults.scan import fault_search
from slipscan.detect.outline import outlined
from slipscan.detect.product import arrays
from slipscan.detect.pursuit import pursued
from slipscan.detect.scan import Scanner
from slipscan.detect.track import Track, exposure_of, open_track, window
from slipscan.detect.transient import FAULT, Transient
from slipscan.outputs import check_outputs, store_kind
from slipscan.settings import DetectSettings
from slipscan.stack import add_history
from slipscan.store import write_zarr

log = logging.getLogger(__name__)

Float = NDArray[np.float64]


def write_transients(
    stack: Path,
    out: Path,
    settings: DetectSettings,
    *,
    denoised: Path | None = None,
    noise: Path | None = None,
    calibration: Path | None = None,
    threads: int = 1,
) -> None:
    """Detect transients in a stack and write the transients product to `out`."""
    check_outputs(
        [(out, store_kind("transients"))], [stack, *(path for path in (denoised, noise, calibration) if path)]
    )
    dataset, track = open_track(stack, settings, denoised, noise=noise)
    if calibration is None:
        log.info("no calibration given: calibrating on this stack")
        used = calibrate_track(track, settings, threads)
    else:
        used = calibration_module.read(calibration)
    write_zarr(detect(dataset, track, settings, used), out)


def detect(dataset: xr.Dataset, track: Track, settings: DetectSettings, calibration: Calibration) -> xr.Dataset:
    """The transients product of a stack, and the track made of it, at the calibration's threshold."""
    calibration.check_noise(track.coarse.noise is not None, f"track {dataset.attrs.get('track', 'unnamed')}")
    transients = found_in(track, settings, calibration)
    log.info("%d transient(s) at or above the threshold %.1f", len(transients), calibration.threshold)
    if calibration.faults is not None:
        along = sum(one.origin == FAULT for one in transients)
        log.info("%d of them along mapped faults, at or above %.1f", along, calibration.faults.threshold)
    # Each search may raise as many false alarms.
    exposure = exposure_of(track, settings) * calibration.searches
    judged = [(calibration.of(one.origin), one.statistic, _at_edge(track, settings, one)) for one in transients]
    alarms = np.array([float(own.rate_above(s, edge)) * exposure for own, s, edge in judged])
    order = np.argsort(alarms, kind="stable")
    transients, judged, alarms = [transients[i] for i in order], [judged[i] for i in order], alarms[order]
    calibrated = {
        "threshold": calibration.threshold,
        "false_alarms_per_1e4km2_yr": calibration.stated_rate,
        "calibration_id": calibration.id,
        "redness": calibration.redness,
    }
    p_values = [float(own.p_value(s, exposure, edge)) for own, s, edge in judged]
    out = transients_product(dataset, track, settings, transients, p_values, calibrated)
    out["threshold"] = ("transient", np.array([own.threshold_of(edge) for own, _, edge in judged], float))
    out["p_is_bound"] = ("transient", np.array([own.is_bound(s, edge) for own, s, edge in judged], bool))
    out["false_alarms"] = ("transient", alarms)
    # They are sorted: the smallest share of false alarms among any that reach as far down as this one, or further.
    shares = np.minimum(alarms / np.arange(1, len(judged) + 1), 1.0)
    lowest = np.minimum.accumulate(shares[::-1])[::-1]
    out["false_discovery_rate"] = ("transient", lowest)
    return vocabulary.annotate(out, "transients")


def found_in(track: Track, settings: DetectSettings, calibration: Calibration) -> list[Transient]:
    """What the detector and the search along mapped faults find at their thresholds."""
    # The search is as large as the series: it goes before maps are made.
    search = registry.build(settings.method).search(track, settings)
    along = fault_search(track, settings, search)
    if isinstance(search, Scanner):
        searches: list[tuple[Scanner, float]] = [(search, calibration.threshold)]
        searches += [] if along is None else [(along, calibration.of(FAULT).threshold)]
        return outlined(track, pursued(searches))
    least = min(calibration.threshold_of(False), calibration.threshold_of(True))
    transients = [
        one for one in search.find(least) if one.statistic >= calibration.threshold_of(_at_edge(track, settings, one))
    ]
    return transients if along is None else pursued([(along, calibration.of(FAULT).threshold)], before=transients)


def _at_edge(track: Track, settings: DetectSettings, one: Transient) -> bool:
    """Whether it lacks a baseline on both sides; a scan looks for nothing there."""
    return track.epochs.at_edge(one.ramp, settings.edge_epochs) and one.map is not None


def transients_product(
    dataset: xr.Dataset,
    track: Track,
    settings: DetectSettings,
    found: Sequence[Transient],
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
    out = arrays(dataset, track, found, p_values)
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
