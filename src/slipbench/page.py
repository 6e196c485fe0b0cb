"""The benchmark's page: every method side by side, as measured, with plots."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from slipbench import methods as catalogue
from slipbench.plan import SkillPlan
from slipbench.scenarios import SCENARIOS
from slipbench.summary import ALL, RELIEF_BANDS
from slipscan.atomic import write_text, written_beside
from slipscan.outputs import Kind, text_kind
from slipscan.png import PNG_AUTHOR, png_kind

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BIN_EDGES: Final = (2.0, 4.0, 8.0, 16.0, 32.0, 50.0)
FAMILY_TITLES: Final = {
    "A": "A (like training)",
    "B": "B (von Karman, stretched 3-5 times)",
    "C": "C (spectrum of real rasters)",
    "D": "D (red in time)",
}


PAGE = text_kind("a page of slipbench", "# slipbench: skill of every method")
DPI = 110
PLOT = png_kind("a plot of slipbench", DPI)


def outputs(page: Path) -> list[tuple[Path, Kind]]:
    """The files of the page: itself, and its plots, which are named after it."""
    return [(page, PAGE), *((page.with_name(f"{page.stem}_{name}.png"), PLOT) for name in ("detection", "relief"))]


def write(
    tables: dict[str, pd.DataFrame], joined: dict[str, pd.DataFrame], plan: SkillPlan, page: Path, command: str
) -> None:
    """Write the page (Markdown) and its plots beside it.

    Parameters
    ----------
    tables
        per method, from `summary.summarise`
    joined
        per method, rows with the manifest's columns and 'found'
    plan
        the benchmark
    page
        the .md file; plots are named after it
    command
        what made it
    """
    (_, _), (detection, _), (relief, _) = outputs(page)
    _plot_detection(joined, detection)
    _plot_relief(tables, relief)
    parts = [
        "# slipbench: skill of every method",
        f"Written by `{command}`. Version {plan.version} of the benchmark; its scenes are frozen in"
        " `benchmarks/skill/scenes.csv`. Every figure is as measured. Not every method ran on every scene: the column"
        " events tells on how many, always every n-th by number, so the sets are nested. Brackets hold 5-95 % bootstrap"
        " intervals.",
        _explanation(plan),
        "## Rate and season unknown (as in real data)",
        _main_table(tables, "unknown"),
        "## Rate and season known (taken out beforehand)",
        _main_table(tables, "known"),
        "## SNR50 by class, all families",
        "Rate and season known | unknown.",
        _class_table(tables, plan),
        "## SNR50, NRMSE and false alarms by noise family",
        "All classes. Training scenes have spectra like those of A, and strengths of a wider range. The weights"
        " rouet-leduc-2021 saw 4,008 earlier scenes, with Hanssen's exponents only and no anisotropy.",
        "Rate and season unknown:",
        _family_table(tables, plan, "unknown"),
        "Rate and season known:",
        _family_table(tables, plan, "known"),
        f"![Detection against SNR]({detection.name})",
        "## Skill against |corr(source, height)|",
        "SNR50 and median NRMSE in bands of the correlation of source and relief, rate and season unknown.",
        _relief_table(tables),
        f"![Detection of events that look like the relief]({relief.name})",
        "## Named scenarios",
        "Share of the realisations found, all families, rate and season unknown; of the last three (distractors) the"
        " share that raises an alarm.",
        _scenario_table(tables),
        "## Where the methods come from",
        _methods_table(tables),
    ]
    write_text(page, "\n\n".join(parts) + "\n", PAGE)


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


def _pick(table: pd.DataFrame, family: str, background: str, kind: str) -> pd.Series:
    rows = table[(table["family"] == family) & (table["background"] == background) & (table["kind"] == kind)]
    return rows.iloc[0] if len(rows) else pd.Series(dtype=object)


def _number(row: pd.Series, name: str, digits: int = 2, interval: bool = False) -> str:
    value = row.get(name, math.nan)
    text = _plain(value, digits)
    low, high = row.get(f"{name}_low", math.nan), row.get(f"{name}_high", math.nan)
    if interval and not (math.isnan(low) or math.isnan(high)):
        text += f" [{_plain(low, digits)}, {_plain(high, digits)}]"
    return text


def _plain(value: float, digits: int) -> str:
    if value is None or math.isnan(value):
        return "-"
    return "never" if math.isinf(value) else f"{value:.{digits}f}"


def _markdown(head: list[str], body: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _title(name: str) -> str:
    return f"*{name}* (bound)" if catalogue.of_table(name).is_bound else name


def _main_table(tables: dict[str, pd.DataFrame], background: str) -> str:
    head = [
        "method", "events", "SNR50", "found at SNR 8-12", "NRMSE", "NRMSE 15-30", "NRMSE, constant out", "slope",
        "correlation", "RMSE mm", "t50 error d", "false alarms", "null RMS mm", "ms/scene",
    ]  # fmt: skip
    body = []
    for name, table in tables.items():
        row = _pick(table, ALL, background, ALL)
        if row.empty:
            continue
        body.append(
            [
                _title(name), str(int(row["events"])), _number(row, "snr50", 1, True), _number(row, "detection"),
                _number(row, "nrmse", 2, True), _number(row, "nrmse_15_30"), _number(row, "nrmse_constant"),
                _number(row, "slope"), _number(row, "correlation"), _number(row, "rmse_mm", 1),
                _number(row, "t50_error_d", 0), _number(row, "false_alarms", 3), _number(row, "null_rms_mm"),
                _number(row, "ms", 0),
            ]
        )  # fmt: skip
    return _markdown(head, body)


def _class_table(tables: dict[str, pd.DataFrame], plan: SkillPlan) -> str:
    body = []
    for name, table in tables.items():
        cells = []
        for kind in plan.classes:
            known, unknown = (_number(_pick(table, ALL, b, kind), "snr50", 1) for b in ("known", "unknown"))
            cells.append(f"{known} \\| {unknown}")
        body.append([_title(name), *cells])
    return _markdown(["method", *plan.classes], body)


def _family_table(tables: dict[str, pd.DataFrame], plan: SkillPlan, background: str) -> str:
    head = ["method"]
    for family in plan.families:
        head += [f"SNR50 {FAMILY_TITLES[family]}", f"NRMSE {family}", f"false alarms {family}"]
    body = []
    for name, table in tables.items():
        cells = []
        for family in plan.families:
            row = _pick(table, family, background, ALL)
            cells += [_number(row, "snr50", 1, True), _number(row, "nrmse"), _number(row, "false_alarms", 3)]
        body.append([_title(name), *cells])
    return _markdown(head, body)


def _relief_table(tables: dict[str, pd.DataFrame]) -> str:
    bands = [f"relief {low:g}-{high:g}" for low, high in RELIEF_BANDS]
    head = ["method", *(f"{name} {band.removeprefix('relief ')}" for band in bands for name in ("SNR50", "NRMSE"))]
    body = []
    for name, table in tables.items():
        cells = []
        for band in bands:
            row = _pick(table, ALL, "unknown", band)
            cells += [_number(row, "snr50", 1, True), _number(row, "nrmse")]
        body.append([_title(name), *cells])
    return _markdown(head, body)


def _scenario_table(tables: dict[str, pd.DataFrame]) -> str:
    first = next(iter(tables.values()))
    names = list(tables)
    body = []
    for key, scenario in SCENARIOS.items():
        snr = _number(_pick(first, ALL, "unknown", key), "snr", 0)
        cells = [_number(_pick(tables[name], ALL, "unknown", key), "detection") for name in names]
        body.append([scenario.title, "-" if scenario.distractor else snr, *cells])
    return _markdown(["scenario", "median SNR", *(_title(name) for name in names)], body)


def _methods_table(tables: dict[str, pd.DataFrame]) -> str:
    return _markdown(["method", "from"], [[_title(name), catalogue.of_table(name).reference] for name in tables])


def _plot_detection(joined: dict[str, pd.DataFrame], out: Path) -> None:
    """Share found against SNR, a panel per background."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(12, 4.6), sharey=True, layout="constrained")
    edges = np.array(BIN_EDGES)
    centres = np.sqrt(edges[1:] * edges[:-1])
    for axis, background in zip(axes, ("known", "unknown"), strict=True):
        for name, table in joined.items():
            part = table[(table["background"] == background) & (table["snr"] > 0) & table["is_class"]]
            bins = np.digitize(part["snr"], edges) - 1
            share = [part["found"][bins == i].mean() if (bins == i).any() else np.nan for i in range(len(centres))]
            bound = catalogue.of_table(name).is_bound
            style = {"color": "k", "ls": "--"} if bound else {"color": _colour(name), "marker": "o"}
            axis.plot(centres, share, ms=4, lw=1.6, label=name, **style)
        axis.set(xscale="log", xlabel="matched-filter SNR", title=f"rate and season {background}", ylim=(-0.02, 1.02))
        axis.minorticks_off()
        axis.set_xticks(BIN_EDGES, [f"{edge:g}" for edge in BIN_EDGES])
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("found at 1 % false alarms per tile")
    axes[1].legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    _save(figure, out)


