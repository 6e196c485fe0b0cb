"""Slipbench's set of long series: its SNR is what a matched filter has beside rate and season, in time and space."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from bench_small import SMALL  # tests/bench_small.py
from slipbench import families, intervals, skill
from slipbench.baselines.histories import candidates, filters, filters_in
from slipbench.bound import TEMPORAL, temporal_columns
from slipbench.estimate import Estimate
from slipbench.frozen import freeze, load_scene, parse, read_manifest, rows_of, verify
from slipbench.measures import measure
from slipbench.methods import METHODS, answer
from slipbench.plan import manifest_of, read_plan
from slipbench.run import measure_skill
from slipbench.scenes import LATE_D, Key, Scene, draw
from slipbench.sequences import APART_M, SEQUENCES, draw_sequence
from slipbench.snr import event_snr, unit_snr

LONG = Path(__file__).resolve().parents[1] / "benchmarks" / "skill" / "long.yaml"
SMALL_LONG = SMALL.model_copy(
    update={
        "name": "long", "scenes": "long_scenes.csv", "background": "unknown", "pixels": 32, "pixel_m": 1500.0,
        "epochs": 80, "duration_d": (6.0, 400.0), "late_share": 0.2, "largest_mm": 300.0, "families": ("A", "E"),
        "slow_share": 1.0,
    }
)  # fmt: skip


def key(kind: str, index: int, family: str = "A") -> Key:
    return Key("test", family, kind, index, "long")


def signed_score(scene: Scene) -> float:
    """Of the oracle: amplitude over its standard deviation, with its sign."""
    found = answer(METHODS["oracle"], scene, scene.observation(background_known=False))
    sign = np.sign((found.map * scene.template).sum() * (scene.course[-1] - scene.course[0]))
    return float(sign * found.score)


@pytest.mark.parametrize("family", ["A", "B", "C", "E"])
def test_the_matched_filter_has_the_snr_and_unit_variance(family: str) -> None:
    plan = SMALL_LONG.model_copy(update={"pixels": 24, "epochs": 50})
    events, nulls = [], []
    for index in range(16):
        kind = ("buried", "Mogi")[index % 2]
        scene, snr = draw(key(kind, index, family), plan)
        other, _ = draw(key(kind, 100 + index, family), plan)
        events.append(signed_score(scene) - snr)
        nulls.append(signed_score(replace(other, amplitude=0.0)))
    for found in (events, nulls):
        assert abs(np.mean(found)) < 3 / math.sqrt(len(found))
        assert 0.6 < np.std(found) < 1.5


def test_a_walk_costs_slow_events_most() -> None:
    kept = []
    for duration in (6.0, 400.0):
        plan = SMALL_LONG.model_copy(update={"duration_d": (duration, duration + 1e-3), "late_share": None})
        scene, _ = draw(key("Mogi", 3, "E"), plan)
        white = replace(scene.noise, covariance=np.diag(np.diag(scene.noise.covariance)))
        kept.append(unit_snr(scene, plan) / unit_snr(replace(scene, noise=white), plan))
    assert kept[1] < kept[0] < 1


def test_family_e_has_the_structure_function_of_erta_ale() -> None:
    """Means of L epochs before and after, rate and season out, against white noise (docs/science.md section 11)."""
    days = 12.0 * np.arange(170)
    columns = temporal_columns(days - days.mean(), TEMPORAL)
    rest = np.eye(len(days)) - columns @ np.linalg.pinv(columns)
    low, high = (np.eye(len(days)) + families.random_walk(days, share) for share in families.WALK_PER_YEAR)

    def spread(covariance: np.ndarray, length: int) -> float:
        left = rest @ covariance @ rest
        windows = []
        for middle in range(length, len(days) - length + 1):
            weights = np.zeros(len(days))
            weights[middle - length : middle], weights[middle : middle + length] = -1 / length, 1 / length
            windows.append(weights @ left @ weights)
        return math.sqrt(np.mean(windows))

    for length, least, most in ((1, 1.0, 1.02), (5, 1.0, 1.1), (10, 1.0, 1.25), (20, 1.2, 1.6), (35, 1.4, 2.2)):
        ratios = [spread(covariance, length) / spread(np.eye(len(days)), length) for covariance in (low, high)]
        assert least <= ratios[0] < ratios[1] <= most


def test_filters_in_a_covariance_have_unit_variance_beside_the_design() -> None:
    days = 12.0 * np.arange(60)
    columns, design = candidates(days).columns, temporal_columns(days - days.mean(), TEMPORAL)
    weight = np.random.default_rng(0).uniform(1, 5, 60)
    covariance = np.diag(1 / weight) + families.random_walk(days, 0.3)
    found = filters_in(columns, design, covariance)
    np.testing.assert_allclose(np.einsum("ct,ts,cs->c", found, covariance, found), 1.0)
    np.testing.assert_allclose(found @ design, 0.0, atol=1e-9)
    alone = filters_in(columns, design, np.diag(1 / weight))
    np.testing.assert_allclose(alone, filters(columns, design, weight), atol=1e-9)


def test_long_series_are_searched_for_longer_ramps() -> None:
    assert candidates(12.0 * np.arange(24)).duration_d.max() == 100
    assert candidates(12.0 * np.arange(120)).duration_d.max() == 730


def test_a_detector_that_is_told_the_noise_is_not_misled_by_a_walk() -> None:
    scores = {"scan": [], "scan_told": []}
    for index in range(3):
        scene, _ = draw(key("null", index, "E"), SMALL_LONG.model_copy(update={"pixels": 24}))
        for name, found in scores.items():
            found.append(answer(METHODS[name], scene, scene.observation(background_known=False)).score)
    assert np.mean(scores["scan_told"]) < np.mean(scores["scan"])
    assert 2.5 < np.mean(scores["scan_told"]) < 6.5


def test_events_lie_anywhere_a_share_of_them_late() -> None:
    late = []
    for index in range(40):
        scene, snr = draw(key("Mogi", index), SMALL_LONG.model_copy(update={"pixels": 16}), peak_m=0.01)
        assert snr > 0 and scene.geometry.days[0] <= scene.t50_d <= scene.geometry.days[-1]
        late.append(scene.geometry.days[-1] - scene.t50_d < LATE_D)
    assert 0.1 < np.mean(late) < 0.45


def test_no_event_is_larger_than_the_largest() -> None:
    small = SMALL_LONG.model_copy(update={"largest_mm": 1.0})
    scene, snr = draw(key("buried", 0), small)
    free, wanted = draw(key("buried", 0), SMALL_LONG)
    assert np.abs(scene.template).max() == pytest.approx(1e-3)
    assert snr == pytest.approx(wanted * 1e-3 / np.abs(free.template).max(), rel=1e-3)


@pytest.mark.parametrize("name", sorted(SEQUENCES))
def test_every_event_of_a_scenario_has_its_snr(name: str) -> None:
    scene, factors, snr = draw_sequence(key(name, 1), SMALL_LONG)
    again, _, _ = draw_sequence(key(name, 1), SMALL_LONG, factors)
    np.testing.assert_array_equal(scene.observation(False).values, again.observation(False).values)
    for (template, course), wanted in zip(scene.single_events, snr, strict=True):
        assert event_snr(template, course, scene, SMALL_LONG) == pytest.approx(wanted, rel=1e-3)
        assert 14.9 < wanted < 30 or np.abs(template).max() == pytest.approx(0.3)
    total = sum((c - c[0])[:, None, None] * m for m, c in scene.single_events)
    np.testing.assert_allclose(scene.events, total, atol=1e-6)


def test_scenarios_happen_when_and_where_they_say() -> None:
    days = []
    for name in ("two-one-place", "two-places", "step-relaxation"):
        scene, _, _ = draw_sequence(key(name, 2), SMALL_LONG)
        (one, first), (two, second) = scene.single_events
        half = [float(np.interp(0.5, c, scene.geometry.days)) for c in (first, second)]
        if name == "two-one-place":
            assert half[1] - half[0] == pytest.approx(365.25, abs=12)
            assert np.corrcoef(one.ravel(), two.ravel())[0, 1] == pytest.approx(1)
        elif name == "two-places":
            peaks = [np.array(np.unravel_index(np.abs(m).argmax(), m.shape)) for m in (one, two)]
            assert SMALL_LONG.pixel_m * np.linalg.norm(peaks[0] - peaks[1]) > APART_M / 2
        else:
            assert set(np.unique(first)) == {0, 1}
            assert np.argmax(second > 0) == pytest.approx(np.argmax(first > 0), abs=1)
            assert half[1] > half[0]
        days.append(half)


def test_two_events_are_found_one_by_one() -> None:
    scene, _, _ = draw_sequence(key("two-one-place", 0), SMALL_LONG)
    perfect = measure(scene, Estimate(scene.map, scene.events, 9.0, scene.t50_d))
    assert perfect["found_1"] == perfect["found_2"] == 1 and perfect["nrmse_transient"] == pytest.approx(0)
    (one, first), _ = scene.single_events
    alone = np.asarray((first - first[0])[:, None, None] * one, np.float32)
    half = measure(scene, Estimate(alone[-1], alone, 9.0, scene.t50_d))
    assert half["found_1"] == 1 and half["found_2"] == 0
    days = scene.geometry.days
    ramp = ((days - days[0]) / np.ptp(days)).astype(np.float32)[:, None, None] * scene.map
    assert measure(scene, Estimate(scene.map, ramp, 9.0, scene.t50_d))["found_1"] == 0


def test_a_history_is_judged_beside_rate_and_season() -> None:
    scene, _ = draw(key("Mogi", 1), SMALL_LONG.model_copy(update={"late_share": None, "duration_d": (20.0, 21.0)}))
    days = scene.geometry.days
    rate = ((days - days[0]) / 400)[:, None, None] * scene.map
    right = measure(scene, Estimate(scene.map, scene.events + rate.astype(np.float32), 9.0, scene.t50_d))
    assert right["history"] == pytest.approx(1) and right["hit"] == 1
    wrong = measure(scene, Estimate(scene.map, rate.astype(np.float32), 9.0, scene.t50_d))
    assert wrong["history"] < 0.9


def test_slow_events_may_be_off_by_a_quarter_of_their_duration() -> None:
    scene, _, _ = draw_sequence(key("slow", 0), SMALL_LONG)
    shown = scene.reached_d(0.95) - scene.reached_d(0.05)
    for off, hit in ((0.2, 1), (0.3, 0)):
        assert measure(scene, Estimate(scene.map, scene.events, 9.0, scene.t50_d + off * shown))["hit"] == hit


def test_a_ratio_and_its_interval() -> None:
    generator = np.random.default_rng(0)
    columns = (generator.normal(2, 0.1, 100),), (generator.normal(4, 0.1, 100),)
    found = intervals.ratio_with_interval("ratio", lambda values: np.median(values, axis=1), *columns)
    assert found["ratio_low"] < found["ratio"] < found["ratio_high"] and found["ratio"] == pytest.approx(0.5, abs=0.02)
    few = intervals.ratio_with_interval("ratio", lambda values: np.median(values, axis=1), (np.ones(3),), columns[1])
    assert math.isnan(few["ratio"])


def test_names_of_both_sets_can_be_told_apart() -> None:
    name = key("Mogi", 3)
    assert name.id == "long/test/A/Mogi/0003" and parse(name.id) == name
    short = Key("test", "A", "Mogi", 3)
    assert short.id == "test/A/Mogi/0003" and parse(short.id) == short


def test_the_frozen_long_scenes_are_still_the_same() -> None:
    plan = read_plan(LONG)
    count, _, differing = verify(plan, manifest_of(LONG, plan), 0.001, workers=1)
    assert count >= 2 and not differing


def test_a_frozen_long_event_has_its_snr() -> None:
    plan = read_plan(LONG)
    table = read_manifest(manifest_of(LONG, plan), plan)
    chosen = table[table["id"] == "long/test/E/buried 7-12 km/0007"]
    (row,) = rows_of(chosen)
    assert unit_snr(load_scene(row, plan), plan) == pytest.approx(float(chosen["snr"].iloc[0]), rel=1e-3)


def test_both_sets_make_one_page(tmp_path: Path) -> None:
    update = {
        "families": ("A", "E"),
        "validation_nulls": 10,
        "nulls": 10,
        "events_per_class": 4,
        "pixels": 16,
        "epochs": 50,
    }
    plan = SMALL_LONG.model_copy(update=update)
    path = tmp_path / "long.yaml"
    path.write_text(yaml.safe_dump(plan.model_dump(mode="json"), sort_keys=False))
    assert freeze(plan, tmp_path / "long_scenes.csv", workers=1) == 2 * (10 + 10 + 2 * 4 + 4)
    page = tmp_path / "page.md"
    text = measure_skill([path], "zero,oracle", 1.0, tmp_path / "rows", tmp_path / "out", page, 1)
    assert "long: zero" in text
    table = pd.read_csv(tmp_path / "out" / "long" / "oracle.csv")
    best = table.query("family == 'all' and kind == 'all'").iloc[0]
    assert best["history"] == 1 and best["found"] > 0.5 and best["nrmse_transient"] < 0.5
    assert set(table["background"]) == {"unknown"}
    ours = table.query("family == 'E' and kind == 'all'").iloc[0]
    assert ours["snr50_to_a"] > 0 and table.query("family == 'A'")["snr50_to_a"].isna().all()
    assert "The set `long`" in page.read_text() and (tmp_path / "page_long.png").stat().st_size > 10_000


def test_of_nulls_a_least_share_is_run() -> None:
    ids = [Key("test", "A", kind, i, "long").id for kind in ("null", "Mogi") for i in range(100)]
    manifest = pd.DataFrame({"id": ids})
    found = skill.selected(manifest, 0.1, 0.2)["id"].map(lambda name: parse(name).kind)
    assert (found == "null").sum() == 20 and (found == "Mogi").sum() == 10
    assert len(skill.selected(manifest, 0.5, 0.2)) == 100
