"""Baselines against truths that were simulated, and the bound against a dense covariance."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from simulated import dates  # tests/simulated.py
from slipbench.baselines import common_scene, matched_filter, oracle, registry, stack_difference, whitening
from slipbench.baselines.gaps import fill_gaps, without_mean_or_gaps
from slipbench.baselines.gls import StationaryNoise, projected_information
from slipbench.baselines.histories import candidates, filters, masked_fit
from slipbench.baselines.prepare import prepare
from slipbench.baselines.search import Correlator, Place, placed, statistics
from slipbench.estimate import Estimate
from slipscan.errors import SlipscanError
from slipscan.field import Observation
from slipscan.fit.model import DAYS_PER_YEAR, days_since_2014, design_matrix
from slipscan.forward.mogi import mogi_surface
from slipscan.noise.simulate import power_spectrum, turbulence

PIXEL_M = 500.0
LOS = np.array([-0.62, -0.11, 0.777])
EVENT_EPOCH = 8
"""The first one after the event of `scene`."""
CENTRE = (18, 12)
"""Row and column of its source."""


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


def mogi(shape: tuple[int, int], row: int, column: int, depth_m: float = 3e3) -> np.ndarray:
    """Line-of-sight pattern of inflation below a pixel, peak 1."""
    east, north = np.meshgrid((np.arange(shape[1]) - column) * PIXEL_M, (row - np.arange(shape[0])) * PIXEL_M)
    points = (torch.from_numpy(axis.ravel()) for axis in (east, north))
    ground = mogi_surface(*points, east0=0.0, north0=0.0, depth=depth_m, volume_change=1e6)[0].numpy()
    pattern = (ground @ LOS).reshape(shape)
    return pattern / np.abs(pattern).max()


def scene(
    peak_m: float = 0.0,
    seed: int = 0,
    shape: tuple[int, int] = (32, 30),
    epochs: int = 16,
    known: bool = True,
    missing: float = 0.0,
    noise_m: float = 5e-3,
) -> Observation:
    """A step of a Mogi source in turbulence, offsets, ramps and slopes with height; gaps in every third epoch."""
    generator = np.random.default_rng(seed)
    time = dates(epochs)
    height = 300 * turbulence(generator, shape, PIXEL_M, 1)[0]
    delay = turbulence(generator, shape, PIXEL_M, epochs) * noise_m + noise_m / 5 * generator.normal(
        size=(epochs, *shape)
    )
    delay *= np.exp(0.3 * generator.normal(size=(epochs, 1, 1)))
    y, x = np.meshgrid(np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]), indexing="ij")
    for column in (np.ones(shape), x, y, height / 300):
        delay += 0.5 * noise_m * generator.normal(size=(epochs, 1, 1)) * column
    event = (np.arange(epochs) >= EVENT_EPOCH)[:, None, None] * peak_m * mogi(shape, *CENTRE)
    displacement = (delay + event - delay[0]).astype(np.float32)
    if not known:
        years = days_since_2014(time) / DAYS_PER_YEAR
        displacement += (10e-3 * (years - years[0]))[:, None, None] * (x + y**2).astype(np.float32)
    displacement[::3][generator.random(displacement[::3].shape) < missing] = np.nan
    return Observation(displacement, time, PIXEL_M, height, LOS, background_known=known)


def truth_of(observation: Observation, peak_m: float, noise_m: float = 5e-3) -> oracle.Truth:
    shape, n = observation.shape, len(observation.time)
    y, x = np.indices(shape) / 20.0
    return oracle.Truth(
        template=peak_m * mogi(shape, *CENTRE),
        history=(np.arange(n) >= EVENT_EPOCH).astype(float),
        density=lambda kx, ky: noise_m**2 * power_spectrum(np.hypot(kx, ky)),
        white_std=noise_m / 5,
        strength=np.ones(n),
        nuisance=np.stack([np.ones(shape), x, y, observation.height]),
    )


def answer(name: str, observation: Observation) -> Estimate:
    method = registry.METHODS[name]
    if method.is_bound:
        return method.function(observation, truth_of(observation, 0.02))
    return method.function(observation)


@pytest.mark.parametrize("name", registry.METHODS)
@given(constant_m=st.floats(-0.2, 0.2), seed=st.integers(0, 9))
@settings(max_examples=2, deadline=None, derandomize=True)
def test_the_reference_epoch_does_not_matter(name: str, constant_m: float, seed: int) -> None:
    observation = scene(0.02, seed=seed, missing=0.1)
    moved = constant_m * np.random.default_rng(seed).normal(size=observation.shape).astype(np.float32)
    one, other = (
        answer(name, observation),
        answer(name, replace(observation, displacement=observation.displacement + moved)),
    )
    # Gaussian noise has no independent components: where FastICA stops depends on the last digits of its input.
    metres, share = (1e-4, 1e-2) if name == "ica" else (1e-5, 1e-3)
    np.testing.assert_allclose(other.map, one.map, atol=metres)
    np.testing.assert_allclose(other.transient, one.transient, atol=metres)
    assert other.score == pytest.approx(one.score, rel=share)
    np.testing.assert_equal(other.t50_d, one.t50_d)


@pytest.mark.parametrize("name", registry.METHODS)
@given(seed=st.integers(0, 99), known=st.booleans())
@settings(max_examples=2, deadline=None, derandomize=True)
def test_the_sign_of_the_data_is_the_sign_of_the_answer(name: str, seed: int, known: bool) -> None:
    observation = scene(0.01, seed=seed, known=known, missing=0.1)
    one, other = answer(name, observation), answer(name, replace(observation, displacement=-observation.displacement))
    np.testing.assert_allclose(other.map, -one.map, atol=1e-6)
    np.testing.assert_allclose(other.transient, -one.transient, atol=1e-6)
    assert other.score == pytest.approx(one.score, rel=1e-4)
    np.testing.assert_equal(other.t50_d, one.t50_d)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("name", [name for name in registry.METHODS if name != "zero"])
def test_a_strong_step_is_found_where_and_when_it_happened(name: str, known: bool) -> None:
    observation, truth = scene(0.05, known=known, missing=0.1, noise_m=3e-3), 0.05 * mogi((32, 30), *CENTRE)
    found, quiet = answer(name, observation), answer(name, scene(0.0, known=known, missing=0.1, noise_m=3e-3))
    assert found.map.shape == observation.shape and found.transient.shape == observation.displacement.shape
    assert np.isfinite(found.map).all() and np.abs(found.transient.mean(axis=0)).max() < 1e-7
    # Filters lose a part, a Gaussian bump is not the pattern, last minus first keeps the rate.
    slope = float((found.map * truth).sum() / (truth**2).sum())
    assert 0.3 < slope < 1.5
    row, column = np.unravel_index(np.abs(found.map).argmax(), found.map.shape)
    if known or name != "last_minus_first":
        assert np.hypot(row - CENTRE[0], column - CENTRE[1]) <= 4
        assert found.score > 1.5 * quiet.score
    assert found.t50_d == pytest.approx(observation.days[EVENT_EPOCH] - 6, abs=12)


@pytest.mark.parametrize("name", registry.METHODS)
@pytest.mark.parametrize("shape", [(4, 4), (1, 1), (3, 17)])
def test_small_grids_and_few_epochs_give_finite_answers(name: str, shape: tuple[int, int]) -> None:
    generator = np.random.default_rng(0)
    displacement = generator.normal(size=(5, *shape)).astype(np.float32)
    displacement[1, 0, 0] = np.nan
    observation = Observation(displacement, dates(5), PIXEL_M, np.zeros(shape), LOS, background_known=True)
    if registry.METHODS[name].is_bound:
        bare = truth_of(observation, 1.0)
        truth = replace(
            bare, nuisance=np.ones((1, *shape)), template=generator.normal(size=shape), history=np.arange(5.0)
        )
        if shape == (1, 1):
            with pytest.raises(SlipscanError, match="there is no bound"):
                oracle.match_truth(observation, truth)
            return
        found = oracle.match_truth(observation, truth)
    else:
        found = registry.METHODS[name].function(observation)
    assert np.isfinite(found.map).all() and np.isfinite(found.transient).all() and np.isfinite(found.score)


@pytest.mark.parametrize("name", registry.METHODS)
def test_stacks_without_data_or_of_four_epochs_are_refused(name: str) -> None:
    observation = scene(shape=(8, 8))
    empty = replace(observation, displacement=np.full_like(observation.displacement, np.nan))
    short = replace(observation, displacement=observation.displacement[:4], time=observation.time[:4])
    for wrong, sentence in ((empty, "holds no data"), (short, "too short")):
        with pytest.raises(SlipscanError, match=sentence):
            answer(name, wrong)


@pytest.mark.parametrize("name", registry.METHODS)
def test_constant_stacks_and_lost_epochs_harm_no_method(name: str) -> None:
    observation = scene(0.05, noise_m=3e-3)
    flat = answer(name, replace(observation, displacement=np.ones_like(observation.displacement)))
    assert np.abs(flat.map).max() < 1e-4 and np.isfinite(flat.score)
    lost = observation.displacement.copy()
    lost[4], lost[:, :3, :] = np.nan, np.nan
    found = answer(name, replace(observation, displacement=lost))
    assert np.isfinite(found.map).all() and np.isfinite(found.transient).all()
    if name not in ("zero", "oracle"):
        assert found.map[CENTRE] == pytest.approx(answer(name, observation).map[CENTRE], rel=0.3)


def test_the_registry_marks_the_bound_alone() -> None:
    assert [name for name, method in registry.METHODS.items() if method.is_bound] == ["oracle"]
    assert all(method.name == name and method.reference for name, method in registry.METHODS.items())


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


def test_the_oracle_is_unbiased_and_its_score_has_unit_variance() -> None:
    peak_m, scores, amplitudes = 0.004, [], []
    shape, n = (20, 24), 12
    generator = np.random.default_rng(5)
    base = Observation(
        np.zeros((n, *shape), np.float32), dates(n), PIXEL_M, np.zeros(shape), LOS, background_known=False
    )
    y, x = np.indices(shape) / 20.0
    truth = replace(
        truth_of(replace(base, height=x * y), peak_m), history=(np.arange(n) >= 6).astype(float),
        template=peak_m * mogi(shape, 9, 10), strength=np.linspace(0.5, 2.0, n),
    )  # fmt: skip
    expected = oracle.signal_to_noise(base, truth)
    for _ in range(60):
        noise = turbulence(generator, shape, PIXEL_M, n) * 5e-3 + 1e-3 * generator.normal(size=(n, *shape))
        noise = noise * truth.strength[:, None, None] + np.tensordot(generator.normal(size=(n, 4)), truth.nuisance, 1)
        rate = np.arange(n)[:, None, None] * generator.normal(size=shape)
        series = noise + rate + truth.history[:, None, None] * truth.template
        found = oracle.match_truth(replace(base, displacement=series.astype(np.float32)), truth)
        sign = np.sign((found.map * truth.template).sum())
        scores.append(sign * found.score)
        amplitudes.append((found.map * truth.template).sum() / (truth.template**2).sum())
    assert np.mean(scores) == pytest.approx(expected, abs=0.45)
    assert 0.75 < np.std(scores) < 1.25
    assert np.mean(amplitudes) == pytest.approx(1.0, abs=0.45 / expected)
    assert found.t50_d == pytest.approx(base.days[5:7].mean())


def test_a_truth_of_another_scene_is_refused() -> None:
    with pytest.raises(SlipscanError, match="does not belong to a stack"):
        oracle.match_truth(scene(shape=(8, 8)), truth_of(scene(shape=(9, 8)), 0.01))


def test_large_scenes_are_searched_on_a_coarser_grid() -> None:
    observation = scene(0.05, shape=(40, 300), noise_m=3e-3)
    found = registry.METHODS["scan"].function(observation)
    assert found.map.shape == (40, 300)
    row, column = np.unravel_index(np.abs(found.map).argmax(), found.map.shape)
    assert np.hypot(row - CENTRE[0], column - CENTRE[1]) <= 4
