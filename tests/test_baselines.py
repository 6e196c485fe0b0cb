"""Baselines against truths that were simulated: symmetries, small and odd stacks, the bound."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baseline_scenes import CENTRE, EVENT_EPOCH, LOS, PIXEL_M, mogi, scene
from simulated import dates
from slipbench.baselines import oracle, registry
from slipbench.estimate import Estimate
from slipscan.errors import SlipscanError
from slipscan.field import Observation
from slipscan.noise.simulate import power_spectrum, turbulence


def truth_of(observation: Observation, peak_m: float, noise_m: float = 5e-3) -> oracle.Truth:
    shape, n = observation.shape, len(observation.time)
    y, x = np.indices(shape) / 20.0
    return oracle.Truth(
        template=peak_m * mogi(shape, *CENTRE),
        history=(np.arange(n) >= EVENT_EPOCH).astype(float),
        density=lambda kx, ky: noise_m**2 * power_spectrum(np.hypot(kx, ky)),
        white_std=noise_m / 5,
        covariance=np.eye(n),
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
        template=peak_m * mogi(shape, 9, 10), covariance=np.diag(np.linspace(0.5, 2.0, n) ** 2),
    )  # fmt: skip
    expected = oracle.signal_to_noise(base, truth)
    for _ in range(60):
        noise = turbulence(generator, shape, PIXEL_M, n) * 5e-3 + 1e-3 * generator.normal(size=(n, *shape))
        noise = noise * np.sqrt(np.diag(truth.covariance))[:, None, None] + np.tensordot(
            generator.normal(size=(n, 4)), truth.nuisance, 1
        )
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
