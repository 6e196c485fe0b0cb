import numpy as np
import pytest

from slipscan.noise.estimate import epoch_rms, spectrum, stratified_slope


def power_law(generator: np.random.Generator, n: int, side: int, exponent: float, std: float) -> np.ndarray:
    k = np.hypot(np.fft.fftfreq(2 * side)[:, None], np.fft.fftfreq(2 * side)[None, :])
    k[0, 0] = np.inf
    white = np.fft.fft2(generator.normal(size=(n, 2 * side, 2 * side)))
    field = np.fft.ifft2(white * k ** (-exponent / 2)).real
    return field[:, :side, :side] * std / field.std()


def test_rms_and_slope_of_known_epochs() -> None:
    residual = np.array([[1.0, -1.0, np.nan, 3.0], [np.nan] * 4])
    np.testing.assert_allclose(epoch_rms(residual)[0], np.sqrt(((np.array([1, -1, 3]) - 1) ** 2).mean()))
    assert np.isnan(epoch_rms(residual)[1])
    height = np.array([0.0, 100.0, 200.0, 1000.0])
    residual = 0.4 + np.array([[1e-5], [-2e-5]]) * height
    residual[0, 1] = np.nan
    np.testing.assert_allclose(stratified_slope(residual, height), [1e-5, -2e-5])
    assert np.isnan(stratified_slope(residual, np.full(4, 5.0))).all()


@pytest.mark.parametrize("exponent", [2.0, 2.67, 3.2])
def test_spectrum_of_simulated_turbulence_is_recovered(exponent: float) -> None:
    generator = np.random.default_rng(0)
    field = power_law(generator, 30, 96, exponent, 8e-3) + 1e-3 * generator.normal(size=(30, 96, 96))
    field[generator.random(field.shape) < 0.03] = np.nan
    found = spectrum(field, 500.0, 24)
    assert found.exponent == pytest.approx(exponent, abs=0.35)
    assert 0.8e-3 < found.white_std < 2.6e-3  # gaps leak some turbulence into the floor


def test_white_noise_has_a_flat_spectrum() -> None:
    field = 2e-3 * np.random.default_rng(0).normal(size=(20, 64, 64))
    found = spectrum(field, 500.0, 16)
    assert found.white_std == pytest.approx(2e-3, rel=0.1)
    np.testing.assert_allclose(found.power[4:] * 64 * 64, 4e-6, rtol=0.3)


def test_empty_epochs_give_no_spectrum() -> None:
    found = spectrum(np.full((3, 32, 32), np.nan), 500.0, 8)
    assert len(found.power) == 0 and np.isnan(found.exponent)
