"""The simulated noise has the spectrum, variances and independence that it claims."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import fft, ndimage, stats

from slipscan.errors import SlipscanError
from slipscan.noise.simulate import (
    CYCLE_M,
    NoiseModel,
    TurbulenceSpectrum,
    coherence_after,
    decorrelation,
    epoch_strength,
    land_cover,
    missing_epochs,
    missing_pixels,
    phase_bias,
    power_spectrum,
    ramps,
    random_fields,
    red_series,
    stratified,
    torus_shape,
    turbulence,
    unwrapping_blocks,
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
DAYS = np.arange(12) * 12.0
HEIGHT = 500 + 300 * np.random.default_rng(0).normal(size=(40, 48))


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


def test_blocks_are_whole_cycles_bounded_by_low_coherence():
    coherence = land_cover(generator(4), (96, 96), 500.0)
    blocks = unwrapping_blocks(generator(5), 60, coherence, (500.0, 500.0), 4.0, 4e3)
    cycles = blocks / np.float32(CYCLE_M)
    np.testing.assert_array_equal(cycles, np.rint(cycles))
    assert abs(CYCLE_M - 27.73e-3) < 5e-6
    hit = blocks.any(axis=(1, 2))
    assert 0.2 < hit.mean() < 1
    wide = ndimage.gaussian_filter(coherence, 2)
    inside, edge = [], []
    for block in blocks[hit] != 0:
        rim = ndimage.binary_dilation(block, iterations=2) & ~block
        inside.append(wide[block].mean())
        edge.append(wide[rim].mean())
    assert np.mean(np.array(edge) < np.array(inside)) > 0.9
    area = np.count_nonzero(blocks[hit], axis=(1, 2)) * 0.25
    assert 10 < np.median(area) < 200  # km2: about pi (4 km)^2
    count = unwrapping_blocks(generator(6), 4000, np.full((8, 8), 0.5), (1e4, 1e4), 0.5, 1e4).any(axis=(1, 2))
    assert count.mean() == pytest.approx(1 - np.exp(-0.5 * 0.64), rel=0.1)  # a Poisson rate per 10^4 km2


def test_persistent_blocks_last_to_the_end():
    coherence = land_cover(generator(4), (48, 48), 500.0)
    stay = unwrapping_blocks(generator(7), 20, coherence, (500.0, 500.0), 1.0, 4e3, persistent=1.0)
    changed = np.diff(stay, axis=0).any(axis=(1, 2))
    assert stay.any()
    assert 0 < changed.sum() < 10
    last = int(np.flatnonzero(changed)[-1]) + 1
    assert stay[last].any()
    assert (stay[last:] == stay[last]).all()


def test_phase_bias_grows_with_time_where_plants_grow():
    coherence = np.array([[0.9, 0.6, 0.4, 0.2, 0.05]])
    days = np.array([0.0, 365.25, 730.5])
    bias = phase_bias(generator(), days, coherence, -4e-3)
    np.testing.assert_allclose(bias[2, 0], [0, 0, -4e-3, -8e-3, -8e-3], atol=1e-8)
    np.testing.assert_allclose(bias[1], bias[2] / 2, atol=1e-8)
    wander = phase_bias(generator(1), np.arange(4000) * 12.0, coherence, 0.0, 2e-3)
    assert wander[:, 0, 4].std() == pytest.approx(2e-3, rel=0.25)
    assert not wander[:, 0, 0].any()


def test_red_series_forgets_exponentially():
    series = red_series(generator(), np.arange(60_000) * 10.0, 100.0)
    assert series.std() == pytest.approx(1, abs=0.05)
    for lag in (1, 10):
        assert np.mean(series[lag:] * series[:-lag]) == pytest.approx(np.exp(-lag / 10), abs=0.06)


def test_reference_noise_is_one_number_an_epoch():
    parts = NoiseModel(0.0, reference_std_m=2e-3).parts(generator(), np.arange(3000) * 1.0, np.zeros((2, 3)), 500.0)
    assert parts.reference is not None
    assert (np.ptp(parts.reference, axis=(1, 2)) == 0).all()
    assert parts.reference[:, 0, 0].std() == pytest.approx(2e-3, rel=0.05)


def test_stratified_delay_bends_and_varies_in_space():
    height = np.tile(np.linspace(0, 2000, 48), (40, 1))
    bent = NoiseModel(0.0, stratified_quadratic=2e-9).parts(generator(), np.arange(900) * 1.0, height, 500.0).stratified
    assert bent is not None
    curvature = [np.polyfit(height[0], row, 2)[0] for row in bent[:, 0].astype(float)]
    assert np.std(curvature) == pytest.approx(2e-9, rel=0.1)
    even = NoiseModel(0.0, stratified_std=1e-5)
    plain, varied = (
        model.parts(generator(3), DAYS, height, 500.0).stratified
        for model in (even, replace(even, stratified_spatial=0.4))
    )
    assert plain is not None
    assert varied is not None
    high = np.abs(height[0] - height.mean()) > 300
    ratio = (varied / plain)[:, :, high]
    np.testing.assert_allclose(ratio, ratio[:1].repeat(12, axis=0), atol=1e-3)  # one pattern for all epochs
    assert 0.02 < ratio[0].std() < 0.6


def test_slow_slopes_are_red_and_ramps_follow_the_sun():
    days = np.arange(1500) * 12.0
    slow = NoiseModel(0.0, stratified_interannual=1e-5).simulate(generator(), days, np.array([[0.0, 1000.0]]), 500.0)
    slope = (slow[:, 0, 1] - slow[:, 0, 0]) / 1000
    assert slope.std() == pytest.approx(1e-5, rel=0.25)
    assert np.corrcoef(slope[5:], slope[:-5])[0, 1] > 0.8
    plane = NoiseModel(0.0, ramp_std_m=5e-3, ramp_solar=0.8).simulate(generator(), days, np.zeros((20, 20)), 500.0)
    active = np.cos(2 * np.pi * (days - 3930) / (11 * 365.25)) > 0
    assert plane[active].std() > 2 * plane[~active].std()


def test_coherence_decays_to_what_lasts():
    np.testing.assert_allclose(coherence_after([0.0, 1e4], 30.0, 0.9, 0.2), [0.9, 0.2])
    assert coherence_after(30.0, 30.0, 0.9, 0.1) == pytest.approx(0.1 + 0.8 / np.e)
    even = NoiseModel(0.0, white_std_m=1e-3).simulate(generator(), DAYS, HEIGHT, 500.0)
    uneven = NoiseModel(0.0, white_std_m=1e-3).simulate(
        generator(), DAYS, HEIGHT, 500.0, coherence=np.full(HEIGHT.shape, 0.3)
    )
    np.testing.assert_allclose(uneven, 2.385 * even, rtol=1e-3)


def test_missing_epochs_have_their_rates():
    days = np.arange(20_000) * 12.0
    single = missing_epochs(generator(), days, 0.1)
    assert single.mean() == pytest.approx(0.1, abs=0.01)
    assert not single[0]
    gaps = missing_epochs(generator(1), days, 0.0, long_gaps_yr=0.3)
    starts = np.flatnonzero(np.diff(gaps.astype(int)) == 1)
    years = days[-1] / 365.25
    assert len(starts) == pytest.approx(0.3 * years, rel=0.25)
    lengths = np.diff(np.flatnonzero(np.diff(gaps.astype(int)))[: 2 * (len(starts) // 2)])[::2] * 12.0
    assert lengths.mean() == pytest.approx(42, abs=6)


def test_missing_pixels_have_their_shares_and_places():
    coherence = land_cover(generator(), (64, 64), 500.0)
    missing = missing_pixels(generator(1), (40, 64, 64), 500.0, 0.3, 0.2, coherence)
    always = missing.all(axis=0)
    assert always.mean() == pytest.approx(0.3, abs=0.02)
    assert missing[:, ~always].mean() == pytest.approx(0.2, abs=0.06)
    assert coherence[always].mean() < coherence[~always].mean() - 0.2
    exact = missing_pixels(generator(2), (3, 50, 40), 500.0, 0.25)
    assert exact.sum(axis=(1, 2)).tolist() == [500, 500, 500]
    alone = exact[0] & (ndimage.uniform_filter(exact[0].astype(float), 3) < 0.2)
    assert alone.mean() < 0.02  # blobs, not salt
    assert not missing_pixels(generator(), (3, 8, 8), 500.0, 0.0).any()


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
