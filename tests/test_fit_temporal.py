"""Noise in time: whitening makes of a generalized fit an ordinary one."""

from __future__ import annotations

import math

import pytest
import torch

from slipscan.fit.background import parameters
from slipscan.fit.temporal import TemporalCovariance, random_walk, white_level

DAYS = torch.cumsum(torch.tensor([0.0, *([12.0] * 30), 96.0, *([6.0] * 20), 24.0]), 0).double()
EPOCHS = len(DAYS)
YEARS = DAYS / 365.25
DESIGN = torch.stack([torch.ones_like(YEARS), YEARS, torch.cos(2 * math.pi * YEARS)], 1)


def white(dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Variances of 9 to 100 mm2."""
    return (torch.linspace(3e-3, 10e-3, EPOCHS).roll(17) ** 2).to(dtype)


def series(count: int, covariance: torch.Tensor, seed: int = 0) -> torch.Tensor:
    drawn = torch.randn(EPOCHS, count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.linalg.cholesky(covariance + 1e-18 * torch.eye(EPOCHS)) @ drawn


@pytest.mark.parametrize("red", [0.0, 0.3, 30.0])
def test_the_whitener_whitens(red: float) -> None:
    model = TemporalCovariance.relative(white(), red)
    whitener = model.whitener(DAYS)
    torch.testing.assert_close(whitener @ model.matrix(DAYS) @ whitener.T, torch.eye(EPOCHS, dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_white_noise_gives_the_weights_of_the_epochs(dtype: torch.dtype) -> None:
    variance = white(dtype)
    assert torch.equal(TemporalCovariance(variance).whitener(DAYS.to(dtype)), torch.diag(1 / variance.sqrt()))
    data = series(4, torch.diag(white())).to(dtype)
    whitener = TemporalCovariance(variance).whitener(DAYS.to(dtype))
    ordinary = torch.linalg.lstsq(whitener @ DESIGN.to(dtype), whitener @ data).solution
    weighted = parameters(data, torch.ones_like(data, dtype=torch.bool), DESIGN.to(dtype), 1 / variance)
    torch.testing.assert_close(ordinary, weighted, rtol=1e-3 if dtype == torch.float32 else 1e-9, atol=1e-7)


def test_single_precision_whitens_as_double_does() -> None:
    double = TemporalCovariance.relative(white(), 0.3).whitener(DAYS)
    single = TemporalCovariance.relative(white(torch.float32), 0.3).whitener(DAYS.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), double, rtol=1e-5, atol=1e-4 * float(double.abs().max()))


def test_the_random_walk_gains_its_variance_a_year() -> None:
    walk = random_walk(DAYS)
    increments = walk.diagonal()[:, None] + walk.diagonal() - 2 * walk
    torch.testing.assert_close(increments, (YEARS[:, None] - YEARS).abs())


def test_an_epoch_left_out_is_as_if_it_were_not_there() -> None:
    keep = torch.ones(EPOCHS, dtype=torch.bool)
    keep[[0, 7, 40]] = False
    model = TemporalCovariance.relative(white(), 2.0)
    whitener = model.whitener(DAYS, keep)
    assert not whitener[~keep].any() and not whitener[:, ~keep].any()
    infinite = TemporalCovariance(torch.where(keep, model.white, math.inf), model.red)
    assert torch.equal(infinite.whitener(DAYS), whitener)
    data = series(3, model.matrix(DAYS))
    rate_and_season = torch.linalg.lstsq(whitener @ DESIGN, whitener @ data).solution[1:]
    part = TemporalCovariance(model.white[keep], model.red)
    less = part.whitener(DAYS[keep])
    torch.testing.assert_close(rate_and_season, torch.linalg.lstsq(less @ DESIGN[keep], less @ data[keep]).solution[1:])


def test_where_the_walk_is_zero_matters_for_the_offset_alone() -> None:
    model = TemporalCovariance.relative(white(), 2.0)
    elsewhere = torch.cat([DAYS, DAYS[-1:] + 3000.0])  # an epoch that is left out moves the middle
    far = TemporalCovariance(torch.cat([model.white, torch.tensor([math.inf])]), model.red)
    data, design = series(3, model.matrix(DAYS)), torch.cat([DESIGN, DESIGN[-1:]])
    here, there = model.whitener(DAYS), far.whitener(elsewhere)
    more = torch.cat([data, torch.zeros(1, 3)])
    torch.testing.assert_close(
        torch.linalg.lstsq(here @ DESIGN, here @ data).solution[1:],
        torch.linalg.lstsq(there @ design, there @ more).solution[1:],
        rtol=1e-6, atol=1e-12,
    )  # fmt: skip


def test_the_generalized_fit_states_its_error() -> None:
    """Rates of 4,000 simulated series scatter as the whitened normal matrix says, and less than those of weights."""
    model = TemporalCovariance.relative(white(), 3.0)
    data, whitener = series(4000, model.matrix(DAYS)), model.whitener(DAYS)
    columns = whitener @ DESIGN
    expected = torch.linalg.inv(columns.T @ columns)[1, 1].sqrt()
    scatter = torch.linalg.lstsq(columns, whitener @ data).solution[1].std()
    assert float(scatter) == pytest.approx(float(expected), rel=0.04)
    weights = TemporalCovariance(model.white).whitener(DAYS)
    assert scatter < 0.97 * torch.linalg.lstsq(weights @ DESIGN, weights @ data).solution[1].std()


def test_the_level_is_the_median_of_what_counts() -> None:
    assert white_level(torch.tensor([1.0, 2.0, 30.0, math.inf])) == 2.0


@pytest.mark.parametrize(("variance", "red"), [(0.0, 0.1), (-1.0, 0.1), (math.nan, 0.1), (1.0, -0.1), (1.0, math.inf)])
def test_what_is_no_covariance_is_refused(variance: float, red: float) -> None:
    with pytest.raises(ValueError, match=r"white variance|red part"):
        TemporalCovariance(torch.tensor([1.0, variance]), red)
