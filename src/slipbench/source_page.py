"""The page of the source benchmark: errors, coverage, types and cost, as measured, family by family."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from slipbench.intervals import wilson
from slipbench.source_scenes import FAMILIES, SNR, SPLITS, TUNED_ON, TYPES
from slipscan.atomic import write_text
from slipscan.earthquakes import earthquakes_of
from slipscan.outputs import text_kind
from slipscan.settings import SourceSettings
from slipscan.source.classify import FAMILY_OF, History, most_likely, type_posterior
from slipscan.source.quakes import quake_facts

PAGE: Final = text_kind("a page of slipbench", "# slipbench: what made an event")
Row = dict[str, Any]

STRONG: Final = 30.0
"""SNR that stands for Mw > Mc90 + 0.3: 0.3 of magnitude is a factor of 2.8 above an SNR of about 11."""
FEW: Final = 5
BINS: Final = (0.0, 0.5, 0.7, 0.9, 0.97, 1.0)
COVERED: Final = {
    "slip": ("mw", "depth_km", "slip_mm", "length_km", "width_km", "dip_deg"),
    "volumetric": ("volume_change_m3", "depth_km"), "hydrological": ("volume_change_m3", "depth_km"),
}  # fmt: skip


def write_page(rows: Sequence[Row], page: Path, command: str) -> str:
    """Write the page (Markdown) of rows of `source_run`; gives its text."""
    test = [row for row in rows if row["split"] == SPLITS[1]]
    tuned = [row for row in rows if row["split"] == SPLITS[0]]
    scenes = len({row["id"] for row in test})
    counts = ", ".join(f"{family}: {_count(test, family)}" for family in FAMILIES)
    parts = [
        "# slipbench: what made an event",
        f"Written by `{command}`. {scenes} scenes of the test ({counts}), frozen by their ids"
        f" (`slipbench.source_scenes`). A scene: 64 x 64 km, 120 epochs of 12 d, rate and season"
        f" unknown, relief, one event of SNR {SNR[0]:g} to {SNR[1]:g} in the track with the higher one. The change map"
        " is a least-squares fit of a ramp whose t50 is off by 8 d and whose duration by 20 % (standard deviations, as"
        " the product tells), as detection's may be; the footprint is where the true displacement exceeds 0.35 of its"
        " peak, so that detection's own errors of place are in no figure here. The covariance of the noise is estimated"
        " from the map itself (no noise product)."
        " Brackets: 90 % bootstrap intervals, or Wilson's.",
        "## Against the aims",
        _aims(test),
        f"A dash stands for fewer than {FEW} scenes. {scenes} scenes{_classes(test)}: whether a must is met is shown"
        " only where its interval leaves no doubt.",
        "## By noise family",
        "Training and development know family A alone. Median |Mw error| of slip, coverage of the 68 % interval over"
        " all quantities, share of the types that are right.",
        _families(test),
        "## Coverage of the 68 % interval",
        _coverage(test),
        "## Types",
        f"Right type, of scenes of SNR {STRONG:g} or more; rows are the truth, columns the most probable type (two"
        " tracks).",
        _confusion([r for r in test if r["tracks"] == 2 and (r["truth"]["snr"] >= STRONG or _is_residue(r))]),
        "Reliability: how often the most probable type is right, by its stated probability; all scenes, one track and"
        " two:",
        _reliability(test),
    ]
    if tuned:
        parts += [
            "## Scenes that the stage was developed with",
            f"{len({row['id'] for row in tuned})} other scenes of family {TUNED_ON}; no figure above holds them.",
            _aims(tuned),
        ]
    text = "\n\n".join(parts) + "\n"
    write_text(page, text, PAGE)
    return text


def _classes(rows: Sequence[Row]) -> str:
    """How many of the scenes are of which family of sources."""
    kinds = [FAMILY_OF[row["truth"]["type"]] or "residue" for row in {row["id"]: row for row in rows}.values()]
    return "".join(f", {kinds.count(kind)} of {kind}" for kind in ("slip", "volumetric", "hydrological", "residue"))


def _count(rows: Sequence[Row], family: str) -> int:
    return len({row["id"] for row in rows if row["family"] == family})


def types_of(row: Row) -> dict[str, float]:
    """Probability of each type, of a row."""
    place, found = row["places"]["slip"], row["quantiles"]["slip"]
    t05, t95 = np.datetime64(row["t05"]), np.datetime64(row["t95"])
    facts = quake_facts(
        earthquakes_of(row["quakes"]), (t05, t95), [np.datetime64(e) for e in row["epochs"]],
        (place["longitude"], place["latitude"]), found["potency_m3"][1],
        SourceSettings().earthquake_distance_km + found["length_km"][1] / 2,
    )  # fmt: skip
    history = History(float((t95 - t05) / np.timedelta64(1, "D")), row["ongoing"])
    return type_posterior(row["evidence"], history, facts)


def _is_residue(row: Row) -> bool:
    return bool(row["truth"]["type"] == "residue")


def _right(row: Row) -> bool:
    return bool(most_likely(types_of(row)) == row["truth"]["type"])


def mw_error(row: Row) -> float:
    """|error| of the median of Mw."""
    return abs(row["quantiles"]["slip"]["mw"][1] - row["truth"]["mw"])


def depth_error(row: Row) -> float:
    """|error| of the median depth over the true one."""
    family = FAMILY_OF[row["truth"]["type"]] or "slip"
    true = row["truth"]["depth_km"]
    return float(abs(row["quantiles"][family]["depth_km"][1] - true) / true)


def covered(row: Row) -> dict[str, bool]:
    """Whether each quantity's truth lies between 16 and 84 % of its posterior, of the family that it was."""
    family = FAMILY_OF[row["truth"]["type"]]
    if family is None:
        return {}
    found = row["quantiles"][family]
    out = {}
    for name in COVERED[family]:
        if name in row["truth"] and name in found:
            out[name] = found[name][0] <= row["truth"][name] <= found[name][2]
    return out


