"""Run methods on family R, and the table of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from slipbench import methods as catalogue
from slipbench.baselines.registry import Method
from slipbench.estimate import Estimate
from slipbench.measures import MAX_T50_ERROR_D, MIN_OVERLAP, measure
from slipbench.page_tables import markdown, plain, titled
from slipbench.real import DURATION_D, KINDS, KNOTS_D, PEAK_MM, plant, read_noise
from slipbench.scenes import Scene
from slipbench.snr import whole_snr
from slipbench.summary_long import RIGHT_HISTORY
from slipscan.atomic import write_text
from slipscan.outputs import check_outputs, text_kind

PAGE = text_kind("a page of slipbench", "# slipbench: synthetic events in real noise")


def measure_real(data: Path, names: str, events: int, page: Path | None) -> str:
    """Measure methods on family R, write the page if asked, and return it as text.

    Raises
    ------
    SlipscanError
        no such series or method
    """
    check_outputs([(page, PAGE)] if page is not None else [], [data])
    chosen = catalogue.chosen(names)
    noises = {line: read_noise(data, line) for line in (None, *KNOTS_D)}
    parts = _head(noises[None], f"slipscan bench real --data cum.h5 --method {names} --events {events}")
    for line, quiet in noises.items():
        parts += [_heading(line), *_section(chosen, quiet, events)]
    text = "\n\n".join(parts) + "\n"
    if page is not None:
        write_text(page, text, PAGE)
    return text


def _section(chosen: Sequence[Method], quiet: Scene, events: int) -> list[str]:
    """Tables of events planted in one noise, and of nothing planted."""
    planted = [(kind, plant(quiet, kind, index)) for kind in KINDS for index in range(events)]
    snr = [whole_snr(scene) for _, scene in planted]
    silent = {method.name: _answer(method, quiet) for method in chosen if not method.is_bound}
    rows = pd.DataFrame(
        {"method": method.name, "kind": kind, "snr": size, **_measured(method, scene, silent.get(method.name))}
        for method in chosen
        for (kind, scene), size in zip(planted, snr, strict=True)
    )
    head = [
        "method", "kind", "events", "SNR", "NRMSE of the map", "NRMSE of the transient",
        "the same, less what is said without the event", "right history",
        "right place and time", "t50 error d",
    ]  # fmt: skip
    body = [_line(str(name), str(kind), part) for (name, kind), part in rows.groupby(["method", "kind"], sort=False)]
    nothing = [_line_of_nothing(name, measure(quiet, answer)) for name, answer in silent.items()]
    spread = _spread_of_nothing([scene for _, scene in planted])
    return [
        "The matched filter's output for events that are not there has a standard deviation of"
        f" {spread:.2f}, which is 1 where the law of the noise is right.",
        markdown(head, body),
        "Nothing planted:",
        markdown(["method", "RMS of the map mm", "largest range of a pixel mm", "score"], nothing),
    ]


def _answer(method: Method, scene: Scene) -> Estimate:
    return catalogue.answer(method, scene, scene.observation(background_known=False))


def _measured(method: Method, scene: Scene, silent: Estimate | None) -> dict[str, float]:
    """Measures of an answer, and 'nrmse_beside': of what it says more than without the event (`silent`)."""
    answer = _answer(method, scene)
    found = measure(scene, answer)
    if silent is None:
        return found | {"nrmse_beside": found["nrmse_transient"]}
    more = replace(answer, map=answer.map - silent.map, transient=answer.transient - silent.transient)
    return found | {"nrmse_beside": measure(scene, more)["nrmse_transient"]}


def _spread_of_nothing(planted: Sequence[Scene]) -> float:
    """Standard deviation about 0 of the matched filter's output for events that are not there: 1 if all is right."""
    scores = []
    for scene in planted:
        nothing = replace(scene, amplitude=0.0)
        seen = nothing.observation(background_known=False)
        scores.append(catalogue.answer(catalogue.METHODS["oracle"], nothing, seen).score)
    return float(np.sqrt(np.mean(np.square(scores))))


def _head(quiet: Scene, command: str) -> list[str]:
    days, valid = quiet.geometry.days, quiet.valid
    return [
        "# slipbench: synthetic events in real noise",
        f"Written by `{command}`. Erta Ale (docs/real_series.md; the data are not part of this repository):"
        f" {len(days)} epochs from June 2018 on, {valid.shape[0]} x {valid.shape[1]} pixels of"
        f" {quiet.geometry.frame.pixel_m:.0f} m, those within 5 km of the vent left out. Events of"
        f" {PEAK_MM[0]:g} to {PEAK_MM[1]:g} mm in {DURATION_D[0]:g} to {DURATION_D[1]:g} d, more than 7 km from the"
        " vent, in the inner four fifths of the series. Median [range].",
        "The volcano moves beyond those 5 km, too (docs/real_series.md). What is said of that is no error of a"
        " method, but counts as one below, in all columns but 'less what is said without the event'; and the law of"
        " the noise takes it for noise. So the same events are planted, too, where slow motion has been taken out of"
        " every pixel by a piecewise linear fit (least squares, beside the season). Noise that is as slow is gone with"
        " it; which fit it is matters. Rate and season stay.",
        "SNR: of the matched filter beside offset, rate and season, ramp and height, in the noise's spectrum"
        " (constant on ellipses) and covariance in time (each epoch's variance, and a random walk of the share that is"
        " most likely), both estimated of the series without an event. right history: correlation with the true course"
        f" of {RIGHT_HISTORY} or more, both beside rate and season. right place and time: footprints overlap (IoU >"
        f" {MIN_OVERLAP}), and |t50 error| is at most {MAX_T50_ERROR_D:g} d or a quarter of the duration.",
    ]


def _heading(line: str | None) -> str:
    if line is None:
        return "## All that the series holds"
    more = " and ".join(f"{day:g}" for day in KNOTS_D[line][1])
    return f"## Less a piecewise linear fit, a knot every {line}" + (f" and at {more} d" if more else "")


def _line(name: str, kind: str, part: pd.DataFrame) -> list[str]:
    count = len(part)
    return [
        titled(name), kind, str(count), _spread(part["snr"], 0), _spread(part["nrmse"]),
        _spread(part["nrmse_transient"]), _spread(part["nrmse_beside"]),
        f"{int((part['history'] >= RIGHT_HISTORY).sum())} of {count}",
        f"{int(part['hit'].sum())} of {count}", plain(float(part["t50_error_d"].abs().median()), 0),
    ]  # fmt: skip


def _spread(values: Any, digits: int = 2) -> str:
    return f"{values.median():.{digits}f} [{values.min():.{digits}f}, {values.max():.{digits}f}]"


def _line_of_nothing(name: str, row: dict[str, float]) -> list[str]:
    return [titled(name), plain(row["rms_mm"], 2), plain(row["peak_mm"], 1), plain(row["score"], 1)]
