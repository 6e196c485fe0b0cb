"""The benchmark's page: every method side by side, as measured, with plots; a section a set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from slipbench import page_long, page_plots, page_short
from slipbench.page_tables import Tables, methods_table
from slipbench.plan import SkillPlan
from slipscan.atomic import write_text
from slipscan.outputs import Kind, text_kind

PAGE = text_kind("a page of slipbench", "# slipbench: skill of every method")


@dataclass(frozen=True)
class Measured:
    """What was measured of a set.

    Attributes
    ----------
    plan
        the set
    tables
        per method, from `summary.summarise`
    judged
        per method, rows with the manifest's columns and 'found'
    """

    plan: SkillPlan
    tables: Tables
    judged: dict[str, pd.DataFrame]


def outputs(page: Path, plans: Sequence[SkillPlan]) -> list[tuple[Path, Kind]]:
    """The files of the page: itself, and its plots, which are named after it."""
    return [(page, PAGE), *((path, page_plots.PLOT) for plan in plans for path in _plots(page, plan))]


def _plots(page: Path, plan: SkillPlan) -> list[Path]:
    names = ("detection", "relief") if plan.name == "short" else (plan.name,)
    return [page.with_name(f"{page.stem}_{name}.png") for name in names]


def write(measured: Sequence[Measured], page: Path, command: str, goals: str = "") -> None:
    """Write the page (Markdown) and its plots beside it; `command` is what made it, `goals` a section to begin with."""
    parts = [
        "# slipbench: skill of every method",
        f"Written by `{command}`. The scenes are frozen in `benchmarks/skill`. Every figure is as measured. Not every"
        " method ran on every scene: the column events tells on how many, always every n-th by number, so the sets are"
        " nested. Brackets hold 5-95 % bootstrap intervals.",
    ]
    parts += [goals.strip()] if goals else []
    known: Tables = {}
    for part in measured:
        paths = _plots(page, part.plan)
        page_plots.detection(part.judged, part.plan, paths[0])
        if part.plan.name == "short":
            page_plots.relief(part.tables, paths[1])
        section = page_short.section if part.plan.name == "short" else page_long.section
        parts += section(part.tables, part.plan, [path.name for path in paths])
        known |= part.tables
    parts += ["## Where the methods come from", methods_table(known)]
    write_text(page, "\n\n".join(parts) + "\n", PAGE)
