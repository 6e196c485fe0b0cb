"""Whole cycles and phase bias: what closure shows is masked or solved, what it cannot show is said."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import network_scene as scenes
from slipscan.timeseries.components import Overlaps, solve_offsets
from slipscan.timeseries.network import build_network, triangles
from slipscan.timeseries.phase_bias import phase_bias, short_triplets
from slipscan.timeseries.unwrapping import wrong_pairs

EPOCHS, ROWS, COLUMNS = 9, 24, 30
ISLAND = (slice(14, 24), slice(18, 30))
PAIRS = scenes.neighbours(EPOCHS)


def closed(pairs: list[tuple[int, int]], epochs: int) -> np.ndarray:
    reference, secondary = np.array(pairs).T
    return triangles(build_network(scenes.dates(epochs)[reference], scenes.dates(epochs)[secondary]))


@pytest.fixture(name="truth")
def fixture_truth() -> np.ndarray:
    return scenes.displacement(EPOCHS, ROWS, COLUMNS)


def with_components(made: xr.Dataset) -> xr.Dataset:
    """An island that is component 2 (or 7) everywhere, a strip of none before it, component 1 elsewhere."""
    label = np.ones(made["interferogram"].shape, np.int16)
    label[(slice(None), *ISLAND)] = np.where(np.arange(len(label)) % 2, 2, 7)[:, None, None]
    label[:, ISLAND[0], 16:18] = 0
    return made.assign(component=(("pair", "y", "x"), label, {"units": "1"}))


# Connected components.


def test_integers_of_an_island_are_recovered(truth: np.ndarray) -> None:
    made = with_components(scenes.dataset(truth, PAIRS, noise=1e-3))
    turns = np.zeros(len(PAIRS), int)
    turns[[2, 6, 11, 15, 16]] = [1, -2, 1, 3, -1]
    made["interferogram"].values[(slice(None), *ISLAND)] += (turns * scenes.HALF)[:, None, None].astype(np.float32)
    stack = scenes.invert(made, min_temporal_coherence=0.0)
    island = stack["displacement"].values[(slice(None), *ISLAND)]
    np.testing.assert_allclose(island, truth[(slice(None), *ISLAND)], atol=4e-3)
    assert stack.attrs["components_apart"] == len(PAIRS)
    assert stack.attrs["components_corrected"] == 5
    assert stack.attrs["components_unresolved"] == 0
    assert stack.attrs["closure_error_share"] == 0
    assert stack.attrs["misclosure_rms_m"] < 1.5e-3
    assert np.isnan(stack["displacement"].values[:, ISLAND[0], 16:18]).all()  # not unwrapped
    ignored = scenes.invert(made, component_offsets="ignore", unwrapping_errors="report", min_temporal_coherence=0.0)
    assert ignored.attrs["closure_error_share"] > 0.05
    assert "components_apart" not in ignored.attrs


def test_an_island_without_a_triplet_is_not_used(truth: np.ndarray) -> None:
    chain = [(i, i + 1) for i in range(EPOCHS - 1)]
    stack = scenes.invert(with_components(scenes.dataset(truth, chain)))
    assert stack.attrs["components_unresolved"] == len(chain)
    assert np.isnan(stack["displacement"].values[(slice(None), *ISLAND)]).all()
    np.testing.assert_allclose(stack["displacement"].values[:, :14], truth[:, :14], atol=1e-6)


def test_fewest_corrections_where_closure_cannot_tell(truth: np.ndarray) -> None:
    made = with_components(scenes.dataset(truth, PAIRS))
    of_date = np.array([(b == 4) - (a == 4) for a, b in PAIRS])
    made["interferogram"].values[(slice(None), *ISLAND)] += (of_date * scenes.HALF)[:, None, None].astype(np.float32)
    stack = scenes.invert(made)
    assert stack.attrs["components_corrected"] == 0  # invisible, and left alone
    assert stack.attrs["closure_error_share"] == 0


def test_a_contradiction_is_not_solved() -> None:
    """Two overlaps of the same components ask for different integers."""
    closing = closed([(0, 1), (1, 2), (0, 2)], 3)
    overlaps = Overlaps()
    for label in (2, 3):
        overlaps.pixels.update({(0, label): 100, (1, 1): 300, (2, 1): 300})
    overlaps.cycles[0, 2, 1, 1].update({1: 95, 0: 5})
    overlaps.cycles[0, 3, 1, 1].update({1: 60, 0: 40})  # of two minds
    found = solve_offsets(overlaps, np.ones(3, int), closing, scenes.HALF)
    np.testing.assert_allclose(found.shift[0], [np.nan, 0, -scenes.HALF, np.nan])
    assert found.attributes["components_unresolved"] == 1

    four = closed([(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)], 4)
    overlaps = Overlaps()
    overlaps.pixels.update({(pair, label): 100 for pair in range(6) for label in (1, 2)})
    for triangle, cycles in enumerate((1, 2, 0, 0)):
        labels = [2 if pair == 0 else 1 for pair in four[triangle]]
        overlaps.cycles[(triangle, *labels)].update({cycles: 100})
    found = solve_offsets(overlaps, np.ones(6, int), four, scenes.HALF)
    assert np.isnan(found.shift[0, 2])


def test_reference_lies_in_any_component(truth: np.ndarray) -> None:
    made = with_components(scenes.dataset(truth, PAIRS))
    label = made["component"].values
    label[3][label[3] == 1] = 5
    stack = scenes.invert(made)
    assert stack.attrs["components_unresolved"] == 0
    valid = np.isfinite(stack["displacement"].values)
    np.testing.assert_allclose(stack["displacement"].values[valid], truth[valid], atol=1e-6)


# Single pixels.


def test_the_wrong_pair_is_found_where_redundancy_tells() -> None:
    closing = closed(PAIRS, EPOCHS)
    generator = np.random.default_rng(4)
    inner = [index for index, (a, b) in enumerate(PAIRS) if a > 0 and b < EPOCHS - 1]
    turns = np.zeros((len(PAIRS), 200), np.int16)
    turns[generator.choice(inner, 200), np.arange(200)] = generator.choice([-2, -1, 1, 2], 200)
    cycles = turns[closing[:, 0]] + turns[closing[:, 1]] - turns[closing[:, 2]]
    found, unclear = wrong_pairs(cycles, np.ones(cycles.shape, bool), closing, len(PAIRS))
    right = (found == -turns).all(axis=0)
    assert right.mean() > 0.9
    assert not unclear[:, right].any()
    # What is not found is left open, never corrected into something else that closes.
    assert unclear[:, ~right].any(axis=0).all()


def test_one_triangle_cannot_tell_which_pair_is_wrong() -> None:
    closing = closed([(0, 1), (1, 2), (0, 2)], 3)
    found, unclear = wrong_pairs(np.array([[1]], np.int16), np.ones((1, 1), bool), closing, 3)
    assert not found.any()
    assert unclear.all()


@pytest.mark.parametrize("action", ["mask", "correct", "report"])
def test_unwrapping_errors(truth: np.ndarray, action: str) -> None:
    made = scenes.dataset(truth, PAIRS, noise=3e-4)
    pair = PAIRS.index((3, 5))
    made["interferogram"].values[pair][ISLAND] += np.float32(scenes.HALF)
    stack = scenes.invert(made, unwrapping_errors=action, min_temporal_coherence=0.0)
    share = 120 / (len(PAIRS) * ROWS * COLUMNS)
    expected = {"mask": (share, 0), "correct": (0, share), "report": (0, 0)}[action]
    masked, corrected = stack.attrs["unwrapping_masked_share"], stack.attrs["unwrapping_corrected_share"]
    assert (masked, corrected) == pytest.approx(expected)
    assert stack.attrs["unwrapping_error_pixel_share"] == pytest.approx(120 / (ROWS * COLUMNS))
    assert (stack["unwrapping_error_share"].values > 0).sum() == 120
    error = np.abs(stack["displacement"].values - truth).max()
    assert error < 1.5e-3 if action != "report" else error > 4e-3


def test_what_is_no_whole_cycle_is_masked_not_corrected(truth: np.ndarray) -> None:
    made = scenes.dataset(truth, PAIRS)
    made["interferogram"].values[PAIRS.index((3, 5))][ISLAND] += np.float32(0.6 * scenes.HALF)
    stack = scenes.invert(made, unwrapping_errors="correct")
    assert stack.attrs["unwrapping_corrected_share"] == 0
    assert stack.attrs["unwrapping_masked_share"] > 0
    np.testing.assert_allclose(stack["displacement"].values, truth, atol=1e-6)


# Phase bias.


def biased(rate: float, noise: float, epochs: int = 40) -> xr.Dataset:
    """Pairs of 12 d drift by `rate` m/yr over the island, longer ones do not."""
    pairs = scenes.neighbours(epochs)
    made = scenes.dataset(np.zeros((epochs, ROWS, COLUMNS), np.float32), pairs, noise=noise)
    short = np.array([b - a == 1 for a, b in pairs])
    made["interferogram"].values[(short, *ISLAND)] += np.float32(rate * 12 / 365.25)
    return made


def test_phase_bias_is_mapped_and_masked() -> None:
    stack = scenes.invert(biased(0.02, 2e-4), max_phase_bias_mm_yr=3.0)
    bias = stack["phase_bias"].values
    outside = np.ones((ROWS, COLUMNS), bool)
    outside[ISLAND] = False
    # 12 + 12 - 24 d holds two biased pairs of two, 12 + 24 - 36 d one of three days' worth.
    expected = 0.02 * (24 * 24 + 2 * 12 * 36) / (24**2 + 2 * 36**2)
    assert bias[ISLAND].mean() == pytest.approx(expected, rel=0.05)
    assert np.abs(bias[outside]).max() < 3e-3
    assert np.isnan(stack["displacement"].values[:, *ISLAND]).all()
    assert np.isfinite(stack["displacement"].values[:, outside]).all()
    assert stack.attrs["phase_bias_masked_share"] == pytest.approx(120 / (ROWS * COLUMNS))
    kept = scenes.invert(biased(0.02, 2e-4), max_phase_bias_mm_yr=None)
    assert kept.attrs["phase_bias_masked_share"] == 0


def test_noise_alone_does_not_mask() -> None:
    stack = scenes.invert(biased(0.0, 4e-3), max_phase_bias_mm_yr=3.0)
    assert np.abs(stack["phase_bias"].values).max() > 3e-3  # large, but not significant
    assert stack.attrs["phase_bias_masked_share"] < 0.01


def test_phase_bias_limit_is_three_standard_errors() -> None:
    generator = np.random.default_rng(0)
    epochs, pixels = 60, 4000
    pairs = scenes.neighbours(epochs)
    reference, secondary = np.array(pairs).T
    network = build_network(scenes.dates(epochs)[reference], scenes.dates(epochs)[secondary])
    closing = triangles(network)
    noise = generator.normal(0, 1e-3, (len(pairs), pixels))
    closure = noise[closing[:, 0]] + noise[closing[:, 1]] - noise[closing[:, 2]]
    bias, limit = phase_bias(closure, short_triplets(network, closing), scenes.HALF)
    assert (np.abs(bias) > limit).mean() < 0.006
    assert np.median(limit) < 5 * bias.std()


# Moving references.


def test_a_pixel_lost_at_a_crossover_is_lost_after_it(truth: np.ndarray) -> None:
    """The reference moves every 4 epochs; no pair closes a loop."""
    epochs = 13
    truth = scenes.displacement(epochs, ROWS, COLUMNS)
    tree = [(4 * ((j - 1) // 4), j) for j in range(1, epochs)]
    made = scenes.dataset(truth, tree)
    made["interferogram"].values[tree.index((4, 8)), 20, 20:25] = np.nan  # the crossover to 8
    made["interferogram"].values[tree.index((4, 6)), 21, 20] = np.nan  # no crossover
    stack = scenes.invert(made)
    series = stack["displacement"].values
    whole = np.ones((ROWS, COLUMNS), bool)
    whole[20, 20:25] = whole[21, 20] = False
    np.testing.assert_allclose(series[:, whole], truth[:, whole], atol=1e-6)
    np.testing.assert_allclose(series[:8, 20, 20:25], truth[:8, 20, 20:25], atol=1e-6)
    assert np.isnan(series[8:, 20, 20:25]).all()
    assert np.isnan(series[:, 21, 20]).tolist() == [epoch == 6 for epoch in range(epochs)]
    assert stack.attrs["chain_lost_share"] == pytest.approx(5 / (ROWS * COLUMNS))
    assert np.isnan(stack["inversion_std"].values).all()  # nothing is redundant
