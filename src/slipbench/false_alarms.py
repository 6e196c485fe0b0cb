"""Whether the stated rate of false alarms is the observed one: scenes without an event through calibrate and detect."""

from __future__ import annotations

import json
import zlib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from scipy import stats

from slipbench.frozen import Row, load_scene, one_thread, read_manifest, rows_of, with_noise
from slipbench.page_tables import markdown, plain
from slipbench.plan import NULL, SkillPlan, manifest_of, read_plan
from slipscan.atomic import write_text
from slipscan.detect import registry
from slipscan.detect.calibrate import calibrate_search
from slipscan.detect.faults.bank import Trace
from slipscan.detect.faults.scan import fault_search
from slipscan.detect.method import Search
from slipscan.detect.track import Track, exposure_of, track_of
from slipscan.outputs import check_outputs, text_kind
from slipscan.settings import DetectSettings

PAGE = text_kind("a page of slipbench", "# slipbench: false alarms")
EXPECTED: Final = 0.4
"""False alarms a scene: nulls tell rates up to one in two null stacks, and few scenes are to hold enough of them."""
INTERVAL: Final = 0.9


def measure_false_alarms(
    plan_path: Path, scenes: int, rows: Path, page: Path | None, workers: int, along_fault: bool = False
) -> str:
    """Count false alarms in scenes without an event, at thresholds of each scene's own null stacks.

    Parameters
    ----------
    plan_path
        definition of a set
    scenes
        of each noise family; the first ones of the test
    rows
        a line a scene: a run goes on there
    page
        Markdown page; None: only the text
    workers
        processes
    along_fault
        of the search along mapped faults, a fault through the middle of every scene, and not of the scan
    """
    check_outputs([(page, PAGE)] if page is not None else [], [plan_path])
    plan = read_plan(plan_path)
    manifest = read_manifest(manifest_of(plan_path, plan), plan)
    parts = manifest["id"].str.split("/")
    nulls = manifest[(parts.str[-4] == "test") & (parts.str[-2] == NULL)].assign(family=parts.str[-3])
    # Family after family for every number, so that a run that is stopped has some of each.
    nulls = nulls.assign(number=nulls.groupby("family").cumcount()).sort_values(["number", "family"])
    chosen = rows_of(nulls[nulls["number"] < scenes])
    done = {row["id"] for row in _read(rows, along_fault)}
    missing = [row for row in chosen if row.id not in done]
    rows.parent.mkdir(parents=True, exist_ok=True)
    with rows.open("a") as file, ProcessPoolExecutor(workers, initializer=one_thread) as pool:
        for found in pool.map(partial(counted, plan=plan, along_fault=along_fault), missing):
            file.write(json.dumps(found) + "\n")
            file.flush()
    wanted = {row.id for row in chosen}
    table = pd.DataFrame([row for row in _read(rows, along_fault) if row["id"] in wanted])
    command = f"slipscan bench false-alarms --plan {plan_path} --scenes {scenes}" + " --along-fault" * along_fault
    text = _page(plan, table, command + (f" --page {page}" if page else ""), along_fault)
    if page is not None:
        write_text(page, text, PAGE)
    return text


def _read(rows: Path, along_fault: bool) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in rows.read_text().splitlines()] if rows.exists() else []
    return [row for row in found if row.get("along_fault", False) == along_fault]


def counted(row: Row, plan: SkillPlan, along_fault: bool = False) -> dict[str, Any]:
    """False alarms above the threshold of one scene, and the p-value of its strongest; or those along a fault in it."""
    observation = with_noise(load_scene(row, plan).observation(background_known=False))
    settings = DetectSettings()
    exposure = exposure_of(track_of(observation, settings, None), settings)
    rate = EXPECTED / exposure
    settings = settings.model_copy(update={"false_alarms_per_1e4km2_yr": rate})
    track = track_of(observation, settings, None)
    search: Search = registry.build(settings.method).search(track, settings)
    if along_fault:
        on_fault = fault_search(replace(track, traces=(_across(track, row),)), settings)
        assert on_fault is not None
        search = on_fault
    calibration, _ = calibrate_search(track, search, settings, 1)
    strongest = search.find(floor=0.0, at_most=1)
    return {
        "id": row.id, "family": row.id.split("/")[-3], "along_fault": along_fault, "threshold": calibration.threshold,
        "alarms": len(search.find(calibration.threshold)),
        "p": float(calibration.tail_p_value(strongest[0].statistic, exposure)) if strongest else 1.0,
        "redness": calibration.redness,
    }  # fmt: skip


def _across(track: Track, row: Row) -> Trace:
    """A fault through the middle of a scene, of any strike."""
    size_m = np.array([-track.coarse.shape[0], track.coarse.shape[1]]) * track.coarse.pixel_m
    angle = np.random.default_rng(zlib.crc32(row.id.encode())).uniform(0, np.pi)
    half = 0.45 * abs(size_m).min() * np.array([np.sin(angle), np.cos(angle)])
    middle = size_m[::-1] / 2
    return Trace(np.stack([middle - half, middle + half]))


def _page(plan: SkillPlan, table: pd.DataFrame, command: str, along_fault: bool) -> str:
    groups = [*((name, part) for name, part in table.groupby("family")), ("all", table)]
    searched = "the search along mapped faults, a fault through the middle of each" if along_fault else "`scan`"
    head = ["family", "scenes", "false alarms stated", "observed", "observed / stated", "p <= 0.1", "p <= 0.4"]
    return "\n\n".join([
        "# slipbench: false alarms",
        f"Written by `{command}`: scenes of the set `{plan.name}` without an event, beside unknown rate and season."
        f" The noise of each is measured; it is calibrated on its own null stacks ({searched}, a user's settings) for"
        f" {EXPECTED:g} false alarms in the scene, and searched. Families B to E are of other generators than the one"
        f" that the detector was developed with. Brackets: {INTERVAL:.0%} intervals, as counts are Poisson's. The last"
        " columns: share of scenes whose strongest transient has a p-value as small; 0.1 and 0.4 where p is true.",
        markdown(head, [_line(str(name), part) for name, part in groups]),
    ]) + "\n"  # fmt: skip


def _line(name: str, part: pd.DataFrame) -> list[str]:
    stated, seen = EXPECTED * len(part), int(part["alarms"].sum())
    low = stats.chi2.ppf((1 - INTERVAL) / 2, 2 * seen) / 2 if seen else 0.0
    high = stats.chi2.ppf((1 + INTERVAL) / 2, 2 * seen + 2) / 2
    return [
        name, str(len(part)), plain(stated, 1), str(seen),
        f"{seen / stated:.2f} [{low / stated:.2f}, {high / stated:.2f}]",
        *(plain(float(np.mean(part["p"] <= level)), 2) for level in (0.1, 0.4)),
    ]  # fmt: skip
