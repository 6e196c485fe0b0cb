"""Run methods over the frozen scenes; what was measured is kept scene by scene, so that a run can be resumed."""

from __future__ import annotations

import functools
import hashlib
import logging
import time as clock
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd

from slipbench import methods as catalogue
from slipbench.baselines.registry import Method
from slipbench.frozen import CHUNK, Row, chunks, load_scene, parse, rows_of, spread
from slipbench.measures import measure
from slipbench.plan import NULL, SkillPlan
from slipscan.atomic import written_beside
from slipscan.outputs import OWN

log = logging.getLogger(__name__)

BACKGROUNDS: Final = {"known": True, "unknown": False}
"""Rate and season taken out beforehand, or left for the method."""


def measure_methods(
    plan: SkillPlan,
    manifest: pd.DataFrame,
    methods: Sequence[Method],
    share: float,
    directory: Path,
    workers: int,
    backgrounds: Sequence[str] = tuple(BACKGROUNDS),
) -> None:
    """Measure methods on their share of the scenes, as far as that is not done yet.

    Parameters
    ----------
    plan, manifest
        the benchmark
    methods
        to run
    share
        of the scenes; slow methods run on the plan's `slow_share` of that. Shares are nested: the scenes of a
        smaller one are among those of a larger one
    directory
        where rows are kept, under the method's name and version
    workers
        processes
    backgrounds
        'known', 'unknown' or both
    """
    waiting: dict[str, list[tuple[str, str]]] = {}
    for method in methods:
        done = rows_of_method(directory, method)
        finished = set(zip(done["id"], done["background"], strict=True))
        for scene_id in selected(manifest, share_of(method, plan, share), plan.null_share)["id"]:
            for background in backgrounds:
                if (scene_id, background) not in finished:
                    waiting.setdefault(scene_id, []).append((background, method.called or method.name))
    order = [(row, tuple(waiting[row.id])) for row in rows_of(_interleaved(manifest)) if row.id in waiting]
    start, count = clock.monotonic(), 0
    for part in spread(functools.partial(_work, directory=directory), chunks(order, CHUNK), plan, workers):
        count += part
        log.info("%d of %d scenes, %.0f s", count, len(order), clock.monotonic() - start)


def rows_of_method(directory: Path, method: Method) -> pd.DataFrame:
    """What was measured so far: one row a scene and background."""
    parts = [pd.read_parquet(path) for path in sorted(_folder(directory, method).glob("*.parquet"))]
    if not parts:
        return pd.DataFrame({name: pd.Series(dtype=str) for name in ("id", "background")})
    return pd.concat(parts, ignore_index=True).drop_duplicates(["id", "background"])


def share_of(method: Method, plan: SkillPlan, share: float) -> float:
    """The share of the scenes that a method runs on."""
    return share * (plan.slow_share if method.speed == "slow" else 1.0)


def selected(manifest: pd.DataFrame, share: float, null_share: float = 0.0) -> pd.DataFrame:
    """Every n-th scene of each kind, by number; of those without an event `null_share` at least."""
    step, null_step = (max(1, round(1 / part)) for part in (share, max(share, null_share)))

    def is_wanted(scene_id: str) -> bool:
        key = parse(scene_id)
        return key.index % (null_step if key.kind == NULL else step) == 0

    return manifest[manifest["id"].map(is_wanted)]


def _interleaved(manifest: pd.DataFrame) -> pd.DataFrame:
    """Kinds and families mixed, so that a run that is cut short has seen some of each."""
    return manifest.assign(number=manifest["id"].map(lambda scene_id: parse(scene_id).index)).sort_values(
        ["number", "id"], kind="stable"
    )


def _folder(directory: Path, method: Method) -> Path:
    return Path(directory) / method.name / f"v{method.version}"


def _work(tasks: Sequence[tuple[Row, tuple[tuple[str, str], ...]]], plan: SkillPlan, directory: Path) -> int:
    """Measure the (background, method) pairs beside each scene of a chunk, and write their rows, a file a method."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row, pairs in tasks:
        scene = load_scene(row, plan)
        observations = {background: scene.observation(BACKGROUNDS[background]) for background, _ in pairs}
        for background, called in pairs:
            start = clock.process_time()
            estimate = catalogue.answer(catalogue.find(called), scene, observations[background])
            took = 1e3 * (clock.process_time() - start)
            measures = measure(scene, estimate)
            found.setdefault(called, []).append({"id": row.id, "background": background, "ms": took, **measures})
    for called, measured in found.items():
        table = pd.DataFrame(measured)
        label = hashlib.sha256("".join(table["id"] + table["background"]).encode()).hexdigest()[:16]
        with written_beside(_folder(directory, catalogue.find(called)) / f"{label}.parquet", OWN) as beside:
            table.to_parquet(beside, index=False)
    return len(tasks)
