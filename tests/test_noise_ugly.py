"""The noise stage never refuses what it estimated: ugly series give a simulator, or a sentence on what they lack."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from slipscan import vocabulary
from slipscan.denoise.training.scenes import draw_labelled, of_the_region
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid, utm_crs, write_grid
from slipscan.noise.parameters import LARGEST_LOG_STD, UNKNOWN, model_of
from slipscan.noise.simulate import NoiseModel, TurbulenceSpectrum, turbulence
from slipscan.noise.stage import estimate_noise, write_noise
from slipscan.settings import NoiseSettings, TrainSettings
from slipscan.store import open_zarr, write_zarr
from slipscan.synthetic.pool import SCENES_PER_BLOCK

PIXEL_M = 500.0
SHAPES = [(2, 2), (2, 30), (2, 40), (3, 3), (4, 4), (9, 9), (16, 7), (24, 24), (40, 12)]
RED = TurbulenceSpectrum(exponents=(3.0, 3.0, 3.0), outer_scale_m=50e3)
STEEP = TurbulenceSpectrum(exponents=(6.0, 6.0, 6.0), outer_scale_m=500e3)


def days_of(count: int, step_d: float = 12.0) -> np.ndarray:
    return np.datetime64("2017-01-03", "ns") + (np.arange(count) * step_d * 86400e9).astype("timedelta64[ns]")


def red(generator: np.random.Generator, count: int, shape: tuple[int, int]) -> np.ndarray:
    return 8e-3 * turbulence(generator, shape, PIXEL_M, count, RED).astype(float)


def constant(generator: np.random.Generator, count: int, shape: tuple[int, int]) -> np.ndarray:
    return np.zeros((count, *shape)) + generator.choice([0.0, 0.02])


def one_noisy_epoch(generator: np.random.Generator, count: int, shape: tuple[int, int]) -> np.ndarray:
    series = np.zeros((count, *shape))
    series[count // 2] = red(generator, 1, shape)[0]
    return series


def still_but_one(generator: np.random.Generator, count: int, shape: tuple[int, int]) -> np.ndarray:
    series = 1e-5 * red(generator, count, shape)
    series[count // 2] *= 1e7
    return series


def strong_ramps(generator: np.random.Generator, count: int, shape: tuple[int, int]) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    slopes = 0.02 * generator.normal(size=(2, count, 1, 1))
    return slopes[0] * y + slopes[1] * x


def striped(generator: np.random.Generator, count: int, shape: tuple[int, int]) -> np.ndarray:
    return 5e-3 * generator.normal(size=(count, shape[0], 1)) * np.ones(shape)


def mostly_missing(generator: np.random.Generator, count: int, shape: tuple[int, int]) -> np.ndarray:
    return np.where(generator.random((count, *shape)) < 0.8, np.nan, red(generator, count, shape))


def two_epochs(generator: np.random.Generator, count: int, shape: tuple[int, int]) -> np.ndarray:
    series = red(generator, count, shape)
    series[1:-1] = np.nan
    return series


def gaps(generator: np.random.Generator, count: int, shape: tuple[int, int]) -> np.ndarray:
    series = red(generator, count, shape)
    series[generator.random(count) < 0.3] = np.nan
    series[:, : shape[0] // 2][generator.random(series[:, : shape[0] // 2].shape) < 0.5] = np.nan
    return series


def volcano(generator: np.random.Generator, count: int, shape: tuple[int, int]) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    bowl = np.exp(-((y - shape[0] / 2) ** 2 + (x - shape[1] / 2) ** 2) / (2 * (1 + max(shape) / 8) ** 2))
    course = np.where(np.arange(count) > count / 3, -0.5, 0.0) + np.exp(np.arange(count) / count)
    return course[:, None, None] * bowl + 0.05 * red(generator, count, shape)


def spikes(generator: np.random.Generator, count: int, shape: tuple[int, int]) -> np.ndarray:
    return red(generator, count, shape) + 100.0 * (generator.random((count, *shape)) < 0.01)


def white(generator: np.random.Generator, count: int, shape: tuple[int, int]) -> np.ndarray:
    return 3e-3 * generator.normal(size=(count, *shape))


def very_smooth(generator: np.random.Generator, count: int, shape: tuple[int, int]) -> np.ndarray:
    return turbulence(generator, shape, PIXEL_M, count, STEEP).astype(float)


def filtered(generator: np.random.Generator, count: int, shape: tuple[int, int]) -> np.ndarray:
    """White noise after a Gaussian filter in space, as of products that were smoothed: steeper than any air."""
    return 2e-2 * ndimage.gaussian_filter(generator.normal(size=(count, *shape)), (0, 2, 2), mode="wrap")


def infinite(generator: np.random.Generator, count: int, shape: tuple[int, int]) -> np.ndarray:
    return np.where(generator.random((count, *shape)) < 0.05, np.inf, red(generator, count, shape))


UGLY = [
    red, constant, one_noisy_epoch, still_but_one, strong_ramps, striped, mostly_missing, two_epochs, gaps, volcano,
    spikes, white, very_smooth, filtered, infinite,
]  # fmt: skip
HEIGHTS = {
    "none": lambda relief: None,
    "relief": lambda relief: relief,
    "flat": lambda relief: np.full_like(relief, 700.0),
    "all void": lambda relief: np.full_like(relief, np.nan),
    "one void": lambda relief: np.where(np.arange(relief.size).reshape(relief.shape) == 0, np.nan, relief),
}


def stack(series: np.ndarray, height: np.ndarray | None, time: np.ndarray) -> xr.Dataset:
    _, rows, columns = series.shape
    x, y = 500_000 + PIXEL_M * np.arange(max(columns, 2)), 4_500_000 - PIXEL_M * np.arange(max(rows, 2))
    dataset = xr.Dataset({"displacement": (("time", "y", "x"), series.astype("f4"))}, coords={"time": time})
    if height is not None:
        dataset["height"] = (("y", "x"), height.astype("f4"))
    dataset["displacement"].attrs["units"] = "m"
    return write_grid(dataset, Grid(x[:columns], y[:rows], utm_crs(32.6, 40.8)))


def simulated(noise: xr.Dataset, shape: tuple[int, int]) -> np.ndarray | None:
    """What the region's simulator draws, or None where the product says in one sentence what the stack lacked."""
    if UNKNOWN in noise.attrs:
        with pytest.raises(SlipscanError, match="too few epochs or pixels: ") as raised:
            model_of(noise)
        assert "\n" not in str(raised.value)
        assert math.isnan(float(noise["exponent"]))
        return None
    return model_of(noise).simulate(np.random.default_rng(1), 12.0 * np.arange(4), np.zeros(shape), PIXEL_M)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(UGLY),
    st.sampled_from(SHAPES),
    st.integers(5, 40),
    st.sampled_from(sorted(HEIGHTS)),
    st.sampled_from([1e-6, 1.0, 1e3]),
    st.integers(0, 2**16),
)
def test_ugly_series_give_a_simulator_or_a_sentence(ugly, shape, count, kind, size, seed) -> None:
    generator = np.random.default_rng(seed)
    relief = 500 + 200 * turbulence(generator, shape, PIXEL_M, 1)[0].astype(float)
    series = size * ugly(generator, count, shape)
    given = stack(series, HEIGHTS[kind](relief), days_of(count))
    if not np.isfinite(series).any():
        with pytest.raises(SlipscanError, match="holds no data"):
            estimate_noise(given, NoiseSettings())
        return
    noise = estimate_noise(given, NoiseSettings())
    vocabulary.check(noise, "noise")
    drawn = simulated(noise, shape)
    if drawn is not None:
        assert np.isfinite(drawn).all()
        assert drawn.std() > 0


