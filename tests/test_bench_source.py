"""The source benchmark: scenes that depend on their id alone, rows that a run goes on with, figures by hand."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from slipbench.plan import read_plan
from slipbench.source_page import balanced_accuracy, covered, depth_error, mw_error, write_page
from slipbench.source_run import keys_of, measured, read_rows
from slipbench.source_scenes import SNR, TYPES, SourceKey, draw_source_scene
from slipscan import vocabulary
from slipscan.errors import SlipscanError
from slipscan.settings import SourceSettings

PLAN = Path(__file__).parents[1] / "benchmarks" / "skill" / "long.yaml"
SMALL = {"pixels": 40, "epochs": 60, "pixel_m": 1000.0}


@pytest.fixture(scope="module")
def plan():
    return read_plan(PLAN).model_copy(update=SMALL)


def test_forty_scenes_hold_every_type_as_often_as_stated():
    assert Counter(SourceKey("test", "B", i).type for i in range(40)) == Counter(TYPES)
    assert len({SourceKey("test", "B", i).type for i in range(9)}) >= 5
    keys = keys_of(3)
    assert len({key.id for key in keys}) == 18
    assert {key.family for key in keys if key.split == "tune"} == {"A"}


def test_a_scene_is_a_function_of_its_id(plan):
    one, two = (draw_source_scene(SourceKey("test", "A", 1), plan) for _ in range(2))
    np.testing.assert_array_equal(one.tracks[0]["map"], two.tracks[0]["map"])
    assert one.truth == pytest.approx(two.truth, nan_ok=True) and one.quakes == two.quakes
    assert not np.array_equal(one.tracks[0]["map"], draw_source_scene(SourceKey("test", "A", 2), plan).tracks[0]["map"])
    for track in one.tracks:
        vocabulary.check(track, "transients")
    assert 0 < one.truth["snr"] <= SNR[1] + 1e-6
    # One looks from the east and one from the west.
    assert np.sign(float(one.tracks[0].los_east[0, 0])) != np.sign(float(one.tracks[1].los_east[0, 0]))


def test_earthquakes_stand_where_their_events_do(plan):
    index = next(i for i in range(40) if SourceKey("test", "A", i).type == "coseismic")
    scene = draw_source_scene(SourceKey("test", "A", index), plan)
    t50 = scene.tracks[0]["t50"].values[0]
    own = [q for q in scene.quakes if abs(np.datetime64(q["time"]) - t50) < np.timedelta64(1, "D")]
    assert any(abs(q["magnitude"] - scene.truth["mw"]) < 0.5 for q in own)


@pytest.mark.slow
def test_a_scene_is_measured_with_one_track_and_with_two(plan):
    scene = draw_source_scene(SourceKey("test", "A", 0), plan)
    settings = SourceSettings(max_points=80, particles=60, searched=256)
    rows = [measured(scene, count, settings) for count in (1, 2)]
    assert [row["tracks"] for row in rows] == [1, 2]
    assert json.loads(json.dumps(rows[0]))["truth"]["type"] == "slow_slip"
    assert rows[1]["evidence"]["slip"] > 0
    assert mw_error(rows[1]) < 1.0


def row(type_="slow_slip", mw=(5.4, 5.5, 5.6), tracks=1, snr=40.0, number=0, **evidence):
    depths = {"depth_km": [3.0, 4.0, 5.0], "length_km": [8.0, 9.0, 10.0], "potency_m3": [1e6, 2e6, 3e6], "mw": list(mw)}
    volume = {"depth_km": [3.0, 4.0, 5.0], "volume_change_m3": [1e6, 2e6, 3e6]}
    truth = {"type": type_, "class": "blind", "snr": snr, "mw": 5.55, "depth_km": 5.0}
    if type_ == "volumetric":
        truth = {"type": type_, "class": "mogi", "snr": snr, "volume_change_m3": 5e6, "depth_km": 4.4}
    return {
        "id": f"{type_}/{number}", "split": "test", "family": "A", "tracks": tracks, "seconds": 2.0, "truth": truth,
        "evidence": {"slip": 50.0, "volumetric": 5.0, "hydrological": 1.0, "cycle": -1000.0} | evidence,
        "quantiles": {"slip": depths, "volumetric": volume, "hydrological": volume},
        "places": {"slip": {"longitude": 32.6, "latitude": 40.8}}, "quakes": [], "ongoing": False,
        "t05": "2019-01-01", "t50": "2019-02-01", "t95": "2019-03-01",
        "epochs": ["2018-12-25", "2019-02-01", "2019-03-15"],
    }  # fmt: skip


def test_figures_by_hand(tmp_path):
    one = row()
    assert mw_error(one) == pytest.approx(0.05)
    assert depth_error(one) == pytest.approx(0.2)
    assert covered(one) == {"mw": True, "depth_km": True}
    assert covered(row("volumetric")) == {"volume_change_m3": False, "depth_km": True}
    # Slip: two of two right; volume: one of two.
    rows = [row(), row(number=1), row("volumetric", volumetric=99.0), row("volumetric", number=1)]
    assert balanced_accuracy(rows) == (pytest.approx(0.75), 4)
    assert balanced_accuracy([row(snr=12.0)])[1] == 0
    text = write_page(
        [row(tracks=t, number=n) for t in (1, 2) for n in range(6)], tmp_path / "page.md", "slipscan bench"
    )
    assert "| Mw error, median, blind | 0.3 | 0.2 | 0.05 [0.05, 0.05] (n = 6) |" in text
    (tmp_path / "notes.md").write_text("mine")
    with pytest.raises(SlipscanError):
        write_page(rows, tmp_path / "notes.md", "slipscan bench")


def test_a_torn_line_of_a_killed_run_is_measured_again(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row()) + "\n" + json.dumps(row())[:40])
    assert len(read_rows(path)) == 1
    assert read_rows(tmp_path / "none.jsonl") == []
