"""Noise of GNSS series, and least squares in it: against dense algebra, and against what was simulated."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipscan.fit.model import DAYS_PER_YEAR
from slipscan.gnss import kalman, noise
from slipscan.synthetic.positions import flicker_noise

FIVE_YEARS = 1826


def background(days):
    """Columns (column, day): offset, rate, seasons."""
    years = np.arange(days) / DAYS_PER_YEAR
    season = [f(2 * np.pi * cycles * years) for cycles in (1, 2) for f in (np.cos, np.sin)]
    return np.stack([np.ones(days), years - years.mean(), *season])


def fitted(series, columns):
    """What an ordinary fit of (series, day) leaves, NaN where there is nothing."""
    out = np.empty_like(series)
    for row, values in zip(out, series, strict=True):
        there = np.isfinite(values)
        row[:] = values - columns.T @ np.linalg.lstsq(columns[:, there].T, values[there], rcond=None)[0]
    return out


def independent_noise(generator, count, white, flicker, walk=0.0):
    """Series of five years whose flicker noise is not the filter's own."""
    out = white * generator.standard_normal((count, FIVE_YEARS))
    out += flicker * np.stack([flicker_noise(generator, FIVE_YEARS, 1 / DAYS_PER_YEAR) for _ in range(count)])
    return out + walk / np.sqrt(DAYS_PER_YEAR) * np.cumsum(generator.standard_normal((count, FIVE_YEARS)), axis=1)


@pytest.mark.parametrize(("flicker", "walk"), [(2e-3, 0.0), (3e-3, 1.5e-3), (0.0, 2e-3)])
def test_filter_and_dense_algebra_agree(flicker, walk):
    days = 150
    generator = np.random.default_rng(1)
    columns = np.stack([*background(days)[:2], (np.arange(days) >= 77) * 1.0, np.zeros(days)])
    series = generator.standard_normal(days) * 1e-3
    white = 1e-3 * (1 + generator.random(days))
    white[20:50] = white[::9] = np.inf
    there = np.isfinite(white)
    fit, onsets = kalman.fit_onsets(
        series[None], columns[None], kalman.Noise(white[None], np.array([flicker]), np.array([walk]))
    )
    dense = kalman.covariance(days, flicker, walk)[np.ix_(there, there)] + np.diag(white[there] ** 2)
    inverse, a, y = np.linalg.inv(dense), columns[:3, there].T, series[there]
    normal = a.T @ inverse @ a
    np.testing.assert_allclose(fit.parameters[0, :3], np.linalg.solve(normal, a.T @ inverse @ y), rtol=1e-8)
    np.testing.assert_allclose(fit.covariance[0, :3, :3], np.linalg.inv(normal), rtol=1e-8)
    assert fit.parameters[0, 3] == 0.0
    beside = inverse - inverse @ a @ np.linalg.solve(normal, a.T @ inverse)
    steps = (np.arange(days)[:, None] >= np.arange(days)[None, :])[there] * 1.0
    scale = np.abs(onsets.information).max()
    np.testing.assert_allclose(onsets.score[0], steps.T @ beside @ y, atol=1e-8 * scale)
    np.testing.assert_allclose(onsets.information[0], np.diag(steps.T @ beside @ steps), atol=1e-8 * scale)
    expected = y @ beside @ y + np.linalg.slogdet(dense)[1] + np.linalg.slogdet(normal)[1]
    assert fit.log_likelihood[0] == pytest.approx(-0.5 * expected)


def test_series_of_a_chunk_do_not_touch_each_other():
    generator = np.random.default_rng(2)
    series, columns = generator.standard_normal((100, 60)) * 1e-3, np.broadcast_to(background(60)[:2], (100, 2, 60))
    every = kalman.Noise(np.full((100, 60), 1e-3), np.linspace(1e-3, 5e-3, 100), np.linspace(0, 2e-3, 100))
    together = kalman.fit(series, columns, every)
    for one in (0, 95, 96, 99):
        alone = kalman.fit(series[one : one + 1], columns[one : one + 1], every[one : one + 1])
        np.testing.assert_allclose(together.parameters[one], alone.parameters[0], rtol=1e-10)


@settings(max_examples=10, deadline=None)
@given(st.floats(-1e3, 1e3), st.floats(-0.1, 0.1), st.floats(0.2, 20))
def test_a_fit_turns_with_its_data(offset, rate, size):
    columns = background(90)[None, :2]
    series = 1e-3 * np.random.default_rng(3).standard_normal((1, 90))
    one = kalman.Noise(np.full((1, 90), 1e-3), np.array([2e-3]), np.array([0.0]))
    plain, moved = (kalman.fit(s, columns, one) for s in (series, size * series + offset + rate * columns[:, 1]))
    np.testing.assert_allclose(moved.parameters, size * plain.parameters + [offset, rate], atol=1e-9)
    np.testing.assert_allclose(moved.covariance, plain.covariance)


def test_flicker_noise_of_the_filter_is_that_of_fractional_differences():
    """Variances of differences of block means, which an offset does not move."""
    generator = np.random.default_rng(4)
    theirs = independent_noise(generator, 60, 0.0, 1.0)
    ours = noise.simulate_flicker(generator, 60, FIVE_YEARS)
    ratio = noise.block_variances(ours)[0].mean(axis=0) / noise.block_variances(theirs)[0].mean(axis=0)
    np.testing.assert_allclose(ratio, 1.0, atol=0.15)


