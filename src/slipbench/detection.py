"""Detection as the stages do it, on frozen scenes: the field's detector and the classical scan side by side."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from slipbench import methods
from slipbench.detection_page import page_of
from slipbench.frozen import Row, chunks, load_scene, read_manifest, rows_of, spread, with_noise
from slipbench.measures import measure
from slipbench.page_plots import PLOT
from slipbench.plan import NULL, SkillPlan, manifest_of, read_plan
from slipbench.source_run import read_rows
from slipscan.atomic import write_text
from slipscan.errors import SlipscanError
from slipscan.outputs import check_outputs, text_kind

PAGE = text_kind("a page of slipbench", "# slipbench: detection")
DETECTORS: Final = {"field": "detect_field", "scan (classical)": "detect_scan"}


def measure_detection(
    path: Path, events: int, nulls: int, workers: int, page: Path | None, planted: Path | None = None
) -> str:
    """Run both detectors on a share of a set, write the page if asked, and return it as text.

    Parameters
    ----------
    path
        definition of the set
    events, nulls
        scenes with one event, and without one: of these as many set the threshold, and as many others test it
    page
        its figure lies beside it, under its name
    planted
        rows of `slipscan bench planted`, for the table of the aims

    Raises
    ------
    SlipscanError
        the set holds fewer scenes
    """
    plot = page.with_suffix(".png") if page is not None else None
    outputs = [(page, PAGE), (plot, PLOT)] if page is not None and plot is not None else []
    check_outputs(outputs, [path] if planted is None else [path, planted])
    plan = read_plan(path)
    manifest = read_manifest(manifest_of(path, plan), plan)
    manifest["split"], manifest["kind"] = zip(*(_parts(one) for one in manifest["id"]), strict=True)
    chosen = {
        "validation": _some(manifest[(manifest["split"] == "validation") & (manifest["kind"] == NULL)], nulls),
        "null": _some(manifest[(manifest["split"] == "test") & (manifest["kind"] == NULL)], nulls),
        "event": _some(manifest[manifest["kind"].isin(list(plan.classes))], events),
    }
    tables = {name: _measured(name, chosen, plan, workers) for name in DETECTORS}
    command = f"slipscan bench detect --plan {path} --events {events} --nulls {nulls}"
    command += (f" --planted {planted}" if planted else "") + (f" --page {page}" if page else "")
    text = page_of(plan, tables, [] if planted is None else read_rows(planted), command, plot)
    if page is not None:
        write_text(page, text, PAGE)
    return text


def _parts(scene_id: str) -> tuple[str, str]:
    """Split and kind of a scene."""
    parts = scene_id.split("/")
    return parts[-4], parts[-2]


def _some(table: pd.DataFrame, count: int) -> pd.DataFrame:
    """Scenes evenly taken from all families and kinds."""
    if len(table) < count:
        raise SlipscanError(f"the set holds {len(table)} scenes of a kind of which {count} are wanted: ask for fewer")
    return table.iloc[np.linspace(0, len(table) - 1, count).round().astype(int)]


def _measured(name: str, chosen: dict[str, pd.DataFrame], plan: SkillPlan, workers: int) -> pd.DataFrame:
    """Measures of every scene of one detector."""
    out = []
    for role, table in chosen.items():
        parts = spread(partial(_some_scenes, method=DETECTORS[name]), chunks(rows_of(table), 1), plan, workers)
        found = [row for part in parts for row in part]
        out += [{"role": role, "snr": snr, **row} for row, snr in zip(found, table["snr"], strict=True)]
    return pd.DataFrame(out)


def _some_scenes(rows: Sequence[Row], plan: SkillPlan, method: str) -> list[dict[str, Any]]:
    """What a detector says of some scenes, against the truth."""
    out = []
    for row in rows:
        scene = load_scene(row, plan)
        answer = methods.answer(methods.METHODS[method], scene, with_noise(scene.observation(background_known=False)))
        out.append(measure(scene, answer))
    return out
