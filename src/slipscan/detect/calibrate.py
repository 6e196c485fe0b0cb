"""Calibration of a track: null stacks made of its own residual, through the same search."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from slipscan import cache
from slipscan.detect import calibration as calibration_module
from slipscan.detect import registry
from slipscan.detect.calibration import Calibration, calibrate
from slipscan.detect.faults.scan import fault_search
from slipscan.detect.method import Search
from slipscan.detect.nulls import FIRST_PASS_NULLS, KINDS, SIMULATED
from slipscan.detect.registry import reads_field
from slipscan.detect.track import Track, exposure_of, open_track
from slipscan.detect.transient import Transient
from slipscan.faults import read_faults
from slipscan.noise import VERSION as NOISE_VERSION
from slipscan.outputs import check_outputs
from slipscan.settings import DetectSettings
from slipscan.store import open_zarr
from slipscan.vintage import Vintage, vintage_of
from slipscan.workers import in_order

log = logging.getLogger(__name__)

Maxima = list[tuple[float, bool]]
"""Of the tiles of a null stack: the strongest statistic, and whether it lies at an edge of the series."""

VERSION: Final = 12
"""Raised when a calibration of the same data would come out otherwise: it is part of the key in the cache."""
BATCH: Final = 8
"""Null stacks between two entries of what a run that is stopped has done: at 1,250 x 1,250 x 300 about two minutes."""
MAX_SUSPECTS: Final = 12
"""A volcano's series of years holds more than a handful of events, and each that stays makes the nulls its own."""
P_OF_EVENTS_REMOVED: Final = 1e-3
"""Events below it, in a tile, are taken out of the residual before the nulls are made, once (docs/science.md 10.7)."""


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

    The result is kept in the cache under the sha256 of everything that enters; with `until` also as that of a vintage
    (`slipscan.vintage`), which new epochs past it do not change or recompute.
    """
    check_outputs([(out, calibration_module.KIND)], [stack, *(path for path in (denoised, noise, cache_dir) if path)])
    same = _vintage(stack, settings, denoised, noise, until, cache_dir)
    if same is not None and (stored := same.find()) is not None:
        log.info("calibration of the epochs up to %s, as it was made before", until)
        calibration = calibration_module.read(stored)
    else:
        _, track = open_track(stack, settings, denoised, until, noise)
        calibration = _made(track, settings, cache_dir, threads)
        if same is not None:
            with same.written() as beside:
                calibration_module.write(beside, calibration)
    for where, one in (("", calibration), (" along faults", calibration.faults)):
        if one is not None:
            log.info(
                "threshold%s %.1f (%.1f to %.1f) for %.3g false alarms per 10,000 km2 and year; redness %.2f",
                where, one.threshold, one.threshold_low, one.threshold_high, one.false_alarms_per_1e4km2_yr,
                one.redness,
            )  # fmt: skip
    log.info("%d nulls of each kind, %.2g x 10,000 km2 x years", calibration.nulls, calibration.exposure)
    calibration_module.write(out, calibration)


def _vintage(
    stack: Path,
    settings: DetectSettings,
    denoised: Path | None,
    noise: Path | None,
    until: str | None,
    cache_dir: Path | None,
) -> Vintage | None:
    """That of a calibration; what the denoiser is, its product says."""
    asked = denoised is not None and reads_field(settings.method)
    denoiser = open_zarr(denoised).attrs if asked and denoised is not None else {}
    parts = [
        f"calibrate {VERSION} noise {NOISE_VERSION if noise is not None else None}", settings.model_dump_json(),
        *(str(denoiser.get(name)) for name in ("denoise_settings", "weights", "device_class")),
    ]  # fmt: skip
    if settings.faults is not None:
        lines = read_faults(Path(settings.faults), "detect.faults")
        parts.append(cache.key(*(part for one in lines for part in (one.lonlat, str((one.dip_deg, one.rake_deg))))))
    return vintage_of(cache_dir, [stack], until, parts)


def _made(track: Track, settings: DetectSettings, cache_dir: Path | None, threads: int) -> Calibration:
    """The calibration of a track, from the cache where the same was made before."""
    key = cache.key(
        f"calibrate {VERSION} {track.label}",
        track.coarse.values,
        track.epochs.time.astype("int64"),
        settings.model_dump_json(),
        str(track.coarse.noise.to_dict()) if track.coarse.noise is not None else "",
        *(part for trace in track.traces for part in (trace.points, str((trace.dip_deg, trace.rake_deg)))),
        *track.device_key,
    )
    if (stored := cache.find(cache_dir, "calibrations", key)) is not None:
        log.info("calibration from the cache, key %s", key[:12])
        return calibration_module.read(stored)
    calibration = calibrate_track(track, settings, threads, partial(Kept, cache_dir, key))
    if cache_dir is not None:
        with cache.written(cache.path(cache_dir, "calibrations", key)) as beside:
            calibration_module.write(beside, calibration)
    return calibration


def calibrate_track(
    track: Track, settings: DetectSettings, threads: int, keep: Callable[[str], Kept] | None = None
) -> Calibration:
    """The calibration of a track: of the detector, and, where faults are given, of the search along them.

    Each has half of the false alarms then. `keep` makes what holds the maxima of a pass, so that a run that was stopped
    goes on where it was.
    """
    search = registry.build(settings.method).search(track, settings)
    on_faults = fault_search(track, settings, search)
    if on_faults is None:
        return calibrate_search(track, search, settings, threads, keep)[0]
    half = settings.model_copy(update={"false_alarms_per_1e4km2_yr": settings.false_alarms_per_1e4km2_yr / 2})
    calibration, removed = calibrate_search(track, search, half, threads, keep)
    along, _ = calibrate_search(track, on_faults.without(removed), half, threads, keep, " on faults")
    return replace(calibration, faults=along)


def calibrate_search(
    track: Track,
    search: Search,
    settings: DetectSettings,
    threads: int,
    keep: Callable[[str], Kept] | None = None,
    name: str = "",
) -> tuple[Calibration, list[Transient]]:
    """Two passes over null stacks, the second without the events that stand out in the first; and these events.

    An event shuffled in time is noise of its own shape and would hide itself. The first pass therefore
    judges the strongest candidates against nulls that they are not in; those that are not significant
    there go back into the residual of the second pass, which sets the threshold.
    """
    keep = keep or partial(Kept, None, "")
    suspects = search.find(floor=0.0, at_most=MAX_SUSPECTS)
    nulls = min(FIRST_PASS_NULLS, settings.nulls)
    first = _calibrate(track, search.without(suspects), settings, nulls, threads, keep(f"first{name}"))
    # Of a tile: an event of a wide region is the noise of its own tile alone, and no less of it the wider the region.
    p_values = [first.tail_p_value(event.statistic, first.exposure / first.nulls) for event in suspects]
    significant = [event for event, p in zip(suspects, p_values, strict=True) if p < P_OF_EVENTS_REMOVED]
    log.info("%d transient(s)%s with p < %g taken out of the residual", len(significant), name, P_OF_EVENTS_REMOVED)
    second = _calibrate(track, search.without(significant), settings, settings.nulls, threads, keep(f"second{name}"))
    return second, significant


def _calibrate(
    track: Track, noise: Search, settings: DetectSettings, nulls: int, threads: int, kept: Kept
) -> Calibration:
    """Maxima over null stacks that go through the same search as the data."""
    kinds = (*KINDS, SIMULATED) if noise.simulates else KINDS
    tasks = [(kind, index) for kind in kinds for index in range(nulls)]
    maxima = partial(_maxima, noise, settings.seed)
    found = kept.read()[: len(tasks)]
    for tiles in in_order(maxima, tasks[len(found) :], threads, f"{len(tasks) - len(found)} null stacks"):
        found.append(tiles)
        kept.write(found)
    inner, edge = ({kind: _of_kind(found, kinds, kind, nulls, at_edge) for kind in kinds} for at_edge in (False, True))
    return calibrate(
        inner,
        exposure_of(track, settings) / len(found[0]),
        settings.false_alarms_per_1e4km2_yr,
        settings.seed,
        str(track.epochs.time[-1].astype("datetime64[D]")),
        edge,
    )


class Kept:
    """Maxima of a pass that were found before the run was stopped, in the cache, a batch an entry."""

    def __init__(self, cache_dir: Path | None, key: str, passed: str) -> None:
        self._cache_dir, self._key, self._pass = cache_dir, key, passed

    def read(self) -> list[Maxima]:
        """The maxima of the batches that are there, in the order of the null stacks."""
        found: list[Maxima] = []
        while (entry := cache.find(self._cache_dir, "nulls", self._entry(len(found)))) is not None:
            batch = json.loads(entry.read_text(encoding="ascii"))
            found += [[(float.fromhex(size), at_edge) for size, at_edge in tiles] for tiles in batch]
        return found

    def write(self, known: list[Maxima]) -> None:
        """Keep the last batch where it is complete."""
        if self._cache_dir is not None and len(known) % BATCH == 0:
            batch = [[(float(size).hex(), bool(at_edge)) for size, at_edge in tiles] for tiles in known[-BATCH:]]
            with cache.written(cache.path(self._cache_dir, "nulls", self._entry(len(known) - BATCH))) as beside:
                beside.write_text(json.dumps(batch), encoding="ascii")

    def _entry(self, first: int) -> str:
        return cache.key(f"nulls {self._pass} {first}", self._key)


def _of_kind(found: list[Maxima], kinds: tuple[str, ...], kind: str, nulls: int, at_edge: bool) -> NDArray[np.float64]:
    """Maxima of all tiles of the nulls of a kind, those inside the series or those at its edges; 0 for the others."""
    first = kinds.index(kind) * nulls
    return np.array([s if e == at_edge else 0.0 for tiles in found[first : first + nulls] for s, e in tiles])


def _maxima(noise: Search, seed: int, task: tuple[str, int]) -> Maxima:
    """The strongest statistic of every tile of one null stack: kind and number."""
    return noise.null_maxima(task[0], seed, task[1])
