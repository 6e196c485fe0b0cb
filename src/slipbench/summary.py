"""From rows, a scene each, to the table of a method: thresholds, SNR50, NRMSE and the rest, with intervals."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from slipbench.frozen import parse
from slipbench.plan import NULL, SkillPlan
from slipbench.scenarios import SCENARIOS

Float = NDArray[np.float64]

ALL: Final = "all"
BOOTSTRAPS: Final = 100
INTERVAL: Final = (5.0, 95.0)
NRMSE_FROM_SNR: Final = 5.0
SLOPE_FROM_SNR: Final = 8.0
NRMSE_BAND: Final = (15.0, 30.0)
DETECTION_BAND: Final = (8.0, 12.0)
RELIEF_BANDS: Final = ((0.0, 0.15), (0.15, 0.4), (0.4, 1.0))
"""|corr(source, height)|."""
MIN_EVENTS: Final = 8
"""Fewer events than that make no SNR50 and no median NRMSE."""
LARGEST_SNR: Final = 500.0
PRIOR_SLOPE: Final = (3.0, 3.0)
"""Mean and standard deviation of the prior on the logistic slope; detection curves have slopes of 2 to 6."""
MIN_EXCEEDANCES: Final = 10
TAIL_SHARE: Final = 0.2
NEWTON_STEPS: Final = 40
LONGEST_STEP: Final = 2.0
FLATTEST: Final = 0.1
Statistic = Callable[..., Float]
"""Of (sample, scene) columns: (sample,)."""


def joined(rows: pd.DataFrame, manifest: pd.DataFrame) -> pd.DataFrame:
    """Rows with what the manifest knows of their scenes: split, family, kind, snr, kept, relief_correlation."""
    keys = [parse(scene_id) for scene_id in manifest["id"]]
    known = manifest.drop(columns=["rms_mm", "sha256"]).assign(
        split=[key.split for key in keys], family=[key.family for key in keys], kind=[key.kind for key in keys]
    )
    return rows.merge(known, on="id", how="left", validate="many_to_one")


def thresholds(table: pd.DataFrame, plan: SkillPlan) -> dict[tuple[str, str], float]:
    """Score that the stated share of the validation nulls exceeds, by (family, background).

    The validation nulls of a family are not those that its false alarms are counted on.
    """
    nulls = table[(table["kind"] == NULL) & (table["split"] == "validation")]
    return {
        (str(family), str(background)): exceeded_by(part["score"].to_numpy(), plan.false_alarms_per_tile)
        for (family, background), part in nulls.groupby(["family", "background"])
    }


def judged(rows: pd.DataFrame, manifest: pd.DataFrame, plan: SkillPlan) -> pd.DataFrame:
    """Rows with the manifest's columns, 'is_class', 'above' (the threshold) and 'found' (above, and a hit)."""
    table = joined(rows, manifest)
    limit = thresholds(table, plan)
    threshold = [limit.get(key, math.inf) for key in zip(table["family"], table["background"], strict=True)]
    above = table["score"] > np.array(threshold)
    return table.assign(
        is_class=table["kind"].isin(plan.classes), above=above, found=above & (table["hit"].fillna(0.0) > 0)
    )


def exceeded_by(scores: Float, share: float) -> float:
    """The value that a share of the scores exceeds.

    The empirical quantile where at least MIN_EXCEEDANCES scores lie above it; of fewer scores, an exponential tail
    fitted to the largest fifth (peaks over a threshold), since the largest of 50 is no 1 % quantile.
    """
    if share * len(scores) >= MIN_EXCEEDANCES:
        return float(np.quantile(scores, 1 - share, method="higher"))
    start = float(np.quantile(scores, 1 - TAIL_SHARE, method="higher"))
    over = scores[scores > start]
    if len(over) == 0:
        return start
    return start + float(np.mean(over - start)) * math.log(len(over) / len(scores) / share)


def summarise(table: pd.DataFrame, plan: SkillPlan) -> pd.DataFrame:
    """The table of one method.

    Parameters
    ----------
    table
        from `judged`
    plan
        the benchmark

    Returns
    -------
    table
        columns family ('all' too), background, kind (a class, 'all', a band of |corr(source, height)|, or a
        scenario), events, and measures with `_low` and `_high` where bootstrapped (5 to 95 %): 'snr50', 'detection'
        (share found at SNR 8-12; of a scenario: of its realisations), 'nrmse' (median, SNR > 5), 'nrmse_15_30',
        'nrmse_constant', 'rmse_mm', 'slope' (median, SNR >= 8), 'correlation', 't50_error_d' (median |error| of the
        detected), 'false_alarms' (share of the test nulls above the threshold), 'null_rms_mm', 'ms'
    """
    out = []
    families = [*plan.families, ALL]
    for background in sorted(table["background"].unique()):
        for family in families:
            part = table[(table["background"] == background) & ((table["family"] == family) | (family == ALL))]
            out += [{"family": family, "background": background, **row} for row in _rows_of(part, plan)]
    return pd.DataFrame(out)


