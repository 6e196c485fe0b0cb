"""The red part of noise in time is found where it is, and nowhere else."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from slipscan.noise.estimate_bands import band_power
from slipscan.noise.temporal_places import MIN_VALID, MOST_PLACES, Places, band_places
from slipscan.noise.temporal_reml import RedFit, _products, _projection, _State, fit_red
from temporal_builders import Drawn, Float, drawn

SERIES = {
    "60 epochs": (60, 128, {}),
    "120 epochs": (120, 128, {}),
    "240 epochs": (240, 64, {}),
    "seasonal variance": (120, 128, {"seasonal": 1.0}),
    "gaps": (120, 64, {"missing": 0.15, "gaps": 0.05}),
    "few places": (120, 12, {}),
}


def fit(made: Drawn, **more: Any) -> RedFit:
    return fit_red(made.places, made.days, made.design, **more)


@pytest.mark.parametrize("kind", SERIES)
@pytest.mark.parametrize("red", [0.0, 0.1, 0.5])
def test_the_red_part_is_recovered_within_its_errors(kind: str, red: float) -> None:
    epochs, count, options = SERIES[kind]
    found = [fit(drawn(epochs, count, red, seed, **options)) for seed in range(4)]
    error = np.mean([one.error for one in found])
    assert abs(np.mean([one.red for one in found]) - red) < 2.5 * error / 2 + 0.05 * red
    assert all(abs(one.red - red) < 4 * max(one.error, error) for one in found)


def test_its_error_is_that_of_many_draws() -> None:
    found = [fit(drawn(60, 64, 0.6, seed)) for seed in range(40)]
    pull = [(one.red - 0.6) / one.error for one in found]
    assert 0.6 < np.std(pull) < 1.4 and abs(np.mean(pull)) < 0.5


@pytest.mark.parametrize("options", [{}, {"seasonal": 1.0}, {"gaps": 0.05}])
def test_the_white_variance_of_every_epoch_is_recovered(options: dict[str, float]) -> None:
    made = drawn(120, 128, 0.3, 1, **options)
    ratio = np.log(fit(made).white / made.white)
    assert abs(np.median(ratio)) < 0.1  # a typical place is not the mean one
    assert np.std(ratio) < 1.5 * np.sqrt(2 / 128)


def test_what_other_bands_show_helps_few_places() -> None:
    made = drawn(120, 6, 0.1, 2, seasonal=1.0)
    alone, together = fit(made), fit(made, shape=made.white / np.median(made.white))

    def scatter(found: RedFit) -> float:
        return float(np.std(np.log(found.white / made.white)))

    assert scatter(together) < 0.5 * scatter(alone)


def with_events(made: Drawn, share: float, size_m: float) -> Drawn:
    """Ramps of 24 to 400 days in a share of the places."""
    generator = np.random.default_rng(9)
    series = made.places.series.copy()
    for place in range(round(share * made.places.count)):
        duration = np.exp(generator.uniform(np.log(24), np.log(400)))
        middle = generator.uniform(made.days[0] + 100, made.days[-1] - 100)
        sign = generator.choice([-1.0, 1.0])
        series[:, place] += sign * size_m * np.clip((made.days - middle) / duration + 0.5, 0, 1)
    return dataclasses.replace(made, places=Places(series, made.places.sector))


@pytest.mark.parametrize("share", [0.1, 0.3])
@pytest.mark.parametrize("red", [0.0, 0.1])
def test_events_are_no_red_noise(share: float, red: float) -> None:
    """20 mm beside epochs of 5 mm, in up to a third of the places."""
    found = [fit(with_events(drawn(120, 128, red, seed), share, 0.02)) for seed in range(3)]
    assert abs(np.mean([one.red for one in found]) - red) < 0.03
    assert all(abs(1 - share - one.kept) < 0.03 for one in found)


def test_a_red_part_is_taken_as_it_is_given() -> None:
    found = fit(drawn(60, 64, 0.0, 3), given=0.2)
    assert found.red == pytest.approx(0.2) and np.isnan(found.error)


def test_gaps_of_a_place_have_the_projection_of_its_own_epochs() -> None:
    made = drawn(40, 5, 0.5, 4, gaps=0.1)
    state, walk = _State(made.white, 1e-5), _walk(made)
    found = _products(state, made.places.series, walk, made.design)
    for place, series in enumerate(made.places.series.T):
        there = np.isfinite(series)
        part = _State(made.white[there], 1e-5)
        own = _projection(part, walk[np.ix_(there, there)], made.design[there])
        z = own @ series[there]
        scale = series[there] @ z / (there.sum() - made.design.shape[1])
        np.testing.assert_allclose(found.z[there, place], z / np.sqrt(scale), rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(found.diagonal[there, place], np.diag(own), rtol=1e-6)
        np.testing.assert_allclose(found.walk_trace[place], (own * walk[np.ix_(there, there)]).sum(), rtol=1e-6)
        assert not found.z[~there, place].any() and not found.diagonal[~there, place].any()


def _walk(made: Drawn) -> Float:
    years = (made.days - made.days[0]) / 365.25
    return np.minimum(years[:, None], years)


def test_places_have_the_power_of_their_bands() -> None:
    field = np.random.default_rng(0).standard_normal((40, 96, 96)).astype(np.float32)
    scale, power = band_power(field, (100.0, 100.0))
    places = band_places(field, len(scale) - 1, finest=True)
    assert len(places) == len(scale)
    for band, part in zip(power.T, places, strict=True):
        assert 9 <= part.count <= 1.1 * MOST_PLACES
        assert np.mean(part.series**2) == pytest.approx(band.mean(), rel=0.2)


def test_places_without_data_are_none() -> None:
    field = np.random.default_rng(0).standard_normal((20, 64, 64)).astype(np.float32)
    field[:, :, 32:] = np.nan
    field[3:5, 0:20] = np.nan
    field[:, 40:, :] = 0.0
    for part in band_places(field, 3, finest=True):
        assert part.count and (np.isfinite(part.series).mean(axis=0) >= MIN_VALID).all()
        assert (np.nanstd(part.series, axis=0) > 0).all()
    assert not any(part.count for part in band_places(np.full((20, 64, 64), np.nan, np.float32), 3, finest=True))