@pytest.mark.parametrize("ugly", UGLY)
def test_ugly_series_of_a_usual_size_go_through_the_stage(ugly, tmp_path: Path) -> None:
    generator, shape = np.random.default_rng(5), (24, 24)
    write_zarr(stack(ugly(generator, 30, shape), None, days_of(30)), tmp_path / "stack.zarr")
    write_noise(tmp_path / "stack.zarr", tmp_path / "noise.zarr", NoiseSettings())
    drawn = simulated(open_zarr(tmp_path / "noise.zarr"), shape)
    assert (drawn is None) == (ugly in (constant, one_noisy_epoch, still_but_one, mostly_missing, two_epochs))


def test_what_a_bound_set_is_said_and_flagged(caplog: pytest.LogCaptureFixture) -> None:
    generator = np.random.default_rng(3)
    with caplog.at_level(logging.WARNING):
        noise = estimate_noise(stack(filtered(generator, 30, (24, 24)), None, days_of(30)), NoiseSettings())
        assert {"exponent", "exponent_middle"} <= set(vocabulary.raised_flags(noise["bounded"]))
        assert "set by a bound and not by the data" in caplog.text
        caplog.clear()
        assert model_of(noise).spectrum.exponents == pytest.approx((5.0, 6.0, 5 / 3), abs=0.01)
        assert "exponent, exponent_middle" in caplog.text


