"""The whole noise model: its parts add up, each has its switch, a seed says all, bad input is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import fft

from noise_builders import DAYS, HEIGHT, generator
from slipscan.errors import SlipscanError
from slipscan.noise.simulate import (
    NoiseModel,
    TurbulenceSpectrum,
    coherence_after,
    epoch_strength,
    missing_epochs,
    missing_pixels,
    random_fields,
)

FULL = NoiseModel(
    8e-3, 0.35, 8e-6, 4e-6, 5e-3, 2e-3,
    stratified_interannual=3e-6, stratified_quadratic=2e-9, stratified_spatial=0.3, ramp_solar=0.5,
    unwrapping_rate=3.0, unwrapping_persistent=0.3, reference_std_m=2e-3, phase_bias_m_yr=3e-3,
    phase_bias_wander_m=1e-3,
)  # fmt: skip
OFF = {
    "turbulence": {"turbulence_std_m": 0.0},
    "stratified": {
        "stratified_std": 0.0,
        "stratified_annual": 0.0,
        "stratified_interannual": 0.0,
        "stratified_quadratic": 0.0,
    },
    "ramp": {"ramp_std_m": 0.0},
    "decorrelation": {"white_std_m": 0.0},
    "unwrapping": {"unwrapping_rate": 0.0},
    "reference": {"reference_std_m": 0.0},
    "phase_bias": {"phase_bias_m_yr": 0.0, "phase_bias_wander_m": 0.0},
}


def test_noise_is_a_function_of_the_generators_seed():
    model = NoiseModel(8e-3, 0.3, 8e-6, 4e-6, 5e-3, 2e-3)
    height = np.linspace(0, 2000, 600).reshape(20, 30)
    days = np.arange(5) * 12.0
    one, same, other = (model.simulate(generator(seed), days, height, 500.0) for seed in (7, 7, 8))
    assert one.shape == (5, 20, 30) and one.dtype == np.float32
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_the_parts_of_a_model_add_up_to_their_variances():
    height = np.full((16, 16), 700.0)
    height[:, 8:] = 1700.0
    model = NoiseModel(4e-3, 0.0, 5e-6, 0.0, 3e-3, 2e-3)
    delay = model.simulate(generator(5), np.arange(1500) * 12.0, height, 10e3)
    expected = 4e-3**2 + (5e-6 * 500) ** 2 + 3e-3**2 + 2e-3**2
    assert delay.var() == pytest.approx(expected, rel=0.08)
    assert not NoiseModel(0.0).simulate(generator(), [0.0, 12.0], height, 500.0).any()


def first_version(seed: int, days: np.ndarray, height: np.ndarray, pixel: float, outer_scale_m: float) -> np.ndarray:
    """The noise of the first release, written out: data sets are named by its seeds."""
    random, (rows, columns), count = np.random.default_rng(seed), height.shape, len(days)
    strength = 8e-3 * np.exp(0.3 * random.standard_normal(count))
    torus = fft.next_fast_len(2 * rows), fft.next_fast_len(2 * columns)
    k = np.hypot(np.fft.fftfreq(torus[0], pixel)[:, None], np.fft.fftfreq(torus[1], pixel)[None, :])
    cell, k0 = 1 / (torus[0] * torus[1] * pixel**2), 1 / outer_scale_m
    power = (k**2 + k0**2) ** (-4 / 3) / (3 * np.pi * k0 ** (-2 / 3)) * np.minimum(1, 1 / np.maximum(k * 1500, 1))
    variance = power * np.maximum(k * 250, 1) ** 2 * cell
    variance[0, 0] = 1 - (k0**2 / (k0**2 + cell / np.pi)) ** (1 / 3)
    amplitudes = np.sqrt(variance / variance.sum()).astype(np.float32)
    fields = []
    for _ in range(0, count, 2):
        modes = random.standard_normal((*torus, 2), dtype=np.float32).view(np.complex64)[..., 0] * amplitudes
        cut = fft.ifft(fft.ifft(modes, axis=1, norm="forward")[:, :columns], axis=0, norm="forward")[:rows]
        fields += [cut.real, cut.imag]
    delay = np.stack(fields[:count]) * strength.astype(np.float32)[:, None, None]
    slope = 8e-6 * random.standard_normal(count) + 4e-6 * np.cos(2 * np.pi * (days - 200) / 365.25)
    relative = np.asarray(height, np.float32) - np.float32(height.mean(dtype=float))
    delay += slope.astype(np.float32)[:, None, None] * relative
    gradient = random.standard_normal((count, 2)).astype(np.float32)
    axes = [np.arange(n) - (n - 1) / 2 for n in height.shape]
    y, x = ((axis / axis.std() / np.sqrt(2)).astype(np.float32) for axis in axes)
    delay += np.float32(5e-3) * (gradient[:, :1, None] * y[:, None] + gradient[:, 1:, None] * x)
    return delay + np.float32(2e-3) * random.standard_normal(delay.shape, dtype=np.float32)


@pytest.mark.parametrize(("shape", "count", "outer"), [((20, 30), 5, 80e3), ((33, 32), 1, 50e3)])
def test_a_seed_gives_what_it_gave_in_the_first_release(shape, count, outer):
    days, height = np.arange(count) * 12.0, np.linspace(0, 2000, shape[0] * shape[1]).reshape(shape)
    model = NoiseModel(8e-3, 0.3, 8e-6, 4e-6, 5e-3, 2e-3, TurbulenceSpectrum(outer_scale_m=outer))
    now = model.simulate(np.random.default_rng(11), days, height, 500.0)
    np.testing.assert_allclose(now, first_version(11, days, height, 500.0, outer), atol=2e-8)


def test_the_parts_add_up_and_each_has_its_switch():
    parts = FULL.parts(generator(), DAYS, HEIGHT, 500.0)
    assert set(parts.by_name) == set(OFF)
    np.testing.assert_allclose(parts.total, sum(part.astype(float) for part in parts.by_name.values()), atol=1e-7)
    np.testing.assert_array_equal(parts.total, FULL.simulate(generator(), DAYS, HEIGHT, 500.0))
    for name, part in parts.by_name.items():
        assert part.dtype == np.float32, name
        assert part.shape == (12, 40, 48), name
        assert part.any(), name


@pytest.mark.parametrize("name", OFF)
def test_switching_a_part_off_changes_no_other(name):
    every = FULL.parts(generator(4), DAYS, HEIGHT, 500.0).by_name
    fewer = replace(FULL, **OFF[name]).parts(generator(4), DAYS, HEIGHT, 500.0).by_name
    assert set(fewer) == set(every) - {name}
    for other, part in fewer.items():
        np.testing.assert_array_equal(part, every[other], err_msg=other)


def test_everything_else_is_off_unless_asked_for():
    assert set(NoiseModel(8e-3).parts(generator(), DAYS, HEIGHT, 500.0).by_name) == {"turbulence"}
    assert NoiseModel(0.0).parts(generator(), DAYS, HEIGHT, 500.0).by_name == {}
    assert not NoiseModel(0.0).parts(generator(), DAYS, HEIGHT, 500.0).total.any()


def test_fields_of_a_pool_take_the_place_of_new_ones():
    fields = np.ones((12, 40, 48), np.float32)
    delay = NoiseModel(8e-3, 0.4).parts(generator(2), DAYS, HEIGHT, 500.0, fields=fields).turbulence
    assert delay is not None
    np.testing.assert_allclose(delay[:, 0, 0], 8e-3 * epoch_strength(generator(2), 12, 0.4), rtol=1e-5)
    assert (np.ptp(delay, axis=(1, 2)) == 0).all()


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: NoiseModel(-1e-3), "turbulence_std_m is -0.001"),
        (lambda: NoiseModel(1e-3, white_std_m=float("nan")), "white_std_m is nan"),
        (lambda: NoiseModel(1e-3, unwrapping_persistent=1.2), "unwrapping_persistent is 1.2"),
        (lambda: NoiseModel(1e-3, unwrapping_size_m=0.0), "unwrapping_size_m is 0"),
        (lambda: NoiseModel(1e-3).simulate(generator(), [0.0, 12.0], HEIGHT, 0.0), "pixel size is 0.0"),
        (lambda: NoiseModel(1e-3).simulate(generator(), [0.0, 12.0], HEIGHT, (500.0, -5.0)), "pixel size is"),
        (lambda: NoiseModel(1e-3).simulate(generator(), [0.0, 12.0], np.zeros((0, 5)), 500.0), "has no pixels"),
        (lambda: NoiseModel(1e-3).simulate(generator(), [12.0, 0.0], HEIGHT, 500.0), "out of order"),
        (lambda: NoiseModel(1e-3).simulate(generator(), [0.0, 0.0], HEIGHT, 500.0), "are double"),
        (lambda: NoiseModel(1e-3).simulate(generator(), [], HEIGHT, 500.0), "one or more epochs"),
        (
            lambda: NoiseModel(1e-3).simulate(generator(), DAYS, HEIGHT, 500.0, fields=np.zeros((3, 4, 5))),
            "turbulence fields have shape",
        ),
        (
            lambda: NoiseModel(1e-3).simulate(generator(), DAYS, HEIGHT, 500.0, coherence=np.ones((3, 4))),
            "coherence has shape",
        ),
        (lambda: TurbulenceSpectrum(exponents=(1.5, 2.5, 1.0)), "exponents of turbulence"),
        (lambda: TurbulenceSpectrum(breaks_m=(250.0, 1500.0)), "breaks of the turbulence"),
        (lambda: TurbulenceSpectrum(outer_scale_m=0.0), "outer scale"),
        (lambda: TurbulenceSpectrum(anisotropy=0.5), "anisotropy of turbulence"),
        (lambda: TurbulenceSpectrum(azimuth_deg=float("inf")), "azimuth of turbulence"),
        (lambda: random_fields(generator(), np.ones((8, 8), np.float32), (9, 4), 1), "do not fit"),
        (lambda: coherence_after(12.0, 0.0), "memory of the coherence"),
        (lambda: missing_epochs(generator(), DAYS, 1.5), "share of missing epochs"),
        (lambda: missing_epochs(generator(), DAYS, 0.1, -1.0), "gaps a year"),
        (lambda: missing_pixels(generator(), (2, 8, 8), 500.0, -0.1), "shares of missing pixels"),
        (lambda: missing_pixels(generator(), (2, 8, 8), 500.0, 0.1, 0.0, np.ones((2, 2))), "coherence has shape"),
    ],
)
def test_what_cannot_be_is_one_sentence(call, sentence):
    with pytest.raises(SlipscanError, match=sentence) as caught:
        call()
    assert "\n" not in str(caught.value)
