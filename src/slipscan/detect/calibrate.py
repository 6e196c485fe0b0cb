"""Calibration of a stack: null stacks made of its own residual, through the same scan."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from slipscan import cache
from slipscan.detect import calibration as calibration_module
from slipscan.detect.calibration import Calibration, calibrate
from slipscan.detect.field import Track, exposure_of, find, open_track, track_of
from slipscan.detect.nulls import KINDS, null_order
from slipscan.detect.scan import Scan, scan
from slipscan.detect.statistic import Field
from slipscan.errors import SlipscanError
from slipscan.outputs import check_outputs
from slipscan.progress import progress
from slipscan.seriesmodel import MIN_EPOCHS
from slipscan.settings import DetectSettings

log = logging.getLogger(__name__)

FIRST_PASS_NULLS = 16
MAX_SUSPECTS = 4
P_OF_EVENTS_REMOVED = 1e-3
"""Events below it are taken out of the residual before the nulls are made, once (SCIENCE.md 10.7)."""


def run(
    stack: Path,
    out: Path,
    settings: DetectSettings,
    *,
    until: str | None = None,
    cache_dir: Path | None = None,
    threads: int = 1,
    code: str = "",
) -> None:
    """Calibrate a (denoised) stack with epochs up to `until` and write the calibration to `out`.

    The result is kept in the cache under the sha256 of everything that enters, so that new epochs past
    `until` do not change or recompute it; `code` is the identity of the code, which enters too.
    """
    check_outputs([(out, calibration_module.KIND)], [stack, *([cache_dir] if cache_dir else [])])
    track = open_track(stack)
    if until is not None:
        track = track_of(_up_to(track.dataset, until, stack))
    key = cache.key(code, track.residual, track.time.astype("int64"), settings.model_dump_json())
    if (stored := cache.find(cache_dir, "calibrations", key)) is not None:
        log.info("calibration from the cache, key %s", key[:12])
        calibration = calibration_module.read(stored)
    else:
        calibration = calibrate_track(track, settings, threads)
        if cache_dir is not None:
            with cache.written(cache.path(cache_dir, "calibrations", key)) as beside:
                calibration_module.write(beside, calibration)
    log.info(
        "threshold %.1f (%.1f to %.1f) for %.3g false alarms per 10,000 km2 and year; redness %.2f",
        calibration.threshold,
        calibration.threshold_low,
        calibration.threshold_high,
        calibration.false_alarms_per_1e4km2_yr,
        calibration.redness,
    )
    log.info("%d nulls of each kind, %.2g x 10,000 km2 x years", calibration.nulls, calibration.exposure)
    calibration_module.write(out, calibration)


def _up_to(dataset: xr.Dataset, until: str, stack: Path) -> xr.Dataset:
    """The epochs up to the end of a day; raises SlipscanError where there are too few."""
    day_after = np.datetime64(until, "D") + np.timedelta64(1, "D")
    kept = dataset.isel(time=slice(None, int((dataset["time"].values < day_after).sum())))
    if kept.sizes["time"] < MIN_EPOCHS:
        first = str(dataset["time"].values[0])[:10]
        raise SlipscanError(
            f"{stack} has {kept.sizes['time']} epochs up to {until} (it begins on {first}): a calibration needs"
            f" {MIN_EPOCHS}; give --until (calibration_as_of) a later date"
        )
    return kept


def calibrate_track(track: Track, settings: DetectSettings, threads: int) -> Calibration:
    """Two passes over null stacks, the second without the events that stand out in the first.

    An event shuffled in time is noise of its own shape and would hide itself. The first pass therefore
    judges the strongest candidates against nulls that they are not in; those that are not significant
    there go back into the residual of the second pass, which sets the threshold.
    """
    exposure = exposure_of(track, settings)
    suspects = find(track, settings, floor=0.0, at_most=MAX_SUSPECTS)
    first = _calibrate(track, suspects, settings, FIRST_PASS_NULLS, threads)
    p_values = [float(first.p_value(event.statistic, exposure)) for event in suspects.found]
    count = sum(p < P_OF_EVENTS_REMOVED for p in p_values)
    log.info("%d transient(s) with p < %g taken out of the residual", count, P_OF_EVENTS_REMOVED)
    return _calibrate(track, find(track, settings, floor=0.0, at_most=count), settings, settings.nulls, threads)


def _calibrate(track: Track, cleaned: Scan, settings: DetectSettings, nulls: int, threads: int) -> Calibration:
    """Maxima over null stacks, made of what a scan left, that go through the same scan as the data."""

    def maximum(task: tuple[str, int]) -> float:
        order, sign = null_order(task[0], track.time, settings.seed, task[1])
        null = [null_field(field, order, sign) for field in cleaned.left]
        found = scan(null, track.time, track.segment, track.grid, settings, floor=0.0, at_most=1).found
        return found[0].statistic if found else 0.0

    tasks = [(kind, index) for kind in KINDS for index in range(nulls)]
    with ThreadPoolExecutor(threads) as pool:
        values = np.array(list(progress(pool.map(maximum, tasks), f"{len(tasks)} null stacks")))
    maxima = {kind: values[i * nulls : (i + 1) * nulls] for i, kind in enumerate(KINDS)}
    return calibrate(
        maxima,
        exposure_of(track, settings),
        settings.false_alarms_per_1e4km2_yr,
        settings.seed,
        str(track.time[-1].astype("datetime64[D]")),
    )


def null_field(field: Field, order: NDArray[np.intp], sign: float) -> Field:
    """A field with its epochs (and their noise) in another order and with another sign.

    What a fit leaves is smaller than the noise: the residual is scaled up by its lost degrees of freedom.
    """
    count = np.isfinite(field.values).sum(axis=0)
    freedom = np.maximum(count - field.parameters, 1)
    scale = sign * np.sqrt(np.where(count > field.parameters, count / freedom, 1.0))
    return replace(field, values=scale * field.values[order], weight=field.weight[order])
