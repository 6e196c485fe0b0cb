"""What the noise model adds to turbulence: height, ramps, decorrelation, unwrapping, phase bias, gaps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from noise_builders import DAYS, HEIGHT, generator
from slipscan.noise.simulate import (
    NoiseModel,
    coherence_after,
    decorrelation,
    land_cover,
    missing_epochs,
    missing_pixels,
    phase_bias,
    ramps,
    red_series,
    stratified,
    unwrapping_blocks,
)
from slipscan.vocabulary import CYCLE_M


def test_stratified_delay_is_a_slope_with_height_and_an_annual_cycle():
    height = np.array([[0.0, 500.0], [1000.0, 2500.0]])
    days = np.arange(0, 20 * 365.25, 12)
    delay = stratified(generator(), days, height, 8e-6, 5e-6)
    slope = (delay[:, 1, 1] - delay[:, 0, 0]) / 2500
    np.testing.assert_allclose(delay, slope[:, None, None] * (height - 1000), atol=1e-7)
    phase = 2 * np.pi * (days - 200) / 365.25
    assert 2 * np.mean(slope * np.cos(phase)) == pytest.approx(5e-6, abs=1e-6)
    assert (slope - 5e-6 * np.cos(phase)).std() == pytest.approx(8e-6, rel=0.1)
    assert stratified(generator(), [200.0], height, 0.0, 5e-6)[0, 1, 1] > 0  # summits early in a humid summer


def test_ramps_are_planes_of_unit_variance():
    fields = ramps(generator(), (20, 41), 4000).astype(float)
    assert np.mean(fields**2) == pytest.approx(1, abs=0.05)
    np.testing.assert_allclose(np.diff(fields, n=2, axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(np.diff(fields, n=2, axis=2), 0, atol=1e-5)
    assert not ramps(generator(), (1, 1), 3).any()


def test_decorrelation_grows_as_coherence_falls():
    assert decorrelation(generator(), (100, 100)).std() == pytest.approx(1, abs=0.03)
    coherence = np.repeat(np.array([[1.0], [0.6], [0.3], [0.0]]), 20_000, axis=1)
    spread = decorrelation(generator(), coherence.shape, coherence).std(axis=1)
    # sqrt(1 - g^2) / g at 0.3 over that at 0.6: 2.385
    np.testing.assert_allclose(spread, [0, 1, 2.385, 3], rtol=0.03, atol=1e-6)


def test_blocks_are_whole_cycles_bounded_by_low_coherence():
    coherence = land_cover(generator(4), (96, 96), 500.0)
    blocks = unwrapping_blocks(generator(5), 60, coherence, (500.0, 500.0), 4.0, 4e3)
    cycles = blocks / np.float32(CYCLE_M)
    np.testing.assert_array_equal(cycles, np.rint(cycles))
    assert abs(CYCLE_M - 27.73e-3) < 5e-6
    hit = blocks.any(axis=(1, 2))
    assert 0.2 < hit.mean() < 1
    wide = ndimage.gaussian_filter(coherence, 2)
    inside, edge = [], []
    for block in blocks[hit] != 0:
        rim = ndimage.binary_dilation(block, iterations=2) & ~block
        inside.append(wide[block].mean())
        edge.append(wide[rim].mean())
    assert np.mean(np.array(edge) < np.array(inside)) > 0.9
    area = np.count_nonzero(blocks[hit], axis=(1, 2)) * 0.25
    assert 10 < np.median(area) < 200  # km2: about pi (4 km)^2
    count = unwrapping_blocks(generator(6), 4000, np.full((8, 8), 0.5), (1e4, 1e4), 0.5, 1e4).any(axis=(1, 2))
    assert count.mean() == pytest.approx(1 - np.exp(-0.5 * 0.64), rel=0.1)  # a Poisson rate per 10^4 km2


def test_persistent_blocks_last_to_the_end():
    coherence = land_cover(generator(4), (48, 48), 500.0)
    stay = unwrapping_blocks(generator(7), 20, coherence, (500.0, 500.0), 1.0, 4e3, persistent=1.0)
    changed = np.diff(stay, axis=0).any(axis=(1, 2))
    assert stay.any()
    assert 0 < changed.sum() < 10
    last = int(np.flatnonzero(changed)[-1]) + 1
    assert stay[last].any()
    assert (stay[last:] == stay[last]).all()


def test_phase_bias_grows_with_time_where_plants_grow():
    coherence = np.array([[0.9, 0.6, 0.4, 0.2, 0.05]])
    days = np.array([0.0, 365.25, 730.5])
    bias = phase_bias(generator(), days, coherence, -4e-3)
    np.testing.assert_allclose(bias[2, 0], [0, 0, -4e-3, -8e-3, -8e-3], atol=1e-8)
    np.testing.assert_allclose(bias[1], bias[2] / 2, atol=1e-8)
    wander = phase_bias(generator(1), np.arange(4000) * 12.0, coherence, 0.0, 2e-3)
    assert wander[:, 0, 4].std() == pytest.approx(2e-3, rel=0.25)
    assert not wander[:, 0, 0].any()


def test_red_series_forgets_exponentially():
    series = red_series(generator(), np.arange(60_000) * 10.0, 100.0)
    assert series.std() == pytest.approx(1, abs=0.05)
    for lag in (1, 10):
        assert np.mean(series[lag:] * series[:-lag]) == pytest.approx(np.exp(-lag / 10), abs=0.06)


def test_reference_noise_is_one_number_an_epoch():
    parts = NoiseModel(0.0, reference_std_m=2e-3).parts(generator(), np.arange(3000) * 1.0, np.zeros((2, 3)), 500.0)
    assert parts.reference is not None
    assert (np.ptp(parts.reference, axis=(1, 2)) == 0).all()
    assert parts.reference[:, 0, 0].std() == pytest.approx(2e-3, rel=0.05)


def test_stratified_delay_bends_and_varies_in_space():
    height = np.tile(np.linspace(0, 2000, 48), (40, 1))
    bent = NoiseModel(0.0, stratified_quadratic=2e-9).parts(generator(), np.arange(900) * 1.0, height, 500.0).stratified
    assert bent is not None
    curvature = [np.polyfit(height[0], row, 2)[0] for row in bent[:, 0].astype(float)]
    assert np.std(curvature) == pytest.approx(2e-9, rel=0.1)
    even = NoiseModel(0.0, stratified_std=1e-5)
    plain, varied = (
        model.parts(generator(3), DAYS, height, 500.0).stratified
        for model in (even, replace(even, stratified_spatial=0.4))
    )
    assert plain is not None
    assert varied is not None
    high = np.abs(height[0] - height.mean()) > 300
    ratio = (varied / plain)[:, :, high]
    np.testing.assert_allclose(ratio, ratio[:1].repeat(12, axis=0), atol=1e-3)  # one pattern for all epochs
    assert 0.02 < ratio[0].std() < 0.6


def test_slow_slopes_are_red_and_ramps_follow_the_sun():
    days = np.arange(1500) * 12.0
    slow = NoiseModel(0.0, stratified_interannual=1e-5).simulate(generator(), days, np.array([[0.0, 1000.0]]), 500.0)
    slope = (slow[:, 0, 1] - slow[:, 0, 0]) / 1000
    assert slope.std() == pytest.approx(1e-5, rel=0.25)
    assert np.corrcoef(slope[5:], slope[:-5])[0, 1] > 0.8
    plane = NoiseModel(0.0, ramp_std_m=5e-3, ramp_solar=0.8).simulate(generator(), days, np.zeros((20, 20)), 500.0)
    active = np.cos(2 * np.pi * (days - 3930) / (11 * 365.25)) > 0
    assert plane[active].std() > 2 * plane[~active].std()


def test_coherence_decays_to_what_lasts():
    np.testing.assert_allclose(coherence_after([0.0, 1e4], 30.0, 0.9, 0.2), [0.9, 0.2])
    assert coherence_after(30.0, 30.0, 0.9, 0.1) == pytest.approx(0.1 + 0.8 / np.e)
    even = NoiseModel(0.0, white_std_m=1e-3).simulate(generator(), DAYS, HEIGHT, 500.0)
    uneven = NoiseModel(0.0, white_std_m=1e-3).simulate(
        generator(), DAYS, HEIGHT, 500.0, coherence=np.full(HEIGHT.shape, 0.3)
    )
    np.testing.assert_allclose(uneven, 2.385 * even, rtol=1e-3)


def test_missing_epochs_have_their_rates():
    days = np.arange(20_000) * 12.0
    single = missing_epochs(generator(), days, 0.1)
    assert single.mean() == pytest.approx(0.1, abs=0.01)
    assert not single[0]
    gaps = missing_epochs(generator(1), days, 0.0, long_gaps_yr=0.3)
    starts = np.flatnonzero(np.diff(gaps.astype(int)) == 1)
    years = days[-1] / 365.25
    assert len(starts) == pytest.approx(0.3 * years, rel=0.25)
    lengths = np.diff(np.flatnonzero(np.diff(gaps.astype(int)))[: 2 * (len(starts) // 2)])[::2] * 12.0
    assert lengths.mean() == pytest.approx(42, abs=6)


def test_missing_pixels_have_their_shares_and_places():
    coherence = land_cover(generator(), (64, 64), 500.0)
    missing = missing_pixels(generator(1), (40, 64, 64), 500.0, 0.3, 0.2, coherence)
    always = missing.all(axis=0)
    assert always.mean() == pytest.approx(0.3, abs=0.02)
    assert missing[:, ~always].mean() == pytest.approx(0.2, abs=0.06)
    assert coherence[always].mean() < coherence[~always].mean() - 0.2
    exact = missing_pixels(generator(2), (3, 50, 40), 500.0, 0.25)
    assert exact.sum(axis=(1, 2)).tolist() == [500, 500, 500]
    alone = exact[0] & (ndimage.uniform_filter(exact[0].astype(float), 3) < 0.2)
    assert alone.mean() < 0.02  # blobs, not salt
    assert not missing_pixels(generator(), (3, 8, 8), 500.0, 0.0).any()