def _slip(rows: Sequence[Row], kind: str | None = None) -> list[Row]:
    return [r for r in rows if "mw" in r["truth"] and kind in (None, r["truth"]["class"])]


def balanced_accuracy(rows: Sequence[Row]) -> tuple[float, int]:
    """Mean over the types of the share that is right, of scenes that are strong enough; and how many there are."""
    strong = [r for r in rows if r["truth"]["snr"] >= STRONG or _is_residue(r)]
    each = [[_right(r) for r in strong if r["truth"]["type"] == name] for name in TYPES]
    shares = [np.mean(found) for found in each if found]
    return (float(np.mean(shares)) if shares else math.nan), len(strong)


def _balanced(rows: Sequence[Row]) -> str:
    share, count = balanced_accuracy(rows)
    return f"{100 * share:.0f} % (n = {count})" if count else "-"


def _aims(rows: Sequence[Row]) -> str:
    """The skill table of the issue, by number of tracks."""
    lines = ["| | must | aim | one track | two tracks |", "|---|---|---|---|---|"]
    table: list[tuple[str, str, str, Callable[[list[Row]], str]]] = [
        ("Mw error, median, surface", "0.25", "0.15", lambda r: _median([mw_error(x) for x in _slip(r, "surface")], 2)),
        ("Mw error, median, blind", "0.3", "0.2", lambda r: _median([mw_error(x) for x in _slip(r, "blind")], 2)),
        (
            "depth error, median, blind", "35 %", "20 %",
            lambda r: _median([100 * depth_error(x) for x in _slip(r, "blind")], 0, " %"),
        ),
        ("posterior coverage of the 68 % interval", "58-78 %", "64-72 %", _all_covered),
        (
            f"source type, balanced accuracy, SNR >= {STRONG:g}", "75 / 85 %", "85 / 95 %",
            _balanced,
        ),
        ("processor time an event, median, s", "20 the demo", "", lambda r: _median([x["seconds"] for x in r], 1)),
    ]  # fmt: skip
    for name, must, aim, figure in table:
        each = [figure([r for r in rows if r["tracks"] == count]) for count in (1, 2)]
        lines.append(f"| {name} | {must} | {aim} | {each[0]} | {each[1]} |")
    return "\n".join(lines)


def _all_covered(rows: Sequence[Row]) -> str:
    return _share([inside for row in rows for inside in covered(row).values()])


def _families(rows: Sequence[Row]) -> str:
    lines = [
        "| family | tracks | scenes | Mw error | depth error | coverage | right type |",
        "|---|---|---|---|---|---|---|",
    ]
    for family in FAMILIES:
        for count in (1, 2):
            own = [r for r in rows if r["family"] == family and r["tracks"] == count]
            moved = [r for r in own if FAMILY_OF[r["truth"]["type"]]]
            lines.append(
                f"| {family} | {count} | {len(own)} | {_median([mw_error(r) for r in _slip(own)], 2)} |"
                f" {_median([100 * depth_error(r) for r in moved], 0, ' %')} | {_all_covered(own)} |"
                f" {_share([_right(r) for r in own])} |"
            )
    return "\n".join(lines)


def _coverage(rows: Sequence[Row]) -> str:
    lines = ["| family of sources | quantity | one track | two tracks |", "|---|---|---|---|"]
    for family, names in COVERED.items():
        for name in names:
            cells = []
            for count in (1, 2):
                own = [r for r in rows if r["tracks"] == count and FAMILY_OF[r["truth"]["type"]] == family]
                cells.append(_share([covered(r)[name] for r in own if name in covered(r)]))
            lines.append(f"| {family} | {name} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines)


def _confusion(rows: Sequence[Row]) -> str:
    names = list(TYPES)
    lines = ["| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for true in names:
        said = [most_likely(types_of(r)) for r in rows if r["truth"]["type"] == true]
        lines.append(f"| {true} | " + " | ".join(str(said.count(name)) for name in names) + " |")
    return "\n".join(lines)


def _reliability(rows: Sequence[Row]) -> str:
    stated = [(max(types_of(r).values()), _right(r)) for r in rows]
    lines = ["| stated probability of the type | scenes | mean stated | right |", "|---|---|---|---|"]
    for low, high in itertools.pairwise(BINS):
        own = [(p, right) for p, right in stated if low <= p < high or (high == 1.0 and p == 1.0)]
        mean = f"{100 * np.mean([p for p, _ in own]):.0f} %" if own else "-"
        lines.append(f"| {low:g} to {high:g} | {len(own)} | {mean} | {_share([right for _, right in own])} |")
    return "\n".join(lines)


def _median(values: Sequence[float], digits: int, unit: str = "") -> str:
    if len(values) < FEW:
        return f"- (n = {len(values)})"
    generator = np.random.default_rng(0)
    each = np.median(generator.choice(values, (500, len(values))), axis=1)
    low, high = np.quantile(each, (0.05, 0.95))
    return f"{np.median(values):.{digits}f}{unit} [{low:.{digits}f}, {high:.{digits}f}] (n = {len(values)})"


def _share(values: Sequence[bool]) -> str:
    n = len(values)
    if n == 0:
        return "-"
    low, high = wilson(sum(values), n)
    return f"{100 * np.mean(values):.0f} % [{100 * low:.0f}, {100 * high:.0f}] (n = {n})"
