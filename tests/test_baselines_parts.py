"""What the baselines are made of: solves in coloured noise, gaps, filters in time, delays, spectra."""

import numpy as np
import pytest

from baseline_scenes import LOS, PIXEL_M, mogi, scene
from simulated import dates
from slipbench.baselines import common_scene, matched_filter, stack_difference, whitening
from slipbench.baselines.gaps import fill_gaps, without_mean_or_gaps
from slipbench.baselines.gls import StationaryNoise, projected_information
from slipbench.baselines.histories import candidates, filters, masked_fit
from slipbench.baselines.prepare import prepare
from slipbench.baselines.search import Correlator, Place, placed, statistics
from slipscan.errors import SlipscanError
from slipscan.field import Observation
from slipscan.fit.model import days_since_2014, design_matrix
from slipscan.noise.simulate import power_spectrum, turbulence


def density(kx: np.ndarray, ky: np.ndarray) -> np.ndarray:
    return 1e-4 * power_spectrum(np.hypot(kx, ky), 80e3)


def anisotropic(kx: np.ndarray, ky: np.ndarray) -> np.ndarray:
    return 1e-4 * power_spectrum(np.sqrt((2 * kx + 0.5 * ky) ** 2 + ky**2), 80e3)


def dense_covariance(shape: tuple[int, int], spectrum, white_std: float) -> np.ndarray:
    """Sum over the modes of a torus of twice the size, one cosine at a time: no Fourier transform."""
    rows, columns = 2 * shape[0], 2 * shape[1]
    cell = 1 / (rows * columns * PIXEL_M**2)
    y, x = (axis.ravel() * PIXEL_M for axis in np.indices(shape))
    covariance = white_std**2 * np.eye(y.size)
    for ky in np.fft.fftfreq(rows, PIXEL_M):
        for kx in np.fft.fftfreq(columns, PIXEL_M):
            phase = 2 * np.pi * (kx * x + ky * y)
            modes = np.stack([np.cos(phase), np.sin(phase)])
            covariance += cell * spectrum(np.array(kx), np.array(ky)) * modes.T @ modes
    return covariance


@pytest.mark.parametrize("spectrum", [density, anisotropic])
@pytest.mark.parametrize("gaps", [False, True])
def test_solves_and_information_equal_those_of_a_dense_covariance(spectrum, gaps: bool) -> None:
    shape = (20, 18)  # 40 and 36 are fast lengths: the torus is exactly twice the grid
    generator = np.random.default_rng(0)
    valid = generator.random(shape) > (0.15 if gaps else -1)
    template = 5e-3 * np.exp(-((np.arange(20)[:, None] - 7.0) ** 2 + (np.arange(18)[None, :] - 11.0) ** 2) / 8)
    y, x = np.indices(shape) / 20.0
    nuisance = np.stack([np.ones(shape), x, y, generator.random(shape), 2 * x - y])
    noise = StationaryNoise(shape, PIXEL_M, spectrum, 1e-3)

    inverse = np.linalg.inv(dense_covariance(shape, spectrum, 1e-3)[np.ix_(valid.ravel(), valid.ravel())])
    m, columns = template[valid], nuisance[:4, valid].T
    weight = inverse - inverse @ columns @ np.linalg.solve(columns.T @ inverse @ columns, columns.T @ inverse)
    mask = valid if gaps else None
    solved = noise.solve(np.stack([template, y]), mask, tolerance=1e-9)
    np.testing.assert_allclose(solved[0][valid], inverse @ m, atol=1e-6 * np.abs(inverse @ m).max())
    np.testing.assert_allclose(solved[1][valid], inverse @ y[valid], atol=1e-6 * np.abs(inverse @ y[valid]).max())
    exact = noise.filters(template[None], nuisance, mask, tolerance=1e-9)[0]
    np.testing.assert_allclose(exact[valid], weight @ m, atol=1e-6 * np.abs(weight @ m).max())
    filters, information = projected_information(noise, template, nuisance, mask)
    assert information == pytest.approx(m @ weight @ m, rel=1e-5)
    np.testing.assert_allclose(filters[valid], weight @ m, atol=2e-3 * np.abs(weight @ m).max())
    assert (filters[~valid] == 0).all() and (solved[:, ~valid] == 0).all()
    assert np.abs(np.tensordot(nuisance, filters, 2)).max() < 1e-6 * np.abs(filters).max()


def test_a_mask_for_each_field_equals_one_solve_each() -> None:
    shape = (12, 16)
    generator = np.random.default_rng(1)
    noise = StationaryNoise(shape, PIXEL_M, density, 1e-3)
    fields, masks = generator.normal(size=(3, *shape)), generator.random((3, *shape)) > 0.2
    nuisance = np.stack([np.ones(shape), np.indices(shape)[0] / 6.0])
    together = noise.filters(fields, nuisance, masks, tolerance=1e-8)
    for n in range(3):
        alone = noise.filters(fields[[n]], nuisance, masks[n], tolerance=1e-8)[0]
        np.testing.assert_allclose(together[n], alone, atol=1e-5 * np.abs(alone).max())


def test_noise_without_a_covariance_is_refused() -> None:
    with pytest.raises(SlipscanError, match="negative or infinite"):
        StationaryNoise((8, 8), PIXEL_M, lambda kx, ky: -np.ones_like(kx), 1e-3)
    with pytest.raises(SlipscanError, match="no bound exists"):
        StationaryNoise((8, 8), PIXEL_M, lambda kx, ky: np.zeros_like(kx), 0.0)
    with pytest.raises(SlipscanError, match="do not fit"):
        StationaryNoise((8, 8), PIXEL_M, density, 1e-3).solve(np.zeros((1, 4, 4)))


