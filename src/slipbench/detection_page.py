"""The page of detection: the aims, receiver operating characteristics, how sure the catalogue is."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from slipbench.intervals import snr50, with_interval
from slipbench.page_plots import save
from slipbench.page_tables import markdown, plain
from slipbench.plan import SkillPlan
from slipbench.planted_page import aims, real_and_sure, share

SNR_BINS: Final = ((2.0, 8.0), (8.0, 15.0), (15.0, 50.0))
"""Of the matched filter that knows the source and estimates the background beside it."""
RATES: Final = (0.02, 0.05, 0.2)
"""False alarms a scene at which recall is stated."""
SURE_BINS: Final = (0.0, 0.5, 0.9, 0.99, 1.0)
NOT_PLANTED: Final = (
    "Recall, errors of times, magnitude and depth, their coverage and types in archives of two tracks: planted.md"
    " (give `--planted` with its rows to have them here)."
)
Tables = Mapping[str, pd.DataFrame]
"""Per detector a row a scene: role ('validation', 'null', 'event'), snr, score, hit, overlap, t50_error_d."""


def page_of(plan: SkillPlan, tables: Tables, planted: Sequence[dict[str, Any]], command: str, plot: Path | None) -> str:
    """The page as Markdown; `planted` are rows of `planted_run`, `plot` the figure that it shows."""
    first = next(iter(tables.values()))
    count = {role: int((first["role"] == role).sum()) for role in ("event", "null", "validation")}
    parts = [
        "# slipbench: detection",
        f"Written by `{command}`.",
        "## Against the aims",
        *(_planted(planted) if planted else [NOT_PLANTED]),
        "## One event a scene",
        f"{count['event']} scenes with one event and {count['null'] + count['validation']} without one of the set"
        f" `{plan.name}`, tiles of {plan.pixels * plan.pixel_m / 1e3:.0f} km beside unknown rate and season, with the"
        f" noise of each measured. The threshold is the strongest that a detector says of {count['validation']} scenes"
        " without an event; the others test it. Medians are of the events that were found. SNR: of the matched filter"
        " that knows source, history and noise, beside rate and season.",
        markdown(_HEAD, [_line(name, table) for name, table in tables.items()]),
        "Recall at so many false alarms a scene, by the scores of all scenes without an event, and the signal-to-noise"
        " ratio from which nine of ten are found at 0.05 (5 and 95 % of resampled scenes):",
        markdown(
            ["detector", *(f"recall at {rate:g}" for rate in RATES), "SNR90", "area under the curve"],
            [_roc_line(name, table) for name, table in tables.items()],
        ),
    ]
    if plot is not None:
        _draw(tables, planted, plot)
        parts.append(
            f"![share of events found against false alarms a scene, and how sure the catalogue is]({plot.name})"
        )
    return "\n\n".join(parts) + "\n"


def _planted(rows: Sequence[dict[str, Any]]) -> list[str]:
    return [
        f"{len(rows)} planted archives of two tracks and eight years ([planted.md](planted.md) says what they are;"
        " brackets: 90 % intervals):",
        aims(rows),
        "How sure the catalogue is: `p_real` of its rows against the share of them that are a planted event.",
        markdown(
            ["stated p_real", "rows", "mean stated", "real"],
            [
                [f"{low:g} to {high:g}", str(len(own)), _percent([p for p, _ in own]), share([real for _, real in own])]
                for low, high, own in _bins(rows)
            ],
        ),
    ]


def _bins(rows: Sequence[dict[str, Any]]) -> list[tuple[float, float, list[tuple[float, bool]]]]:
    """Stated probability and truth of the catalogues' rows, by stated probability."""
    stated = real_and_sure(rows)
    return [
        (low, high, [r for r in stated if low <= r[0] < high or high == r[0] == 1.0])
        for low, high in itertools.pairwise(SURE_BINS)
    ]


def _percent(values: Sequence[float]) -> str:
    return f"{100 * np.mean(values):.0f} %" if values else "-"


_HEAD: Final = [
    "detector", "threshold", "false alarms in the other scenes", *(f"found, SNR {a:g}-{b:g}" for a, b in SNR_BINS),
    "right place and time, of those", "IoU of footprints", "t50 error d",
]  # fmt: skip


