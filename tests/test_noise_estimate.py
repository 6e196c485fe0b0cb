"""What the estimator finds in simulated stacks is what they were simulated with, within its own errors."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import xarray as xr
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from slipscan.errors import SlipscanError
from slipscan.field import Observation
from slipscan.fit.background import fit_series
from slipscan.fit.model import days_since_2014, design_matrix, has_season
from slipscan.geometry import Grid, utm_crs, write_grid
from slipscan.noise.estimate import NoiseEstimate, measure
from slipscan.noise.estimate_bands import band_power, epoch_rms
from slipscan.noise.estimate_power import binned, power
from slipscan.noise.estimate_residual import epoch_variance, fill_gaps, residual_gain
from slipscan.noise.estimate_slope import height_slope
from slipscan.noise.estimate_structure import levels, structure_function
from slipscan.noise.parameters import model_of, to_model
from slipscan.noise.simulate import NoiseModel, TurbulenceSpectrum, missing_pixels, turbulence
from slipscan.noise.stage import estimate_noise
from slipscan.settings import NoiseSettings

PIXEL = (500.0, 500.0)
TRUTH = NoiseModel(
    8e-3, 0.35, 8e-6, 6e-6, 4e-3, 1.5e-3, TurbulenceSpectrum(outer_scale_m=60e3, anisotropy=1.5, azimuth_deg=60.0)
)
SIDE, COUNT, SEEDS = 64, 36, 6


def epochs(count: int, step_d: int = 12) -> np.ndarray:
    return np.datetime64("2016-01-03", "ns") + np.arange(count) * np.timedelta64(step_d, "D")


def relief(seed: int, side: int) -> np.ndarray:
    hills = TurbulenceSpectrum(exponents=(3.6, 3.6, 3.6), outer_scale_m=30e3)
    return 600 + 300 * turbulence(np.random.default_rng([seed, 1]), (side, side), PIXEL, 1, hills)[0].astype(float)


def stack(model: NoiseModel, seed: int, side: int, count: int, gaps: float = 0.0) -> tuple[np.ndarray, ...]:
    """Displacement with a rate and a season that have nothing to do with height, heights and dates."""
    generator, time = np.random.default_rng(seed), epochs(count)
    days, height = days_since_2014(time), relief(seed, side)
    series = model.simulate(generator, days, height, PIXEL).astype(float)
    ground = turbulence(generator, (side, side), PIXEL, 2).astype(float)
    series += 10e-3 * ground[0] * (days / 365.25)[:, None, None]
    if has_season(time):
        series += 2e-3 * ground[1] * np.sin(2 * np.pi * days / 365.25)[:, None, None]
    if gaps > 0:
        series[missing_pixels(generator, series.shape, PIXEL, gaps / 2, gaps / 2)] = np.nan
    return series, height, time


def measured(series: np.ndarray, height: np.ndarray | None, time: np.ndarray) -> NoiseEstimate:
    return measure(Observation(series, time, PIXEL[0], height))


@cache
def estimates(gaps: float) -> tuple[NoiseEstimate, ...]:
    return tuple(measured(*stack(TRUTH, seed, SIDE, COUNT, gaps)) for seed in range(SEEDS))


def parameters(found: NoiseEstimate) -> dict[str, tuple[float, float, float]]:
    """Truth, estimate and standard error by name."""
    fit, slopes, spectrum = found.turbulence, found.stratified, TRUTH.spectrum
    assert fit is not None
    assert slopes is not None
    return {
        "exponent": (spectrum.exponents[0], fit.spectrum.exponents[0], fit.exponent_error),
        "outer": (np.log(spectrum.outer_scale_m), np.log(fit.spectrum.outer_scale_m), fit.outer_scale_log_error),
        "stretch": (np.log(spectrum.anisotropy), np.log(fit.spectrum.anisotropy), fit.anisotropy_log_error),
        "azimuth": (spectrum.azimuth_deg, fit.spectrum.azimuth_deg, fit.azimuth_error_deg),
        "white": (TRUTH.white_std_m, fit.white_std, fit.white_std_error),
        "ramp": (TRUTH.ramp_std_m, fit.ramp_std, fit.ramp_std_error),
        "turbulence": (TRUTH.turbulence_std_m, *found.median_std),
        "strength": (TRUTH.strength_log_std, *found.strength_log_std),
        "stratified": (TRUTH.stratified_std, slopes.std, slopes.std_error),
        "annual": (TRUTH.stratified_annual, slopes.annual, slopes.annual_error),
    }


@pytest.mark.parametrize("gaps", [0.0, 0.2])
@pytest.mark.parametrize(
    "name",
    ["exponent", "outer", "stretch", "azimuth", "white", "ramp", "turbulence", "strength", "stratified", "annual"],
)
def test_parameters_are_recovered_within_their_errors(name: str, gaps: float) -> None:
    truth, found, error = np.array([parameters(one)[name] for one in estimates(gaps)]).T
    assert (error > 0).all()
    # 22.5 of a chi-square of 6 is passed once in a thousand; twenty of them are looked at, of fixed draws.
    assert (((found - truth) / error) ** 2).sum() < 22.5
    # Errors that are so large as to say nothing would pass: they are at most a few times the real scatter.
    assert np.median(error) < 6 * np.sqrt(((found - truth) ** 2).mean())


def test_strength_of_single_epochs_is_recovered() -> None:
    """Against the turbulence that was drawn: the same structure at short lags as the estimate claims."""
    series, height, time = stack(TRUTH, 0, SIDE, COUNT)
    parts = TRUTH.parts(np.random.default_rng(0), days_since_2014(time), height, PIXEL)
    assert parts.turbulence is not None
    drawn = np.log(np.diff(parts.turbulence, axis=2).std(axis=(1, 2)))
    found = measured(series, height, time).turbulence
    assert found is not None
    logs = np.log(found.epoch_std)
    assert np.corrcoef(logs, drawn)[0, 1] > 0.97
    assert np.std((logs - logs.mean()) - (drawn - drawn.mean())) < 0.1


def test_bands_of_single_epochs_are_recovered() -> None:
    model = NoiseModel(8e-3, 0.5, white_std_m=1e-3)
    series, _, time = stack(model, 3, 64, 40)
    drawn = model.simulate(np.random.default_rng(3), days_since_2014(time), np.zeros((64, 64)), PIXEL)
    scale_m, power = band_power(drawn.astype(float), PIXEL)
    found = measured(series, None, time)
    np.testing.assert_allclose(found.band_m, scale_m)
    np.testing.assert_allclose(scale_m, [500, 1000, 2000, 4000, 8000])
    ratio = found.band_std / np.sqrt(power)
    np.testing.assert_allclose(np.median(ratio, axis=0), 1, atol=0.05)
    assert (np.std(np.log(np.maximum(ratio[:, :3], 1e-3)), axis=0) < 0.25).all()


@settings(max_examples=3, deadline=None, phases=(Phase.generate,))
@given(st.integers(1, 17), st.integers(0, 2**16))
def test_the_reference_epoch_does_not_matter(reference: int, seed: int) -> None:
    model = NoiseModel(8e-3, 0.35, 8e-6, 0.0, 2e-3, 1e-3)
    series, height, time = stack(model, seed, 20, 18)
    base, moved = (measured(series - series[epoch], height, time) for epoch in (0, reference))
    np.testing.assert_allclose(moved.epoch_rms, base.epoch_rms, rtol=1e-5)
    np.testing.assert_allclose(moved.band_std, base.band_std, rtol=1e-4, atol=1e-8)
    assert moved.turbulence is not None
    assert base.turbulence is not None
    np.testing.assert_allclose(moved.turbulence.epoch_std, base.turbulence.epoch_std, rtol=1e-3)
    assert moved.turbulence.spectrum.exponents[0] == pytest.approx(base.turbulence.spectrum.exponents[0], abs=1e-3)


def test_a_mirrored_scene_has_the_mirrored_azimuth() -> None:
    series, height, time = stack(TRUTH, 1, 64, 20)
    found = measured(series[:, :, ::-1], height[:, ::-1], time).turbulence
    assert found is not None
    assert found.spectrum.azimuth_deg == pytest.approx(180 - 60, abs=4 * found.azimuth_error_deg)


def test_degrees_of_freedom_of_the_fit_are_given_back() -> None:
    """Epochs of unequal noise, a sixth of a short series taken by the fit."""
    generator, time = np.random.default_rng(0), epochs(40, 24)
    std = np.exp(0.6 * generator.standard_normal(40))
    matrix, _ = design_matrix(time)
    noise = std[:, None] * generator.standard_normal((40, 40_000))
    residual = noise - matrix @ fit_series(matrix, noise)
    raw = (residual**2).mean(axis=1)
    assert abs(raw / std**2 - 1).max() > 0.3  # the correction is worth its name
    np.testing.assert_allclose(epoch_variance(raw, residual_gain(matrix)), std**2, rtol=0.06, atol=0.02)
    # Too few epochs to tell them apart: the mean is right nevertheless.
    few = residual_gain(matrix[:8])
    left = noise[:8] - matrix[:8] @ np.linalg.pinv(matrix[:8]) @ noise[:8]
    assert epoch_variance((left**2).mean(axis=1), few).shape == (8,)


def test_gaps_are_fitted_as_if_they_had_been_seen() -> None:
    """Neighbours with other gaps err in another way; filled, their difference is that of complete series."""
    generator, time = np.random.default_rng(1), epochs(30)
    matrix, _ = design_matrix(time)
    noise = turbulence(generator, (24, 24), PIXEL, 30).astype(float)
    complete = (noise.reshape(30, -1) - matrix @ fit_series(matrix, noise.reshape(30, -1))).reshape(noise.shape)
    gappy = np.where(generator.random(noise.shape) < 0.3, np.nan, noise).reshape(30, -1)
    alone = (gappy - matrix @ fit_series(matrix, gappy)).reshape(noise.shape)
    filled = fill_gaps(alone, matrix)
    assert (np.isnan(filled) == np.isnan(alone)).all()
    assert np.nanstd(filled - complete) < 0.5 * np.nanstd(alone - complete)
    np.testing.assert_array_equal(fill_gaps(complete, matrix), complete)


def test_slope_with_height_and_its_error() -> None:
    height = relief(5, 96)
    slopes = np.array([1e-5, -2e-5, 0.0])
    exact, error = height_slope(0.3 + slopes[:, None, None] * height, height)
    np.testing.assert_allclose(exact, slopes, atol=1e-12)
    assert (error < 1e-10).all()
    delay = 8e-3 * turbulence(np.random.default_rng(2), height.shape, PIXEL, 60).astype(float)
    delay[np.random.default_rng(3).random(delay.shape) < 0.2] = np.nan
    found, error = height_slope(delay, height)
    assert np.sqrt((found**2 / error**2).mean()) == pytest.approx(1, abs=0.25)
    plain = ((height - height.mean()) * np.nan_to_num(delay)).sum((1, 2)) / ((height - height.mean()) ** 2).sum()
    assert found.std() < 0.5 * plain.std()  # what regression of heights themselves would err by
    assert np.isnan(height_slope(delay, np.full_like(height, 700.0))[0]).all()
    assert np.isnan(height_slope(np.full_like(delay, np.nan), height)[0]).all()


def test_structure_function_by_hand() -> None:
    field = np.arange(1600.0).reshape(1, 40, 40)
    field[0, 5, 5] = np.nan
    (level,) = levels((40, 40), (1.0, 1.0))
    squared = structure_function(field, level)[0]
    np.testing.assert_allclose(squared, (40.0 * level.dy + level.dx) ** 2, rtol=1e-6)


def test_two_resolutions_of_a_large_scene_agree() -> None:
    """Blocks of a large scene have the structure that the model gives to blocks."""
    fields = turbulence(np.random.default_rng(4), (240, 240), PIXEL, 12)
    fine, coarse = levels((240, 240), PIXEL)
    assert coarse.factor == 2
    assert coarse.length_m.min() > 12 * 500.0
    for level in (fine, coarse):
        ratio = structure_function(fields, level).mean(axis=0) / level.turbulence(TurbulenceSpectrum())
        np.testing.assert_allclose(ratio[level.length_m < 20e3], 1, atol=0.25)


def test_white_noise_has_a_floor_and_no_turbulence() -> None:
    series = 2e-3 * np.random.default_rng(0).normal(size=(20, 48, 48))
    found = measured(series, None, epochs(20))
    assert found.turbulence is not None
    assert found.turbulence.white_std == pytest.approx(2e-3, rel=0.03)
    assert found.median_std[0] < 0.4e-3
    wavenumber, density = binned([power(series, PIXEL)], (48, 48), PIXEL, 16)
    np.testing.assert_allclose(density[4:] * 48 * 48, 4e-6, rtol=0.4)
    assert (np.diff(wavenumber) > 0).all()


def test_rms_of_known_epochs() -> None:
    residual = np.array([[1.0, -1.0, np.nan, 3.0], [np.nan] * 4])
    np.testing.assert_allclose(epoch_rms(residual)[0], np.sqrt(((np.array([1, -1, 3]) - 1) ** 2).mean()))
    assert np.isnan(epoch_rms(residual)[1])


def test_empty_epochs_stay_empty_and_too_little_data_is_said() -> None:
    series, height, time = stack(NoiseModel(8e-3, white_std_m=1e-3), 0, 32, 20)
    series[4] = np.nan
    series[9, :, 3:] = np.nan
    found = measured(series, height, time)
    assert found.turbulence is not None
    assert np.isnan(found.turbulence.epoch_std[[4, 9]]).all()
    assert np.isfinite(np.delete(found.turbulence.epoch_std, [4, 9])).all()
    assert np.isnan(found.band_std[[4, 9]]).all()
    assert power(np.full((3, 32, 32), np.nan), PIXEL) is None
    assert len(binned([], (32, 32), PIXEL, 8)[1]) == 0
    nothing = measured(series[:, :3, :3], None, time)
    assert nothing.turbulence is None
    with pytest.raises(SlipscanError, match="too few epochs or pixels"):
        to_model(nothing)
    few = np.where(np.arange(20)[:, None, None] < 5, series, np.nan)
    assert measured(few, height, time).turbulence is None
    assert np.isnan(float(product(few, height, time)["exponent"]))
    with pytest.raises(SlipscanError, match="holds no data"):
        measured(np.full_like(series, np.nan), height, time)
    flat = measured(series, np.full_like(height, 300.0), time)
    assert to_model(flat).stratified_std == 0
    with pytest.raises(SlipscanError, match="19 epochs came with 20 dates"):
        measured(series[:-1], None, time)


def product(series: np.ndarray, height: np.ndarray, time: np.ndarray) -> xr.Dataset:
    side = series.shape[1]
    x, y = 500_000 + 500.0 * np.arange(side), 4_500_000 - 500.0 * np.arange(side)
    dataset = xr.Dataset(
        {"displacement": (("time", "y", "x"), series.astype("f4")), "height": (("y", "x"), height.astype("f4"))},
        coords={"time": time},
    )
    return estimate_noise(write_grid(dataset, Grid(x, y, utm_crs(32.6, 40.8))), NoiseSettings())


def test_the_product_gives_the_simulator_of_the_region() -> None:
    series, height, time = stack(TRUTH, 2, 48, 34, 0.1)
    noise = product(series, height, time)
    model, direct = model_of(noise), to_model(measured(series.astype("f4"), height.astype("f4"), time))
    for name in ("turbulence_std_m", "strength_log_std", "stratified_std", "stratified_annual", "white_std_m"):
        assert getattr(model, name) == pytest.approx(getattr(direct, name), rel=1e-3), name
    assert model.spectrum.exponents == pytest.approx(direct.spectrum.exponents, rel=1e-3)
    assert model.spectrum.azimuth_deg == pytest.approx(direct.spectrum.azimuth_deg, abs=0.1)
    assert noise["band_std"].dims == ("time", "band")
    assert noise["stratified_slope_error"].dims == ("time",)
    with pytest.raises(SlipscanError, match="no 'turbulence_std'"):
        model_of(noise.drop_vars("turbulence_std"))


def test_simulating_the_estimate_gives_the_estimate() -> None:
    """The region's own simulator: its bands are those of the region."""
    _, height, time = stack(TRUTH, 0, SIDE, COUNT)
    found = estimates(0.0)[0]
    drawn = to_model(found).simulate(
        np.random.default_rng(9), days_since_2014(time), height, PIXEL
    ).astype(float)  # fmt: skip
    again = measured(drawn, height, time)
    rms = [np.sqrt((one.band_std**2).mean(axis=0)) for one in (found, again)]
    np.testing.assert_allclose(rms[0][:4], rms[1][:4], rtol=0.25)