def _plot_relief(tables: dict[str, pd.DataFrame], out: Path) -> None:
    """SNR50 in bands of the correlation with relief."""
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(8, 4.2), layout="constrained")
    for number, (name, table) in enumerate(tables.items()):
        rows = [_pick(table, ALL, "unknown", f"relief {low:g}-{high:g}") for low, high in RELIEF_BANDS]
        values, low, high = (
            np.array([row.get(name, math.nan) for row in rows], float) for name in ("snr50", "snr50_low", "snr50_high")
        )
        values[~np.isfinite(values)] = np.nan  # never found: no point
        if np.isnan(values).all():
            continue
        place = np.arange(len(rows)) + 0.04 * (number - len(tables) / 2)
        reach = np.array([values - np.minimum(low, values), np.where(np.isinf(high), values, high) - values])
        axis.errorbar(place, values, np.nan_to_num(reach), fmt="o-", ms=4, capsize=2, label=name, color=_colour(name))
    axis.set_xticks(range(len(RELIEF_BANDS)), [f"{low:g} to {high:g}" for low, high in RELIEF_BANDS])
    axis.set(yscale="log", xlabel="|corr(source, height)|", ylabel="SNR50, rate and season unknown")
    axis.grid(alpha=0.3)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    _save(figure, out)


def _colour(name: str) -> str:
    """The same colour for a method in every plot."""
    palette = ("C0", "C1", "C2", "C3", "C4", "C5", "C6", "C7", "C8", "C9", "navy", "crimson", "black")
    return palette[catalogue.order(name) % len(palette)]


def _save(figure: Figure, out: Path) -> None:
    import matplotlib.pyplot as plt

    with written_beside(out, PLOT) as beside:
        figure.savefig(beside, dpi=DPI, format="png", metadata={"Software": PNG_AUTHOR})
    plt.close("all")
