"""The section of the benchmark's page on the set `short`."""

from __future__ import annotations

from typing import Final

from slipbench.page_tables import Tables, markdown, number, pick, titled
from slipbench.plan import SkillPlan
from slipbench.scenarios import SCENARIOS
from slipbench.summary import ALL, RELIEF_BANDS

FAMILY_TITLES: Final = {
    "A": "A (like training)",
    "B": "B (von Karman, stretched 3-5 times)",
    "C": "C (spectrum of real rasters)",
    "D": "D (red in time)",
    "E": "E (walks at random in time)",
}


def section(tables: Tables, plan: SkillPlan, plots: list[str]) -> list[str]:
    """Its paragraphs; `plots` are the file names of detection and relief."""
    detection, relief = plots
    return [
        "## The set `short`: 24 epochs",
        _explanation(plan),
        "### Rate and season unknown (as in real data)",
        _main_table(tables, "unknown"),
        "### Rate and season known (taken out beforehand)",
        _main_table(tables, "known"),
        "### SNR50 by class, all families",
        "Rate and season known | unknown.",
        _class_table(tables, plan),
        "### SNR50, NRMSE and false alarms by noise family",
        "All classes. Training scenes have spectra like those of A, and strengths of a wider range. The weights"
        " rouet-leduc-2021 saw 4,008 earlier scenes, with Hanssen's exponents only and no anisotropy.",
        "Rate and season unknown:",
        _family_table(tables, plan, "unknown"),
        "Rate and season known:",
        _family_table(tables, plan, "known"),
        f"![Detection against SNR]({detection})",
        "### Skill against |corr(source, height)|",
        "SNR50 and median NRMSE in bands of the correlation of source and relief, rate and season unknown.",
        _relief_table(tables),
        f"![Detection of events that look like the relief]({relief})",
        "### Named scenarios",
        "Share of the realisations found, all families, rate and season unknown; of the last three (distractors) the"
        " share that raises an alarm.",
        _scenario_table(tables),
    ]


def _explanation(plan: SkillPlan) -> str:
    return (
        f"Scenes: {plan.pixels} x {plan.pixels} pixels of {plan.pixel_m:g} m, {plan.epochs} epochs of"
        f" {plan.interval_d:g} d of which {plan.missing_epochs:.0%} fail, {plan.missing_pixels:.0%} of pixels missing,"
        f" {plan.turbulence_mm:g} mm of turbulence, {plan.stratified_mm_per_km:g} mm/km; every scene has a rate and a"
        " season. **SNR50**: matched-filter SNR (template, history and noise known; docs/science.md section 9) at which"
        f" half of the events are found with {plan.false_alarms_per_tile:.0%} false alarms per tile; found = a score"
        " over the threshold (chosen on other nulls than false alarms are counted on), footprints overlap (IoU > 0.2),"
        " and |t50 error| <= 24 d. **NRMSE**: RMSE of the map over the RMS of the truth, median of the events with"
        " SNR > 5; a map of zeros has 1. **slope**: <estimate, truth> / <truth, truth>, median for SNR >= 8."
        " **t50 error**: median size over the events found. **null RMS**: of the map where nothing happened. **false"
        " alarms**: share of the test nulls over the threshold."
    )


def _main_table(tables: Tables, background: str) -> str:
    head = [
        "method", "events", "SNR50", "found at SNR 8-12", "NRMSE", "NRMSE 15-30", "NRMSE, constant out", "slope",
        "correlation", "RMSE mm", "t50 error d", "false alarms", "null RMS mm", "ms/scene",
    ]  # fmt: skip
    body = []
    for name, table in tables.items():
        row = pick(table, ALL, background, ALL)
        if row.empty:
            continue
        body.append(
            [
                titled(name), str(int(row["events"])), number(row, "snr50", 1, True), number(row, "detection"),
                number(row, "nrmse", 2, True), number(row, "nrmse_15_30"), number(row, "nrmse_constant"),
                number(row, "slope"), number(row, "correlation"), number(row, "rmse_mm", 1),
                number(row, "t50_error_d", 0), number(row, "false_alarms", 3), number(row, "null_rms_mm"),
                number(row, "ms", 0),
            ]
        )  # fmt: skip
    return markdown(head, body)


def _class_table(tables: Tables, plan: SkillPlan) -> str:
    body = []
    for name, table in tables.items():
        cells = []
        for kind in plan.classes:
            known, unknown = (number(pick(table, ALL, b, kind), "snr50", 1) for b in ("known", "unknown"))
            cells.append(f"{known} \\| {unknown}")
        body.append([titled(name), *cells])
    return markdown(["method", *plan.classes], body)


def _family_table(tables: Tables, plan: SkillPlan, background: str) -> str:
    head = ["method"]
    for family in plan.families:
        head += [f"SNR50 {FAMILY_TITLES[family]}", f"NRMSE {family}", f"false alarms {family}"]
    body = []
    for name, table in tables.items():
        cells = []
        for family in plan.families:
            row = pick(table, family, background, ALL)
            cells += [number(row, "snr50", 1, True), number(row, "nrmse"), number(row, "false_alarms", 3)]
        body.append([titled(name), *cells])
    return markdown(head, body)


def _relief_table(tables: Tables) -> str:
    bands = [f"relief {low:g}-{high:g}" for low, high in RELIEF_BANDS]
    head = ["method", *(f"{name} {band.removeprefix('relief ')}" for band in bands for name in ("SNR50", "NRMSE"))]
    body = []
    for name, table in tables.items():
        cells = []
        for band in bands:
            row = pick(table, ALL, "unknown", band)
            cells += [number(row, "snr50", 1, True), number(row, "nrmse")]
        body.append([titled(name), *cells])
    return markdown(head, body)


def _scenario_table(tables: Tables) -> str:
    first = next(iter(tables.values()))
    names = list(tables)
    body = []
    for key, scenario in SCENARIOS.items():
        snr = number(pick(first, ALL, "unknown", key), "snr", 0)
        cells = [number(pick(tables[name], ALL, "unknown", key), "detection") for name in names]
        body.append([scenario.title, "-" if scenario.distractor else snr, *cells])
    return markdown(["scenario", "median SNR", *(titled(name) for name in names)], body)
