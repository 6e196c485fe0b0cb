"""Noise that is red in time: simulated as real series have it, measured as it was simulated."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from noise_builders import DAYS, HEIGHT, generator
from simulated import stack_dataset
from slipscan.errors import SlipscanError
from slipscan.field import Observation
from slipscan.fit.model import design_matrix
from slipscan.noise.estimate import NoiseEstimate, measure
from slipscan.noise.parameters import at_border, band_share, model_of, to_model
from slipscan.noise.simulate import HANSSEN, NoiseModel, turbulence
from slipscan.noise.simulate_red import gained
from slipscan.noise.stage import estimate_noise
from slipscan.noise.temporal import MOST, PRIOR, covariance_of
from slipscan.settings import NoiseSettings
from temporal_builders import dates, structure_function

ERTA_ALE = (
    (360.0, 0.85), (720.0, 0.38), (1440.0, 0.13), (2860.0, 0.065), (5720.0, 0.12), (11450.0, 0.24),
)  # fmt: skip
"""Red part of the real series, per wavelength (docs/real_series.md)."""
MEANS = (1, 5, 10, 20, 35)
DESCENDING, ASCENDING = (4.1, 1.46, 1.11, 0.98, 0.85), (6.4, 2.0, 1.43, 1.45, 1.33)
"""Differences, mm, of means of so many epochs before and after, of blocks of 2 km of the real series in two looks."""
SPECTRAL = ((500.0, 0.6), (2000.0, 0.3), (8000.0, 0.1))


def blocks(model: NoiseModel, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Residual (time, block) of blocks of 2 km, planes, rate and season out, of 169 epochs in six years."""
    time = dates(169, 0.1, seed)
    days = (time - time[0]) / np.timedelta64(1, "D")
    series = model.simulate(np.random.default_rng(seed), days, np.zeros((20, 20)), 1000.0).astype(float)
    y, x = np.mgrid[:20, :20]
    planes = np.stack([np.ones(400), y.ravel(), x.ravel()], axis=1)
    flat = series.reshape(169, -1).T
    flat = (flat - planes @ np.linalg.lstsq(planes, flat, rcond=None)[0]).T
    means = flat.reshape(169, 10, 2, 10, 2).mean(axis=(2, 4)).reshape(169, -1)
    design = design_matrix(time)[0]
    return means - design @ (np.linalg.pinv(design) @ means), days


def relative(red: tuple[tuple[float, float], ...]) -> NDArray[np.float64]:
    """Structure function over its first value, of a mean of some simulations."""
    model = NoiseModel(8e-3, strength_log_std=0.48, red=red)
    found = np.mean([structure_function(blocks(model, seed)[0], MEANS) for seed in range(4)], axis=0)
    return np.asarray(found / found[0])


def test_simulated_noise_has_the_structure_function_of_the_real_series() -> None:
    found = relative(ERTA_ALE)
    for real in (DESCENDING, ASCENDING):
        np.testing.assert_allclose(found, np.array(real) / real[0], rtol=0.2)
    white = relative(())
    assert white[-1] < 0.6 * min(DESCENDING[-1] / DESCENDING[0], ASCENDING[-1] / ASCENDING[0])


def test_the_red_part_gains_its_variance_a_year() -> None:
    days = np.array([0.0, 12.0, 108.0, 1000.0])
    model = NoiseModel(10e-3, 0.0, red=((1e3, 0.5),))
    parts = [model.parts(generator(seed), days, np.zeros((32, 32)), 500.0) for seed in range(60)]
    red, air = np.stack([part.red for part in parts]), np.stack([part.turbulence for part in parts])
    assert not red[:, 0].any()
    within = [np.var(field, axis=(-2, -1)).mean(axis=0) for field in (red, air)]
    np.testing.assert_allclose(within[0][1:], 0.5 * days[1:] / 365.25 * within[1].mean(), rtol=0.25)
    steps = np.var(np.diff(red, axis=1), axis=(-2, -1)).mean(axis=0)
    np.testing.assert_allclose(steps, 0.5 * np.diff(days) / 365.25 * within[1].mean(), rtol=0.25)


def test_scales_have_their_own_rates() -> None:
    assert gained(SPECTRAL, [1 / 500, 1 / 1000, 1 / 8000]) == pytest.approx([0.6, 0.45, 0.1])
    assert gained(SPECTRAL, [0.0, 1.0]) == pytest.approx([0.1, 0.6])


