"""Slipbench's scenes: frozen, apart from training, and of the size that they claim."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench_small import SMALL  # tests/bench_small.py
from slipbench import families
from slipbench.frozen import load_scene, read_manifest, rows_of, verify
from slipbench.methods import METHODS, answer
from slipbench.plan import read_plan
from slipbench.scenarios import SCENARIOS, draw_scenario
from slipbench.scenes import SEED_TAG, Key, Scene, draw
from slipbench.snr import kept_snr, unit_snr
from slipbench.spectra import mode_std, window_scaled
from slipscan.errors import SlipscanError
from slipscan.noise.simulate import random_fields
from slipscan.settings import TrainSettings

FROZEN = Path(__file__).resolve().parents[1] / "benchmarks" / "skill" / "slipbench.yaml"


def small(family: str, kind: str, index: int = 0) -> Scene:
    return draw(Key("test", family, kind, index), SMALL)[0]


def test_training_seeds_are_not_those_of_the_benchmark() -> None:
    with pytest.raises(ValueError, match="seed"):
        TrainSettings(seed=2**31)
    assert SEED_TAG >= 2**31  # the first word of every seed of the benchmark


def test_a_scene_is_a_function_of_its_name() -> None:
    one, again, other = small("A", "Mogi"), small("A", "Mogi"), small("A", "Mogi", 1)
    np.testing.assert_array_equal(one.observation(False).values, again.observation(False).values)
    assert one.height.std() != other.height.std()
    assert not np.array_equal(
        small("A", "null").noise.delay[0], draw(Key("validation", "A", "null", 0), SMALL)[0].noise.delay[0]
    )


@pytest.mark.parametrize("family", ["A", "B", "C", "D"])
def test_what_a_method_sees_is_the_sum_of_the_truth(family: str) -> None:
    scene = small(family, "buried")
    truth = scene.events + scene.noise.delay - scene.noise.delay[0]
    seen = scene.observation(background_known=True).displacement
    np.testing.assert_allclose(seen[:, scene.valid], truth[:, scene.valid], atol=1e-7)
    unknown = scene.observation(background_known=False).displacement
    np.testing.assert_allclose((unknown - seen)[:, scene.valid], scene.background[:, scene.valid], atol=1e-6)
    assert np.isnan(seen[:, ~scene.valid]).all() and 0.85 < scene.valid.mean() < 0.95
    assert np.abs(scene.background[-1]).max() > 0


@pytest.mark.parametrize("family", ["A", "B", "C"])
def test_turbulence_has_the_stated_size_within_the_window(family: str) -> None:
    generator = np.random.default_rng(1)
    shape = (48, 48)
    variances = []
    for _ in range(12):
        density = window_scaled(families._SPECTRA[family](generator), shape, 1000.0, 10e-3)
        fields = random_fields(generator, mode_std(density, shape, 1000.0), shape, 8)
        variances.append(fields.var(axis=(1, 2)).mean())
    # A window that repeats holds a little less at its edges than one cut out of a larger field.
    assert math.sqrt(np.mean(variances)) == pytest.approx(10e-3, rel=0.2)


def test_family_b_is_stretched_and_family_c_follows_the_rasters() -> None:
    generator = np.random.default_rng(2)
    around = np.linspace(0, np.pi, 90, endpoint=False)
    k = 1 / 4e3
    ratios = {}
    for family in "AB":
        values = families._SPECTRA[family](generator)(k * np.cos(around), k * np.sin(around))
        ratios[family] = values.max() / values.min()
    assert ratios["B"] > 9 > ratios["A"]
    wavenumber, log_power = families._raster_table()
    density = families._SPECTRA["C"](generator)
    mean = [np.mean(density(k * np.cos(around), k * np.sin(around))) for k in wavenumber]
    measured = np.exp(log_power).mean(axis=1)
    np.testing.assert_allclose(np.array(mean) / mean[0], measured / measured[0], rtol=0.35)


def test_family_d_is_red_in_time() -> None:
    model = families._red_in_time(families.NoiseModel(turbulence_std_m=0.0), np.random.default_rng(0))
    days = np.arange(0, 600, 12.0)
    height = np.random.default_rng(1).uniform(0, 2000, (48, 48)).astype(np.float32)
    parts = model.parts(np.random.default_rng(3), days, height, 1000.0)
    for part in (parts.stratified, parts.phase_bias):
        assert part is not None
        series = part.reshape(len(days), -1)[:, np.argmax(np.abs(part).max(axis=0))]
        series = series - series.mean()
        assert (series[1:] * series[:-1]).mean() / (series**2).mean() > 0.6


def test_the_oracle_scores_what_the_snr_promises() -> None:
    off = []
    for index in range(8):
        for family in ("A", "B", "C"):
            scene, snr = draw(Key("test", family, "buried", index), SMALL)
            assert unit_snr(scene, SMALL) == pytest.approx(snr, rel=1e-3)
            full = replace(scene, valid=np.ones_like(scene.valid))
            off.append(answer(METHODS["oracle"], full, full.observation(background_known=True)).score - snr)
    assert abs(np.mean(off)) < 3 / math.sqrt(len(off)) and 0.6 < np.std(off) < 1.5


def test_an_unknown_rate_costs_what_it_must() -> None:
    scene = small("A", "Mogi")
    assert 0.1 < kept_snr(scene) < 1
    n = 60
    step = (np.arange(n) >= n // 2).astype(float)
    place = replace(scene.geometry, days=12.0 * np.arange(n))
    mid_step = replace(scene, geometry=place, course=step, noise=replace(scene.noise, covariance=np.eye(n)))
    # A step in mid-series keeps half of its SNR beside an unknown rate (docs/science.md section 10.1); season takes
    # more.
    days = replace(place, days=5.0 * np.arange(n))
    assert kept_snr(replace(mid_step, geometry=days)) == pytest.approx(0.5, abs=0.01)
    assert 0.2 < kept_snr(mid_step) < 0.5


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_scenarios_hold_what_they_say(name: str) -> None:
    scene = draw_scenario(Key("test", "A", name, 0), SMALL)
    if name == "no-signal":
        assert not scene.events.any() and math.isnan(scene.t50_d)
        return
    assert scene.geometry.days[0] < scene.t50_d <= scene.geometry.days[-1]
    assert 1e-3 < np.abs(scene.map).max() < 0.2
    if name == "two-overlapping":
        assert scene.extra is not None and np.abs(scene.extra[-1]).max() > 5e-3


def test_the_frozen_scenes_are_still_the_same() -> None:
    count, _, differing = verify(read_plan(FROZEN), FROZEN.with_name("scenes.csv"), 0.0004, workers=1)
    assert count >= 5 and not differing


def test_a_frozen_event_has_its_snr() -> None:
    plan = read_plan(FROZEN)
    table = read_manifest(FROZEN.with_name("scenes.csv"), plan)
    chosen = table[table["id"] == "test/B/buried 7-12 km/0007"]
    (row,) = rows_of(chosen)
    assert unit_snr(load_scene(row, plan), plan) == pytest.approx(float(chosen["snr"].iloc[0]), rel=1e-3)


def test_bad_plans_end_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    for text, sentence in (("version: '1.0'\nclasses: {a: {source: creep}}\npixels: 0", "pixels"), ("]", "no YAML")):
        path.write_text(text)
        with pytest.raises(SlipscanError, match=sentence):
            read_plan(path)
    with pytest.raises(SlipscanError, match="there is no benchmark"):
        read_plan(tmp_path / "none.yaml")
    (tmp_path / "scenes.csv").write_text("id,snr\n")
    with pytest.raises(SlipscanError, match="frozen"):
        read_manifest(tmp_path / "scenes.csv", SMALL)
