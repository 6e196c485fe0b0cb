"""The calibrate and detect stages: a (denoised) stack in; a calibration, or transients, out."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from slipscan import cache, seriesmodel, vocabulary
from slipscan.denoise import stage as denoise_stage
from slipscan.denoise.apply import denoise
from slipscan.denoise.pretrained import Weights
from slipscan.detect import calibration as calibration_module
from slipscan.detect.calibration import Calibration, calibrate
from slipscan.detect.nulls import KINDS, null_stack
from slipscan.detect.scan import MAX_TRANSIENTS, Transient, scan
from slipscan.detect.statistic import Field, denoised_field, raw_field, without_background
from slipscan.errors import SlipscanError
from slipscan.geometry import pixel_area_km2, read_grid
from slipscan.progress import progress
from slipscan.settings import DenoiseSettings, DetectSettings, from_options
from slipscan.stack import add_history, heights, open_stack, segments
from slipscan.store import open_dataset, write_zarr

log = logging.getLogger(__name__)

Float = NDArray[np.float64]

FIRST_PASS_NULLS = 8
MAX_SUSPECTS = 4
P_OF_EVENTS_REMOVED = 1e-3
"""Events below it are taken out of the residual before the nulls are made, once (SCIENCE.md 10.7)."""
RAW = "none"
"""What stands for the weights of a stack that was never denoised."""


def run_calibrate(
    stack: Path, out: Path, settings: DetectSettings, until: str | None, cache_dir: Path | None, threads: int
) -> None:
    """Calibrate a (denoised) stack with epochs up to `until` and write the calibration to `out`.

    The result is kept in the cache under the sha256 of everything that enters, so that new epochs past
    `until` do not change or recompute it.
    """
    dataset = _open(stack)
    if until is not None:
        dataset = dataset.sel(time=slice(None, np.datetime64(until)))
    key = cache.key("calibration-1", dataset["displacement"].values, dataset["time"].values.astype("int64"),
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
        "threshold %.1f for %.3g false alarms per 10,000 km2 and year; redness %.2f; %d nulls of each kind, "
        "%.2g x 10,000 km2 x years", calibration.threshold, calibration.false_alarms_per_1e4km2_yr,
        calibration.redness, calibration.nulls, calibration.exposure,
    )  # fmt: skip
    calibration_module.write(out, calibration)


def run(stack: Path, out: Path, settings: DetectSettings, calibration: Path | None, threads: int) -> None:
    """Detect transients in a (denoised) stack and write the transients product to `out`."""
    dataset = _open(stack)
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


def _open(path: Path) -> xr.Dataset:
    """A denoised product or a raw stack, whichever the file is."""
    product = "denoised" if "denoised" in open_dataset(path) else "stack"
    if product == "stack":
        log.info("%s is not denoised: the raw displacement is scanned", path)
    return open_stack(path, product)


def calibrate_stack(dataset: xr.Dataset, settings: DetectSettings, threads: int) -> Calibration:
    """Two passes over null stacks, the second without the events that stand out in the first.

    An event shuffled in time is noise of its own shape and would hide itself. The first pass therefore
    judges the strongest candidates against nulls that they are not in; those that are not significant
    there go back into the residual of the second pass, which sets the threshold.
    """
    exposure = exposure_of(dataset, settings)
    residual = _residual(dataset)
    suspects = _find(dataset, settings, floor=0.0, at_most=MAX_SUSPECTS)
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
            field = raw_field(_flat(null), time, segment)
        else:
            parts = denoise(null, time, height, segment, weights,
                            filter_d=denoise_settings.filter_d, batch=denoise_settings.batch)  # fmt: skip
            field = denoised_field(_flat(parts.transient), parts.transient_std.ravel().astype(float))
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


def _flat(array: NDArray[np.floating]) -> Float:
    """(time, y, x) to (time, pixel), float64."""
    return array.reshape(len(array), -1).astype(float)


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
    field = raw_field(_flat(displacement), dataset["time"].values, segments(dataset))
    residual = np.where(field.valid, field.values, np.nan)
    return residual.reshape(displacement.shape).astype(np.float32)


def _find(
    dataset: xr.Dataset, settings: DetectSettings, floor: float, at_most: int = MAX_TRANSIENTS
) -> list[Transient]:
    """Transients of a stack above a statistic, strongest first."""
    time, segment = dataset["time"].values, segments(dataset)
    return scan(_field(dataset), time, segment, read_grid(dataset), settings, floor, at_most)


def _field(dataset: xr.Dataset) -> Field:
    """The field that is scanned: the denoised transient where there is one."""
    if "denoised" in dataset:
        std = dataset["transient_std"].values.ravel().astype(float)
        return denoised_field(_flat(dataset["transient"].values), std)
    return raw_field(_flat(dataset["displacement"].values), dataset["time"].values, segments(dataset))


def window(time: NDArray[np.datetime64], edge_epochs: int) -> tuple[np.datetime64, np.datetime64]:
    """First and last day on which the middle of a transient can be found."""
    inner = time[edge_epochs - 1 : len(time) - edge_epochs + 1]
    if len(inner) < 2:
        raise SlipscanError(
            f"a series of {len(time)} epochs has no interval between edges of {edge_epochs} epochs: lower "
            "detect.edge_epochs or add epochs"
        )
    return inner[0].astype("datetime64[D]"), inner[-1].astype("datetime64[D]")


def area_of(dataset: xr.Dataset) -> float:
    """Area with data, km2."""
    seen = np.isfinite(dataset["displacement"].values).any(axis=0)
    return float(seen.sum()) * pixel_area_km2(read_grid(dataset))


def exposure_of(dataset: xr.Dataset, settings: DetectSettings) -> float:
    """What is scanned, in 10,000 km2 x years."""
    start, end = window(dataset["time"].values, settings.edge_epochs)
    return area_of(dataset) / 1e4 * float((end - start) / np.timedelta64(1, "D")) / seriesmodel.DAYS_PER_YEAR


def detect(dataset: xr.Dataset, settings: DetectSettings, calibration: Calibration) -> xr.Dataset:
    """The transients product of a (denoised) stack at the calibration's threshold."""
    found = _find(dataset, settings, calibration.threshold)
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
    field = _field(dataset)
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
