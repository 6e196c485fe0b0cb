"""Calibration of a stack: its null stacks through the same denoiser and scan."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from slipscan import cache
from slipscan.denoise import stage as denoise_stage
from slipscan.denoise.apply import denoise
from slipscan.denoise.pretrained import Weights
from slipscan.detect import calibration as calibration_module
from slipscan.detect.calibration import Calibration, calibrate
from slipscan.detect.field import RAW, exposure_of, find, flat, open_field
from slipscan.detect.nulls import KINDS, null_stack
from slipscan.detect.scan import Transient, scan
from slipscan.detect.statistic import denoised_field, raw_field, without_background
from slipscan.errors import SlipscanError
from slipscan.geometry import read_grid
from slipscan.progress import progress
from slipscan.settings import DenoiseSettings, DetectSettings, from_options
from slipscan.stack import heights, segments

log = logging.getLogger(__name__)

FIRST_PASS_NULLS = 8
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
    dataset = open_field(stack)
    if until is not None:
        dataset = dataset.sel(time=slice(None, np.datetime64(until)))
    key = cache.key(code, dataset["displacement"].values, dataset["time"].values.astype("int64"),
                    dataset.attrs.get("weights", RAW), dataset.attrs.get("denoise_settings", ""),
                    settings.model_dump_json())  # fmt: skip
    if (stored := cache.find(cache_dir, "calibrations", key)) is not None:
        log.info("calibration from the cache, key %s", key[:12])
        calibration = calibration_module.read(stored)
    else:
        calibration = calibrate_stack(dataset, settings, threads)
        if cache_dir is not None:
            calibration_module.write(cache.path(cache_dir, "calibrations", key), calibration)
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


def calibrate_stack(dataset: xr.Dataset, settings: DetectSettings, threads: int) -> Calibration:
    """Two passes over null stacks, the second without the events that stand out in the first.

    An event shuffled in time is noise of its own shape and would hide itself. The first pass therefore
    judges the strongest candidates against nulls that they are not in; those that are not significant
    there go back into the residual of the second pass, which sets the threshold.
    """
    exposure = exposure_of(dataset, settings)
    residual = _residual(dataset)
    suspects = find(dataset, settings, floor=0.0, at_most=MAX_SUSPECTS)
    first = _calibrate(dataset, _without(residual, suspects, dataset), settings, FIRST_PASS_NULLS, threads, exposure)
    strong = [e for e in suspects if first.p_value(e.statistic, exposure) < P_OF_EVENTS_REMOVED]
    log.info("%d transient(s) with p < %g taken out of the residual", len(strong), P_OF_EVENTS_REMOVED)
    return _calibrate(dataset, _without(residual, strong, dataset), settings, settings.nulls, threads, exposure)


def _without(residual: NDArray[np.float32], events: Sequence[Transient], dataset: xr.Dataset) -> NDArray[np.float32]:
    """A residual less some transients (as the background fit left them), (time, y, x) m."""
    out = residual.copy()
    if not events:
        return out
    histories = without_background(dataset["time"].values, segments(dataset), [event.candidate for event in events])
    for event, history in zip(events, histories.T, strict=True):
        out -= (history[:, None] * np.nan_to_num(event.amplitude)).reshape(out.shape).astype(np.float32)
    return out


def _calibrate(
    dataset: xr.Dataset,
    residual: NDArray[np.float32],
    settings: DetectSettings,
    nulls: int,
    threads: int,
    exposure: float,
) -> Calibration:
    """Maxima over null stacks that go through the same denoiser and scan as the data."""
    denoise_settings, weights = _denoiser(dataset)
    time, segment, height, grid = (
        dataset["time"].values,
        segments(dataset),
        heights(dataset),
        read_grid(dataset),
    )

    def maximum(task: tuple[str, int]) -> float:
        kind, index = task
        null = null_stack(residual, kind, time, settings.seed, index)
        if denoise_settings is None:
            field = raw_field(flat(null), time, segment)
        else:
            parts = denoise(null, time, height, segment, weights,
                            filter_d=denoise_settings.filter_d, batch=denoise_settings.batch)  # fmt: skip
            field = denoised_field(flat(parts.transient), parts.transient_std.ravel().astype(float))
        found = scan(field, time, segment, grid, settings, floor=0.0, at_most=1)
        return found[0].statistic if found else 0.0

    tasks = [(kind, index) for kind in KINDS for index in range(nulls)]
    with ThreadPoolExecutor(threads) as pool:
        values = np.array(list(progress(pool.map(maximum, tasks), f"{len(tasks)} null stacks")))
    maxima = {kind: values[i * nulls : (i + 1) * nulls] for i, kind in enumerate(KINDS)}
    return calibrate(
        maxima, exposure, settings.false_alarms_per_1e4km2_yr, settings.seed,
        str(dataset["time"].values[-1].astype("datetime64[D]")), dataset.attrs.get("weights", RAW),
    )  # fmt: skip


def _denoiser(dataset: xr.Dataset) -> tuple[DenoiseSettings | None, Weights | None]:
    """The settings and weights that denoised this stack, (None, None) for a raw one."""
    if "denoised" not in dataset:
        return None, None
    settings = from_options(DenoiseSettings, json.loads(dataset.attrs.get("denoise_settings", "[]")))
    weights = denoise_stage.load_weights(settings)
    if denoise_stage.label(weights) != dataset.attrs.get("weights"):
        raise SlipscanError(
            f"the stack was denoised with weights {dataset.attrs.get('weights')}, but "
            f"{denoise_stage.label(weights)} are installed: run slipscan denoise again"
        )
    return settings, weights


def _residual(dataset: xr.Dataset) -> NDArray[np.float32]:
    """Displacement less offset, rate and season, events still in it, (time, y, x) m."""
    displacement = dataset["displacement"].values
    field = raw_field(flat(displacement), dataset["time"].values, segments(dataset))
    residual = np.where(field.valid, field.values, np.nan)
    return residual.reshape(displacement.shape).astype(np.float32)
