"""One estimate against the truth of its scene: the numbers that every table of slipbench is made of."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from slipbench.bound import TEMPORAL, temporal_columns, without
from slipbench.estimate import Estimate
from slipbench.scenes import Scene

FOOTPRINT: Final = 0.3
"""Share of a map's largest value from which a pixel belongs to its footprint."""
MIN_OVERLAP: Final = 0.2
MAX_T50_ERROR_D: Final = 24.0
"""A hit has IoU > 0.2 and |t50 error| <= 24 d (docs/science.md section 10.17)."""
T50_SHARE: Final = 0.25
"""In the set `long`, whose events last up to two years: or this share of t95 - t05 as the series shows it."""
SLOPE_RANGE: Final = (0.5, 1.5)
"""Of one event of several: <estimate, truth> / <truth, truth> of the displacement in its time."""


def measure(scene: Scene, estimate: Estimate) -> dict[str, float]:
    """Compare the strongest event of an estimate with the truth, over the valid pixels.

    Returns
    -------
    measures
        'score'; 'rms_mm' of the estimated map; and, where the scene has an event: 'rmse_mm', 'nrmse' (RMSE over RMS
        of the truth: 1 = a map of zeros), 'nrmse_constant' (the error's mean taken out; never a plane), 'slope'
        <estimate, truth> / <truth, truth>, 'correlation', 'overlap' (IoU of the footprints), 't50_error_d', 'hit'.
        In long series also 'peak_mm' (largest range in time of a pixel) and those of `_in_time`
    """
    found, truth = estimate.map[scene.valid].astype(float), scene.map[scene.valid].astype(float)
    out = {"score": float(estimate.score), "rms_mm": 1e3 * _rms(found)}
    if scene.key.plan != "short":
        out["peak_mm"] = 1e3 * float(np.ptp(estimate.transient[:, scene.valid], axis=0).max())
    size = _rms(truth)
    if size == 0:
        return out
    error = found - truth
    spread = float(found.std() * truth.std())
    overlap = footprint_overlap(found, truth)
    t50_error = float(estimate.t50_d - scene.t50_d)
    return {
        **out,
        "rmse_mm": 1e3 * _rms(error),
        "nrmse": _rms(error) / size,
        "nrmse_constant": float(error.std()) / size,
        "slope": float(found @ truth) / float(truth @ truth),
        "correlation": float(np.mean((found - found.mean()) * (truth - truth.mean()))) / spread if spread > 0 else 0.0,
        "overlap": overlap,
        "t50_error_d": t50_error,
        "hit": float(overlap > MIN_OVERLAP and abs(t50_error) <= _tolerance_d(scene)),
        **(_in_time(scene, estimate) if scene.key.plan != "short" else {}),
    }


def _tolerance_d(scene: Scene) -> float:
    if scene.key.plan == "short":
        return MAX_T50_ERROR_D
    return max(MAX_T50_ERROR_D, T50_SHARE * (scene.reached_d(0.95) - scene.reached_d(0.05)))


def _in_time(scene: Scene, estimate: Estimate) -> dict[str, float]:
    """Measures of the transient at every epoch.

    Returns
    -------
    measures
        'nrmse_transient' about the temporal mean; of a single event 'history', the correlation of its estimated course
        with the true one beside rate and season; 'duration_d', 'from_end_d' (t95 - t05 as the series shows it, last
        epoch - t50); of several 'found_1', 'nrmse_1' and so on: the displacement during each event, 24 d either side
        of it included, has a footprint that overlaps the true one, and a slope in SLOPE_RANGE
    """
    found, truth = estimate.transient[:, scene.valid].astype(float), scene.events[:, scene.valid].astype(float)
    spread = truth - truth.mean(axis=0)
    out = {
        "nrmse_transient": _rms(found - found.mean(axis=0) - spread) / _rms(spread),
        "duration_d": scene.reached_d(0.95) - scene.reached_d(0.05),
        "from_end_d": float(scene.geometry.days[-1]) - scene.t50_d,
    }
    if not scene.others:
        return out | {"history": _history(found @ scene.template[scene.valid].astype(float), scene)}
    for number, (_, course) in enumerate(scene.single_events, start=1):
        before, after = _window(course, scene.geometry.days)
        ours, true = found[after] - found[before], truth[after] - truth[before]
        slope = float(ours @ true) / float(true @ true)
        out[f"nrmse_{number}"] = _rms(ours - true) / _rms(true)
        is_found = footprint_overlap(ours, true) > MIN_OVERLAP and SLOPE_RANGE[0] <= slope <= SLOPE_RANGE[1]
        out[f"found_{number}"] = float(is_found)
    return out


def _window(course: NDArray[np.float64], days: NDArray[np.float64]) -> tuple[int, int]:
    """First and last epoch of the time in which an event, found as late or early as a hit may be, has happened."""
    share = (course - course[0]) / (course[-1] - course[0])
    begins, ends = days[np.flatnonzero(share <= 0.05)[-1]], days[np.argmax(share >= 0.95)]
    before = int(np.searchsorted(days, begins - MAX_T50_ERROR_D, "right")) - 1
    after = int(np.searchsorted(days, ends + MAX_T50_ERROR_D))
    return max(before, 0), min(after, len(days) - 1)


def _history(projection: NDArray[np.float64], scene: Scene) -> float:
    """|Correlation| of a course (time,) with the event's, both beside rate and season; 0 of one that is flat."""
    days = scene.geometry.days
    columns = temporal_columns(days - days.mean(), TEMPORAL)
    ours, true = without(projection, columns), without(scene.course, columns)
    size = math.sqrt(float(ours @ ours) * float(true @ true))
    return abs(float(ours @ true)) / size if size > 0 else 0.0


def footprint_overlap(found: NDArray[np.floating], truth: NDArray[np.floating]) -> float:
    """Intersection over union of two footprints; 0 for a map of zeros."""
    if not np.any(found):
        return 0.0
    one, other = (np.abs(field) >= FOOTPRINT * np.abs(field).max() for field in (found, truth))
    return float((one & other).sum() / (one | other).sum())


def _rms(values: NDArray[np.floating]) -> float:
    return math.sqrt(float(np.mean(values**2)))
