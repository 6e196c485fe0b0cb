"""Scores of slipbench by hand, and the whole run on a small benchmark."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.special import expit

from bench_small import SMALL  # tests/bench_small.py
from slipbench import bound, intervals, skill, summary
from slipbench.estimate import Estimate
from slipbench.frozen import freeze, read_manifest
from slipbench.measures import footprint_overlap, measure
from slipbench.methods import METHODS, chosen
from slipbench.plan import read_plan
from slipbench.run import measure_skill
from slipbench.scenes import Key, draw
from slipscan.errors import SlipscanError

ROOT = Path(__file__).resolve().parents[1]


def test_footprints_overlap_by_hand() -> None:
    truth = np.array([10.0, 4.0, 2.0, 0.0])
    assert footprint_overlap(np.array([-5.0, 0.0, 0.0, 2.0]), truth) == pytest.approx(1 / 3)
    assert footprint_overlap(np.zeros(4), truth) == 0


def test_a_perfect_answer_and_a_map_of_zeros() -> None:
    scene, _ = draw(Key("test", "A", "Mogi", 0), SMALL)
    n = len(scene.geometry.days)
    perfect = measure(scene, Estimate(scene.map, scene.events, 9.0, scene.t50_d + 20))
    assert perfect["nrmse"] == 0 and perfect["slope"] == pytest.approx(1) and perfect["hit"] == 1
    late = measure(scene, Estimate(scene.map, scene.events, 9.0, scene.t50_d - 30))
    assert late["hit"] == 0 and late["t50_error_d"] == pytest.approx(-30)
    shifted = measure(scene, Estimate(scene.map + np.float32(0.01), scene.events, 9.0, scene.t50_d))
    assert shifted["nrmse"] > 0 and shifted["nrmse_constant"] == pytest.approx(0, abs=1e-4)
    zeros = measure(
        scene, Estimate(np.zeros_like(scene.map), np.zeros((n, *scene.map.shape), np.float32), 0.0, math.nan)
    )
    assert (
        zeros["nrmse"] == pytest.approx(1) and zeros["slope"] == 0 and zeros["hit"] == 0 and zeros["correlation"] == 0
    )


def test_the_threshold_lets_a_share_of_nulls_pass() -> None:
    scores = np.random.default_rng(0).permutation(np.arange(1000.0))
    assert (scores > summary.exceeded_by(scores, 0.01)).sum() == 9
    assert summary.exceeded_by(np.zeros(50), 0.01) == 0.0  # a method of zeros never exceeds its own threshold


def test_the_threshold_of_few_nulls_extrapolates_their_tail() -> None:
    scores = np.random.default_rng(1).gumbel(size=(400, 50))
    true = -math.log(-math.log(0.99))
    assert np.median([summary.exceeded_by(some, 0.01) for some in scores]) == pytest.approx(true, rel=0.1)


@pytest.mark.parametrize("true", [4.0, 9.0, 30.0])
def test_snr50_is_recovered(true: float) -> None:
    generator = np.random.default_rng(0)
    log_snr = generator.uniform(np.log(2), np.log(50), (40, 400))
    found = (generator.random(log_snr.shape) < expit(4 * (log_snr - np.log(true)))).astype(float)
    values = intervals.snr50(log_snr, found)
    assert np.median(values) == pytest.approx(true, rel=0.05)
    assert np.isinf(intervals.snr50(log_snr, np.zeros_like(found))).all()


def test_snr50_of_a_clean_step_lies_on_it() -> None:
    log_snr = np.log(np.linspace(2, 50, 200))[None]
    assert intervals.snr50(log_snr, (log_snr > np.log(12)).astype(float))[0] == pytest.approx(12, rel=0.05)


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("bench")
    plan = SMALL.model_copy(update={"families": ("A",)})
    (directory / "plan.yaml").write_text(yaml.safe_dump(plan.model_dump(mode="json"), sort_keys=False))
    assert freeze(plan, directory / "scenes.csv", workers=1) == 12 + 12 + 2 * 8 + 15
    return directory


def test_a_run_writes_tables_and_a_page_and_is_resumed(benchmark: Path) -> None:
    names = "zero,last_minus_first,oracle"
    arguments = ([benchmark / "plan.yaml"], names, 1.0, benchmark / "rows", benchmark / "out", benchmark / "page.md", 1)
    text = measure_skill(*arguments)
    rows = {path: path.stat().st_mtime_ns for path in (benchmark / "rows").rglob("*.parquet")}
    assert measure_skill(*arguments) == text
    assert {path: path.stat().st_mtime_ns for path in (benchmark / "rows").rglob("*.parquet")} == rows
    tables = {name: pd.read_csv(benchmark / "out" / f"{name}.csv") for name in names.split(",")}
    best = {
        name: table.query("family == 'all' and background == 'known' and kind == 'all'").iloc[0]
        for name, table in tables.items()
    }
    assert best["zero"]["nrmse"] == 1 and math.isinf(best["zero"]["snr50"]) and best["zero"]["false_alarms"] == 0
    assert best["oracle"]["snr50"] < 6 and best["oracle"]["nrmse"] < 0.5 < best["last_minus_first"]["nrmse"]
    page = (benchmark / "page.md").read_text()
    assert "*oracle* (bound)" in page and "last_minus_first" in page
    assert (benchmark / "page_detection.png").stat().st_size > 10_000


def test_shares_are_nested_and_slow_methods_run_on_fewer(benchmark: Path) -> None:
    plan = read_plan(benchmark / "plan.yaml")
    manifest = read_manifest(benchmark / "scenes.csv", plan)
    methods = [method for method in METHODS.values() if method.speed == "slow"]
    assert methods and skill.share_of(methods[0], plan, 0.5) == pytest.approx(0.5 * plan.slow_share)
    half, quarter = (set(skill.selected(manifest, share)["id"]) for share in (0.5, 0.25))
    assert quarter < half < set(manifest["id"])


def test_unknown_methods_are_named() -> None:
    with pytest.raises(SlipscanError, match="there is no method 'magic'"):
        chosen("zero, magic")
    assert [method.name for method in chosen("all")] == list(METHODS)


def test_the_bound_reproduces_published_figures() -> None:
    table = bound.table(bound.read_config(ROOT / "benchmarks" / "skill" / "bound.yaml"))
    told = table.dropna(subset="published")
    assert len(told) == 32
    np.testing.assert_allclose(told["peak_mm"], told["published"], rtol=0.15)
    wide = table.pivot_table(index=["source", "std_mm", "epochs"], columns="background", values="peak_mm")
    assert (wide["offset"] < wide["offset+rate"]).all() and (wide["offset+rate"] < wide["offset+rate+season"]).all()


def test_the_bound_of_a_step_in_white_noise_by_hand() -> None:
    config = bound.BoundConfig(
        title="white",
        grid=bound.BoundGrid(rows=16, columns=16, pixel_m=500),
        noise=bound.BoundNoise(std_mm=(1e-6,), white_mm=2.0),
        series=bound.BoundSeries(epochs=(10,), history="linear", duration_d=0.0),
        nuisance=(),
        background=(("offset",),),
        snr=5.0,
        sources=(bound.BoundSource(name="m", kind="mogi", depth_km=2),),
    )
    (row,) = bound.table(config).itertuples()
    frame = bound.Frame.rectangle((16, 16), 500.0)
    los = np.array(
        [
            -np.sin(np.deg2rad(37.5)) * np.cos(np.deg2rad(-13)),
            np.sin(np.deg2rad(37.5)) * np.sin(np.deg2rad(-13)),
            np.cos(np.deg2rad(37.5)),
        ]
    )
    ground = (
        np.stack([frame.east, frame.north, np.full_like(frame.east, 2e3)], axis=-1)
        @ los
        / (frame.east**2 + frame.north**2 + 4e6) ** 1.5
    )
    energy = np.sum((ground / np.abs(ground).max()) ** 2) * 10 / 4
    assert row.peak_mm == pytest.approx(5 * 2.0 / math.sqrt(energy), rel=1e-3)


def test_bad_bounds_end_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "bound.yaml"
    path.write_text("title: x\nsources: [{name: a, kind: fault, depth_km: -1}]")
    with pytest.raises(SlipscanError, match="depth_km"):
        bound.read_config(path)
    with pytest.raises(SlipscanError, match="there is no configuration"):
        bound.read_config(tmp_path / "none.yaml")
