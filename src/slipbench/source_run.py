"""Run the source stage on its frozen scenes, with one track and with two; a run goes on where it was left."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from slipbench.plan import Family, SkillPlan
from slipbench.source_scenes import FAMILIES, SPLITS, TUNED_ON, SourceKey, SourceScene, draw_source_scene
from slipscan.errors import SlipscanError
from slipscan.outputs import check_outputs
from slipscan.settings import SourceSettings
from slipscan.source.change import blocks_of
from slipscan.source.explain import FAMILIES as KINDS_OF
from slipscan.source.explain import explain_data, family_quantiles, fitted, representative
from slipscan.source.maps import track_maps
from slipscan.source.place import area_of, place_of


def keys_of(scenes: int) -> list[SourceKey]:
    """Scenes of the test, family after family for every number, then those that the stage was developed with."""
    families: tuple[Family, ...] = FAMILIES
    test = [SourceKey(SPLITS[1], family, i) for i in range(scenes) for family in families]
    return test + [SourceKey(SPLITS[0], TUNED_ON, i) for i in range(scenes)]


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of earlier runs; a line that a killed run left torn is dropped."""
    out = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            out.append(json.loads(line))
        except ValueError:
            continue
    return out


def run_scenes(keys: Iterable[SourceKey], plan: SkillPlan, rows: Path, workers: int) -> list[dict[str, Any]]:
    """Measure scenes that have no row yet, and give all rows of these scenes."""
    wanted = {key.id: key for key in keys}
    done = {row["id"] for row in read_rows(rows)}
    missing = [key for name, key in wanted.items() if name not in done]
    rows.parent.mkdir(parents=True, exist_ok=True)
    work = partial(measure, plan=plan)
    torn = rows.exists() and not rows.read_bytes().endswith(b"\n")
    with rows.open("a") as file:
        if torn:
            file.write("\n")
        if workers == 1:
            for key in missing:
                _keep(file, work(key))
        elif missing:
            from slipbench.frozen import one_thread

            with ProcessPoolExecutor(workers, initializer=one_thread) as pool:
                for found in pool.map(work, missing):
                    _keep(file, found)
    return [row for row in read_rows(rows) if row["id"] in wanted]


def _keep(file: Any, found: list[dict[str, Any]]) -> None:
    file.write("".join(json.dumps(row, sort_keys=True) + "\n" for row in found))
    file.flush()


def measure(key: SourceKey, plan: SkillPlan) -> list[dict[str, Any]]:
    """Rows of a scene: by the track that sees more, and by both."""
    scene = draw_source_scene(key, plan)
    return [measured(scene, count, SourceSettings()) for count in (1, 2)]


def measured(scene: SourceScene, count: int, settings: SourceSettings) -> dict[str, Any]:
    """What the source stage says of a scene that `count` tracks saw."""
    began = time.process_time()
    tracks = [track_maps(dataset, number) for number, dataset in enumerate(scene.tracks[:count])]
    members = [member for track in tracks for member in track.transients]
    _, origin, area = area_of(members)
    blocks = blocks_of(tracks, members, origin, settings.max_points, [None] * len(tracks))
    if not blocks:
        raise SlipscanError(f"scene {scene.key.id} has no data: the definition of the scenes is broken")
    explained = explain_data(list(blocks.values()), area, settings)
    quantiles, places = {}, {}
    for family in KINDS_OF:
        kind = explained.best_kind(family)
        posterior = explained.posteriors[kind]
        row = representative(posterior)
        places[family] = {
            **place_of(posterior, row, origin), **fitted(explained, kind), "kind": kind,
            "level": float(np.sqrt(posterior.chi_square[row] / explained.data.degrees)),
        }  # fmt: skip
        quantiles[family] = family_quantiles(explained, family)
    first = members[0]
    return {
        "id": scene.key.id, "split": scene.key.split, "family": scene.key.family, "tracks": count,
        "seconds": round(time.process_time() - began, 3), "truth": _plain(scene.truth), "evidence": explained.evidence,
        "quantiles": quantiles, "places": places, "quakes": scene.quakes,
        "t05": str(first.t05), "t50": str(first.t50), "t95": str(first.t95),
        "ongoing": bool(scene.tracks[0]["ongoing"].item()),
        "epochs": [str(t)[:10] for t in scene.tracks[0].time.values],
        "energy": explained.data.energy / explained.data.degrees,
    }  # fmt: skip


def _plain(truth: dict[str, Any]) -> dict[str, Any]:
    """JSON knows no NaN: what a truth has not is left out."""
    return {name: value for name, value in truth.items() if value == value}


def measure_source(
    scenes: int, plan: Path, rows: Path, page: Path | None, workers: int, measured_only: bool, command: str
) -> str:
    """Run what has not been run, write the page and give its text.

    Parameters
    ----------
    scenes
        of each noise family, and of those that the stage was developed with
    plan
        definition of the set whose noise the scenes have
    rows, page
        where measures are kept, and the page goes; None: source.md beside the rows
    workers
        processes
    measured_only
        only what is there
    command
        as it was given, for the page
    """
    from slipbench.plan import read_plan
    from slipbench.source_page import PAGE, write_page

    out = page or rows.with_name("source.md")
    check_outputs([(out, PAGE)])
    keys = keys_of(scenes)
    if measured_only:
        wanted = {key.id for key in keys}
        found = [row for row in read_rows(rows) if row["id"] in wanted]
    else:
        found = run_scenes(keys, read_plan(plan), rows, workers)
    if not found:
        raise SlipscanError(f"there are no measured scenes in {rows}: run without --measured-only")
    return write_page(found, out, command)
