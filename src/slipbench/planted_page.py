"""The page of planted archives: what a catalogue holds of them, against the aims."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from slipbench.intervals import snr50, wilson, with_interval
from slipbench.measures import MAX_T50_ERROR_D
from slipbench.page_tables import markdown
from slipbench.planted import DURATION_D, EVENTS, SNR
from slipbench.planted_faults import DIP_OFF_DEG, LONGER, OFF_M, RAKE_OFF_DEG
from slipbench.planted_run import DETECTION, run_archives
from slipbench.score import MAX_DISTANCE_KM, distance_km
from slipscan.atomic import write_text
from slipscan.catalogue.grades import MIN_P_REAL
from slipscan.outputs import check_outputs, text_kind
from slipscan.source.classify import FAMILY_OF

PAGE: Final = text_kind("a page of slipbench", "# slipbench: planted archives")
SNR_BINS: Final = ((4.0, 8.0), (8.0, 15.0), (15.0, 41.0))
CLEAR: Final = 0.3
"""Of magnitude above the local Mc90, where the type of a source is judged."""
MATCHED: Final = 5.0
"""Signal-to-noise ratio from which a matched filter is said to find what it knows (docs/science.md, section 9)."""
Row = dict[str, Any]


def measure_planted(
    archives: int, plan: Path, rows: Path, workers: int, page: Path | None, mapped: bool = False
) -> str:
    """Run what has not been run, write the page if asked, and give its text (see `planted_run.run_archives`)."""
    check_outputs([(page, PAGE)] if page is not None else [], [plan])
    command = f"slipscan bench planted --archives {archives} --rows {rows}" + (f" --page {page}" if page else "")
    command += " --mapped" if mapped else ""
    text = page_of(run_archives(archives, plan, rows, workers, mapped), command)
    if page is not None:
        write_text(page, text, PAGE)
    return text


def page_of(rows: Sequence[Row], command: str) -> str:
    """The page of rows of `planted_run`."""
    count = Counter(str(row["family"]) for row in rows)
    families = ", ".join(f"{name}: {number}" for name, number in sorted(count.items()))
    seconds = {name: sum(row["seconds"][name] for row in rows) / len(rows) for name in rows[0]["seconds"]}
    return "\n\n".join([
        "# slipbench: planted archives",
        f"Written by `{command}`: {len(rows)} archives ({families}). An archive: two tracks of 64 x 64 km from opposite"
        f" sides, eight years of 12 d with gaps, rate and season unknown, the noise of a family of its own in each, and"
        f" {EVENTS} events: slip at the surface and blind in all mechanisms, volumes, {DURATION_D[0]:g} to"
        f" {DURATION_D[1]:g} d, with a matched-filter signal-to-noise ratio of {SNR[0]:g} to {SNR[1]:g} in the track"
        " that sees more (source, history and noise known; beside rate and season). They go through noise, calibrate"
        f" (nulls: {DETECTION.nulls}), detect (scan, {_map_of(rows)}), source and completeness. Found: |t50 error| <="
        " 24 d and 15 km from the source, or half its length. Brackets: 90 % Wilson intervals.",
        "## Against the aims",
        aims(rows),
        "## By signal-to-noise ratio",
        _by_snr(rows),
        "## By family",
        _by_family(rows),
        f"Rows are of the code that measured them: {_versions(rows)}.",
        "Seconds of one core an archive: " + ", ".join(f"{name} {value:.0f}" for name, value in seconds.items()) + ".",
    ]) + "\n"  # fmt: skip


def _map_of(rows: Sequence[Row]) -> str:
    """Whether there was a map of faults."""
    if not all(row.get("mapped", False) for row in rows):
        return "no map of faults"
    return (
        f"and along mapped faults: the lines of what slips at the surface, {OFF_M:g} m off (one sigma), {LONGER:g}"
        f" times as long, dip and rake told within {DIP_OFF_DEG:g} and {RAKE_OFF_DEG:g} degrees, and as many that rest"
    )


def _versions(rows: Sequence[Row]) -> str:
    """Versions of detect and source that rows are of."""
    return ", ".join(sorted({str(row["code"]) for row in rows}))


def _planted(rows: Sequence[Row], keep: Callable[[Row], bool] = lambda _: True) -> list[tuple[Row, Row | None]]:
    """Planted events, and what was found of each."""
    return [
        (one, row["events"][one["found"]] if one["found"] else None)
        for row in rows
        for one in row["planted"]
        if keep(one)
    ]


def _is_published(event: Row | None) -> bool:
    return event is not None and (event["p_real"] or 0.0) >= MIN_P_REAL


def _above(margin: float) -> Callable[[Row], bool]:
    return lambda one: one["mc_local"] is not None and one["size_mw"] >= one["mc_local"] + margin


def _false(rows: Sequence[Row], published: bool) -> tuple[int, int]:
    """Number of rows that are no planted event, and of all rows."""
    chosen = [
        (name in row["others"]) for row in rows for name, event in row["events"].items()
        if not published or _is_published(event)
    ]  # fmt: skip
    return sum(chosen), len(chosen)


def _misdated(rows: Sequence[Row], published: bool) -> tuple[int, int]:
    """Number of rows at the place and in the course of a planted event that is not found, and of false ones."""
    false = [
        (row, event) for row in rows for name, event in row["events"].items()
        if name in row["others"] and (not published or _is_published(event))
    ]  # fmt: skip
    late = [any(_is_of(event, one) for one in row["planted"] if not one["found"]) for row, event in false]
    return sum(late), len(late)


def _is_of(event: Row, one: Row) -> bool:
    """Whether an event lies at the place of a planted one, and its middle in the course of that."""
    early, late = _days(event["t50"], one["t05"]), _days(one["t95"], event["t50"])
    reach = max(MAX_DISTANCE_KM, (one["length_km"] or 0.0) / 2)
    return min(early, late) >= -MAX_T50_ERROR_D and distance_km(event, one) <= reach


def aims(rows: Sequence[Row]) -> str:
    """Table of what was measured beside what must be and what is aimed at."""
    above, found = _planted(rows, _above(0.0)), [(t, e) for t, e in _planted(rows) if e is not None]
    slip = [(t, e) for t, e in found if t["type"] == "slow_slip" and e["mw"] is not None]
    clear = [(t, e) for t, e in _planted(rows, _above(CLEAR)) if e is not None]
    lengths = [(abs(_length(e) - _length(t)), _length(t)) for t, e in found]
    body = [
        *_completeness(rows),
        ["recall above the local Mc90", "85 %", "95 %", share([e is not None for _, e in above])],
        ["the same, published", "", "", share([_is_published(e) for _, e in above])],
        ["rows of the published view that are no planted event", "10 %", "5 %", _of(*_false(rows, True))],
        ["of these, a planted event at another date", "", "", _of(*_misdated(rows, True))],
        ["rows that are no planted event, of all", "", "", _of(*_false(rows, False))],
        ["of these, a planted event at another date", "", "", _of(*_misdated(rows, False))],
        ["transients that are no event: stated", "", "", f"{sum(row['stated'] for row in rows):.1f}"],
        ["t50 error, median", "12 d", "6 d", _median([abs(_days(e["t50"], t["t50"])) for t, e in found], "d")],
        ["duration within 18 d or 15 %", "half", "", share([off <= max(18.0, 0.15 * own) for off, own in lengths])],
        ["duration error, median", "", "", _median([off for off, _ in lengths], "d")],
        *(
            [f"{name} in its 68 % interval", "58-78 %", "64-72 %", share(
                [abs(_days(e[name], t[name])) <= (e[f"{name}_err_days"] or 0.0) for t, e in found])]
            for name in ("t05", "t50", "t95")
        ),
        *(
            [f"Mw error, median, {name}", must, aim,
             _median([abs(e["mw"] - t["mw"]) for t, e in slip if t["class"] == name], "", 2)]
            for name, must, aim in (("surface", "0.25", "0.15"), ("blind", "0.3", "0.2"))
        ),
        ["Mw less the truth, mean", "", "", f"{np.mean([e['mw'] - t['mw'] for t, e in slip]):+.2f}" if slip else "-"],
        ["depth error of blind slip, median", "35 %", "20 %",
         _median([100 * abs(e["depth_km"] / t["depth_km"] - 1) for t, e in slip if t["class"] == "blind"], "%")],
        *(
            [f"{name} in its 68 % interval", "58-78 %", "64-72 %", share(
                [e[f"{name}_16"] <= t[name] <= e[f"{name}_84"] for t, e in slip if e[f"{name}_16"] is not None])]
            for name in ("mw", "depth_km")
        ),
        [f"type right, balanced, Mw > Mc90 + {CLEAR:g}", "85 %", "95 %", _balanced(clear)],
        ["the same, of all found", "", "", _balanced(found)],
        ["called residue, of all found", "", "", share([e["type"] == "residue" for _, e in found])],
    ]  # fmt: skip
    return markdown(["", "must", "aim", "measured"], body)


def _completeness(rows: Sequence[Row]) -> list[list[str]]:
    """Magnitude at which 90 % are found over that of a matched filter that knows all and both tracks (SNR 5)."""
    lines = []
    for name, kinds in (("blind slip and volumes", ("blind", "volume")), ("slip at the surface", ("surface",))):
        own = [(t, e) for t, e in _planted(rows) if _kind(t) in kinds]
        snr = np.array([math.hypot(*t["snr"]) for t, _ in own])
        found = np.array([e is not None for _, e in own], float)
        row = with_interval("snr90", partial(snr50, share=0.9), np.log(snr), found)
        low, value, high = (2 / 3 * np.log10(row[f"snr90{end}"] / MATCHED) for end in ("_low", "", "_high"))
        text = f"{value:+.2f} [{low:+.2f}, {high:+.2f}] ({len(own)})" if np.isfinite(value) else "-"
        lines.append([f"Mc90 over the matched filter's own, {name}", "+0.4", "+0.25", text])
    return lines


def real_and_sure(rows: Sequence[Row]) -> list[tuple[float, bool]]:
    """`p_real` of every row of the catalogues, and whether a planted event was there, at its date or another one."""
    out = []
    for row in rows:
        for name, event in row["events"].items():
            real = name not in row["others"] or any(_is_of(event, one) for one in row["planted"] if not one["found"])
            out.append((float(event["p_real"] or 0.0), real))
    return out


def _balanced(found: Sequence[tuple[Row, Row]]) -> str:
    """Mean over the two types of the share that is right."""
    shares, counts = [], []
    for name in ("slip", "volumetric"):
        own = [_family(e) == name for t, e in found if _family(t) == name]
        if own:
            shares.append(float(np.mean(own)))
            counts.append(f"{name} {sum(own)} of {len(own)}")
    return f"{100 * np.mean(shares):.0f} % ({', '.join(counts)})" if shares else "-"


def _family(one: Row) -> str:
    return FAMILY_OF.get(one["type"]) or str(one["type"])


def _by_snr(rows: Sequence[Row]) -> str:
    kinds = ("surface", "blind", "volume")
    body = []
    for low, high in SNR_BINS:
        cells = [f"{low:g}-{min(high, SNR[1]):g}"]
        for kind in kinds:
            own = [(t, e) for t, e in _planted(rows) if low <= max(t["snr"]) < high and _kind(t) == kind]
            seen = sum(e is not None for _, e in own)
            cells.append(f"{seen} of {len(own)}, {sum(_is_published(e) for _, e in own)} published")
        body.append(cells)
    return markdown(["SNR", *kinds], body)


def _kind(one: Row) -> str:
    return one["class"] if one["class"] in ("surface", "blind") else "volume"


def _by_family(rows: Sequence[Row]) -> str:
    body = []
    for name in sorted({row["family"] for row in rows}):
        own = [row for row in rows if row["family"] == name]
        false, every = _false(own, False)
        body.append([
            name, str(len(own)), share([e is not None for _, e in _planted(own, _above(0.0))]),
            f"{sum(e is not None for _, e in _planted(own))} of {len(_planted(own))}",
            f"{false} of {every}", _of(*_false(own, True)), f"{sum(row['stated'] for row in own):.1f}",
        ])  # fmt: skip
    head = [
        "family", "archives", "recall above Mc90", "found, all", "rows that are no event", "published", "stated",
    ]  # fmt: skip
    return markdown(head, body)


def _length(times: Row) -> float:
    return _days(times["t95"], times["t05"])


def _days(one: str, other: str) -> float:
    return float((np.datetime64(one[:10]) - np.datetime64(other[:10])) / np.timedelta64(1, "D"))


def _median(values: Sequence[float], unit: str, digits: int = 0) -> str:
    return f"{np.median(values):.{digits}f} {unit}".strip() + f" ({len(values)})" if values else "-"


def share(values: Sequence[bool]) -> str:
    """Share that is true, with its 90 % interval."""
    return _of(sum(values), len(values))


def _of(count: int, total: int) -> str:
    """A share with its Wilson interval."""
    if not total:
        return "-"
    low, high = wilson(count, total)
    return f"{100 * count / total:.0f} % ({count} of {total}) [{100 * low:.0f}, {100 * high:.0f}]"
