"""Run methods on slipbench: rows, tables and the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from slipbench import methods, page, skill, summary
from slipbench.baselines.registry import Method
from slipbench.frozen import read_manifest
from slipbench.plan import SkillPlan, manifest_of, read_plan
from slipscan.atomic import written_beside
from slipscan.errors import SlipscanError
from slipscan.outputs import check_outputs, csv_kind

PRINTED = ("snr50", "detection", "nrmse", "slope", "correlation", "t50_error_d", "false_alarms", "null_rms_mm", "ms")
PRINTED_LONG = ("found", "nrmse_15_30", "history", "t50_8_15", "t50_15_30", "null_peak_mm", "null_moved")
GOALS = "goals.md"
"""Beside a plan: the goals of the project and what was measured of each, whatever measured it."""
TABLE = csv_kind("a table of slipbench", "family", "background", "kind", more=True)


def measure_skill(
    plans: Sequence[Path],
    names: str,
    share: float,
    rows: Path,
    out: Path,
    page_path: Path | None,
    workers: int,
    background: str = "both",
    measured_only: bool = False,
) -> str:
    """Run methods, write one table each and, if asked, the page; returns the text to print.

    Tables of other sets than `short` lie in a folder of the set's name.

    Raises
    ------
    SlipscanError
        no such benchmark or method, or nothing measured yet
    """
    sets = [(path, read_plan(path)) for path in plans]
    chosen = methods.chosen(names)
    written = [(_table(out, plan, method.name), TABLE) for _, plan in sets for method in chosen]
    written += page.outputs(page_path, [plan for _, plan in sets]) if page_path is not None else []
    check_outputs(written, [*plans, *(manifest_of(path, plan) for path, plan in sets), rows])
    measured = []
    for path, plan in sets:
        manifest = read_manifest(manifest_of(path, plan), plan)
        backgrounds = [name for name in plan.backgrounds if background in ("both", name)]
        if not measured_only:
            skill.measure_methods(plan, manifest, chosen, share, rows, workers, backgrounds)
        judged = _judged(plan, manifest, chosen, share, rows, backgrounds)
        tables = {name: summary.summarise(table, plan) for name, table in judged.items()}
        for name, table in tables.items():
            with written_beside(_table(out, plan, name), TABLE) as beside:
                table.to_csv(beside, index=False, float_format="%.5g")
        if judged:
            measured.append(page.Measured(plan, tables, judged))
    if not measured:
        raise SlipscanError(f"no method of {names!r} was measured in {rows} yet: run without --measured-only")
    if page_path is not None:
        command = "slipscan bench skill " + "".join(f"--plan {path} " for path in plans)
        command += f"--method {names} --share {share:g} --rows {rows} --page {page_path}"
        command += " --measured-only" if measured_only else ""
        goals = [path.with_name(GOALS) for path in plans if path.with_name(GOALS).exists()]
        page.write(measured, page_path, command, goals[0].read_text(encoding="utf-8") if goals else "")
    return "\n".join(_text(part.plan, name, table) for part in measured for name, table in part.tables.items())


def _table(out: Path, plan: SkillPlan, name: str) -> Path:
    """The file of a method's table."""
    return (out if plan.name == "short" else out / plan.name) / f"{name}.csv"


def _judged(
    plan: SkillPlan,
    manifest: pd.DataFrame,
    chosen: Sequence[Method],
    share: float,
    rows: Path,
    backgrounds: Sequence[str],
) -> dict[str, pd.DataFrame]:
    """What was measured of the wanted scenes, by method."""
    out = {}
    for method in chosen:
        wanted = skill.selected(manifest, skill.share_of(method, plan, share), plan.null_share)["id"]
        measured = skill.rows_of_method(rows, method)
        measured = measured[measured["id"].isin(set(wanted)) & measured["background"].isin(backgrounds)]
        if len(measured):
            out[method.name] = summary.judged(measured, manifest, plan)
    return out


def _text(plan: SkillPlan, name: str, table: pd.DataFrame) -> str:
    """A method's table over all families as text."""
    rows = table[table["family"] == summary.ALL]
    shown = rows[["background", "kind", "events", *PRINTED, *(PRINTED_LONG if plan.name == "long" else ())]]
    return (
        f"{plan.name}: {name}\n"
        + shown.to_string(index=False, float_format=lambda value: f"{value:.2f}", na_rep="-")
        + "\n"
    )
