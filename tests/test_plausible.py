"""Fill values are masked and counted; another quantity is refused, whole or block by block."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from slipscan.errors import SlipscanError
from slipscan.plausible import RANGES, Screen, plausible


def phase() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 20, (60, 50)).astype(np.float32)


@pytest.mark.parametrize("fill", [-9999, -999, -99, -32768, 1e20, np.inf, -np.inf, np.finfo(np.float32).max])
@pytest.mark.parametrize("rows", [1, 50])
def test_a_fill_is_masked_and_counted_however_much_it_covers(
    fill: float, rows: int, caplog: pytest.LogCaptureFixture
) -> None:
    truth = phase()
    values = truth.copy()
    values[:rows] = fill
    with caplog.at_level(logging.WARNING):
        assert plausible(values, "phase", "a.tif") is values
    assert np.isnan(values[:rows]).all()
    np.testing.assert_array_equal(values[rows:], truth[rows:])
    assert f"{rows * 50} of 3000 pixels of a.tif hold {np.float32(fill):g} (unwrapped phase is" in caplog.text


def test_stray_outliers_are_masked_and_another_quantity_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    values = phase()
    values[0, :20] = 1000 + np.arange(20)
    plausible(values, "phase", "a.tif")
    assert np.isnan(values).sum() == 20
    assert "20 of 3000 pixels of a.tif hold values from 1000 to 1019" in caplog.text
    with pytest.raises(SlipscanError, match=r"a\.tif holds values from .* 3000 pixels, but height is -500 to 9000 m"):
        plausible(phase() * 1000, "height", "a.tif")


def test_blocks_are_counted_together(caplog: pytest.LogCaptureFixture) -> None:
    screen = Screen("displacement", "cum.h5 (cum)")
    for _ in range(3):
        block = phase() / 100
        block[:2] = -9999.0
        screen(block)
    assert screen.report() == 300
    assert caplog.messages == [
        "300 of 9000 pixels of cum.h5 (cum) hold -9999 (cumulative displacement is -9 to 9 m): masked as no data"
    ]


@pytest.mark.parametrize("kind", sorted(RANGES))
def test_what_is_plausible_is_left_alone(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    rule = RANGES[kind]
    values = np.linspace(rule.low, rule.high, 101)
    values[7] = np.nan
    before = values.copy()
    np.testing.assert_array_equal(plausible(values, kind, "a.tif"), before)
    plausible(np.full(4, np.nan), kind, "a.tif")
    plausible(np.empty(0), kind, "a.tif")
    assert not caplog.messages
