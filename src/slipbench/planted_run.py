"""Planted archives through the stages as the workflow runs them: noise, calibration, detection, sources, Mc90."""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import geopandas as gpd
import numpy as np
import pandas as pd

from slipbench.frozen import one_thread
from slipbench.plan import SkillPlan, read_plan
from slipbench.planted import REGION, Archive, PlantedKey, draw_archive
from slipbench.planted_faults import fault_map
from slipbench.score import score
from slipbench.source_run import read_rows
from slipbench.source_scenes import FAMILIES
from slipscan.completeness.product import local_mc
from slipscan.completeness.stage import completeness
from slipscan.detect.calibrate import calibrate_track
from slipscan.detect.stage import detect
from slipscan.detect.track import exposure_of, track_in
from slipscan.earthquakes import moment_magnitude
from slipscan.noise.stage import estimate_noise
from slipscan.settings import CompletenessSettings, DetectSettings, NoiseSettings, SourceSettings
from slipscan.source.maps import track_maps
from slipscan.source.stage import explain
from slipscan.versions import version_of

Row = dict[str, Any]

DETECTION: Final = DetectSettings(nulls=8)
GRID: Final = CompletenessSettings(
    places=1, depths_km=(2.0, 5.0, 12.0), durations_d=(30.0,), kinds=("strike_slip", "thrust", "normal", "volume")
)
KEPT: Final = (
    "t05", "t50", "t95", "t05_err_days", "t50_err_days", "t95_err_days", "type", "tracks", "p_real", "statistic", "mw",
    "mw_16", "mw_84", "depth_km", "depth_km_16", "depth_km_84", "longitude", "latitude", "false_alarms", "found_by",
)  # fmt: skip


def run_archives(archives: int, plan_path: Path, rows: Path, workers: int, mapped: bool = False) -> list[Row]:
    """Run the first archives, family after family, that have no row yet; rows of all of them.

    Parameters
    ----------
    archives
        how many
    plan_path
        definition of the set whose noise they have
    rows
        a line an archive: a run goes on there
    mapped
        with a map of faults that has those that slip at the surface, and as many others
    """
    plan = read_plan(plan_path)
    keys = [PlantedKey(FAMILIES[i % len(FAMILIES)], i // len(FAMILIES)) for i in range(archives)]
    done = {row["id"] for row in read_rows(rows)}
    missing = [key for key in keys if key.id not in done]
    rows.parent.mkdir(parents=True, exist_ok=True)
    with rows.open("a") as file, ProcessPoolExecutor(workers, initializer=one_thread) as pool:
        for row in pool.map(partial(measured, plan=plan, mapped=mapped), missing):
            file.write(json.dumps(row, sort_keys=True) + "\n")
            file.flush()
    wanted = {key.id for key in keys}
    return [row for row in read_rows(rows) if row["id"] in wanted]


def measured(key: PlantedKey, plan: SkillPlan, mapped: bool = False) -> Row:
    """What the stages make of an archive, with a map of faults or without, beside the truth."""
    archive = draw_archive(key, plan)
    with tempfile.TemporaryDirectory() as directory:
        faults = None
        if mapped:
            faults = str(Path(directory) / "faults.geojson")
            Path(faults).write_text(
                json.dumps(fault_map(archive.truth, np.random.default_rng([ord(key.family[0]), key.index])))
            )
        return {"id": key.id, "family": key.family, "mapped": mapped} | _measured(archive, faults)


def _measured(archive: Archive, faults: str | None) -> Row:
    """Through the stages, with a map of faults."""
    detection = DETECTION.model_copy(update={"faults": faults})
    seconds: dict[str, float] = {}
    opened, maps, noises, thresholds = [], [], [], []
    for number, stack in enumerate(archive.stacks):
        with _timed(seconds, "noise"):
            noises.append(estimate_noise(stack, NoiseSettings()))
        dataset, track = track_in(stack, detection, noise=noises[-1])
        with _timed(seconds, "calibrate"):
            calibration = calibrate_track(track, detection, 1)
        with _timed(seconds, "detect"):
            maps.append(track_maps(detect(dataset, track, detection, calibration), number))
        opened.append((dataset, track, calibration))
        thresholds.append(calibration.threshold)
    with _timed(seconds, "source"):
        table, _ = explain(maps, SourceSettings(faults=faults), noises, archive.stacks)
    with _timed(seconds, "completeness"):
        grid = completeness(opened, GRID, detection)
    stated = sum(detection.false_alarms_per_1e4km2_yr * exposure_of(track, detection) for _, track, _ in opened)
    return {
        "code": f"detect {version_of('detect')}, source {version_of('source')}",
        "thresholds": thresholds, "stated": stated,
        "seconds": {name: round(value, 1) for name, value in seconds.items()}, **beside_truth(archive, table, grid),
    }  # fmt: skip


def beside_truth(archive: Archive, table: gpd.GeoDataFrame, grid: pd.DataFrame) -> Row:
    """Events of the truth with their local Mc90 and what was found of each, and all that was found."""
    named = table.assign(event_id=[f"F{number:02d}" for number in range(len(table))], region=REGION)
    found = {row["event_id"]: row for row in named.drop(columns="geometry").to_dict("records")}
    results = score(named, archive.truth)["rows"]
    match = {row["truth"]: row["event_id"] for row in results if row["result"] == "found"}
    truths = pd.DataFrame(archive.truth["events"])
    days = [(truths[name].to_numpy("datetime64[D]")).astype(float) for name in ("t05", "t95")]
    truths["mc_local"] = local_mc(grid, truths.assign(duration_d=days[1] - days[0]))
    volumes = truths["volume_change_m3"].abs()
    truths["size_mw"] = truths["mw"].fillna(volumes.map(moment_magnitude))
    planted = [{**row, "found": match.get(row["id"])} for row in truths.to_dict("records")]
    other = {row["event_id"]: row["result"] for row in results if row["result"] in ("false", "duplicate")}
    kept = {name: {column: row[column] for column in KEPT} for name, row in found.items()}
    return {"planted": _plain(planted), "events": _plain(kept), "others": other}


def _plain(value: Any) -> Any:
    """JSON knows no NaN, and none of numpy's numbers."""
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    begun = time.process_time()
    yield
    seconds[stage] = seconds.get(stage, 0.0) + time.process_time() - begun
