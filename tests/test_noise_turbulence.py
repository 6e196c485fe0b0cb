"""Simulated turbulence has the spectrum, variance and independence that it claims."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, stats

from noise_builders import generator
from slipscan.noise.simulate import (
    NoiseModel,
    TurbulenceSpectrum,
    epoch_strength,
    power_spectrum,
    random_fields,
    torus_shape,
    turbulence,
)


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


def test_strength_is_log_normal_with_median_one():
    logs = np.log(epoch_strength(generator(), 20_000, 0.4))
    assert np.median(logs) == pytest.approx(0, abs=0.02)
    assert logs.std() == pytest.approx(0.4, rel=0.03)


@pytest.mark.parametrize("azimuth", [0.0, 30.0, 90.0, 145.0])
def test_anisotropic_fields_are_longest_along_their_azimuth(azimuth):
    """Squared increments over 4 km grow with the angle from the long axis; rows run from north to south."""
    spectrum = TurbulenceSpectrum(anisotropy=2.0, azimuth_deg=azimuth)
    fields = turbulence(generator(6), (48, 48), 500.0, 120, spectrum).astype(float)
    assert fields.var() == pytest.approx(1, abs=0.25)

    def increment(direction: float) -> float:
        north, east = (round(8 * part(np.radians(direction))) for part in (np.cos, np.sin))
        moved = ndimage.shift(fields[:, ::-1], (0, -north, -east), order=0, cval=np.nan)  # rows to the north
        return float(np.nanmean((moved - fields[:, ::-1]) ** 2)) / np.hypot(north, east) ** 0.9

    directions = [azimuth - 45, azimuth, azimuth + 45, azimuth + 90]
    along = [increment(direction) for direction in directions]
    assert np.argmin(along) == 1
    assert np.argmax(along) == 3
    assert along[3] / along[1] == pytest.approx(2.0**0.67 * 1.3, rel=0.35)


@settings(max_examples=20, deadline=None)
@given(
    st.floats(2.1, 4.0),
    st.floats(0, 4.5),
    st.floats(0, 4.5),
    st.floats(5e3, 2e5),
    st.floats(1, 4),
    st.floats(-360, 360),
)
def test_every_spectrum_has_unit_variance_and_looks_the_same_both_ways(large, middle, small, outer, ratio, azimuth):
    spectrum = TurbulenceSpectrum((large, middle, small), (1500.0, 250.0), outer, ratio, azimuth)
    std = spectrum.mode_std((36, 40), (400.0, 700.0)).astype(float)
    assert (std**2).sum() == pytest.approx(1, abs=1e-5)
    opposite = np.roll(std[::-1, ::-1], 1, axis=(0, 1))
    inside = np.s_[np.r_[0:18, 19:36], :][0], np.r_[0:20, 21:40]  # the Nyquist modes have no opposite
    np.testing.assert_allclose(std[np.ix_(*inside)], opposite[np.ix_(*inside)], rtol=1e-4)
    turned = replace(spectrum, azimuth_deg=azimuth + 180).mode_std((36, 40), (400.0, 700.0))
    np.testing.assert_allclose(turned, std, rtol=1e-3)


def test_exponents_of_a_spectrum_are_its_slopes():
    spectrum = TurbulenceSpectrum(exponents=(3.1, 3.8, 2.0))
    for scale_m, exponent in ((6e3, 3.1), (600.0, 3.8), (100.0, 2.0)):
        k = np.array([0.99, 1.01]) / scale_m
        slope = np.diff(np.log(spectrum.density(k)))[0] / np.diff(np.log(k))[0]
        assert -slope == pytest.approx(exponent, abs=0.03)


def test_quick_fields_are_normal_and_have_the_same_spectrum():
    std = TurbulenceSpectrum().mode_std(torus_shape((64, 64)), 500.0)
    slow, quick = (random_fields(generator(1), std, (64, 64), 400, quick=way).astype(float) for way in (False, True))
    assert quick.var() == pytest.approx(1, abs=0.12)
    for lag in (1, 4, 16, 48):
        expected = np.mean((slow[:, :, lag:] - slow[:, :, :-lag]) ** 2)
        steps = quick[:, :, lag:] - quick[:, :, :-lag]
        assert np.mean(steps**2) == pytest.approx(expected, rel=0.04 if lag < 20 else 0.12)
        assert abs(stats.kurtosis(steps, axis=None)) < 0.15
    assert abs(np.mean(quick[0::2] * quick[1::2])) < 0.05
    np.testing.assert_array_equal(quick, random_fields(generator(1), std, (64, 64), 400, quick=True))


@pytest.mark.parametrize(("factor", "outer_m", "far"), [(2.0, 80e3, 0.006), (1.5, 80e3, 0.06), (1.5, 40e3, 0.006)])
def test_structure_on_a_smaller_torus_is_as_exact_as_stated(factor, outer_m, far):
    spectrum, lags = TurbulenceSpectrum(outer_scale_m=outer_m), [1, 16, 64, 127]

    def structure(sides: tuple[int, int]) -> np.ndarray:
        covariance = np.fft.fft2(spectrum.mode_std(sides, 500.0).astype(float) ** 2).real[0]
        return covariance[0] - covariance[lags]

    ratio = structure(torus_shape((128, 128), factor)) / structure((1024, 1024))
    np.testing.assert_allclose(ratio[:3], 1, atol=0.01)
    assert ratio[3] == pytest.approx(1, abs=far)


def test_strengths_of_epochs_are_log_normal_in_the_fields():
    delay = NoiseModel(8e-3, 0.5).simulate(generator(3), np.arange(1200) * 6.0, np.zeros((8, 64)), 500.0)
    logs = np.log(np.diff(delay.astype(float), axis=2).std(axis=(1, 2)))
    assert logs.std() == pytest.approx(0.5, rel=0.07)
    assert stats.kstest((logs - logs.mean()) / logs.std(), "norm").pvalue > 0.01
