"""Training scenes: they are what they say, the same however they are drawn, and their parts add up."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from simulated import LOS
from slipscan import geometry
from slipscan.errors import SlipscanError
from slipscan.noise.simulate import TurbulenceSpectrum, turbulence
from slipscan.synthetic import pool
from slipscan.synthetic.backdrop import Frame, draw_background, draw_ground, draw_relief
from slipscan.synthetic.distribution import draw_noise
from slipscan.synthetic.pool import windows
from slipscan.synthetic.scene import draw_scene, draw_scenes
from slipscan.synthetic.sources import source_map
from slipscan.synthetic.symmetry import Symmetry

SCENE = {"epochs": 14, "pixels": 32}


def scenes(count: int, seed: int = 5):
    return [draw_scene(seed, index, **SCENE) for index in range(count)]


def assert_same(one, other):
    for name in ("days", "displacement", "height", "los", "events", "background", "mask", "source_maps"):
        assert_array_equal(getattr(one, name), getattr(other, name))
    assert (one.sources, one.start_d, one.noise) == (other.sources, other.start_d, other.noise)


def test_a_scene_is_the_same_alone_in_order_and_after_other_blocks():
    wanted = [3, pool.SCENES_PER_BLOCK - 1, pool.SCENES_PER_BLOCK]
    alone = {}
    for index in reversed(wanted):
        pool.block_of.cache_clear()
        alone[index] = draw_scene(5, index, **SCENE)
    stream = draw_scenes(5, wanted[1], **SCENE)
    draw_scene(6, 0, epochs=3, pixels=(8, 40), pixel_m=100)
    for index in wanted:
        assert_same(draw_scene(5, index, **SCENE), alone[index])
    for index in wanted[1:]:
        assert_same(next(stream), alone[index])
    for other in (draw_scene(5, 4, **SCENE), draw_scene(6, 3, **SCENE)):
        assert not np.array_equal(other.height, alone[3].height)


def test_the_number_of_epochs_changes_neither_view_nor_sources():
    short, long = (draw_scene(5, 1, epochs=epochs, pixels=32) for epochs in (5, 30))
    assert_array_equal(short.los, long.los)
    untimed = [
        [dataclasses.replace(s, history="linear", t50_d=0.0, duration_d=0.0) for s in scene.sources]
        for scene in (short, long)
    ]
    assert untimed[0] == untimed[1]


def test_scenes_keep_their_contract():
    for scene in scenes(30):
        assert scene.displacement.shape == scene.events.shape == scene.background.shape == (14, 32, 32)
        assert scene.displacement.dtype == scene.events.dtype == scene.height.dtype == np.float32
        assert scene.days[0] == 0 and (np.diff(scene.days) >= 6).all() and (np.diff(scene.days) <= 60).all()
        assert_array_equal(np.isfinite(scene.displacement), np.broadcast_to(scene.mask, (14, 32, 32)))
        assert not scene.displacement[0][scene.mask].any()
        assert not scene.events[0].any() and not scene.background[0].any()
        assert np.isfinite(scene.events).all() and np.isfinite(scene.background).all()
        assert 0.39 < scene.mask.mean() <= 1
        assert scene.height.min() >= 0 and scene.height.max() < 9000
        assert 1e-3 < scene.delay[1:].std() < 0.3  # metres, not millimetres


def test_the_displacement_is_the_sum_of_its_parts():
    kinds = set()
    for scene in scenes(40):
        years = (scene.days / 365.25)[:, None, None]
        noise = sum(part.astype(float) - part[0] for part in scene.noise_parts.by_name.values())
        whole = years * scene.rate + scene.season + scene.fault + scene.volumetric + scene.hydrological + noise
        size = np.abs(whole).max()
        assert_allclose(scene.displacement[:, scene.mask], whole[:, scene.mask], atol=3e-6 * size)
        both = scene.events.astype(float) + scene.background + scene.delay
        assert_allclose(scene.displacement[:, scene.mask], both[:, scene.mask], atol=3e-6 * size)
        kinds |= {name for name in ("fault", "volumetric", "hydrological") if getattr(scene, name).any()}
        kinds |= set(scene.noise_parts.by_name)
    assert kinds >= {"fault", "volumetric", "hydrological", "turbulence", "stratified", "ramp", "decorrelation"}
    assert kinds >= {"unwrapping", "reference"} and "phase_bias" not in kinds  # held out for the benchmark


def test_every_scene_has_a_rate_and_a_season():
    frame, days = Frame.square(32, 500.0), np.arange(0, 730, 12.0)
    rates, kinds = [], []
    for index in range(200):
        ground = draw_ground(np.random.default_rng(index), frame, LOS, None)
        rates.append(np.ptp(ground.rate))
        kinds.append(ground.kinds)
        season = np.tensordot(ground.waves(days), ground.season, axes=1)
        assert np.abs(season).max() > 1e-5
    assert set(kinds) == {("creep",), ("subsidence",), ("creep", "subsidence")}  # never none
    assert min(rates) > 1e-5 and 3e-3 < np.median(rates) < 30e-3 and max(rates) > 0.1


def test_a_steady_creeping_fault_is_a_step_and_subsidence_goes_down():
    """On the trace of a vertical fault that strikes north; the rest of the rate varies over kilometres."""
    frame, up = Frame.square(64, 200.0), np.array([0.0, 0.0, 1.0])
    steps, lowest = [], []
    for index in range(200):
        ground = draw_ground(np.random.default_rng(index), frame, LOS, (100.0, 0.0, 0.0))
        if ground.kinds == ("creep",):
            steps.append(np.abs(ground.rate[:, 32] - ground.rate[:, 31]).max())
        ground = draw_ground(np.random.default_rng(index), frame, up, (0.0, 0.0, 0.0))
        if ground.kinds == ("subsidence",):
            lowest.append(ground.rate.min())
    assert max(steps) > 1e-3  # 30 mm/yr seen at a tenth; traces elsewhere have none
    assert -300e-3 - 40e-3 < min(lowest) < -100e-3


def test_the_background_is_that_of_its_ground():
    frame, days = Frame.rectangle((6, 9), 500.0), np.array([0.0, 7.0, 40.0, 400.0])
    ground = draw_ground(np.random.default_rng(3), frame, LOS, (0.0, 0.0, 30.0))
    background = draw_background(np.random.default_rng(3), frame, days, LOS, (0.0, 0.0, 30.0))
    season = sum(
        wave[None] * (np.cos(2 * np.pi * (n * days / 365.25 + phase)) - np.cos(2 * np.pi * phase))[:, None, None]
        for wave, n, phase in zip(ground.season, ground.cycles, ground.phases, strict=True)
    )
    assert_allclose(background, (days / 365.25)[:, None, None] * ground.rate + season, atol=1e-7)


def test_lines_of_sight_are_those_of_both_passes():
    directions = []
    for scene in (draw_scene(1, index, epochs=2, pixels=4) for index in range(100)):
        assert np.linalg.norm(scene.los) == pytest.approx(1)
        geometry.check_los(*(np.array([c]) for c in scene.los), scene.orbit_direction, "a scene")
        assert scene.los[1] < 0  # a right-looking pass of inclination 98 degrees sees from the south
        assert 28.9 < math.degrees(math.acos(scene.los[2])) < 46.1
        directions.append(scene.orbit_direction == "ascending")
    assert 0.3 < np.mean(directions) < 0.7


def test_training_noise_stays_out_of_the_held_out_families():
    for index in range(100):
        noise = draw_noise(np.random.default_rng(index))
        assert 1 <= noise.spectrum.anisotropy <= 1.5
        assert_allclose(noise.spectrum.exponents, (8 / 3, 11 / 3, 5 / 3), atol=0.31)
        held_out = (noise.stratified_interannual, noise.unwrapping_persistent, noise.phase_bias_m_yr)
        assert not any((*held_out, noise.phase_bias_wander_m))
        assert type(noise.spectrum) is TurbulenceSpectrum


def test_pooled_and_fresh_scenes_hold_the_same_events():
    for index in range(8):
        pooled, fresh = (draw_scene(5, index, **SCENE, pooled=flag) for flag in (True, False))
        assert pooled.sources == fresh.sources and pooled.orbit_direction == fresh.orbit_direction
        assert_array_equal(pooled.days, fresh.days)
        peak = max((s.peak_m for s in pooled.sources), default=0.0)
        assert_allclose(pooled.events, fresh.events, atol=3e-3 * peak)
        assert not np.array_equal(pooled.delay, fresh.delay)


def test_windows_keep_the_statistics_of_their_fields():
    generator = np.random.default_rng(4)
    spectrum = TurbulenceSpectrum(outer_scale_m=20e3)
    fields = pool.random_fields(generator, spectrum.mode_std((128, 128), 500.0), (128, 128), 8)
    cut = pool.windows(generator, fields, (24, 40), 600)
    fresh = pool.turbulence(generator, (24, 40), 500.0, 600, spectrum)
    assert cut.shape == fresh.shape
    assert cut.mean() == pytest.approx(0, abs=0.05)  # signs are drawn
    for lag in ((1, 0), (0, 4), (12, 0), (0, 12)):
        rows, columns = 24 - lag[0], 40 - lag[1]
        squares = [((f[:, lag[0] :, lag[1] :] - f[:, :rows, :columns]) ** 2).mean() / 2 for f in (cut, fresh)]
        assert squares[0] == pytest.approx(squares[1], rel=0.1)


def test_dates_shape_and_pixels_are_the_caller_s():
    days = [5000.0, 5001.5, 5040.0, 5400.0]
    scene = draw_scene(3, 7, pixels=(12, 50), pixel_m=90.0, days=days)
    assert scene.displacement.shape == (4, 12, 50) and scene.height.shape == scene.mask.shape == (12, 50)
    assert scene.start_d == 5000 and scene.days.tolist() == [0, 1.5, 40, 400]
    assert draw_scene(3, 8, epochs=2, pixels=1).displacement.shape == (2, 1, 1)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"pixels": 0}, "empty"),
        ({"pixels": (4, 0)}, "empty"),
        ({"pixel_m": 0.0}, "pixel size"),
        ({"pixel_m": math.nan}, "pixel size"),
        ({"epochs": 1}, "no motion"),
        ({"epochs": None}, "no motion"),
        ({"epochs": None, "days": [1.0, 3.0, 2.0]}, "out of order"),
        ({"epochs": None, "days": [1.0, 2.0, 2.0]}, "double"),
        ({"epochs": None, "days": [1.0, math.nan]}, "not finite"),
        ({"epochs": None, "days": [1.0]}, "2 or more"),
        ({"epochs": 4, "days": [1.0, 2.0]}, "4 epochs"),
        ({"index": -1}, "0 or more"),
    ],
)
def test_bad_input_is_one_sentence(wrong, says):
    given_ = {"seed": 1, "index": 0, "epochs": 5, "pixels": 8, **wrong}
    seed, index = given_.pop("seed"), given_.pop("index")
    with pytest.raises(SlipscanError, match=says):
        draw_scene(seed, index, **given_)


def test_a_scene_seen_from_the_other_side_adds_up():
    for scene in scenes(12):
        image = Symmetry(east=True).scene(scene)
        assert image.orbit_direction != scene.orbit_direction
        geometry.check_los(*(np.array([c]) for c in image.los), image.orbit_direction, "an image")
        assert_array_equal(image.height, scene.height[:, ::-1])
        assert_array_equal(image.displacement, scene.displacement[..., ::-1])
        assert_allclose(image.events, scene.events[..., ::-1], atol=1e-9)
        frame = Frame.square(32, 500.0)
        for source, shape in zip(image.sources, image.source_maps, strict=True):
            assert_allclose(shape, source_map(source, frame, image.los), atol=5e-3 * source.peak_m)
    with pytest.raises(SlipscanError, match="east=True"):
        Symmetry(transpose=True).scene(image)


def test_relief_has_its_spread_and_its_slope():
    frame = Frame.square(64, 500.0)
    spreads = [draw_relief(np.random.default_rng(i), frame).std() for i in range(40)]
    assert 29 < min(spreads) < 80 and 250 < max(spreads) < 601


def test_noise_of_one_direction_keeps_it_whatever_window_is_drawn() -> None:
    spectrum = TurbulenceSpectrum(anisotropy=4.0, azimuth_deg=90.0)  # streaks run from west to east
    torus = turbulence(np.random.default_rng(0), (128, 128), 500.0, 4, spectrum)
    drawn = windows(np.random.default_rng(1), torus, (64, 64), 60, directed=True)
    down, across = (float(np.diff(drawn, axis=axis).std()) for axis in (1, 2))
    assert down > 1.5 * across
    mixed = windows(np.random.default_rng(1), torus, (64, 64), 60)
    down, across = (float(np.diff(mixed, axis=axis).std()) for axis in (1, 2))
    assert 0.7 < down / across < 1.4
