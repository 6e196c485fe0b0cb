"""The simulated noise has the spectrum, variances and independence that it claims."""

from __future__ import annotations

import numpy as np
import pytest

from slipscan.noise.simulate import (
    NoiseModel,
    decorrelation,
    epoch_strength,
    power_spectrum,
    ramps,
    stratified,
    turbulence,
)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_the_spectrum_has_hanssens_exponents_and_unit_variance():
    def exponent(scale_m: float) -> float:
        k = np.array([0.99, 1.01]) / scale_m
        return float(np.diff(np.log(power_spectrum(k)))[0] / np.diff(np.log(k))[0])

    assert exponent(5e3) == pytest.approx(-8 / 3, abs=0.02)
    assert exponent(600.0) == pytest.approx(-11 / 3, abs=0.01)
    assert exponent(100.0) == pytest.approx(-5 / 3, abs=0.01)
    assert exponent(1e6) == pytest.approx(0, abs=0.05)
    k = np.geomspace(1e-9, 1 / 40, 20_000)
    assert np.trapezoid(2 * np.pi * k * power_spectrum(k), k) == pytest.approx(1, abs=0.05)


def test_turbulence_has_unit_variance_over_the_ensemble():
    for shape, pixel_m in (((48, 48), 2000.0), ((24, 32), 500.0)):
        fields = turbulence(generator(), shape, pixel_m, 800)
        assert fields.shape == (800, *shape) and fields.dtype == np.float32
        assert fields.var() == pytest.approx(1, abs=0.1)
        assert fields.mean() == pytest.approx(0, abs=0.1)


def test_turbulence_follows_its_spectrum_in_both_directions():
    """Structure function D(r) = 2 (C(0) - C(r)) along x and y, against that of the spectrum, cells of two sizes."""
    pixel = (1000.0, 500.0)
    fields = turbulence(generator(1), (48, 96), pixel, 300).astype(float)
    for axis, lag in ((1, 4), (1, 12), (2, 8), (2, 24)):
        ahead, behind = (
            np.take(fields, range(lag, fields.shape[axis]), axis),
            np.take(fields, range(fields.shape[axis] - lag), axis),
        )
        measured = np.mean((ahead - behind) ** 2)
        assert measured == pytest.approx(_structure(lag * pixel[axis - 1]), rel=0.15)


def _structure(distance_m: float) -> float:
    """2 int 2 pi k P(k) (1 - J0(2 pi k r)) dk."""
    from scipy.special import j0

    k = np.geomspace(1e-8, 1e-3, 40_000)
    return float(2 * np.trapezoid(2 * np.pi * k * power_spectrum(k) * (1 - j0(2 * np.pi * k * distance_m)), k))


def test_opposite_edges_know_nothing_of_each_other():
    """Far apart, D(r) is large; a field that wrapped round would have nearly equal edges."""
    fields = turbulence(generator(2), (64, 64), 500.0, 300)
    edges = np.mean((fields[:, :, 0] - fields[:, :, -1]) ** 2)
    neighbours = np.mean((fields[:, :, 0] - fields[:, :, 1]) ** 2)
    assert edges > 0.8 * _structure(63 * 500.0)
    assert neighbours < 0.1 * edges


def test_fields_are_independent_of_each_other():
    fields = turbulence(generator(3), (16, 16), 8000.0, 1000)
    pairs = np.mean(fields[0::2] * fields[1::2])  # the two parts of one complex field
    assert abs(pairs) < 0.05


def test_noise_is_a_function_of_the_generators_seed():
    model = NoiseModel(8e-3, 0.3, 8e-6, 4e-6, 5e-3, 2e-3)
    height = np.linspace(0, 2000, 600).reshape(20, 30)
    days = np.arange(5) * 12.0
    one, same, other = (model.simulate(generator(seed), days, height, 500.0) for seed in (7, 7, 8))
    assert one.shape == (5, 20, 30) and one.dtype == np.float32
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_strength_is_log_normal_with_median_one():
    logs = np.log(epoch_strength(generator(), 20_000, 0.4))
    assert np.median(logs) == pytest.approx(0, abs=0.02)
    assert logs.std() == pytest.approx(0.4, rel=0.03)


def test_stratified_delay_is_a_slope_with_height_and_an_annual_cycle():
    height = np.array([[0.0, 500.0], [1000.0, 2500.0]])
    days = np.arange(0, 20 * 365.25, 12)
    delay = stratified(generator(), days, height, 8e-6, 5e-6)
    slope = (delay[:, 1, 1] - delay[:, 0, 0]) / 2500
    np.testing.assert_allclose(delay, slope[:, None, None] * (height - 1000), atol=1e-7)
    phase = 2 * np.pi * (days - 200) / 365.25
    assert 2 * np.mean(slope * np.cos(phase)) == pytest.approx(5e-6, abs=1e-6)
    assert (slope - 5e-6 * np.cos(phase)).std() == pytest.approx(8e-6, rel=0.1)
    assert stratified(generator(), [200.0], height, 0.0, 5e-6)[0, 1, 1] > 0  # summits early in a humid summer


def test_ramps_are_planes_of_unit_variance():
    fields = ramps(generator(), (20, 41), 4000).astype(float)
    assert np.mean(fields**2) == pytest.approx(1, abs=0.05)
    np.testing.assert_allclose(np.diff(fields, n=2, axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(np.diff(fields, n=2, axis=2), 0, atol=1e-5)
    assert not ramps(generator(), (1, 1), 3).any()


def test_decorrelation_grows_as_coherence_falls():
    assert decorrelation(generator(), (100, 100)).std() == pytest.approx(1, abs=0.03)
    coherence = np.repeat(np.array([[1.0], [0.6], [0.3], [0.0]]), 20_000, axis=1)
    spread = decorrelation(generator(), coherence.shape, coherence).std(axis=1)
    # sqrt(1 - g^2) / g at 0.3 over that at 0.6: 2.385
    np.testing.assert_allclose(spread, [0, 1, 2.385, 3], rtol=0.03, atol=1e-6)


def test_the_parts_of_a_model_add_up_to_their_variances():
    height = np.full((16, 16), 700.0)
    height[:, 8:] = 1700.0
    model = NoiseModel(4e-3, 0.0, 5e-6, 0.0, 3e-3, 2e-3)
    delay = model.simulate(generator(5), np.arange(1500) * 12.0, height, 10e3)
    expected = 4e-3**2 + (5e-6 * 500) ** 2 + 3e-3**2 + 2e-3**2
    assert delay.var() == pytest.approx(expected, rel=0.08)
    assert not NoiseModel(0.0).simulate(generator(), [0.0, 12.0], height, 500.0).any()
