"""Calibration of a track: null stacks made of its own residual, through the same search."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from slipscan import cache
from slipscan.detect import calibration as calibration_module
from slipscan.detect import registry
from slipscan.detect.calibration import Calibration, calibrate
from slipscan.detect.method import Search
from slipscan.detect.nulls import KINDS, null_order
from slipscan.detect.registry import reads_field
from slipscan.detect.simulated import SIMULATED, simulated, simulator_of
from slipscan.detect.track import Track, exposure_of, open_track
from slipscan.noise.simulate import NoiseModel
from slipscan.outputs import check_outputs
from slipscan.settings import DetectSettings
from slipscan.workers import in_order

log = logging.getLogger(__name__)

VERSION: Final = 6
"""Raised when a calibration of the same data would come out otherwise: it is part of the key in the cache."""
FIRST_PASS_NULLS: Final = 16
"""Fewer leave it to chance whether an event of p near P_OF_EVENTS_REMOVED goes."""
MAX_SUSPECTS: Final = 12
"""A volcano's series of years holds more than a handful of events, and each that stays makes the nulls its own."""
P_OF_EVENTS_REMOVED: Final = 1e-3
"""Events below it are taken out of the residual before the nulls are made, once (docs/science.md 10.7)."""


def write_calibration(
    stack: Path,
    out: Path,
    settings: DetectSettings,
    *,
    denoised: Path | None = None,
    noise: Path | None = None,
    until: str | None = None,
    cache_dir: Path | None = None,
    threads: int = 1,
) -> None:
    """Calibrate a stack with epochs up to `until` and write the calibration to `out`.

    The result is kept in the cache under the sha256 of everything that enters, so that new epochs past `until` do not
    change or recompute it.
    """
    check_outputs([(out, calibration_module.KIND)], [stack, *(path for path in (denoised, noise, cache_dir) if path)])
    _, track = open_track(stack, settings, denoised, until, noise)
    key = cache.key(
        f"calibrate {VERSION} {track.label}",
        track.coarse.values,
        track.epochs.time.astype("int64"),
        settings.model_dump_json(),
        str(track.coarse.noise.to_dict()) if track.coarse.noise is not None and reads_field(settings.method) else "",
    )
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


def calibrate_track(track: Track, settings: DetectSettings, threads: int) -> Calibration:
    """Two passes over null stacks, the second without the events that stand out in the first.

    An event shuffled in time is noise of its own shape and would hide itself. The first pass therefore
    judges the strongest candidates against nulls that they are not in; those that are not significant
    there go back into the residual of the second pass, which sets the threshold.
    """
    search = registry.build(settings.method).search(track, settings)
    exposure = exposure_of(track, settings)
    suspects = search.find(floor=0.0, at_most=MAX_SUSPECTS)
    first = _calibrate(track, search.without(suspects), settings, min(FIRST_PASS_NULLS, settings.nulls), threads)
    p_values = [first.tail_p_value(event.statistic, exposure) for event in suspects]
    significant = [event for event, p in zip(suspects, p_values, strict=True) if p < P_OF_EVENTS_REMOVED]
    log.info("%d transient(s) with p < %g taken out of the residual", len(significant), P_OF_EVENTS_REMOVED)
    return _calibrate(track, search.without(significant), settings, settings.nulls, threads)


def _calibrate(track: Track, noise: Search, settings: DetectSettings, nulls: int, threads: int) -> Calibration:
    """Maxima over null stacks that go through the same search as the data."""
    time = track.epochs.time
    model = simulator_of(track) if reads_field(settings.method) else None
    kinds = KINDS if model is None else (*KINDS, SIMULATED)
    tasks = [(kind, index) for kind in kinds for index in range(nulls)]
    maxima = partial(_maxima, noise, track, model, settings.seed)
    found = list(in_order(maxima, tasks, threads, f"{len(tasks)} null stacks"))
    inner, edge = ({kind: _of_kind(found, kinds, kind, nulls, at_edge) for kind in kinds} for at_edge in (False, True))
    return calibrate(
        inner,
        exposure_of(track, settings) / len(found[0]),
        settings.false_alarms_per_1e4km2_yr,
        settings.seed,
        str(time[-1].astype("datetime64[D]")),
        edge,
    )


def _of_kind(
    found: list[list[tuple[float, bool]]], kinds: tuple[str, ...], kind: str, nulls: int, at_edge: bool
) -> NDArray[np.float64]:
    """Maxima of all tiles of the nulls of a kind, those inside the series or those at its edges; 0 for the others."""
    first = kinds.index(kind) * nulls
    return np.array([s if e == at_edge else 0.0 for tiles in found[first : first + nulls] for s, e in tiles])


def _maxima(
    noise: Search, track: Track, model: NoiseModel | None, seed: int, task: tuple[str, int]
) -> list[tuple[float, bool]]:
    """The strongest statistic of every tile of one null stack: kind and number."""
    kind, index = task
    if kind == SIMULATED and model is not None:
        return noise.null_maxima(np.arange(len(track.epochs)), simulated(track, model, seed, index))
    return noise.null_maxima(null_order(kind, track.epochs.time, seed, index))
