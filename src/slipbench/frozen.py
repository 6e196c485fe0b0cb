"""The manifest of slipbench: every scene with its size and a checksum, so that all compare the same data."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_args

import numpy as np
import pandas as pd

from slipbench.plan import NULL, Family, SkillPlan
from slipbench.scenarios import SCENARIOS, draw_scenario, scenario_keys
from slipbench.scenes import Key, Scene, draw, stratified_keys
from slipbench.sequences import SEQUENCES, draw_sequence
from slipbench.snr import kept_snr, unit_snr
from slipscan.atomic import written_beside
from slipscan.errors import SlipscanError
from slipscan.field import Observation
from slipscan.noise.estimate import measure
from slipscan.noise.stage import dataset_of
from slipscan.outputs import check_outputs, csv_kind
from slipscan.texts import read_text

COLUMNS = ("id", "snr", "kept", "peak_m", "relief_correlation", "rms_mm", "sha256")
KIND = csv_kind("a manifest of scenes", *COLUMNS)
ROUNDING = 1e-4
"""Largest relative difference of the RMS of a scene that another processor may make."""
CHUNK = 50
"""Scenes that a process works on at a time."""
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Row(NamedTuple):
    """A scene of the manifest: what is needed to draw it, and to check it."""

    id: str
    peak_m: tuple[float, ...]
    rms_mm: float
    sha256: str


def rows_of(table: pd.DataFrame) -> list[Row]:
    """The scenes of a manifest, or of a part of it, in its order."""
    return [Row(*values) for values in table[list(Row._fields)].itertuples(index=False, name=None)]


def parse(scene_id: str) -> Key:
    """The key of an id."""
    *plan, split, family, kind, index = scene_id.split("/")
    families: tuple[Family, ...] = get_args(Family)
    return Key(split, families[families.index(family)], kind, int(index), *plan)


def load_scene(row: Row, plan: SkillPlan) -> Scene:
    """A scene of the manifest."""
    key = parse(row.id)
    if key.kind in SEQUENCES:
        return draw_sequence(key, plan, row.peak_m)[0]
    if key.kind in SCENARIOS:
        return draw_scenario(key, plan)
    return draw(key, plan, None if key.kind == NULL else row.peak_m[0])[0]


def with_noise(observation: Observation) -> Observation:
    """With its noise product, as the workflow has it."""
    return dataclasses.replace(observation, noise=dataset_of(measure(observation), observation.time))


def fingerprint(scene: Scene) -> tuple[float, str]:
    """RMS of the displacement (mm), and the first 16 hex digits of the SHA-256 of dates, displacement and heights."""
    observation = scene.observation(background_known=False)
    digest = hashlib.sha256()
    for part in (observation.time, observation.values, observation.height):
        digest.update(np.ascontiguousarray(part).tobytes())
    rms = math.sqrt(float(np.nanmean(observation.values.astype(float) ** 2)))
    return round(1e3 * rms, 6), digest.hexdigest()[:16]


def freeze(plan: SkillPlan, out: Path, workers: int) -> int:
    """Draw every scene, set the size of its event, and write the manifest; returns the number of scenes."""
    check_outputs([(out, KIND)])
    keys = stratified_keys(plan) + scenario_keys(plan)
    rows = [row for part in spread(_describe, chunks(keys, CHUNK), plan, workers) for row in part]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    with written_beside(out, KIND) as beside:
        table.to_csv(beside, index=False)
    return len(table)


def read_manifest(path: Path, plan: SkillPlan) -> pd.DataFrame:
    """Read a manifest and check that it belongs to the plan; raises SlipscanError."""
    text = read_text(path, "manifest", "slipscan bench freeze writes one")
    try:
        # Python's float gives back every bit of what was written; the CSV reader's own need not.
        table = pd.read_csv(io.StringIO(text), converters={"peak_m": lambda text: tuple(map(float, text.split()))})
    except ValueError as error:
        raise SlipscanError(f"the manifest {path} is no CSV of scenes ({error}): restore it") from error
    expected = [key.id for key in stratified_keys(plan) + scenario_keys(plan)]
    if tuple(table.columns) != COLUMNS or list(table["id"]) != expected:
        raise SlipscanError(
            f"the manifest {path} holds other scenes than the benchmark's definition: it is frozen; restore both"
        )
    return table


def verify(plan: SkillPlan, manifest: Path, share: float, workers: int) -> tuple[int, list[str], list[str]]:
    """Draw a share of the scenes again.

    Returns
    -------
    count, rounded, differing
        how many were drawn; ids of those that differ in rounding only (another kind of processor takes other
        last digits of exponentials and cosines: nanometres), and of those that hold something else
    """
    table = read_manifest(manifest, plan)
    rows = rows_of(table.iloc[:: max(1, round(1 / share))])
    found = [pair for part in spread(_differing, chunks(rows, CHUNK), plan, workers) for pair in part]
    return len(rows), [name for name, same in found if same], [name for name, same in found if not same]


def _describe(keys: Sequence[Key], plan: SkillPlan) -> list[dict[str, Any]]:
    rows = []
    for key in keys:
        scene, peaks, snr = _drawn(key, plan)
        rms, digest = fingerprint(scene)
        rows.append(
            {
                "id": key.id, "snr": round(snr, 4), "kept": round(kept_snr(scene), 4),
                "peak_m": " ".join(map(repr, peaks)),
                "relief_correlation": round(scene.relief_correlation, 4), "rms_mm": rms, "sha256": digest,
            }
        )  # fmt: skip
    return rows


def _drawn(key: Key, plan: SkillPlan) -> tuple[Scene, list[float], float]:
    """A scene as everyone will draw it, the sizes of its events, and their least SNR."""
    if key.kind in SEQUENCES:
        scene, factors, each = draw_sequence(key, plan)
        return scene, factors, min(each)
    if key.kind in SCENARIOS:
        scene = draw_scenario(key, plan)
        snr = unit_snr(scene, plan) * scene.amplitude
    else:
        scene, snr = draw(key, plan)
    peaks = [float(np.abs(scene.template).max())] if scene.amplitude else []
    if key.kind not in (NULL, *SCENARIOS):
        scene, _ = draw(key, plan, peaks[0])
    return scene, peaks, snr


def _differing(rows: Sequence[Row], plan: SkillPlan) -> list[tuple[str, bool]]:
    """Ids of scenes with another checksum, and whether their RMS is the same."""
    out = []
    for row in rows:
        rms, digest = fingerprint(load_scene(row, plan))
        if digest != row.sha256:
            out.append((row.id, abs(rms - row.rms_mm) <= ROUNDING * row.rms_mm))
    return out


def chunks(items: Sequence[_Item], size: int) -> list[Sequence[_Item]]:
    """Consecutive parts of a sequence."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def spread(
    work: Callable[[Sequence[_Item], SkillPlan], _Result],
    parts: Sequence[Sequence[_Item]],
    plan: SkillPlan,
    workers: int,
) -> Iterator[_Result]:
    """Run `work(part, plan)` over processes, in order of the parts."""
    if workers == 1:
        yield from (work(part, plan) for part in parts)
        return
    with ProcessPoolExecutor(workers, initializer=one_thread) as pool:
        yield from pool.map(work, parts, [plan] * len(parts))


def one_thread() -> None:
    """Torch on one thread: the processes share the cores."""
    import torch

    torch.set_num_threads(1)
