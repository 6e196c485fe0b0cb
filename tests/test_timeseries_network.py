"""The network and its inversion: parts, triangles, least squares, standard deviation, coherence, closure."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipscan.errors import SlipscanError
from slipscan.timeseries.closure import ClosureSummary, closures
from slipscan.timeseries.inversion import invert, temporal_coherence, weight_of_coherence
from slipscan.timeseries.network import Network, build_network, parts, segments, triangles


def network_of(pairs: list[tuple[int, int]], count: int) -> Network:
    dates = np.datetime64("2020-01-01", "ns") + np.arange(count) * np.timedelta64(12, "D")
    reference, secondary = np.array(pairs).T
    return build_network(dates[reference], dates[secondary])


PAIRS = [(0, 1), (0, 2), (1, 2), (1, 3), (2, 3), (2, 4), (3, 4)]


def test_interleaved_parts_are_named_too() -> None:
    network = network_of([(0, 2), (1, 3)], 4)
    with pytest.raises(SlipscanError, match="in 2 parts") as error:
        segments(network, "error", "here")
    assert "no interferogram crosses" not in str(error.value)
    assert parts(network).tolist() == [0, 1, 0, 1]


def test_triangles_by_hand() -> None:
    network = network_of(PAIRS, 5)
    assert triangles(network).tolist() == [[0, 2, 1], [2, 4, 3], [4, 6, 5]]
    assert triangles(network_of([(0, 1), (1, 2)], 3)).shape == (0, 3)


def test_pairs_that_are_refused() -> None:
    dates = np.array(["2020-01-01", "2020-01-13"], "datetime64[ns]")
    with pytest.raises(SlipscanError, match="not older"):
        build_network(dates[[1]], dates[[0]])
    with pytest.raises(SlipscanError, match="2020-01-01 to 2020-01-13 is there twice"):
        build_network(dates[[0, 0]], dates[[1, 1]])
    with pytest.raises(SlipscanError, match="no interferogram"):
        build_network(dates[:0], dates[:0])


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_inversion_equals_least_squares_pixel_by_pixel(seed: int) -> None:
    generator = np.random.default_rng(seed)
    network = network_of(PAIRS, 5)
    weight = generator.uniform(0.2, 2, len(PAIRS))
    observed = generator.normal(size=(len(PAIRS), 12))
    observed[generator.uniform(size=observed.shape) < 0.15] = np.nan
    solution = invert(network, np.zeros(5, np.int64), observed, weight)
    design = np.zeros((len(PAIRS), 5))
    design[np.arange(len(PAIRS)), network.reference] = -1
    design[np.arange(len(PAIRS)), network.secondary] = 1
    for pixel, values in enumerate(observed.T):
        valid = np.isfinite(values)
        rows = design[valid, 1:] * np.sqrt(weight[valid])[:, None]
        got = solution.displacement[:, pixel]
        if np.linalg.matrix_rank(rows) < 4:
            assert np.isnan(got).any()  # never a minimum-norm guess
            continue
        expected, *_ = np.linalg.lstsq(rows, values[valid] * np.sqrt(weight[valid]))
        np.testing.assert_allclose(got[1:], expected, atol=1e-9)
        assert got[0] == 0


def test_epochs_that_a_pixel_cannot_reach_are_nan() -> None:
    network = network_of(PAIRS, 5)
    truth = np.array([0.0, 1.0, 3.0, 4.0, 9.0])
    observed = np.repeat((truth[network.secondary] - truth[network.reference])[:, None], 3, axis=1)
    observed[5:, 0] = np.nan  # no pair to the last epoch
    observed[:2, 1] = np.nan  # no pair from the first
    solution = invert(network, np.zeros(5, np.int64), observed, np.ones(len(PAIRS)))
    np.testing.assert_allclose(solution.displacement[:, 0], [0, 1, 3, 4, np.nan], atol=1e-12)
    assert np.isnan(solution.displacement[:, 1]).all()
    np.testing.assert_allclose(solution.displacement[:, 2], truth, atol=1e-12)


def test_std_is_the_scatter_of_many_pixels() -> None:
    generator = np.random.default_rng(5)
    network = network_of(PAIRS, 5)
    observed = generator.normal(0, 0.003, (len(PAIRS), 4000))
    solution = invert(network, np.zeros(5, np.int64), observed, np.ones(len(PAIRS)))
    scatter = solution.displacement.std(axis=1)
    formal = np.sqrt((solution.std**2).mean(axis=1))
    np.testing.assert_allclose(formal[1:], scatter[1:], rtol=0.1)
    assert (solution.std[0] == 0).all()


def test_no_redundancy_gives_no_std() -> None:
    network = network_of([(0, 1), (1, 2)], 3)
    solution = invert(network, np.zeros(3, np.int64), np.ones((2, 4)), np.ones(2))
    assert np.isnan(solution.std).all()
    np.testing.assert_allclose(solution.displacement[:, 0], [0, 1, 2])


def test_temporal_coherence_by_hand() -> None:
    wavelength = 4 * np.pi  # a residual of 1 m is 1 rad
    residual = np.array([[0.0, 0.0, np.nan, np.nan], [0.0, np.pi, 1.0, np.nan]])
    np.testing.assert_allclose(temporal_coherence(residual, wavelength), [1, 0, 1, np.nan], atol=1e-6)


def test_coherent_pairs_weigh_more() -> None:
    weight = weight_of_coherence(np.array([0.0, 0.3, 0.6, 0.9, 1.0]))
    assert (np.diff(weight) > 0).all()
    assert np.isfinite(weight).all()
    # (g^2 / (1 - g^2)) of 0.6 over 0.3
    assert weight[2] / weight[1] == pytest.approx((0.36 / 0.64) / (0.09 / 0.91))


def test_closure_by_hand() -> None:
    summary = ClosureSummary(0.01)
    observed = np.array([[1.0, 1.0, np.nan], [2.0, 2.0, 2.0], [3.0, 3.02, 3.0]])
    rms = summary.add(closures(observed, np.array([[0, 1, 2]])))
    np.testing.assert_allclose(rms, [0, 0.02, np.nan], atol=1e-12)
    attributes = summary.attributes(1)
    assert attributes["closure_error_share"] == 0.5
    assert attributes["closure_rms_m"] == pytest.approx(0.02 / np.sqrt(2))
    assert ClosureSummary(0.01).attributes(0) == {}
