"""Null stacks: what is slower than a block keeps its course, and every tile of a wide scene counts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detecting import FAST, complete
from simulated import dates
from slipscan.detect import clusters
from slipscan.detect.nulls import BLOCKS, null_order, with_slow_shifted
from slipscan.detect.ramp import Epochs
from slipscan.detect.scan import Scanner
from slipscan.fit.model import days_since_2014

Float = NDArray[np.float64]
TIME = dates(180)
DAYS = days_since_2014(TIME)


def null_of(series: Float, days: Float, time: NDArray[np.datetime64], index: int) -> Float:
    order = null_order(BLOCKS, time, 1, index)
    return (with_slow_shifted(days, np.ones(len(days)), order, 1, index) @ series)[order]


@pytest.mark.parametrize("index", range(4))
@pytest.mark.parametrize("years", [2.0, 4.0, 9.0])
def test_what_is_slow_has_no_steps_in_a_null_stack_of_blocks(index: int, years: float) -> None:
    series = np.cos(2 * np.pi * DAYS / (365.25 * years) + 0.7)
    order = null_order(BLOCKS, TIME, 1, index)
    null = null_of(series, DAYS, TIME, index)
    assert np.abs(np.diff(null)).max() < 0.25 * np.abs(np.diff(series[order])).max()
    assert null.std() > 0.4 * series.std()


@given(st.integers(0, 50), st.integers(8, 120), st.integers(0, 2000))
def test_white_noise_stays_white_whatever_the_dates(index: int, epochs: int, gap_d: int) -> None:
    days = 12.0 * np.arange(epochs) + gap_d * (np.arange(epochs) > epochs // 3)
    time = np.datetime64("2016-01-01", "ns") + (days * 86400e9).astype("timedelta64[ns]")
    matrix = with_slow_shifted(days, np.ones(epochs), null_order(BLOCKS, time, 1, index), 1, index)
    assert np.isfinite(matrix).all()
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(epochs), atol=1e-8)


def test_epochs_keep_their_noise_and_the_number_tells_all() -> None:
    order = null_order(BLOCKS, TIME, 1, 2)
    weight = np.random.default_rng(0).uniform(0.1, 10, len(DAYS))
    matrix = with_slow_shifted(DAYS, weight, order, 1, 2)
    np.testing.assert_allclose(matrix / weight @ matrix.T, np.diag(1 / weight), atol=1e-8)
    np.testing.assert_array_equal(matrix, with_slow_shifted(DAYS, weight, order, 1, 2))
    assert not np.allclose(matrix, with_slow_shifted(DAYS, weight, order, 1, 3))


def scene(steps: list[tuple[slice, slice, int]], shape: tuple[int, int]) -> Scanner:
    """Noise on pixels of a kilometre, and steps of four standard deviations."""
    epochs = Epochs(dates(40))
    series = np.random.default_rng(3).normal(size=(40, *shape))
    for rows, columns, epoch in steps:
        series[epoch:, rows, columns] += 4.0
    return Scanner([complete(series.reshape(40, -1), shape)], epochs, shape, 1.0, FAST)


def of_tiles(scanner: Scanner) -> list[float]:
    return clusters.strongest_of_tiles(scanner._lobed((), None, None), scanner.shape, scanner.pixel_km)


def test_each_tile_has_its_strongest_cluster_and_the_strongest_of_all_is_among_them() -> None:
    first, second = (slice(10, 16), slice(10, 16), 20), (slice(60, 64), slice(120, 124), 12)
    found = of_tiles(scene([first, second], (100, 150)))
    assert len(found) == 6
    assert found[0] == pytest.approx(of_tiles(scene([first], (100, 150)))[0], rel=1e-2)
    assert found[5] == pytest.approx(of_tiles(scene([second], (100, 150)))[5], rel=1e-2)
    assert found[0] > found[5] > 2 * max(found[1:5])
    best = scene([first, second], (100, 150)).strongest()
    assert best is not None
    assert found[0] == pytest.approx(best.statistic)


def test_a_cluster_across_a_border_counts_once_and_whole() -> None:
    across = (slice(46, 54), slice(20, 28), 20)
    found = of_tiles(scene([across], (100, 50)))
    best = scene([across], (100, 50)).strongest()
    assert best is not None and len(found) == 2
    assert max(found) == pytest.approx(best.statistic)
    assert min(found) < 0.5 * best.statistic


@pytest.mark.parametrize("shape", [(20, 30), (1, 1), (60, 74)])
def test_a_small_scene_is_one_tile(shape: tuple[int, int]) -> None:
    scanner = scene([], shape)
    best = scanner.strongest()
    assert of_tiles(scanner) == pytest.approx([0.0 if best is None else best.statistic])


def test_the_blocks_of_a_null_stack_are_what_is_searched() -> None:
    scanner = scene([], (20, 30)).without([])
    order, null = scanner.null_stack(BLOCKS, 1, 0)
    band = null.bands[0]
    made = with_slow_shifted(scanner.epochs.days, band.weight.double().numpy(), order, 1, 0)
    places = torch.arange(600)
    expected = torch.from_numpy(made).float() @ scanner.bands[0].values
    torch.testing.assert_close(band.series(places), expected, atol=1e-4, rtol=1e-4)
    assert [value for value, _ in scanner.null_maxima(BLOCKS, 1, 0)] == pytest.approx([null.maximum(order)])


def test_places_that_wander_slowly_stand_out_as_much_in_the_null_stacks_as_in_the_data() -> None:
    """Wet soil and plants differ from year to year."""
    epochs, shape = Epochs(dates(180)), (40, 40)
    series = np.random.default_rng(5).normal(size=(180, *shape))
    series[:, 8:16, 8:16] += 0.8 * np.cos(2 * np.pi * epochs.days / 1100 + 1)[:, None, None]
    data = Scanner([complete(series.reshape(180, -1), shape)], epochs, shape, 1.0, FAST)
    nulls = [max(data.without([]).null_maxima(BLOCKS, 1, index))[0] for index in range(4)]
    assert 1 / 1.6 < np.median(nulls) / data.maximum(np.arange(180)) < 1.6
