"""Detection as the stages do it, on frozen scenes: the field's detector and the classical scan side by side."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from slipbench import methods
from slipbench.frozen import Row, chunks, load_scene, read_manifest, rows_of, spread, with_noise
from slipbench.measures import measure
from slipbench.page_tables import markdown, plain
from slipbench.plan import NULL, SkillPlan, manifest_of, read_plan
from slipscan.atomic import write_text
from slipscan.errors import SlipscanError
from slipscan.outputs import check_outputs, text_kind

PAGE = text_kind("a page of slipbench", "# slipbench: detection")
DETECTORS: Final = {"field": "detect_field", "scan (classical)": "detect_scan"}
SNR_BINS: Final = ((2.0, 8.0), (8.0, 15.0), (15.0, 50.0))
"""Of the matched filter that knows the source and estimates the background beside it."""
ELSEWHERE: Final = (
    "Recall, errors of times, magnitude and depth, their coverage and types in archives of two tracks: planted.md. Not"
    " measured: Mc90 over the matched filter's."
)


def measure_detection(path: Path, events: int, nulls: int, workers: int, page: Path | None) -> str:
    """Run both detectors on a share of a set, write the page if asked, and return it as text.

    Parameters
    ----------
    path
        definition of the set
    events, nulls
        scenes with one event, and without one: of these as many set the threshold, and as many others test it

    Raises
    ------
    SlipscanError
        the set holds fewer scenes
    """
    check_outputs([(page, PAGE)] if page is not None else [], [path])
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
    text = _page(plan, tables, command + (f" --page {page}" if page else ""))
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


def _page(plan: SkillPlan, tables: dict[str, pd.DataFrame], command: str) -> str:
    head = [
        "detector", "threshold", "false alarms in the other scenes", *(f"found, SNR {a:g}-{b:g}" for a, b in SNR_BINS),
        "right place and time, of those", "IoU of footprints", "t50 error d",
    ]  # fmt: skip
    first = next(iter(tables.values()))
    count = {role: int((first["role"] == role).sum()) for role in ("event", "null")}
    return "\n\n".join([
        "# slipbench: detection",
        f"Written by `{command}`: {count['event']} scenes with one event and {count['null']} without one of the set"
        f" `{plan.name}`, beside unknown rate and season, with the noise of each measured. The threshold is the"
        f" strongest that a detector says of {count['null']} other scenes without an event, so one false alarm in so"
        f" many tiles of {plan.pixels * plan.pixel_m / 1e3:.0f} km is to be expected. Medians are of the events that"
        " were found.",
        markdown(head, [_line(name, table) for name, table in tables.items()]),
        ELSEWHERE,
    ]) + "\n"  # fmt: skip


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