@pytest.mark.parametrize(("white", "flicker", "event"), [(1e-3, 3e-3, 2e-3), (3e-3, 8e-3, 0.0)])
def test_amplitudes_are_recovered_even_beside_an_event_that_nobody_knows(white, flicker, event):
    series = independent_noise(np.random.default_rng(5), 60, white, flicker)
    series[:, 700:] += event
    series[np.random.default_rng(6).random(series.shape) < 0.1] = np.nan
    columns = background(FIVE_YEARS)
    found = noise.estimate_noise(series, np.broadcast_to(columns, (60, *columns.shape)), fitted(series, columns))
    typical = np.nanmedian(np.where(np.isfinite(found.white), found.white, np.nan), axis=1)
    near = (np.abs(typical / white - 1) < 0.2) & (np.abs(found.flicker / flicker - 1) < 0.2)
    assert near.mean() >= 0.9
    assert event or (found.walk > 0).mean() < 0.15


def test_known_events_are_no_noise_and_what_their_columns_take_is_put_back():
    series = independent_noise(np.random.default_rng(5), 60, 1e-3, 3e-3)
    ramps = [(int(first), 20) for first in np.arange(100, FIVE_YEARS - 100, 130)]
    histories = np.stack([np.clip((np.arange(FIVE_YEARS) - first) / 20, 0, 1) for first, _ in ramps])
    moved = series + 4e-3 * histories[3] + 4e-3 * histories[9]
    columns = np.concatenate([background(FIVE_YEARS), histories])
    wide = np.broadcast_to(columns, (60, *columns.shape))
    beside = noise.estimate_noise(moved, wide, fitted(moved, columns), ramps=ramps)
    assert np.median(beside.flicker) == pytest.approx(3e-3, rel=0.07)
    assert (beside.walk > 0).mean() < 0.2
    naive = noise.estimate_noise(moved, wide, fitted(moved, columns))
    assert np.median(naive.flicker) < 0.96 * np.median(beside.flicker)
    alone = wide[:, : len(background(FIVE_YEARS))]
    unknown = noise.estimate_noise(moved, alone, fitted(moved, alone[0]))
    assert (unknown.walk > 0).mean() > 0.4


@pytest.mark.parametrize("ramps", [(), ((400, 30), (900, 30), (1300, 5))])
def test_what_a_fit_takes_from_each_kind_of_noise_is_that_of_drawn_noise(ramps):
    days, day = 1826, np.arange(1826)
    columns = np.concatenate([background(days), *([np.clip((day - f) / d, 0, 1)[None] for f, d in ramps])])
    for kind, unit in enumerate(np.eye(3)):
        drawn = noise.simulate(np.random.default_rng(kind), 400, days, *unit)
        left = np.array([np.mean(noise._block_differences(fitted(drawn, columns).T, b) ** 2) for b in noise.BLOCKS_D])
        whole = (2.0 / np.array(noise.BLOCKS_D), *noise._unit_variances())[kind]
        np.testing.assert_allclose(noise._kept(days, ramps)[kind], left / whole, rtol=0.12, atol=0.01)


def test_noise_of_stations_that_are_alike_is_drawn_together_and_of_others_is_not():
    generator, days = np.random.default_rng(3), np.full(48, 2000.0)
    estimate = 1.0 + 0.15 * generator.standard_normal(48)
    estimate[:3] = 1.6  # a station near an event
    alike = noise.Noise(np.ones((48, 1)), 2e-3 * estimate, np.zeros(48))
    drawn = noise.shrunk_to_network(alike, days).flicker / 2e-3
    assert np.ptp(drawn) < 0.3 and np.allclose(np.median(drawn), 1.0, atol=0.1)
    spread = np.exp(generator.normal(0.0, 1.0, 48))
    unlike = noise.Noise(np.ones((48, 1)), 2e-3 * spread, 1e-3 * spread)
    for name in ("flicker", "walk"):
        ratio = getattr(noise.shrunk_to_network(unlike, days), name) / getattr(unlike, name)
        assert np.abs(np.log(ratio)).max() < 0.25
    few = noise.Noise(np.ones((15, 1)), alike.flicker[:15], alike.walk[:15])
    assert noise.shrunk_to_network(few, days[:15]) is few


def test_a_random_walk_is_kept_where_there_is_one():
    series = independent_noise(np.random.default_rng(7), 30, 1e-3, 2e-3, walk=6e-3)
    columns = background(FIVE_YEARS)
    found = noise.estimate_noise(series, np.broadcast_to(columns, (30, *columns.shape)), fitted(series, columns))
    assert (found.walk > 0).mean() > 0.9
    assert np.median(found.walk) == pytest.approx(6e-3, rel=0.25)


def test_white_noise_follows_the_scatter_of_its_days():
    scatter = np.where(np.arange(2000) < 1000, 1.0, 3.0)
    series = scatter * np.random.default_rng(8).standard_normal((1, 2000))
    ratio = noise.local_white(series)[0]
    assert np.median(ratio[1200:]) / np.median(ratio[:800]) == pytest.approx(3.0, rel=0.15)


def test_a_short_or_an_empty_series_has_an_answer():
    series = np.full((2, 40), np.nan)
    series[0, 3:30] = 1e-3 * np.random.default_rng(9).standard_normal(27)
    white, flicker, walk = noise.amplitudes(series)
    assert np.isfinite([white, flicker, walk]).all()
    assert 0.3e-3 < white[0] < 3e-3
