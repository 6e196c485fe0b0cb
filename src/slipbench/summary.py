"""From rows, a scene each, to the table of a method: thresholds, SNR50, NRMSE and the rest, with intervals."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slipbench import summary_long
from slipbench.frozen import parse
from slipbench.intervals import median, snr50, with_interval
from slipbench.measures import MIN_OVERLAP
from slipbench.plan import NULL, SkillPlan
from slipbench.scenarios import named

Float = NDArray[np.float64]

ALL: Final = "all"
NRMSE_FROM_SNR: Final = 5.0
SLOPE_FROM_SNR: Final = 8.0
NRMSE_BAND: Final = (15.0, 30.0)
DETECTION_BAND: Final = (8.0, 12.0)
RELIEF_BANDS: Final = ((0.0, 0.15), (0.15, 0.4), (0.4, 1.0))
"""|corr(source, height)|."""
MIN_EXCEEDANCES: Final = 10
TAIL_SHARE: Final = 0.2


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
    if plan.name == "long":
        table = table.assign(**{name: math.nan for name in summary_long.COLUMNS if name not in table})
    limit = thresholds(table, plan)
    threshold = [limit.get(key, math.inf) for key in zip(table["family"], table["background"], strict=True)]
    above = table["score"] > np.array(threshold)
    return table.assign(
        is_class=table["kind"].isin(plan.classes),
        above=above,
        found=above & (table["hit"].fillna(0.0) > 0),
        seen=above & (table["overlap"].fillna(0.0) > MIN_OVERLAP),
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
        detected), 'false_alarms' (share of the test nulls above the threshold), 'null_rms_mm', 'ms'; of the set
        `long` those of summary_long, too
    """
    out = []
    families = [*plan.families, ALL]
    for background in sorted(table["background"].unique()):
        for family in families:
            told = table[table["background"] == background]
            part = told[(told["family"] == family) | (family == ALL)]
            rows = _rows_of(part, plan)
            if plan.name == "long" and family not in (summary_long.REFERENCE, ALL):
                events = told[told["is_class"]]
                ours, others = (events[events["family"] == name] for name in (family, summary_long.REFERENCE))
                rows[0] |= summary_long.family_ratios(ours, others, NRMSE_FROM_SNR)
            out += [{"family": family, "background": background, **row} for row in rows]
    return pd.DataFrame(out)


def _rows_of(part: pd.DataFrame, plan: SkillPlan) -> list[dict[str, Any]]:
    nulls = part[(part["kind"] == NULL) & (part["split"] == "test")]
    events = part[part["kind"].isin(plan.classes)]
    groups = {ALL: events, **{kind: events[events["kind"] == kind] for kind in plan.classes}}
    for low, high in RELIEF_BANDS:
        inside = events["relief_correlation"].between(low, high, inclusive="left")
        groups[f"relief {low:g}-{high:g}"] = events[inside]
    if plan.name == "long":
        groups |= summary_long.groups(events)
    out = [{"kind": kind, **_event_measures(group, plan)} for kind, group in groups.items()]
    out[0] |= {
        "false_alarms": float(nulls["above"].mean()) if len(nulls) else math.nan,
        "nulls": len(nulls),
        "null_rms_mm": float(np.sqrt((nulls["rms_mm"] ** 2).mean())) if len(nulls) else math.nan,
        "ms": float(part["ms"].median()) if len(part) else math.nan,
        **(summary_long.null_measures(nulls) if plan.name == "long" else {}),
    }
    return out + [_scenario_measures(name, part[part["kind"] == name], plan) for name in named(plan)]


def _event_measures(events: pd.DataFrame, plan: SkillPlan) -> dict[str, Any]:
    strong, detected = events[events["snr"] > NRMSE_FROM_SNR], events[events["found"]]
    inside = events["snr"].between(*DETECTION_BAND)
    snr, found = np.log(events["snr"].to_numpy(float)), events["found"].to_numpy(float)
    nrmse = strong["nrmse"].to_numpy(float)
    return {
        "events": len(events),
        **with_interval("snr50", snr50, snr, found),
        "detection": float(events["found"][inside].mean()) if inside.any() else math.nan,
        **with_interval("nrmse", lambda values: np.median(values, axis=1), nrmse),
        "nrmse_15_30": median(strong["nrmse"][strong["snr"].between(*NRMSE_BAND)].to_numpy(float)),
        "nrmse_constant": median(strong["nrmse_constant"].to_numpy(float)),
        "rmse_mm": float(np.sqrt((events["rmse_mm"] ** 2).mean())) if len(events) else math.nan,
        "slope": median(events["slope"][events["snr"] >= SLOPE_FROM_SNR].to_numpy(float)),
        "correlation": median(strong["correlation"].to_numpy(float)),
        "t50_error_d": median(detected["t50_error_d"].abs().to_numpy(float)),
        **(summary_long.event_measures(events, NRMSE_FROM_SNR, NRMSE_BAND) if plan.name == "long" else {}),
    }


def _scenario_measures(name: str, part: pd.DataFrame, plan: SkillPlan) -> dict[str, Any]:
    """Share of the realisations that are found; of a distractor: that raise an alarm."""
    distractor = named(plan)[name].distractor
    alarm = part["above"] if distractor else part["found"]
    return {
        "kind": name,
        "events": len(part),
        "snr": median(part["snr"].to_numpy(float)),
        "detection": float(alarm.mean()) if len(part) else math.nan,
        "nrmse": math.nan if distractor else median(part["nrmse"].to_numpy(float)),
        "slope": math.nan if distractor else median(part["slope"].to_numpy(float)),
        "t50_error_d": median(part["t50_error_d"][part["found"]].abs().to_numpy(float)),
        **(summary_long.scenario_measures(part) if plan.name == "long" else {}),
    }
