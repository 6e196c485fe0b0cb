"""`slipscan plan`: the plan as a table for a page, and as a figure."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from slipscan.atomic import written_beside
from slipscan.configuration import read_settings
from slipscan.errors import SlipscanError
from slipscan.fleet import plan as plans
from slipscan.fleet.plan import Machines, Plan
from slipscan.fleet.rates import Rates
from slipscan.models import validate
from slipscan.outputs import check_outputs
from slipscan.png import png_kind
from slipscan.regions import read_regions, select
from slipscan.report.style import DPI, new_figure, to_png
from slipscan.texts import read_yaml


def describe(
    config: Path | None, regions_file: Path | None, rates_file: Path | None, machines: Machines, figure: Path | None,
    run: Path | None,
) -> str:  # fmt: skip
    """Cost the regions of a configuration and say it as Markdown.

    Parameters
    ----------
    run
        results of a run of the same regions: what it took stands beside; no cluster's starts are counted then

    Raises
    ------
    SlipscanError
        what the files refuse, or a run without its benchmark tables
    """
    settings = read_settings(config)
    table = read_regions(regions_file or Path(settings.regions_file))
    chosen = list(select(table, settings.regions if regions_file is None else None, settings.shard).values())
    rates = validate(Rates, read_yaml(rates_file, "file of rates") or {}, str(rates_file)) if rates_file else Rates()
    made = plans.plan(chosen, settings, rates, machines, cluster=run is None)
    beside = None if run is None else plans.measured(run)
    if beside is not None and beside.empty:
        raise SlipscanError(f"{run} has no tables in benchmarks/: give the results directory of a run")
    if figure is not None:
        write_figure(made, figure)
    return text(made, machines, beside)


def text(plan: Plan, machines: Machines, beside: pd.Series | None) -> str:
    """The plan as Markdown."""
    head = ["stage", "jobs", "CPU h", "GPU h"] + ([] if beside is None else ["measured CPU h"])
    lines = [_row(head), _row(["---"] * len(head))]
    for _, stage, jobs, cpu, gpu in plan.stages.itertuples():
        lines.append(_row([stage, f"{jobs:,}", _hours(cpu), _hours(gpu), *_measured(stage, beside)]))
    total = plan.stages[["cpu_h", "gpu_h"]].sum()
    jobs = f"{plan.stages['jobs'].sum():,}"
    whole = [] if beside is None else [_hours(float(beside.sum()))]
    lines.append(_row(["all", jobs, _hours(total["cpu_h"]), _hours(total["gpu_h"]), *whole]))
    hours = ", ".join(f"{name} {_hours(value)} h" for name, value in plan.hours.items())
    return "\n".join([
        *lines, "",
        f"{plan.granules:,} granules, {plan.download_gb:,.1f} GB to fetch; {plan.disk_gb:,.1f} GB of stores.",
        f"On {machines.nodes} nodes of {machines.cores} cores, {machines.gpus} GPUs, {machines.streams} downloads at"
        f" once: {_hours(plan.wall_h)} h. What binds is {plan.binds} ({hours}).",
        f"{plan.money:,.2f} units of money (cores, GPUs, a month of the disk).",
    ])  # fmt: skip


def _measured(stage: str, beside: pd.Series | None) -> list[str]:
    return [] if beside is None else [_hours(float(beside.get(stage, 0.0)))]


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _hours(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def write_figure(plan: Plan, out: Path) -> None:
    """Bars of processor and GPU hours a stage, and of what may bind."""
    kind = png_kind("a figure of slipscan", DPI)
    check_outputs([(out, kind)])
    with new_figure(9.0, 3.6) as drawn:
        _draw(plan, drawn)
        data = to_png(drawn)
    with written_beside(out, kind) as beside:
        beside.write_bytes(data)


def _draw(plan: Plan, drawn: Figure) -> None:
    stages, hours = drawn.subplots(1, 2)
    stages.barh(plan.stages["stage"], plan.stages["cpu_h"], label="CPU")
    stages.barh(plan.stages["stage"], plan.stages["gpu_h"], left=plan.stages["cpu_h"], label="GPU")
    stages.set_xlabel("hours of a core, of a GPU")
    stages.invert_yaxis()
    stages.legend()
    hours.barh(list(plan.hours), list(plan.hours.values()), color="0.5")
    hours.set_xlabel("wall time if it alone bound, hours")
    hours.invert_yaxis()