def test_what_the_data_tell_is_not_flagged() -> None:
    truth = NoiseModel(8e-3, 0.35, white_std_m=1e-3, ramp_std_m=2e-3)
    series = truth.simulate(np.random.default_rng(0), 12.0 * np.arange(40), np.zeros((48, 48)), PIXEL_M)
    noise = estimate_noise(stack(series.astype(float), None, days_of(40)), NoiseSettings())
    assert vocabulary.raised_flags(noise["bounded"]) == ["red_variance"]  # in 16 months nobody could tell
    assert noise["bounded"].attrs["flag_masks"][0] == 1


def test_epochs_of_wild_strengths_are_bounded() -> None:
    """Strengths of one in a thousand and more, half of each: log-normal of 3.5, which no simulation can use."""
    generator = np.random.default_rng(2)
    strength = np.where(np.arange(40) % 2 == 0, 1.0, 1e-3)
    noise = estimate_noise(
        stack(strength[:, None, None] * red(generator, 40, (32, 32)), None, days_of(40)), NoiseSettings()
    )
    raised = vocabulary.raised_flags(noise["bounded"])
    assert "turbulence_epoch_std" in raised
    assert float(noise["strength_log_std"]) <= LARGEST_LOG_STD
    assert math.isfinite(float(noise["strength_log_std_error"]))


def test_a_slope_of_minus_three_is_recovered() -> None:
    """Spectra of real scenes are redder than Hanssen's: k^-3 over all scales, and averaged over 4 x 4 cells."""
    fine = 8e-3 * turbulence(np.random.default_rng(4), (128, 128), PIXEL_M / 4, 40, RED).astype(float)
    averaged = fine.reshape(40, 32, 4, 32, 4).mean(axis=(2, 4))
    noise = estimate_noise(stack(averaged, None, days_of(40)), NoiseSettings())
    assert float(noise["exponent"]) == pytest.approx(3.0, abs=0.25)
    assert vocabulary.raised_flags(noise["bounded"]) == ["red_variance"]  # in 16 months nobody could tell


def test_training_takes_the_noise_of_an_ugly_region() -> None:
    """A scene of the region's own noise, with what bounds set in it."""
    noise = estimate_noise(stack(filtered(np.random.default_rng(3), 30, (24, 24)), None, days_of(30)), NoiseSettings())
    training = TrainSettings(pixels=32, easy_scenes=1)
    index = next(
        i
        for i in range(0, 100 * SCENES_PER_BLOCK, SCENES_PER_BLOCK)
        if of_the_region(training.seed, i // SCENES_PER_BLOCK)
    )
    scene = draw_labelled(training, index, model_of(noise))
    assert np.isfinite(scene.observation.values).mean() > 0.5


def test_what_a_series_lacks_is_said_in_product_and_log(caplog: pytest.LogCaptureFixture) -> None:
    generator, shape = np.random.default_rng(0), (24, 24)
    for ugly, lack in (
        (constant, "less than a micrometre between pixels"),
        (two_epochs, "no pixel has the 7 valid epochs that rate and season take"),
        (mostly_missing, "no epoch is valid in more than half of the pixels"),
    ):
        caplog.clear()
        noise = estimate_noise(stack(ugly(generator, 32, shape), None, days_of(32)), NoiseSettings())
        assert lack in noise.attrs[UNKNOWN] and lack in caplog.text
    tiny = estimate_noise(stack(red(generator, 20, (3, 3)), None, days_of(20)), NoiseSettings())
    assert "0 short lags have 64 pairs of valid pixels, 8 are needed" in tiny.attrs[UNKNOWN]
    with pytest.raises(SlipscanError, match="a series of 4 epochs is too short"):
        estimate_noise(stack(np.zeros((4, 9, 9)), None, days_of(4)), NoiseSettings())