def _line(name: str, table: pd.DataFrame) -> list[str]:
    threshold = float(table.loc[table["role"] == "validation", "score"].max())
    null, event = (table[table["role"] == role] for role in ("null", "event"))
    found = event[event["score"] > threshold]
    recalls = []
    for low, high in SNR_BINS:
        inside = event[(event["snr"] >= low) & (event["snr"] < high)]
        recalls.append(f"{int((inside['score'] > threshold).sum())} of {len(inside)}")
    hits = f"{int(found['hit'].sum())} of {len(found)}" if len(found) else "-"
    return [
        name, plain(threshold, 1), f"{int((null['score'] > threshold).sum())} of {len(null)}", *recalls, hits,
        plain(float(found["overlap"].median()) if len(found) else np.nan, 2),
        plain(float(found["t50_error_d"].abs().median()) if len(found) else np.nan, 0),
    ]  # fmt: skip


def _curve(table: pd.DataFrame, low: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """False alarms a scene and share of events of `low` SNR and more that are found, as the threshold falls."""
    quiet = np.sort(table.loc[table["role"] != "event", "score"].to_numpy(float))[::-1]
    event = table.loc[(table["role"] == "event") & (table["snr"] >= low), "score"].to_numpy(float)
    rate = np.arange(len(quiet) + 1) / max(len(quiet), 1)
    # Above the strongest of no event, then above the next, and in the end above nothing.
    level = np.concatenate([quiet, [-np.inf]])
    return rate, np.array([np.mean(event > one) if len(event) else math.nan for one in level])


def _threshold(table: pd.DataFrame, rate: float) -> float:
    """Score that so many scenes without an event exceed."""
    quiet = np.sort(table.loc[table["role"] != "event", "score"].to_numpy(float))[::-1]
    return float(quiet[min(int(rate * len(quiet)), len(quiet) - 1)])


def _roc_line(name: str, table: pd.DataFrame) -> list[str]:
    event = table[table["role"] == "event"]
    recalls = [share(list(event["score"] > _threshold(table, rate))) for rate in RATES]
    found = np.asarray(event["score"] > _threshold(table, 0.05), np.float64)
    row = with_interval("snr90", partial(snr50, share=0.9), np.log(event["snr"].to_numpy(float)), found)
    middle, low, high = (plain(row[f"snr90{end}"], 0) for end in ("", "_low", "_high"))
    quiet = table.loc[table["role"] != "event", "score"].to_numpy(float)
    order = event["score"].to_numpy(float)[:, None] - quiet
    area = float(np.mean((order > 0) + 0.5 * (order == 0)))
    return [name, *recalls, f"{middle} [{low}, {high}]" if middle != "-" else "-", plain(area, 2)]


def _draw(tables: Tables, planted: Sequence[dict[str, Any]], out: Path) -> None:
    """Receiver operating characteristics, and the reliability of p_real where planted archives tell it."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2 if planted else 1, figsize=(9.5 if planted else 5, 4.2), layout="constrained")
    left = axes[0] if planted else axes
    for colour, (name, table) in zip(("C0", "C1", "C2"), tables.items(), strict=False):
        for low, style in ((8.0, "-"), (0.0, "--")):
            rate, recall = _curve(table, low)
            left.step(
                rate, recall, style, color=colour, where="post", label=f"{name}, SNR {'8 and more' if low else 'all'}"
            )
    left.set(
        xlabel="false alarms a scene", ylabel="share of events found", xlim=(0, 1), ylim=(0, 1.02),
        title="one event a scene",
    )  # fmt: skip
    left.grid(alpha=0.3)
    left.legend(fontsize=8, loc="lower right")
    if planted:
        right, bins = axes[1], [one for one in _bins(planted) if one[2]]
        stated = [np.mean([p for p, _ in own]) for *_, own in bins]
        real = [np.mean([real for _, real in own]) for *_, own in bins]
        right.plot([0, 1], [0, 1], "k:", lw=1)
        right.plot(stated, real, "o-")
        for x, y, (*_, own) in zip(stated, real, bins, strict=True):
            right.annotate(str(len(own)), (x, y), textcoords="offset points", xytext=(-12, -12), fontsize=8)
        right.set(xlabel="p_real stated", ylabel="share that is real", title="rows of planted archives", ylim=(0, 1.05))
        right.grid(alpha=0.3)
    save(figure, out)
