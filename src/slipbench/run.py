"""Run methods on slipbench: rows, tables and the page."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from slipbench import methods, page, skill, summary
from slipbench.frozen import read_manifest
from slipbench.plan import read_plan
from slipscan.atomic import written_beside
from slipscan.errors import SlipscanError
from slipscan.outputs import check_outputs, csv_kind

PRINTED = ("snr50", "detection", "nrmse", "slope", "correlation", "t50_error_d", "false_alarms", "null_rms_mm", "ms")
TABLE = csv_kind("a table of slipbench", "family", "background", "kind", more=True)


def measure_skill(
    plan_path: Path,
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

    Raises
    ------
    SlipscanError
        no such benchmark or method, or nothing measured yet
    """
    plan = read_plan(plan_path)
    manifest = read_manifest(plan_path.with_name("scenes.csv"), plan)
    chosen = methods.chosen(names)
    backgrounds = tuple(skill.BACKGROUNDS) if background == "both" else (background,)
    written = [(out / f"{method.name}.csv", TABLE) for method in chosen]
    written += page.outputs(page_path) if page_path is not None else []
    check_outputs(written, [plan_path, plan_path.with_name("scenes.csv"), rows])
    if not measured_only:
        skill.measure_methods(plan, manifest, chosen, share, rows, workers, backgrounds)
    judged: dict[str, pd.DataFrame] = {}
    for method in chosen:
        wanted = skill.selected(manifest, skill.share_of(method, plan, share))["id"]
        measured = skill.rows_of_method(rows, method)
        measured = measured[measured["id"].isin(set(wanted)) & measured["background"].isin(backgrounds)]
        if len(measured):
            judged[method.name] = summary.judged(measured, manifest, plan)
    if not judged:
        raise SlipscanError(f"no method of {names!r} was measured in {rows} yet: run without --measured-only")
    tables = {name: summary.summarise(table, plan) for name, table in judged.items()}
    for name, table in tables.items():
        with written_beside(out / f"{name}.csv", TABLE) as beside:
            table.to_csv(beside, index=False, float_format="%.5g")
    if page_path is not None:
        command = f"slipscan bench skill --method {names} --share {share:g} --rows {rows} --page {page_path}"
        command += " --measured-only" if measured_only else ""
        page.write(tables, judged, plan, page_path, command)
    return "\n".join(_text(name, table) for name, table in tables.items())


def _text(name: str, table: pd.DataFrame) -> str:
    """A method's table over all families as text."""
    rows = table[table["family"] == summary.ALL]
    shown = rows[["background", "kind", "events", *PRINTED]]
    return f"{name}\n" + shown.to_string(index=False, float_format=lambda value: f"{value:.2f}", na_rep="-") + "\n"
