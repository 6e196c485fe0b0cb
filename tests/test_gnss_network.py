"""Trajectories of a network and the transients that it finds by itself, in noise of known kind."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from slipscan.forward.okada import okada_surface
from slipscan.gnss import kalman, statistic
from slipscan.gnss.background import event_column, fit_background, with_events
from slipscan.gnss.bank import source_bank, station_metres
from slipscan.gnss.correlation import distances_km, robust_correlation, station_correlation
from slipscan.gnss.daily import DailySeries, daily_series
from slipscan.gnss.detect import prepare, search
from slipscan.gnss.noise import simulate
from slipscan.gnss.scan import onset_of
from slipscan.gnss.steps import Step
from slipscan.gnss.threshold import simulated
from slipscan.gnss.velocity import velocities
from slipscan.settings_gnss import GnssDetectSettings
from station_builders import DAYS, station

PLACES = np.array([(32.0 + 0.1 * (i % 3), 40.8 + 0.09 * (i // 3)) for i in range(6)])
START = np.datetime64("2015-01-01")


def network(days=1500, seed=0, common=1e-3, count=6):
    """Stations of white, flicker and common noise, 4 % of the days missing."""
    generator = np.random.default_rng(seed)
    scale = np.array([1.0, 1.0, 3.0])
    own = simulate(generator, 3 * count, days, 1.2e-3, 2e-3, 0.0).reshape(count, 3, days)
    position = (own + common * generator.standard_normal((3, days))) * scale[:, None]
    present = generator.random((count, days)) > 0.04
    position = np.where(present[:, None], position, np.nan)
    names = tuple(f"S{i:03d}" for i in range(count))
    return DailySeries(
        names, PLACES[:count, 0], PLACES[:count, 1], START, position, np.ones((count, days)), np.where(present, 0, -1)
    )


def slip(series, metres):
    """What a patch of 12 by 8 km below the network does with so much right-lateral slip, (station, 3)."""
    east, north = (torch.as_tensor(v) for v in station_metres(series.longitude, series.latitude))
    moved = okada_surface(
        east, north, east0=1e3, north0=500.0, depth_top=4e3, strike_deg=80.0, dip_deg=85.0, length=12e3, width=8e3,
        rake_deg=180.0, slip=metres,
    )  # fmt: skip
    return moved[0].numpy()


def test_a_listed_step_is_kept_where_the_series_shows_it():
    series = network(count=2)
    series.position[0, :, 700:] += 10e-3
    day = np.datetime64(series.days[700], "ns")
    listed = [
        Step(day, "equipment", "antenna", np.nan, np.nan),
        Step(day + np.timedelta64(300, "D"), "earthquake", "x", 6.0, 50.0),
    ]
    fitted = fit_background(series, {"S000": listed, "S001": listed, "NONE": listed})
    steps = [[t.text for t in terms if t.kind == "step"] for terms in fitted.terms]
    assert steps == [["equipment antenna"], []]
    at = [t.kind for t in fitted.terms[0]].index("step")
    sigma = np.sqrt(fitted.fitted.covariance[:3, at, at])
    assert (np.abs(fitted.fitted.parameters[:3, at] - 10e-3) < 3.5 * sigma).all()


def test_afterslip_is_found_beside_its_earthquake():
    series = network(count=2)
    since = np.maximum(np.arange(1500) - 700, 0)
    series.position[0] += 20e-3 * (since > 0) + 8e-3 * np.log1p(since / 30.0)
    quake = Step(np.datetime64(series.days[701], "ns"), "earthquake", "x", 7.0, 50.0)
    kinds = [[t.kind for t in terms] for terms in fit_background(series, {"S000": [quake], "S001": [quake]}).terms]
    assert "log" in kinds[0] and "log" not in kinds[1]


def test_rates_are_honest():
    truth = np.array([0.02, -0.01, 0.003])
    series = network(common=0.0)
    series.position[:] += truth[:, None] * np.arange(1500) / 365.25
    rate, std = velocities(fit_background(series, {}))
    assert 0.5 < np.sqrt(np.mean(((rate - truth) / std) ** 2)) < 1.6


def test_a_series_that_does_not_show_its_walk_is_as_unsure_of_its_rate_as_its_neighbours() -> None:
    """By the amplitude that fits it best it has none, and is surer than it should be."""
    series = network(days=2200)
    series.position[:] = simulate(np.random.default_rng(11), 18, 2200, 1.5e-3, 4e-3, 2e-3).reshape(6, 3, -1)
    fitted = fit_background(series, {})
    rate, std = velocities(fitted)
    at = [term.kind for term in fitted.terms[0]].index("rate")
    alone = np.sqrt(fitted.fitted.covariance[:, at, at])
    hidden = fitted.noise.walk == 0
    assert hidden.any() and (std.ravel()[hidden] > 1.3 * alone[hidden]).all()
    assert np.sqrt(np.mean((rate / std) ** 2)) < 1.4 < np.sqrt(np.mean((fitted.fitted.parameters[:, at] / alone) ** 2))


@pytest.mark.parametrize("days", [1500, 3653])
def test_a_ramp_is_the_mean_of_its_days_steps(days):
    fitted = fit_background(network(count=2, days=days), {})
    onset = onset_of(fitted)
    for duration in (1, 15, 60):
        for day in (400, days // 2, days - 460):
            ramps = onset.ramps(duration)
            exact = with_events(fitted, [(day, duration)])
            at = len(exact.terms[0]) - 1
            found = (ramps.z * ramps.sigma)[0, :, day]
            np.testing.assert_allclose(found, exact.fitted.parameters[:3, at], rtol=0.1, atol=1e-4)
            own = np.sqrt(exact.fitted.covariance[:3, at, at]) * onset.scale[0]
            np.testing.assert_allclose(ramps.sigma[0, :, day], own, rtol=0.05)
    assert np.isnan(onset.ramps(60).z[:, :, -30:]).all()


def test_event_column_by_hand():
    np.testing.assert_allclose(event_column(np.arange(6), 2, 3), [0, 0, 1 / 3, 2 / 3, 1, 1])
    np.testing.assert_allclose(event_column(np.arange(4), 2, 1), [0, 0, 1, 1])


def test_correlation_of_stations_is_recovered():
    generator = np.random.default_rng(3)
    truth = np.full((5, 5), 0.5) + 0.5 * np.eye(5)
    z = np.einsum("ij,jcd->icd", np.linalg.cholesky(truth), generator.standard_normal((5, 3, 3000)))
    z[0, :, :1500] = np.nan
    found = station_correlation(z, distances_km(PLACES[:5, 0], PLACES[:5, 1]))
    np.testing.assert_allclose(found, np.broadcast_to(truth, (3, 5, 5)), atol=0.1)
    assert (np.linalg.eigvalsh(found) > 0).all()


def test_what_moved_two_stations_for_a_while_makes_them_no_more_alike():
    generator = np.random.default_rng(3)
    truth = np.full((5, 5), 0.4) + 0.6 * np.eye(5)
    z = np.einsum("ij,jcd->icd", np.linalg.cholesky(truth), generator.standard_normal((5, 3, 3000)))
    z[:2, :, 1000:1250] += 4.0
    apart = distances_km(PLACES[:5, 0], PLACES[:5, 1])
    off = ~np.eye(5, dtype=bool)
    assert min(np.corrcoef(z[:2, component])[0, 1] for component in range(3)) > 0.15 + truth[0, 1]
    for estimate in (robust_correlation, station_correlation):
        assert np.abs(estimate(z, apart) - truth)[:, off].max() < 0.15


def test_stations_whose_noise_wanders_alike_by_chance_are_not_correlated():
    series = network(days=2192, common=0.0)
    z = onset_of(fit_background(series, {})).ramps(3).z
    there = np.isfinite(z[:, 0]).all(axis=0)
    off = ~np.eye(6, dtype=bool)
    assert np.abs(np.corrcoef(z[:, 0, there])[off]).max() > 0.3
    found = station_correlation(z, distances_km(series.longitude, series.latitude))
    assert np.abs(found[:, off]).max() < 0.2


@pytest.mark.parametrize("times", [1.0, 1.5])
def test_scatter_of_onsets_is_told_from_chance(times):
    fitted = fit_background(network(days=2192, common=0.0), {})
    told = replace(fitted, noise=kalman.Noise(*(part / times for part in vars(fitted.noise).values())))
    np.testing.assert_allclose(onset_of(told).scale, times, rtol=0.12)


def test_sources_see_what_a_station_of_a_large_network_lacks_as_the_others_do(monkeypatch):
    series = network(count=6)
    series.position[:] += slip(series, 0.05)[:, :, None] * event_column(np.arange(1500), 800, 1)
    _, onset, sources = prepare(series, {})
    ramps, day = onset.ramps(1), np.arange(700, 900)
    ramps.z[4, :, 780:830] = np.nan
    exact = sources.statistic(ramps, day)[0]
    monkeypatch.setattr(statistic, "FILLED", 5)
    large = statistic.Network(sources.correlation, sources.bank).statistic(ramps, day)[0]
    lacks = (day >= 780) & (day < 830)
    np.testing.assert_allclose(large[~lacks], exact[~lacks], rtol=0.02)
    assert (large[lacks] < 1.02 * exact[lacks]).all() and large[100] > 0.7 * exact[100] > 30.0


@pytest.mark.parametrize(("kind", "count"), [(0, 3**6), (1, 3**3), (2, 3**5)])
def test_sources_near_one_of_the_lattice_hold_it_and_are_those_of_a_finer_one(kind, count):
    bank = source_bank(PLACES[:, 0], PLACES[:, 1])
    number = int(np.flatnonzero(bank.kind == kind)[40])
    near = bank.near(kind, bank.shape[number], 2.0)
    (same,) = np.flatnonzero((near.shape == bank.shape[number]).all(axis=1))
    np.testing.assert_allclose(near.columns[same], bank.columns[number])
    assert len(near.kind) == count and set(near.kind) == {kind}
    away = np.abs(near.shape - bank.shape[number]).max(axis=0)
    assert away[0] == away[1] == pytest.approx(bank.spacing / 2)


@pytest.mark.parametrize("seed", [4, 5, 6, 7])
def test_a_slow_slip_event_is_found_and_a_common_step_is_not(seed):
    series = network(seed=seed)
    moved = slip(series, 0.05)
    series.position[:] += moved[:, :, None] * event_column(np.arange(1500), 800, 12)
    series.position[:, 0, 400:] += 2e-3
    background, onset, sources = prepare(series, {})
    found = search(background, onset, sources, 30.0, GnssDetectSettings())
    published = [one for one in found.detections if one.published]
    assert len(published) == 1
    (one,) = published
    assert abs(one.day + one.duration_d / 2 - 806) < 6
    assert one.kind == "slip" and one.share > 0.6
    z = (one.displacement - moved) / one.std
    assert np.sqrt(np.mean(z**2)) < 1.6


def test_two_events_are_no_noise():
    series = network(seed=4)
    moved = slip(series, 0.05)
    quiet = fit_background(series, {}).noise
    for first in (400, 1000):
        series.position[:] += moved[:, :, None] * event_column(np.arange(1500), first, 12)
    background, onset, sources = prepare(series, {})
    near = int(np.argmax(np.abs(moved).max(axis=1)))
    rows = slice(3 * near, 3 * near + 3)
    naive = fit_background(series, {}).noise
    assert naive.flicker[rows.start] > 1.5 * quiet.flicker[rows.start]
    np.testing.assert_allclose(background.noise.flicker[rows], quiet.flicker[rows], rtol=0.2)
    assert len(search(background, onset, sources, 24.0, GnssDetectSettings()).detections) == 2


def test_the_threshold_is_that_of_noise_alone():
    background, _, sources = prepare(network(seed=5, count=3), {})
    threshold = simulated(background, sources, GnssDetectSettings(false_alarms_per_yr=1.0, simulated_yr=10))
    assert 12.0 < threshold < 35.0


def test_stations_on_one_axis_of_days(caplog):
    one, other = station(1, name="ONEE"), station(2, name="LATE", days=DAYS[:60])
    series = daily_series([one, other])
    assert series.names == ("ONEE",) and "station left out: LATE has" in caplog.text
    enu = one.enu.copy()
    enu[200] += 0.05
    spoilt = daily_series([type(one)(**{**vars(one), "enu": enu})])
    assert spoilt.present.sum() == series.present.sum() - 1
    assert daily_series([other]) is None
    assert daily_series([one], until=np.datetime64("2018-01-01")).days[-1] <= np.datetime64("2018-01-01")
    assert onset_of(fit_background(series, {})).score.shape == (1, 3, len(series.days))
    assert isinstance(fit_background(series, {}).noise, kalman.Noise)
