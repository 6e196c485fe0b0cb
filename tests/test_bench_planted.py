"""Planted archives of slipbench: the same for an id, events in both tracks, and a page that counts right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from event_builders import event
from slipbench import detection_page, planted
from slipbench.intervals import snr50
from slipbench.plan import SkillPlan, read_plan
from slipbench.planted import EVENTS, PlantedKey, draw_archive
from slipbench.planted_faults import fault_map
from slipbench.planted_page import page_of
from slipbench.planted_run import beside_truth
from slipscan import vocabulary
from slipscan.completeness.node import Found
from slipscan.completeness.product import table_of
from slipscan.completeness.sources import Node
from slipscan.events import SOURCE_COLUMNS, event_table
from slipscan.faults import read_faults
from slipscan.geometry import from_lonlat
from slipscan.source.sources import local_crs

PLAN = Path(__file__).parents[1] / "benchmarks" / "skill" / "long.yaml"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> SkillPlan:
    monkeypatch.setattr(planted, "EPOCHS", 80)
    return read_plan(PLAN).model_copy(update={"pixels": 40})


def test_an_archive_is_that_of_its_id_and_both_tracks_see_its_events(
    small: SkillPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, again = (draw_archive(PlantedKey("A", 0), small) for _ in range(2))
    other = draw_archive(PlantedKey("A", 1), small)
    for first, second, third in zip(one.stacks, again.stacks, other.stacks, strict=True):
        vocabulary.check(first, "stack")
        assert first.identical(second) and not first["displacement"].equals(third["displacement"])
    events = one.truth["events"]
    assert len(events) == EVENTS and [row["t50"] for row in events] == sorted(row["t50"] for row in events)
    # A source that is too deep for so small a scene is as large as is allowed, and not larger.
    assert all(max(row["snr"]) <= planted.SNR[1] * 1.001 for row in events)
    assert max(max(row["snr"]) for row in events) > planted.SNR[0]
    assert all(row["t05"] <= row["t50"] <= row["t95"] for row in events)
    assert {row["type"] for row in events} == {"slow_slip", "volumetric"}
    # The same with events of next to no size: what differs are the events, of both tracks.
    monkeypatch.setattr(planted, "LARGEST_M", 1e-9)
    quiet = draw_archive(PlantedKey("A", 0), small)
    for moved, still in zip(one.stacks, quiet.stacks, strict=True):
        apart = (moved["displacement"] - still["displacement"]).values
        assert np.nanmax(np.abs(apart[-1])) > 1e-3 and np.nanmax(np.abs(apart[0])) < 1e-6


def row_of(**found: dict[str, Any]) -> dict[str, Any]:
    """An archive of three events, above the local Mc90, and what was found: each row of the event table by its name."""
    truth = [
        event(t50=t50, lon=32.0 + number, mw=mw, rake_deg=180.0, strike_deg=0.0, depth_km=5.0, length_km=10.0)
        | {"id": f"E{number:02d}", "class": "blind", "snr": [10.0, 20.0]}
        for number, (t50, mw) in enumerate((("2019-03-01", 6.0), ("2019-08-01", 6.0), ("2020-03-01", 5.0)))
    ]
    truth[2] |= {"t05": "2019-11-20", "t95": "2020-06-10"}
    for one in truth:
        del one["geometry"]
    archive = planted.Archive((), {"region": planted.REGION, "events": truth})
    node = Node("strike_slip", 0.0, 33.0, 40.0, 5.0, 30.0)
    grid = table_of([Found(node, mc90=5.5, mc90_std=0.1, mc50=5.3, alone=(5.0,))], planted.REGION, ["T0"])
    table = event_table([event(**one) for one in found.values()], SOURCE_COLUMNS)
    about = {
        "id": "a",
        "family": "A",
        "thresholds": [5.0],
        "code": "detect 1, source 1",
        "stated": 0.5,
        "seconds": {"source": 1.0},
    }
    return about | beside_truth(archive, table, grid)


def test_the_page_counts_what_was_found_and_what_is_false() -> None:
    row = row_of(
        right={"t50": "2019-03-05", "lon": 32.0, "p_real": 0.99, "mw": 5.9, "t50_err_days": 6.0},
        weak={"t50": "2019-08-01", "lon": 33.0, "p_real": 0.5, "mw": 6.0, "t50_err_days": 1.0},
        false={"t50": "2019-12-01", "lon": 34.0, "p_real": 0.95},
    )
    assert [one["mc_local"] for one in row["planted"]] == [5.5] * 3
    text = page_of([row], "slipscan bench planted")
    assert "| recall above the local Mc90 | 85 % | 95 % | 100 % (2 of 2)" in text
    assert "| the same, published |  |  | 50 % (1 of 2)" in text
    assert "| rows of the published view that are no planted event | 10 % | 5 % | 50 % (1 of 2)" in text
    assert "| rows that are no planted event, of all |  |  | 33 % (1 of 3)" in text
    assert text.count("| of these, a planted event at another date |  |  | 100 % (1 of 1)") == 2
    elsewhere = row_of(false={"t50": "2019-12-01", "lon": 35.0, "p_real": 0.95})
    assert "| of these, a planted event at another date |  |  | 0 % (0 of 1)" in page_of([elsewhere], "slipscan")
    assert "| t50 error, median | 12 d | 6 d | 2 d (2) |" in text
    assert "| t50 in its 68 % interval | 58-78 % | 64-72 % | 100 % (2 of 2)" in text
    assert "| Mw error, median, blind | 0.3 | 0.2 | 0.05 (2) |" in text
    nothing = row_of()
    assert "| recall above the local Mc90 | 85 % | 95 % | 0 % (0 of 2)" in page_of([nothing], "slipscan bench planted")


def test_the_page_of_detection_counts_scenes_and_rows(tmp_path: Path) -> None:
    """Ten scenes without an event whose scores are 0 to 9, ten events of which those of SNR above 10 exceed all."""
    snr = np.linspace(2, 20, 10)
    table = pd.DataFrame({
        "role": ["validation"] * 5 + ["null"] * 5 + ["event"] * 10,
        "score": [0, 2, 4, 6, 8, 1, 3, 5, 7, 9, *np.where(snr > 10, 20.0, 0.5)],
        "snr": [0.0] * 10 + list(snr), "hit": False, "overlap": 0.3, "t50_error_d": 5.0,
    })  # fmt: skip
    archive = row_of(
        right={"t50": "2019-03-05", "lon": 32.0, "p_real": 0.995, "mw": 5.9, "t50_err_days": 6.0},
        false={"t50": "2019-12-01", "lon": 35.0, "p_real": 0.2},
    )
    plan = read_plan(PLAN)
    plot = tmp_path / "detection.png"
    text = detection_page.page_of(plan, {"one": table}, [archive], "slipscan bench detect", plot)
    lines = [line for line in text.splitlines() if line.startswith("| one |")]
    assert lines[0].startswith("| one | 8.0 | 1 of 5 | 0 of 3 | 2 of 4 | 3 of 3 | 0 of 5 | 0.30 | 5 |")
    assert "50 % (5 of 10)" in lines[1] and lines[1].rstrip(" |").endswith("0.55")
    # Of the archive one row is real and sure, one is not and says so.
    assert "| 0.99 to 1 | 1 | 100 % | 100 % (1 of 1)" in text and "| 0 to 0.5 | 1 | 20 % | 0 % (0 of 1)" in text
    assert plot.stat().st_size > 10_000
    assert snr50(np.log(snr)[None], (snr > 10).astype(float)[None], 0.9) > snr50(
        np.log(snr)[None], (snr > 10).astype(float)[None]
    )


def test_a_map_of_faults_has_what_slips_at_the_surface_about_where_it_does(small: SkillPlan, tmp_path: Path) -> None:
    archive = draw_archive(PlantedKey("A", 0), small)
    path = tmp_path / "faults.geojson"
    path.write_text(json.dumps(fault_map(archive.truth, np.random.default_rng(0))))
    lines = read_faults(path, "detect.faults")
    slipping = [one for one in archive.truth["events"] if one["class"] == "surface"]
    assert len(lines) == 2 * len(slipping) > 0
    for line, one in zip(lines, slipping, strict=False):
        frame = local_crs(one["longitude"], one["latitude"])
        east, north = from_lonlat(*line.lonlat.T, frame)
        strike = np.degrees(np.arctan2(east[-1] - east[0], north[-1] - north[0]))
        assert np.cos(np.radians(strike - one["strike_deg"])) > np.cos(np.radians(12.0))
        assert np.hypot(east[-1] - east[0], north[-1] - north[0]) == pytest.approx(1.5e3 * one["length_km"], rel=0.01)
        # Over the upper edge, which lies up the dip of the middle of the plane.
        right = np.radians(one["strike_deg"] + 90.0)
        across = east[4] * np.sin(right) + north[4] * np.cos(right)
        assert across == pytest.approx(-1e3 * one["depth_km"] / np.tan(np.radians(one["dip_deg"])), abs=1200.0)
        assert line.dip_deg == pytest.approx(one["dip_deg"], abs=30.0)