def test_a_red_part_leaves_all_other_parts_as_they_are() -> None:
    calm = NoiseModel(8e-3, white_std_m=1e-3, ramp_std_m=2e-3, stratified_std=1e-5, unwrapping_rate=0.2)
    red = NoiseModel(
        8e-3, white_std_m=1e-3, ramp_std_m=2e-3, stratified_std=1e-5, unwrapping_rate=0.2, red=((1e3, 0.3),)
    )
    without, with_it = (model.parts(generator(3), DAYS, HEIGHT, 400.0) for model in (calm, red))
    assert without.red is None and with_it.red is not None
    for name, part in without.by_name.items():
        np.testing.assert_array_equal(part, with_it.by_name[name], err_msg=name)
    np.testing.assert_allclose(with_it.total - without.total, with_it.red, atol=1e-7)


@pytest.mark.parametrize(
    "red", [((1e3, -0.1),), ((2e3, 0.1), (1e3, 0.1)), ((1e3, 0.1), (1e3, 0.2)), ((0.0, 0.1),), ((1e3, np.nan),)]
)
def test_a_red_part_that_is_none_is_refused(red: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(SlipscanError, match="the red part of the noise"):
        NoiseModel(8e-3, red=red)


def test_a_series_that_was_filtered_in_time_is_flagged() -> None:
    """Means of three epochs, as of a smoothed product: no random walk."""
    time = dates(100)
    series = turbulence(generator(), (32, 32), 500.0, 102)
    smooth = (series[:-2] + series[1:-1] + series[2:]) / 3 * 1e-2
    found = measure(Observation(smooth, time, 500.0))
    assert found.temporal is not None and found.temporal.assumed.all()
    assert (found.temporal.red == MOST).all() and "red_variance" in at_border(found)
    assert np.isfinite(found.temporal.white_std).all()


@pytest.fixture(scope="module")
def measured() -> NoiseEstimate:
    """Five years, white and red, 96 x 96 pixels of 200 m."""
    time = dates(150)
    days = (time - time[0]) / np.timedelta64(1, "D")
    model = NoiseModel(8e-3, 0.35, white_std_m=0.1e-3, red=SPECTRAL)
    series = model.simulate(np.random.default_rng(5), days, np.zeros((96, 96)), 200.0)
    return measure(Observation(series, time, 200.0))


def test_the_stage_measures_what_the_simulator_made(measured: NoiseEstimate) -> None:
    found = measured.temporal
    assert found is not None and not found.assumed.any()
    expected = gained(SPECTRAL, 1 / (3.27 * measured.band_m))
    assert (np.abs(found.red - expected) < 3 * found.red_error + 0.1 * expected)[1:].all()
    assert (found.red_error[:-1] < 0.2).all()
    share = [band_share(HANSSEN, width, finest=False) for width in measured.band_m[1:4]]
    np.testing.assert_allclose(np.median(found.white_std, axis=0)[1:4], 8e-3 * np.sqrt(share), rtol=0.15)


def test_the_measured_simulator_has_the_red_part(measured: NoiseEstimate) -> None:
    model = to_model(measured)
    wavelengths = np.array([wavelength for wavelength, _ in model.red])
    found = np.array([gain for _, gain in model.red])
    np.testing.assert_allclose(found[1:4], gained(SPECTRAL, 1 / wavelengths)[1:4], rtol=0.35)


def test_a_short_series_takes_the_usual_red_part_and_says_so() -> None:
    noise = estimate_noise(stack_dataset(epochs=30, seed=4), NoiseSettings(spectrum_bins=8))
    assert (noise["red_variance"] == PRIOR).all() and (noise["red_variance_error"] == PRIOR).all()
    assert int(noise["bounded"]) & 128
    model = model_of(noise)
    assert len(model.red) == noise.sizes["band"]
    covariance = covariance_of(noise, 1)
    std = noise["band_white_std"].values[:, 1]
    np.testing.assert_allclose(covariance.white.numpy(), std**2, rtol=1e-5)
    assert covariance.red == pytest.approx(PRIOR * np.median(std) ** 2, rel=0.1)
    with pytest.raises(SlipscanError, match="estimate the noise anew"):
        covariance_of(noise.drop_vars("red_variance"), 1)