def _rows_of(part: pd.DataFrame, plan: SkillPlan) -> list[dict[str, Any]]:
    nulls = part[(part["kind"] == NULL) & (part["split"] == "test")]
    events = part[part["kind"].isin(plan.classes)]
    groups = {ALL: events, **{kind: events[events["kind"] == kind] for kind in plan.classes}}
    for low, high in RELIEF_BANDS:
        inside = events["relief_correlation"].between(low, high, inclusive="left")
        groups[f"relief {low:g}-{high:g}"] = events[inside]
    out = [{"kind": kind, **_event_measures(group)} for kind, group in groups.items()]
    out[0] |= {
        "false_alarms": float(nulls["above"].mean()) if len(nulls) else math.nan,
        "nulls": len(nulls),
        "null_rms_mm": float(np.sqrt((nulls["rms_mm"] ** 2).mean())) if len(nulls) else math.nan,
        "ms": float(part["ms"].median()) if len(part) else math.nan,
    }
    return out + [_scenario_measures(name, part[part["kind"] == name]) for name in SCENARIOS]


def _event_measures(events: pd.DataFrame) -> dict[str, Any]:
    strong, detected = events[events["snr"] > NRMSE_FROM_SNR], events[events["found"]]
    inside = events["snr"].between(*DETECTION_BAND)
    snr, found = np.log(events["snr"].to_numpy(float)), events["found"].to_numpy(float)
    nrmse = strong["nrmse"].to_numpy(float)
    return {
        "events": len(events),
        **_with_interval("snr50", snr50, snr, found),
        "detection": float(events["found"][inside].mean()) if inside.any() else math.nan,
        **_with_interval("nrmse", lambda values: np.median(values, axis=1), nrmse),
        "nrmse_15_30": _median(strong["nrmse"][strong["snr"].between(*NRMSE_BAND)].to_numpy(float)),
        "nrmse_constant": _median(strong["nrmse_constant"].to_numpy(float)),
        "rmse_mm": float(np.sqrt((events["rmse_mm"] ** 2).mean())) if len(events) else math.nan,
        "slope": _median(events["slope"][events["snr"] >= SLOPE_FROM_SNR].to_numpy(float)),
        "correlation": _median(strong["correlation"].to_numpy(float)),
        "t50_error_d": _median(detected["t50_error_d"].abs().to_numpy(float)),
    }


def _scenario_measures(name: str, part: pd.DataFrame) -> dict[str, Any]:
    """Share of the realisations that are found; of a distractor: that raise an alarm."""
    distractor = SCENARIOS[name].distractor
    alarm = part["above"] if distractor else part["found"]
    return {
        "kind": name,
        "events": len(part),
        "snr": _median(part["snr"].to_numpy(float)),
        "detection": float(alarm.mean()) if len(part) else math.nan,
        "nrmse": math.nan if distractor else _median(part["nrmse"].to_numpy(float)),
        "slope": math.nan if distractor else _median(part["slope"].to_numpy(float)),
        "t50_error_d": _median(part["t50_error_d"][part["found"]].abs().to_numpy(float)),
    }


def snr50(log_snr: Float, found: Float) -> Float:
    """SNR at which half of the events are found, of several samples: logistic regression on log SNR.

    A weak prior on the slope keeps the fit finite where detection is a clean step.

    Parameters
    ----------
    log_snr, found
        (sample, event); found is 0 or 1

    Returns
    -------
    snr50
        (sample,); inf where detection does not reach a half below SNR 500
    """
    slope = np.full(len(found), PRIOR_SLOPE[0])
    offset = np.full(len(found), -PRIOR_SLOPE[0] * math.log(10.0))
    for _ in range(NEWTON_STEPS):
        share = expit(offset[:, None] + slope[:, None] * log_snr)
        weight = share * (1 - share)
        error = share - found
        down = np.stack([error.sum(1), (error * log_snr).sum(1) + (slope - PRIOR_SLOPE[0]) / PRIOR_SLOPE[1] ** 2])
        cross = (weight * log_snr).sum(1)
        one, two = weight.sum(1) + 1e-6, (weight * log_snr**2).sum(1) + 1 / PRIOR_SLOPE[1] ** 2
        step = np.stack([two * down[0] - cross * down[1], one * down[1] - cross * down[0]]) / (one * two - cross**2)
        # Steps of limited size: a full one overshoots where nearly all or nearly nothing is found.
        step *= np.minimum(1.0, LONGEST_STEP / np.maximum(np.abs(step).max(axis=0), 1e-12))
        offset, slope = offset - step[0], slope - step[1]
    middle = np.where(slope > FLATTEST, -offset / np.maximum(slope, FLATTEST), np.inf)
    return np.where((middle < math.log(LARGEST_SNR)) & (found.sum(1) > 0), np.exp(np.minimum(middle, 50.0)), np.inf)


def _median(values: Float) -> float:
    values = values[np.isfinite(values)]
    return float(np.median(values)) if len(values) else math.nan


def _with_interval(name: str, statistic: Statistic, *columns: Float) -> dict[str, float]:
    """A statistic of some scenes with its bootstrap interval; NaN for too few scenes."""
    count = len(columns[0])
    if count < MIN_EVENTS:
        return {name: math.nan, f"{name}_low": math.nan, f"{name}_high": math.nan}
    rows = np.random.default_rng(0).integers(count, size=(BOOTSTRAPS, count))
    low, high = np.percentile(statistic(*(c[rows] for c in columns)), INTERVAL, method="nearest")
    (value,) = statistic(*(c[None] for c in columns))
    return {name: float(value), f"{name}_low": float(low), f"{name}_high": float(high)}