def test_gaps_take_the_mean_around_them_and_means_ignore_them() -> None:
    fields = np.array([[[1.0, 3.0, 7.0], [5.0, 0.0, 7.0]]])
    valid = np.ones((1, 2, 3), bool)
    valid[0, 1, 1] = False
    assert fill_gaps(fields, valid)[0, 1, 1] == pytest.approx(3.0)  # of 1, 3 and 5
    # A step that all pixels share: a pixel that misses two epochs must not be offset from its neighbours.
    step = np.repeat((np.arange(10) >= 4)[:, None, None] * np.ones((1, 4, 4)), 1, axis=0)
    seen = np.ones(step.shape, bool)
    seen[5:7, 1, 2] = False
    np.testing.assert_allclose(without_mean_or_gaps(step + 3, seen), step - 0.6, atol=1e-3)


def test_a_fit_with_gaps_equals_least_squares_on_what_is_there() -> None:
    observation = scene(0.02, shape=(6, 6), known=False, missing=0.3)
    prepared = prepare(observation)
    columns = candidates(prepared.days).columns
    series, valid = prepared.cleaned.reshape(16, -1), prepared.valid.reshape(16, -1)
    amplitude, information = masked_fit(series, valid, prepared, columns)
    for pixel, candidate in ((0, 7), (17, 25), (35, 38)):
        rows = valid[:, pixel]
        matrix = np.column_stack([prepared.design, columns[:, candidate]])[rows]
        root = np.sqrt(prepared.weight[rows])
        expected = np.linalg.lstsq(matrix * root[:, None], series[rows, pixel] * root)[0][-1]
        covariance = np.linalg.inv((matrix * prepared.weight[rows, None]).T @ matrix)
        assert amplitude[candidate, pixel] == pytest.approx(expected, rel=1e-5, abs=1e-9)
        assert information[candidate, pixel] == pytest.approx(1 / covariance[-1, -1], rel=1e-5)


def test_filters_have_unit_variance_and_do_not_see_the_background() -> None:
    time = dates(40)
    design, weight = design_matrix(time)[0], np.random.default_rng(0).uniform(1, 5, 40)
    unit = filters(candidates(days_since_2014(time)).columns, design, weight)
    np.testing.assert_allclose((unit**2 / weight).sum(axis=1), 1.0)
    np.testing.assert_allclose(unit @ design, 0.0, atol=1e-9)
    differences = stack_difference.difference_filters(days_since_2014(time), design)
    np.testing.assert_allclose(differences @ design, 0.0, atol=1e-9)
    steps = candidates(days_since_2014(time), (0.0,)).columns
    np.testing.assert_allclose(np.einsum("ct,tc->c", differences, steps)[3:-3], 1.0, atol=1e-6)


def test_common_scenes_do_not_see_steady_motion_between_uneven_dates() -> None:
    days = days_since_2014(dates(20)[np.delete(np.arange(20), [4, 5, 11])])
    for t in range(1, len(days) - 1):
        partners, weights = common_scene.stencil(days, t)
        assert t not in partners and weights.sum() == pytest.approx(1.0)
        assert weights @ days[partners] == pytest.approx(days[t])


def test_common_scenes_find_the_delay_of_one_epoch_and_spare_its_neighbours() -> None:
    delay = 0.03 * mogi((16, 16), 8, 8, depth_m=1e3)
    displacement = np.zeros((17, 16, 16), np.float32)
    displacement[9] = delay
    observation = Observation(displacement, dates(17), PIXEL_M, np.zeros((16, 16)), LOS, background_known=True)
    prepared = prepare(observation)
    found = common_scene.delays(prepared.series, prepared)
    np.testing.assert_allclose(found[9], delay, atol=1e-3)
    assert np.abs(np.delete(found, 9, axis=0)).max() < 1e-3


def test_the_noise_spectrum_is_recovered_from_a_scene() -> None:
    generator = np.random.default_rng(3)
    fields = turbulence(generator, (96, 80), PIXEL_M, 16) + 0.1 * generator.normal(size=(16, 96, 80))
    estimated = whitening.noise_density(fields, PIXEL_M)
    k = np.array([1 / 8e3, 1 / 4e3, 1 / 2e3, 1 / 1.1e3])
    expected = power_spectrum(k) + 0.01 * PIXEL_M**2
    np.testing.assert_allclose(estimated(k, 0 * k), expected, rtol=0.25)
    isotropic = estimated(k / np.sqrt(2), k / np.sqrt(2))
    np.testing.assert_allclose(isotropic, estimated(0 * k, -k))


def test_the_information_of_a_pattern_inside_a_scene_is_that_of_the_exact_solve() -> None:
    prepared = prepare(scene(shape=(64, 72)))
    bank = matched_filter.bank((64, 72), PIXEL_M, (-0.62, -0.11, 0.78))
    field = Correlator(whitening.whiten(prepared))
    for index in (0, 4, 16, 34):
        step = bank.step[index]
        statistic, information = statistics(field, bank, index, step)
        row, column = 32 // step, 32 // step
        place = Place(0.0, 0.0, index, row * step, column * step)
        pattern = placed(bank, place, prepared.shape).astype(float)
        _, exact = projected_information(field.whitened.noise, pattern, prepared.nuisance)
        assert float(information[row, column]) == pytest.approx(exact, rel=0.1)
        # In units of its own noise the statistic of noise is one.
        assert 0.6 < float((statistic**2).mean()) ** 0.5 / 2 < 1.4
