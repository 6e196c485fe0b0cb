"""The one fit: background of a pixel, delay of an epoch, ramps in time."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from simulated import SHAPE, turbulence  # tests/simulated.py
from slipscan.errors import SlipscanError
from slipscan.fit.background import fit_series, fitted, parameters
from slipscan.fit.clean import clean
from slipscan.fit.delay import fit_delay, spatial_columns
from slipscan.fit.model import days_since_2014, design_matrix, transient_column
from slipscan.fit.ramps import middles, projected, ramps


def dates(n: int, step: int = 12) -> np.ndarray:
    return np.datetime64("2018-01-04", "ns") + np.arange(n) * np.timedelta64(step, "D")


def test_parameters_of_a_known_series_are_recovered_beside_gaps() -> None:
    time = dates(60)
    matrix, names = design_matrix(time)
    assert names == ["offset", "rate", "annual_cos", "annual_sin", "semiannual_cos", "semiannual_sin"]
    truth = np.random.default_rng(0).normal(size=(6, 40))
    series = matrix @ truth
    series[np.random.default_rng(1).random(series.shape) < 0.2] = np.nan
    series[:, 0] = np.nan
    series[5:, 1] = np.nan
    found = fit_series(matrix, series, np.linspace(1, 2, 60))
    np.testing.assert_allclose(found[:, 2:], truth[:, 2:], atol=1e-9)
    assert np.isnan(found[:, :2]).all()


def test_short_series_have_no_season_and_tiny_ones_are_refused() -> None:
    assert design_matrix(dates(13))[1] == ["offset", "rate"]
    with pytest.raises(SlipscanError, match="a series of 4 epochs is too short"):
        design_matrix(dates(4))


def test_segments_have_offsets_of_their_own() -> None:
    segment = np.repeat([0, 1], [8, 7])
    matrix, names = design_matrix(dates(15), segment)
    assert names.count("offset") == 2
    series = (3e-3 * (dates(15) - dates(1)) / np.timedelta64(365, "D") + np.where(segment, 7.0, 0.0))[:, None]
    found = fit_series(matrix, series.astype(float))
    assert found[2, 0] == pytest.approx(3e-3 * 365.25 / 365, rel=1e-6)


@given(st.floats(-50, 800), st.floats(0, 200))
def test_a_transient_rises_from_zero_to_one(start: float, duration: float) -> None:
    time = dates(60)
    column = transient_column(time, start + days_since_2014(time)[0], duration)
    assert ((column >= 0) & (column <= 1)).all()
    assert (np.diff(column) >= 0).all()


def test_delay_of_known_planes_is_recovered_beside_outliers() -> None:
    generator = np.random.default_rng(0)
    columns = spatial_columns(torch.from_numpy(500 * generator.random(SHAPE))).flatten(1)
    truth = torch.from_numpy(generator.normal(size=(7, 4)))
    series = truth @ columns + 0.01 * torch.from_numpy(generator.normal(size=(7, columns.shape[1])))
    series[:, :40] += 20.0  # an unwrapping block
    mask = torch.ones_like(series, dtype=torch.bool)
    mask[3, 100:300] = False
    delay = fit_delay(series * mask, mask, columns)
    torch.testing.assert_close(delay.coefficients, truth, atol=0.02, rtol=0)
    assert delay.std == pytest.approx([0.01] * 7, rel=0.2)


def test_an_epoch_without_data_gets_no_delay_and_a_large_noise() -> None:
    columns = spatial_columns(torch.full(SHAPE, torch.nan)).flatten(1)
    series = torch.randn(2, columns.shape[1], generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(series, dtype=torch.bool)
    mask[1] = False
    delay = fit_delay(series * mask, mask, columns)
    assert (delay.coefficients[1] == 0).all() and delay.std[1] > 100 * delay.std[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_fit_in_both_precisions(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(1)
    design = torch.from_numpy(design_matrix(dates(80))[0])
    series = torch.randn(80, 50, generator=generator, dtype=torch.float64)
    mask = torch.rand(80, 50, generator=generator) > 0.2
    weight = torch.rand(80, generator=generator, dtype=torch.float64) + 0.5
    expected = [
        np.linalg.lstsq(
            (design * weight[:, None].sqrt())[mask[:, p]].numpy(), (series[:, p] * weight.sqrt())[mask[:, p]].numpy(),
            rcond=None,
        )[0]
        for p in range(50)
    ]  # fmt: skip
    parts = [(series * mask).to(dtype), mask, design.to(dtype), weight.to(dtype)]
    found = parameters(*parts).double().numpy()
    np.testing.assert_allclose(found, np.stack(expected, 1), atol=1e-9 if dtype == torch.float64 else 2e-3)


def test_what_rate_and_season_leave_of_a_ramp_is_orthogonal_to_them_and_an_epoch_without_weight_is_left_out() -> None:
    design = torch.from_numpy(design_matrix(dates(60))[0])
    days = torch.from_numpy(days_since_2014(dates(60)))
    weight = torch.rand(60, generator=torch.Generator().manual_seed(2), dtype=torch.float64) + 0.5
    weight[7] = 0.0
    rest = projected(ramps(days, middles(days), 48.0), design, weight)
    torch.testing.assert_close(design.T @ (weight[:, None] * rest), torch.zeros(6, 59).double(), atol=1e-8, rtol=0)
    assert (rest[7] == 0).all()
    assert (projected(design, design, weight) == 0).all()


@given(constant=st.floats(-1, 1), epoch=st.integers(0, 29))
@settings(max_examples=10, deadline=None)
def test_a_cleaned_series_does_not_depend_on_the_reference_epoch(constant: float, epoch: int) -> None:
    series = turbulence(np.random.default_rng(0), 30)
    design = design_matrix(dates(30))[0]
    one = clean(series, None, design, dtype=torch.float64)
    other = clean(series - series[[epoch]] + constant, None, design, dtype=torch.float64)
    # 1e-6 of the noise.
    atol = 1e-6 * float(one.delay.std.median())
    torch.testing.assert_close(one.residual(), other.residual(), atol=atol, rtol=0)


@pytest.mark.parametrize("shift", [0.0, 1e-4, 1e-2])
def test_columns_that_are_nearly_the_same_are_fitted_as_one(shift: float) -> None:
    time = dates(60)
    days = days_since_2014(time)
    ramp = transient_column(time, days[30], 48.0)
    again = transient_column(time, days[30] + shift, 48.0)
    matrix = torch.from_numpy(np.column_stack([design_matrix(time)[0], ramp, again])).float()
    noise = torch.randn(60, 500, generator=torch.Generator().manual_seed(0))
    noise[3, :100] = 0.0
    mask = torch.ones_like(noise, dtype=torch.bool)
    mask[3, :100] = False
    left = noise - fitted(noise, mask, matrix, torch.ones(60))
    assert float((left[:, 100:]).std()) == pytest.approx(np.sqrt(53 / 60), rel=0.05)
    assert float((left * mask)[:, :100].std()) < 1.0
