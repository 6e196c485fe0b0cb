"""Offsets of stations at many times at once, and how their noise hangs together."""

from __future__ import annotations

import numpy as np
import pytest

from slipscan.fit.model import days_since_2014
from slipscan.gnss import kalman, network
from slipscan.gnss.event import shared_noise
from slipscan.gnss.noise import estimate_noise, simulate_flicker
from slipscan.gnss.offsets import UNSEEN_M, Daily, lay, measure, prepare, ramp_columns
from slipscan.gnss.steps import Step
from slipscan.gnss.times import around
from station_builders import DATES, station
from transient_builders import daily as noons

DAYS = noons("2018-01-01", 700)
T05, T95 = (float(v) for v in days_since_2014(np.array(DATES, "M8[ns]")))
MOVED = np.array([12e-3, -8e-3, 5e-3])
NO_RAMP = np.zeros((0, 700))


@pytest.fixture(scope="module")
def pair() -> Daily:
    """Two stations that moved by MOVED within DATES."""
    daily = prepare([station(seed, MOVED, days=DAYS, name=f"ST0{seed}") for seed in (1, 2)], {})
    assert daily is not None
    return daily


def test_an_offset_is_that_of_dense_algebra(pair):
    ramps = ramp_columns(pair.days, np.array([0.5 * (T05 + T95)]), np.array([T95 - T05]))
    found = measure(pair, ramps, ramps[:0])
    for row, (series, columns) in enumerate(zip(pair.series, pair.columns, strict=True)):
        present = np.isfinite(series)
        dense = kalman.covariance(len(series), pair.noise.flicker[row], pair.noise.walk[row])
        dense += np.diag(np.where(present, pair.noise.white[row], 0.0) ** 2)
        dense = dense[np.ix_(present, present)]
        design = np.vstack([ramps, columns[columns.any(axis=1)]])[:, present].T
        normal = np.linalg.inv(design.T @ np.linalg.solve(dense, design))
        size = (normal @ design.T @ np.linalg.solve(dense, series[present]))[0]
        assert found.size[0, row // 3, row % 3] == pytest.approx(size, abs=1e-7)
        assert found.std[0, row // 3, row % 3] == pytest.approx(np.sqrt(normal[0, 0]), rel=1e-4)


def test_the_middle_is_found_where_insar_is_off_by_three_weeks(pair):
    times = around(T05 - 21.0, T95 - 21.0)
    found = measure(pair, ramp_columns(pair.days, times.t50, times.duration_d), NO_RAMP)
    gain = (found.size**2 / found.std**2).sum(axis=(1, 2)) / 2 + times.log_prior
    best = int(gain.argmax())
    assert times.t50[best] == pytest.approx(0.5 * (T05 + T95), abs=4.0)
    held = int(np.argmin(np.abs(times.t50 - (0.5 * (T05 + T95) - 21.0)) + np.abs(times.duration_d - (T95 - T05))))
    # Held at InSAR's times the station would have moved by much less.
    assert found.size[best, 0, 0] == pytest.approx(MOVED[0], abs=2.5e-3) and found.size[held, 0, 0] < 0.8 * MOVED[0]
    assert np.exp(times.log_prior).sum() == pytest.approx(1.0)


def test_times_reach_as_far_as_insar_says_that_it_does_not_know() -> None:
    known, vague = around(0.0, 20.0, 3.0), around(0.0, 20.0, 60.0)
    np.testing.assert_array_equal(known.t50, around(0.0, 20.0).t50)
    assert np.ptp(vague.t50) == pytest.approx(240.0, abs=6.0)
    assert np.exp(vague.log_prior) @ (vague.t50 - 10.0) ** 2 == pytest.approx(60.0**2, rel=0.3)


def test_what_a_new_antenna_hides_is_not_measured(pair):
    changed = Step(np.datetime64("2018-12-16", "ns"), "equipment", "antenna", np.nan, np.nan)
    daily = prepare(pair.stations, {"ST01": [changed]})
    found = measure(daily, ramp_columns(daily.days, np.array([0.5 * (T05 + T95)]), np.array([0.1])), NO_RAMP)
    assert (found.std[0, 0] == UNSEEN_M).all() and (found.size[0, 0] == 0).all()
    assert (found.std[0, 1] < 5e-3).all()


def test_a_station_of_a_few_days_is_left_out():
    assert lay([station(1, days=DAYS[:40])], {}) is None
    assert lay([], {}) is None


def test_the_window_drops_what_says_the_same_there(pair):
    changed = Step(np.datetime64("2018-03-01", "ns"), "equipment", "antenna", np.nan, np.nan)
    whole = lay(pair.stations, {"ST01": [changed]})
    part = whole.window(T05 - 200.0, T95 + 200.0)
    assert whole.columns[0].any(axis=1).sum() == part.columns[0].any(axis=1).sum() + 1
    assert len(part.days) < len(whole.days)


def test_shared_noise_is_found_and_noise_of_ones_own_is_not():
    generator = np.random.default_rng(3)
    own = 2e-3 * simulate_flicker(generator, 24, 1500).reshape(8, 3, 1500)
    shared = 2e-3 * simulate_flicker(generator, 3, 1500)
    apart = 10.0 * np.abs(np.subtract.outer(np.arange(8), np.arange(8)))
    design = np.broadcast_to(np.stack([np.ones(1500), np.linspace(-1, 1, 1500)]), (24, 2, 1500))
    mixed = np.sqrt(0.55) * own + np.sqrt(0.45) * shared
    for series, share in ((mixed, 0.45), (own, 0.0)):
        flat = series.reshape(24, 1500)
        laid = Daily((), np.arange(1500.0), flat, design, estimate_noise(flat, design, flat))
        found = shared_noise(laid, apart)
        assert found.shape == (3, 8, 8) and np.linalg.eigvalsh(found).min() > 1e-3
        assert found[:, *np.triu_indices(8, 1)].mean() == pytest.approx(share, abs=0.12)


def test_the_covariance_of_a_network_by_hand():
    between = np.stack([np.array([[1.0, r], [r, 1.0]]) for r in (0.5, 0.5, 0.0)])
    std = np.array([[1.0, 2.0, 3.0], [2.0, 1.0, 3.0]])
    total = network.covariance(std, between, np.eye(3), (0.0, 0.0, 4.0))
    assert total[0, 3] == pytest.approx(0.5 * 1 * 2) and total[1, 4] == pytest.approx(0.5 * 2 * 1)
    assert total[2, 5] == pytest.approx(16.0) and total[2, 2] == pytest.approx(9 + 16)
    assert total[0, 1] == 0 and np.linalg.eigvalsh(total).min() > 0
