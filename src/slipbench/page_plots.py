"""Plots of the benchmark's page."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from slipbench import methods as catalogue
from slipbench.page_tables import pick
from slipbench.plan import SkillPlan
from slipbench.summary import ALL, RELIEF_BANDS
from slipscan.atomic import written_beside
from slipscan.png import PNG_AUTHOR, png_kind

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BIN_EDGES: Final = (2.0, 4.0, 8.0, 16.0, 32.0, 50.0)
DPI = 110
PLOT = png_kind("a plot of slipbench", DPI)


def detection(joined: dict[str, pd.DataFrame], plan: SkillPlan, out: Path) -> None:
    """Share found against SNR, a panel per background."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    import matplotlib.pyplot as plt

    count = len(plan.backgrounds)
    figure, grid = plt.subplots(
        1, count, figsize=(2 + 5 * count, 4.6), sharey=True, squeeze=False, layout="constrained"
    )
    axes = grid[0]
    edges = np.array(BIN_EDGES)
    centres = np.sqrt(edges[1:] * edges[:-1])
    for axis, background in zip(axes, plan.backgrounds, strict=True):
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
    axes[-1].legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    save(figure, out)


def relief(tables: dict[str, pd.DataFrame], out: Path) -> None:
    """SNR50 in bands of the correlation with relief."""
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(8, 4.2), layout="constrained")
    for number, (name, table) in enumerate(tables.items()):
        rows = [pick(table, ALL, "unknown", f"relief {low:g}-{high:g}") for low, high in RELIEF_BANDS]
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
    save(figure, out)


def _colour(name: str) -> str:
    """The same colour for a method in every plot."""
    palette = ("C0", "C1", "C2", "C3", "C4", "C5", "C6", "C7", "C8", "C9", "navy", "crimson", "black")
    return palette[catalogue.order(name) % len(palette)]


def save(figure: Figure, out: Path) -> None:
    """Write a figure as PNG under its name at once."""
    import matplotlib.pyplot as plt

    with written_beside(out, PLOT) as beside:
        figure.savefig(beside, dpi=DPI, format="png", metadata={"Software": PNG_AUTHOR})
    plt.close("all")
