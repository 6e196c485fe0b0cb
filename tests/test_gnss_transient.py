"""The displacement of a transient at one station: recovered with honest errors, or none."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from slipscan.fit.model import days_since_2014
from slipscan.gnss.offsets import UNSEEN_M, has_positions_around, measure, prepare, ramp_columns
from slipscan.gnss.steps import Step
from slipscan.gnss.tenv3 import Station
from station_builders import DATES, DAYS, station

TRUTH = np.array([5e-3, -3e-3, 2e-3])
SUDDEN = (DATES[0], DATES[0])


def ramps(days, *pairs):
    """Histories that begin and end at dates; from 5 to 95 per cent they take 0.9 of that time."""
    ends = np.array([days_since_2014(np.array(pair, "M8[ns]")) for pair in pairs]).reshape(-1, 2)
    return ramp_columns(days, ends.mean(axis=1), np.maximum(0.9 * (ends[:, 1] - ends[:, 0]), 0.1))


def estimated(stations, dates=DATES, steps=(), others=()):
    """Offsets and deviations (station, 3) of a transient that begins and ends at known dates."""
    daily = prepare(stations, {s.name: steps for s in stations})
    found = measure(daily, ramps(daily.days, dates), ramps(daily.days, *others))
    return found.size[0], found.std[0]


def changed(whole, **fields):
    return Station(**{**vars(whole), **fields})


def test_errors_are_honest():
    """Errors over sigma have unit scatter; a white-only model would be several times too sure."""
    size, std = estimated([station(seed, name=f"S{seed:03d}") for seed in range(12)])
    assert 0.75 < np.sqrt(np.mean(((size - TRUTH) / std) ** 2)) < 1.3
    # Of white noise alone, between the hundred days before and after.
    assert np.sqrt(np.mean((size - TRUTH)[:, 0] ** 2)) > 3 * 1e-3 * np.sqrt(2 / 100)


def test_steps_and_monuments_do_not_leak_into_the_transient():
    clean = station(noise=0.1)
    moved = clean.enu.copy()
    jump = np.datetime64("2018-11-10", "ns")
    moved[clean.time >= jump] += [0.02, 0.01, -0.03]
    monument = (clean.time >= np.datetime64("2019-06-01", "ns")).astype(np.int64)
    moved[monument == 1] += [-17.4, -5.9, 0.0]
    whole = changed(clean, enu=moved, monument=monument)
    size, std = estimated([whole], steps=[Step(jump, "equipment", "antenna", np.nan, np.nan)])
    assert (np.abs(size - TRUTH) < 3 * std).all()
    ignorant, _ = estimated([whole])
    assert abs(ignorant[0, 0] - TRUTH[0]) > 4 * abs(size[0, 0] - TRUTH[0])


def test_another_event_is_estimated_beside():
    both = station(noise=0.1)
    other = ("2018-08-01", "2018-09-01")
    start, end = (np.datetime64(d, "ns") for d in other)
    share = np.clip((both.time - start) / (end - start), 0, 1)[:, None]
    size, _ = estimated([changed(both, enu=both.enu + share * [0.02, 0.02, 0.02])], others=[other])
    np.testing.assert_allclose(size[0, :2], TRUTH[:2], atol=5e-4)


def test_no_estimate_where_data_cannot_tell():
    ends = [float(v) for v in days_since_2014(np.array(DATES, "M8[ns]"))]
    for days, enough, seen in (
        (DAYS, 100, True),
        (DAYS, 5000, False),
        (DAYS[:250], 100, False),
        (DAYS[:722], 100, False),
    ):
        assert has_positions_around(prepare([station(days=days)], {}), *ends, enough)[0] == seen
    whole = station()
    quake = Step(np.datetime64(SUDDEN[0], "ns"), "earthquake", "x", 6.0, 10.0)
    assert (estimated([whole], SUDDEN, [quake])[1] == UNSEEN_M).all()
    split = np.where(whole.time < np.datetime64(SUDDEN[0], "ns"), 0, 1)
    assert (estimated([changed(whole, monument=split)], SUDDEN)[1] == UNSEEN_M).all()


@settings(max_examples=3, deadline=None)
@given(st.floats(-50, 50), st.floats(-0.1, 0.1), st.sampled_from([1.0, -1.0]))
@example(0.0, 0.09375, -1.0)
def test_offset_and_rate_change_nothing_and_sign_carries_through(offset, rate, sign):
    plain = station()
    years = (plain.time - plain.time[0]) / np.timedelta64(365, "D")
    (one, std), (two, its_std) = (
        estimated([s]) for s in (plain, changed(plain, enu=sign * plain.enu + offset + rate * years[:, None]))
    )
    np.testing.assert_allclose(two, sign * one, atol=1e-4)
    np.testing.assert_allclose(its_std, std, rtol=0.05)


def test_outliers_do_not_count():
    clean = station(noise=0.3)
    spoilt = clean.enu.copy()
    spoilt[[100, 400, 700, 760]] += [0.5, -0.3, 0.4]
    (one, _), (other, _) = (estimated([s]) for s in (clean, changed(clean, enu=spoilt)))
    np.testing.assert_allclose(one, other, atol=2e-4)


@pytest.mark.parametrize(
    "fields",
    [
        {"monument": np.arange(len(DAYS))},
        {"monument": np.arange(len(DAYS)) % 2},
        {"sigma": np.full((len(DAYS), 3), 1e-5)},
    ],
    ids=["a monument a day", "two by turns", "no white noise"],
)
def test_odd_series_have_an_honest_estimate_or_none(fields):
    whole = station(days=DAYS[600:850])
    _, std = estimated([changed(whole, **{name: values[: len(whole.time)] for name, values in fields.items()})])
    assert np.isfinite(std).all() and std.min() > 1e-4
