"""The trajectory fit of one station: transients recovered with honest errors, or none."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from slipscan.gnss.covariance import flicker_covariance, generalised_least_squares, random_walk_covariance
from slipscan.gnss.steps import Step
from slipscan.gnss.tenv3 import Station
from slipscan.gnss.trajectory import fit_transient
from slipscan.settings import GnssSettings
from station_builders import DAYS, INTERVAL, station


def test_flicker_covariance_by_hand():
    # h = 1, 1/2, 3/8: T T' of three days is [[1, .5, .375], [.5, 1.25, .6875], [.375, .6875, 1.390625]]
    daily_covariance = np.array([[1, 0.5, 0.375], [0.5, 1.25, 0.6875], [0.375, 0.6875, 1.390625]])
    each = flicker_covariance(np.arange(3), np.arange(3)) * np.sqrt(365.25)
    np.testing.assert_allclose(each, daily_covariance)
    pair = flicker_covariance(np.array([0, 2]), np.array([0, 0])) * np.sqrt(365.25)
    np.testing.assert_allclose(pair, [[(1 + 1.390625 + 2 * 0.375) / 4]])


def test_random_walk_covariance_by_hand():
    np.testing.assert_allclose(random_walk_covariance(np.array([1.0, 3.0])) * 365.25, [[1, 1], [1, 3]])


def test_least_squares_with_correlated_noise_by_hand():
    # The mean of (1, 4) with variances 1 and 4 is (1/1 + 4/4) / (1 + 1/4) = 1.6, its variance 0.8
    fit = generalised_least_squares(np.ones((2, 1)), np.array([1.0, 4.0]), np.diag([1.0, 4.0]))
    assert (fit.parameters[0], fit.covariance[0, 0]) == pytest.approx((1.6, 0.8))
    assert fit.chi2 == pytest.approx(0.36 + 2.4**2 / 4)
    assert fit.log_likelihood == pytest.approx(-0.5 * (fit.chi2 + np.log(4.0) + np.log(1.25)))


def test_transient_is_recovered_without_noise():
    estimate = fit_transient(station(noise=1e-3), INTERVAL, GnssSettings())
    np.testing.assert_allclose(estimate.displacement, [5e-3, -3e-3, 2e-3], atol=2e-4)


def test_errors_are_honest():
    """Errors over sigma have unit scatter; a white-only model would be several times too sure."""
    truth = np.array([5e-3, -3e-3, 2e-3])
    estimates = [fit_transient(station(seed), INTERVAL, GnssSettings()) for seed in range(12)]
    errors = np.array([e.displacement - truth for e in estimates])
    sigma = np.array([np.sqrt(np.diag(e.covariance)) for e in estimates])
    assert 0.75 < np.sqrt(np.mean((errors / sigma) ** 2)) < 1.3
    one = estimates[0].binned
    years = (one.time - one.time[0]) / np.timedelta64(365, "D")
    ramp = np.clip((one.time - INTERVAL[0]) / (INTERVAL[1] - INTERVAL[0]), 0, 1)
    season = [np.cos(2 * np.pi * years), np.sin(2 * np.pi * years)]
    matrix = np.column_stack([ramp, np.ones(len(years)), years, *season])
    white = generalised_least_squares(matrix, one.enu[:, 0], np.diag(one.white_std[:, 0] ** 2))
    assert sigma[0, 0] > 4 * np.sqrt(white.covariance[0, 0])
    assert np.sqrt(np.mean(errors[:, 0] ** 2)) > 3 * np.sqrt(white.covariance[0, 0])


def test_steps_and_monuments_do_not_leak_into_the_transient():
    clean = station(noise=0.1)
    moved = clean.enu.copy()
    jump = np.datetime64("2018-11-10", "ns")
    moved[clean.time >= jump] += [0.02, 0.01, -0.03]
    monument = (clean.time >= np.datetime64("2019-06-01", "ns")).astype(np.int64)
    moved[monument == 1] += [-17.4, -5.9, 0.0]
    fields = {**vars(clean), "enu": moved, "monument": monument}
    steps = [Step(jump, "equipment", "antenna", np.nan, np.nan)]
    estimate = fit_transient(Station(**fields), INTERVAL, GnssSettings(), steps)
    sigma = np.sqrt(np.diag(estimate.covariance))
    assert (np.abs(estimate.displacement - [5e-3, -3e-3, 2e-3]) < 3 * sigma).all()
    ignorant = fit_transient(Station(**fields), INTERVAL, GnssSettings())
    # Not told of the step, the fit sees a wandering station and says how little it knows
    assert ignorant.covariance[0, 0] > 4 * estimate.covariance[0, 0]


def test_another_event_is_estimated_beside():
    both = station(noise=0.1)
    other = tuple(np.datetime64(d, "ns") for d in ("2018-08-01", "2018-09-01"))
    share = np.clip((both.time - other[0]) / (other[1] - other[0]), 0, 1)[:, None]
    both = Station(**{**vars(both), "enu": both.enu + share * [0.02, 0.02, 0.02]})
    estimate = fit_transient(both, INTERVAL, GnssSettings(), others=[other])
    np.testing.assert_allclose(estimate.displacement[:2], [5e-3, -3e-3], atol=5e-4)


def test_no_estimate_where_data_cannot_tell():
    days = station()
    default = GnssSettings()
    assert fit_transient(station(days=DAYS[:90]), INTERVAL, default) is None  # ends long before
    assert fit_transient(station(days=DAYS[:722]), INTERVAL, default) is None  # nothing after t95
    assert fit_transient(days, INTERVAL, GnssSettings(min_epochs=5000)) is None
    sudden = (INTERVAL[0], INTERVAL[0])
    assert fit_transient(days, sudden, default, [Step(INTERVAL[0], "earthquake", "x", 6.0, 10.0)]) is None
    split = np.where(days.time < INTERVAL[0], 0, 1)
    assert fit_transient(Station(**{**vars(days), "monument": split}), sudden, default) is None


@settings(max_examples=5, deadline=None)
@given(st.floats(-50, 50), st.floats(-0.1, 0.1), st.sampled_from([1.0, -1.0]))
@example(0.0, 0.09375, -1.0)  # once turned a position at the limit of the outlier rule into an outlier
def test_offset_and_rate_change_nothing_and_sign_carries_through(offset, rate, sign):
    plain = station()
    years = (plain.time - plain.time[0]) / np.timedelta64(365, "D")
    other = Station(**{**vars(plain), "enu": sign * plain.enu + offset + rate * years[:, None]})
    one, two = (fit_transient(s, INTERVAL, GnssSettings()) for s in (plain, other))
    np.testing.assert_allclose(two.displacement, sign * one.displacement, atol=3e-5)
    np.testing.assert_allclose(two.covariance, one.covariance, rtol=0.02)


def test_outliers_do_not_count():
    clean = station(noise=0.3)
    spoilt = clean.enu.copy()
    spoilt[[100, 400, 700, 760]] += [0.5, -0.3, 0.4]
    one, other = (
        fit_transient(s, INTERVAL, GnssSettings()) for s in (clean, Station(**{**vars(clean), "enu": spoilt}))
    )
    np.testing.assert_allclose(one.displacement, other.displacement, atol=2e-4)


@pytest.mark.parametrize(
    "fields",
    [
        {"monument": np.arange(len(DAYS))},
        {"monument": np.arange(len(DAYS)) % 2},
        {"enu": np.full((len(DAYS), 3), 7.0)},
        {"sigma": np.full((len(DAYS), 3), 1e-5)},
        # Each day's are possible, but not the three medians together
        {"correlation": np.resize([[0.9, 0.9, 0.7], [0.9, -0.9, -0.7], [-0.9, 0.9, -0.7]], (len(DAYS), 3))},
    ],
    ids=["a monument a day", "two by turns", "constant", "no white noise", "correlations"],
)
def test_odd_series_have_an_honest_estimate_or_none(fields):
    whole = station()
    odd = Station(**{**vars(whole), **{name: values[: len(whole.time)] for name, values in fields.items()}})
    estimate = fit_transient(odd, INTERVAL, GnssSettings(window_yr=1.0))
    assert estimate is None or np.linalg.eigvalsh(estimate.covariance).min() > 1e-8


@pytest.mark.parametrize("count", [0, 1, 2, 14, 15, 16])
def test_a_few_days_give_no_estimate(count):
    whole = station()
    arrays = {name: value[630 : 630 + count] for name, value in vars(whole).items() if isinstance(value, np.ndarray)}
    assert fit_transient(Station(**{**vars(whole), **arrays}), INTERVAL, GnssSettings(min_epochs=10)) is None
