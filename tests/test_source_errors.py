"""What is no noise of the air in a map: single wrong pixels, and what a simple source cannot predict."""

import numpy as np
import pytest

from slipscan.source.change import PREDICTION_ERROR, prediction_error, spikes


def test_a_pixel_unlike_its_neighbours_has_its_difference_as_error_and_a_rupture_has_none() -> None:
    generator = np.random.default_rng(0)
    value = 1e-3 * generator.standard_normal((40, 40))
    value[:20] += 0.03  # a fault that breaks the surface
    value[10, 12] -= 0.15
    rows, columns = (part.ravel() for part in np.indices(value.shape))
    found = spikes(value, np.ones(value.shape, bool), rows, columns, rows > 25).reshape(value.shape)
    assert found[10, 12] == pytest.approx(-0.15, abs=5e-3)
    found[10, 12] = 0
    assert np.count_nonzero(found) <= 2 and np.abs(found).max() < 0.01


def test_a_pixel_without_neighbours_is_no_spike() -> None:
    value = np.full((9, 9), np.nan)
    value[4, 4] = 0.1
    assert spikes(value, np.isfinite(value), np.array([4]), np.array([4]), np.array([True])).tolist() == [0.0]


def test_the_prediction_error_is_a_share_of_what_moved_and_alike_near_by() -> None:
    moved = np.array([0.1, 0.1, 0.0])
    east, north = np.array([0.0, 100.0, 0.0]), np.zeros(3)
    covariance = prediction_error(moved, east, north, 1000.0)
    assert np.sqrt(covariance[0, 0]) == pytest.approx(PREDICTION_ERROR * 0.1)
    assert covariance[0, 1] == pytest.approx(covariance[0, 0] * np.exp(-0.1))
    assert not covariance[2].any()
    assert np.linalg.eigvalsh(covariance).min() > -1e-12
