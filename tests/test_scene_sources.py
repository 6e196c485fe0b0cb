"""Sources of training scenes: their mix, their places, their maps and what mirrors do to them."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from simulated import LOS
from slipscan.synthetic.backdrop import Frame
from slipscan.synthetic.bank import SourceBank
from slipscan.synthetic.distribution import HISTORIES, NO_EVENT_SHARE, draw_sources, draw_times
from slipscan.synthetic.scene import draw_scene
from slipscan.synthetic.sources import FAMILIES, SEASONAL, Source, source_map
from slipscan.synthetic.symmetry import Symmetry


def drawn_sources(count: int, frame: Frame, seed: int = 9) -> list[Source]:
    """All sources of some scenes, with times in a series of two years."""
    out: list[Source] = []
    for index in range(count):
        generator = np.random.default_rng([seed, index])
        out += draw_times(generator, draw_sources(generator, frame), 730.0)
    return out


def test_the_mix_of_sources():
    frame = Frame.square(8, 500.0)
    count = 1500
    numbers = [len(draw_sources(np.random.default_rng([9, index]), frame)) for index in range(count)]
    assert np.mean(np.array(numbers) == 0) == pytest.approx(NO_EVENT_SHARE, abs=0.04) and max(numbers) == 3
    sources = drawn_sources(count, frame)
    assert {s.kind for s in sources} == set(FAMILIES)
    assert {s.history for s in sources} == {*HISTORIES, SEASONAL}
    assert np.mean([s.kind == "creep" for s in sources]) > 0.28
    peaks = np.array([s.peak_m for s in sources])
    assert peaks.min() > 1e-3 and peaks.max() < 60e-3
    assert np.median(np.log10(peaks * 1e3)) == pytest.approx(math.log10(60) / 2, abs=0.1)
    for s in sources:
        assert (s.history == SEASONAL) <= (s.kind == "reservoir")
        assert s.duration_d == 0 if s.kind == "earthquake" else 1 <= s.duration_d <= 1095
        low, high = {
            "creep": (0, 0), "buried": (1.5e3, 20e3), "earthquake": (0, 20e3), "volume": (2e3, 10e3),
            "crack": (1.5e3, 8e3), "sill": (1.5e3, 8e3), "dike": (0.5e3, 4e3), "reservoir": (0.3e3, 2e3),
        }[s.kind]  # fmt: skip
        assert low <= s.depth <= high
    transients = [s for s in sources if s.history != SEASONAL]
    assert all(s.t50_d + s.duration_d / 2 >= 0 and s.t50_d - s.duration_d / 2 <= 730 for s in transients)
    assert np.mean([s.t50_d - s.duration_d / 2 < 0 for s in transients]) > 0.03  # begun before
    assert np.mean([s.t50_d + s.duration_d / 2 > 730 for s in transients]) > 0.03  # unfinished


def test_half_of_the_sources_lie_under_summits_and_along_range_fronts():
    """Relief at the source, against relief at its mirror image in the scene: chance has no part in it."""
    frame = Frame.square(32, 500.0)
    marked, excess = {"fault": [], "volumetric": []}, {"fault": [], "volumetric": []}
    for scene in (draw_scene(5, index, epochs=2, pixels=32) for index in range(200)):
        for source in scene.sources:
            if source.family == "hydrological":
                continue
            marked[source.family].append(source.on_relief)
            if source.on_relief and source.family == "volumetric":
                distance = np.hypot(frame.east - source.east, frame.north - source.north)
                near, around = scene.height[distance < 1e3], scene.height[(distance > 4e3) & (distance < 8e3)]
                excess["volumetric"].append(near.mean() - around.mean())
            elif source.on_relief:
                strike = math.radians(source.strike_deg)
                right = (frame.east - source.east) * math.cos(strike) - (frame.north - source.north) * math.sin(strike)
                step = [scene.height[side * right > 1e3] for side in (1, -1)]
                if min(len(s) for s in step) > 50:
                    rise = step[0].mean() - step[1].mean()
                    excess["fault"].append(-rise if source.rake_deg < -45 else rise)
    for family in marked:
        assert np.mean(marked[family]) == pytest.approx(0.5, abs=0.14)
        assert np.mean(np.array(excess[family]) > 0) > 0.8 and np.mean(excess[family]) > 200


def test_the_bank_gives_the_maps_of_its_sources():
    """On scenes of coarse and fine pixels, any shape; error relative to the largest motion in any direction."""
    for shape, pixel_m in (((64, 64), 500.0), ((40, 90), 100.0), ((12, 7), 2000.0)):
        frame = Frame.rectangle(shape, pixel_m)
        sources = drawn_sources(60, frame, seed=2)
        assert {s.kind for s in sources} == set(FAMILIES)
        bank = SourceBank(sources, frame)
        errors = []
        for number, source in enumerate(sources):
            exact, found = source_map(source, frame, LOS), bank.map(number, source, LOS)
            assert np.abs(found).max() == pytest.approx(source.peak_m, rel=1e-5)
            errors.append(np.abs(found - exact).max() / source.peak_m)
        # Where a scene is much smaller than its source, rounding errors of the displacement are all that is left.
        assert max(errors) < (3e-3 if pixel_m < 500 else 1e-3)


@settings(max_examples=40, deadline=None)
@given(number=st.integers(0, 10_000), east=st.booleans(), north=st.booleans(), transpose=st.booleans())
def test_a_mirrored_source_makes_the_mirrored_map(number, east, north, transpose):
    frame, symmetry = Frame.rectangle((21, 30), 700.0), Symmetry(east, north, transpose)
    turned = Frame.rectangle((30, 21), 700.0) if transpose else frame
    for source in draw_sources(np.random.default_rng(number), frame):
        image = source_map(symmetry.source(source), turned, symmetry.vector(LOS))
        assert_allclose(image, symmetry.maps(source_map(source, frame, LOS)), atol=2e-4 * source.peak_m)


def test_the_map_of_a_source_turns_with_its_sign():
    frame = Frame.square(32, 500.0)
    for source in {s.kind: s for s in drawn_sources(100, frame)}.values():
        shape = source_map(source, frame, LOS)
        assert np.abs(shape).max() == pytest.approx(source.peak_m, rel=1e-5)
        turned = dataclasses.replace(source, sign=-source.sign)
        assert_allclose(source_map(turned, frame, LOS), -shape, atol=1e-9)
        if source.family == "fault":
            other = dataclasses.replace(source, rake_deg=source.rake_deg + 180)
            assert_allclose(source_map(other, frame, LOS), -shape, atol=1e-6)


def test_inflation_comes_toward_the_satellite():
    frame = Frame.square(32, 500.0)
    assert frame.north[0, 0] > frame.north[-1, 0] and frame.east[0, 0] < frame.east[0, -1]
    for kind in ("volume", "crack", "sill", "reservoir"):
        source = next(s for s in drawn_sources(200, frame) if s.kind == kind)
        source = dataclasses.replace(
            source, sign=1, east=2e3, north=-3e3, depth=3e3, peak_m=0.01, length=2e3, width=2e3
        )
        shape = source_map(source, frame, np.array([0.0, 0.0, 1.0]))
        row, column = np.unravel_index(shape.argmax(), shape.shape)
        assert shape.max() == pytest.approx(0.01)
        assert abs(frame.east[row, column] - 2e3) <= 250 and abs(frame.north[row, column] + 3e3) <= 250
