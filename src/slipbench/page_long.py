"""The section of the benchmark's page on the set `long`."""

from __future__ import annotations

import pandas as pd

from slipbench.page_short import FAMILY_TITLES
from slipbench.page_tables import Tables, markdown, number, pick, titled
from slipbench.plan import SkillPlan
from slipbench.sequences import SEQUENCES
from slipbench.summary import ALL
from slipbench.summary_long import DURATION_BANDS_D, REFERENCE

_BACKGROUND = "unknown"


def section(tables: Tables, plan: SkillPlan, plots: list[str]) -> list[str]:
    """Its paragraphs; `plots` holds the file name of detection."""
    return [
        f"## The set `long`: {plan.epochs} epochs, rate and season always unknown",
        _explanation(plan),
        _main_table(tables),
        "### Maps and times",
        "Maps: NRMSE of the map from the first to the last epoch, and of the transient at every epoch. right history:"
        " share of the events of SNR 8 and more whose course in time correlates with the true one by 0.95 or more, both"
        " beside rate and season. t50 error: of the events over the threshold whose footprint overlaps, whatever the"
        " error.",
        _map_table(tables),
        "### Where nothing happens",
        "peak: the value below which the largest range of a pixel in time stays in 95 % of the nulls; not empty: share"
        " of the nulls where that range exceeds 0.1 mm.",
        _null_table(tables),
        "### By class",
        "SNR50; median NRMSE where SNR > 5.",
        _kinds_table(tables, list(plan.classes)),
        "### By noise family",
        f"SNR50 and its ratio to that of {REFERENCE}; median NRMSE where SNR > 5, and its ratio; false alarms.",
        _family_table(tables, plan),
        f"![Detection against SNR]({plots[0]})",
        "### By duration, and at the end of the series",
        "t95 - t05 as the series shows it. SNR50; median NRMSE where SNR > 5.",
        _kinds_table(tables, [*(f"duration {low:g}-{high:g} d" for low, high in DURATION_BANDS_D), "last half year"]),
        "### Scenarios",
        "Share of the events found; of two, both. One of two is found where the displacement during it (24 d either"
        " side included) overlaps the true one (IoU > 0.2) with a slope of 0.5 to 1.5, whatever the score. NRMSE: of"
        " the displacement during each event | of the transient at every epoch, medians.",
        _scenario_table(tables),
    ]


def _explanation(plan: SkillPlan) -> str:
    low, high = plan.duration_d
    return (
        f"Version {plan.version}. Scenes: {plan.pixels} x {plan.pixels} pixels of {plan.pixel_m:g} m, {plan.epochs}"
        f" epochs of {plan.interval_d:g} d ({plan.twice_as_long:.0%} of the scenes: twice as many) of which"
        f" {plan.missing_epochs:.0%} fail, {plan.missing_pixels:.0%} of pixels missing, {plan.turbulence_mm:g} mm of"
        f" turbulence, {plan.stratified_mm_per_km:g} mm/km. Events last {low:g} to {high:g} d, begin and end anywhere,"
        f" {plan.late_share or 0:.0%} of them in the last half year. **SNR**: of the matched filter that knows"
        " template, history and noise, beside offset, rate, season of a pixel and offset, ramp, height of"
        " every epoch, in the noise's covariance in space *and time*, with the scene's gaps (`slipbench.snr`): what"
        f" can be had. Found: a score over the threshold of {plan.false_alarms_per_tile:.0%} false alarms per tile (of"
        " the family's own validation nulls, a tail fitted to their largest fifth where they are few), footprints"
        " overlap (IoU > 0.2), and |t50 error| is at most 24 d or a quarter of the duration. `scan_told` and"
        " `matched_filter_told` are told the true covariance of the noise in space (orientation included) and time,"
        " which no method in the field is: what they find is what a bank of sources can find at all. Family E: A, and"
        " a random walk in time of 0.15 to 0.3 of an epoch's variance a year, with the structure function of Erta Ale"
        " (docs/science.md section 11)."
    )


def _overall(table: pd.DataFrame, kind: str = ALL) -> pd.Series:
    return pick(table, ALL, _BACKGROUND, kind)


def _main_table(tables: Tables) -> str:
    head = ["method", "events", "SNR50", "found, all", "NRMSE, SNR > 5", "NRMSE 15-30", "false alarms", "ms/scene"]
    body = []
    for name, table in tables.items():
        row = _overall(table)
        body.append(
            [
                titled(name), str(int(row["events"])), number(row, "snr50", 1, True), number(row, "found", 2, True),
                number(row, "nrmse", 2, True), number(row, "nrmse_15_30", 2, True), number(row, "false_alarms", 3),
                number(row, "ms", 0),
            ]
        )  # fmt: skip
    return markdown(head, body)


def _map_table(tables: Tables) -> str:
    head = ["method", "NRMSE of the transient", "slope", "right history", "t50 error, SNR 8-15, d", "SNR 15-30, d"]
    body = []
    for name, table in tables.items():
        row = _overall(table)
        cells = [number(row, "nrmse_transient", 2, True), number(row, "slope"), number(row, "history", 2, True)]
        body.append([titled(name), *cells, number(row, "t50_8_15", 0, True), number(row, "t50_15_30", 0, True)])
    return markdown(head, body)


def _null_table(tables: Tables) -> str:
    head = ["method", "nulls", "RMS mm", "peak mm", "not empty"]
    body = []
    for name, table in tables.items():
        row = _overall(table)
        cells = [number(row, "null_rms_mm", 2, True), number(row, "null_peak_mm", 1, True)]
        body.append([titled(name), str(int(row["nulls"])), *cells, number(row, "null_moved", 2, True)])
    return markdown(head, body)


def _kinds_table(tables: Tables, kinds: list[str]) -> str:
    body = []
    for name, table in tables.items():
        rows = [_overall(table, kind) for kind in kinds]
        body.append([titled(name), *(f"{number(row, 'snr50', 1, True)}; {number(row, 'nrmse')}" for row in rows)])
    return markdown(["method", *kinds], body)


def _family_table(tables: Tables, plan: SkillPlan) -> str:
    body = []
    for name, table in tables.items():
        cells = []
        for family in plan.families:
            row = pick(table, family, _BACKGROUND, ALL)
            finds, maps = number(row, "snr50", 1, True), number(row, "nrmse")
            if family != REFERENCE:
                finds += f", x{number(row, 'snr50_to_a', 2, True)}"
                maps += f", x{number(row, 'nrmse_to_a', 2, True)}"
            cells.append(f"{finds}; {maps}; {number(row, 'false_alarms', 2)}")
        body.append([titled(name), *cells])
    return markdown(["method", *(FAMILY_TITLES[family] for family in plan.families)], body)


def _scenario_table(tables: Tables) -> str:
    body = []
    for key, scenario in SEQUENCES.items():
        cells = []
        for table in tables.values():
            row = _overall(table, key)
            share = number(row, "detection", 2, True)
            if not key.startswith("slow"):
                share += f"; both {number(row, 'all_found')}"
            cells.append(f"{share}; {number(row, 'nrmse_each')} \\| {number(row, 'nrmse_transient')}")
        body.append([scenario.title, *cells])
    return markdown(["scenario", *(titled(name) for name in tables)], body)
