"""Histories: quantiles, steps, unfinished events, seasons, batches of tensors and their gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from slipscan.errors import SlipscanError
from slipscan.fit.model import DAYS_PER_YEAR, design_matrix
from slipscan.forward.history import KINDS, Transient, history, seasonal, superposed

DOUBLE = torch.float64


@settings(max_examples=100, deadline=None)
@given(kind=st.sampled_from(KINDS), t50=st.floats(-1e3, 1e3), duration=st.floats(0.01, 1e3))
def test_history_grows_from_0_to_1_and_keeps_its_quantiles(kind, t50, duration):
    days = np.linspace(t50 - 40 * duration, t50 + 40 * duration, 4001)
    fraction = history(days, kind, t50, duration)
    assert (np.diff(fraction) >= 0).all()
    assert fraction[0] == pytest.approx(0, abs=1e-12) and fraction[-1] == pytest.approx(1, abs=1e-12)
    fine = np.linspace(t50 - 1.2 * duration, t50 + 1.2 * duration, 48_001)
    times = np.interp((0.05, 0.5, 0.95), history(fine, kind, t50, duration), fine)
    assert times[1] == pytest.approx(t50, abs=1e-3 * duration)
    assert times[2] - times[0] == pytest.approx(duration, rel=1e-3)


def test_history_of_no_duration_is_a_step_that_its_epoch_has_seen():
    for kind in KINDS:
        assert history([9.0, 10.0, 11.0], kind, 10.0, 0.0).tolist() == [0.0, 1.0, 1.0]


def test_history_refuses_what_it_does_not_know():
    with pytest.raises(SlipscanError, match="'cubic'"):
        history([0.0], "cubic", 0.0, 1.0)
    with pytest.raises(SlipscanError, match="negative"):
        history([0.0], "linear", 0.0, -1.0)
    with pytest.raises(SlipscanError, match="negative"):
        history(torch.zeros(1), "linear", 0.0, torch.tensor([1.0, -1.0]))
    with pytest.raises(SlipscanError, match="cycles"):
        seasonal([0.0], 1.0, 0.0, cycles_per_year=0.0)


@settings(max_examples=50, deadline=None)
@given(kind=st.sampled_from(KINDS), t50=st.floats(-100, 1500), duration=st.one_of(st.just(0.0), st.floats(1e-3, 1e3)))
def test_tensors_and_arrays_say_the_same(kind, t50, duration):
    days = np.arange(0.0, 1000.0, 12.0)
    many = history(
        torch.from_numpy(days), kind, torch.tensor([t50, 10.0], dtype=DOUBLE),
        torch.tensor([duration, 30.0], dtype=DOUBLE),
    )  # fmt: skip
    assert many.shape == (2, len(days)) and many.dtype == DOUBLE
    np.testing.assert_allclose(many[0].numpy(), history(days, kind, t50, duration), rtol=0, atol=1e-13)
    np.testing.assert_allclose(many[1].numpy(), history(days, kind, 10.0, 30.0), rtol=0, atol=1e-13)
    one = history(torch.from_numpy(days).float(), kind, t50, duration)
    assert one.shape == days.shape and one.dtype == torch.float32


@pytest.mark.parametrize("kind", KINDS)
def test_an_unfinished_event_goes_on_after_the_last_epoch(kind):
    """Seen to its half and no farther: a longer series continues the shorter one, which nothing rescales."""
    short, long = np.arange(0.0, 201.0, 12.0), np.arange(0.0, 2001.0, 12.0)
    seen, all_of_it = history(short, kind, 192.0, 300.0), history(long, kind, 192.0, 300.0)
    assert seen[-1] == pytest.approx(0.5)
    assert (all_of_it[: len(short)] == seen).all()
    assert all_of_it[-1] == pytest.approx(1.0, abs=1e-3)


def test_several_events_of_a_series_add_up():
    """Three, of which one is under way at the first epoch and one not over at the last; recovered by least squares."""
    days = np.arange(0.0, 1000.0, 6.0)
    events = [
        Transient("exponential", -5.0, 200.0, 0.030),
        Transient("raised_cosine", 400.0, 60.0, -0.012),
        Transient("gaussian_cdf", 990.0, 150.0, 0.020),
    ]
    series = superposed(days, events)
    assert 0.45 * 0.030 < series[0] < 0.6 * 0.030
    assert series[-1] == pytest.approx(
        0.030 - 0.012 + 0.020 * history([days[-1]], "gaussian_cdf", 990.0, 150.0)[0], abs=1e-4
    )
    columns = np.stack([history(days, e.kind, e.t50_d, e.duration_d) for e in events], axis=1)
    found = np.linalg.lstsq(columns, series, rcond=None)[0]
    np.testing.assert_allclose(found, [e.amplitude for e in events], rtol=1e-9)
    assert (superposed(days, []) == 0).all()


def test_several_events_of_many_series_in_one_batch():
    days = torch.arange(0.0, 500.0, 12.0, dtype=DOUBLE)
    amplitude, t50 = torch.tensor([0.01, -0.02], dtype=DOUBLE), torch.tensor([100.0, 300.0], dtype=DOUBLE)
    events = [Transient("linear", t50, 40.0, amplitude), Transient("log", 250.0, torch.tensor([0.0, 90.0]), 0.005)]
    together = superposed(days, events)
    assert together.shape == (2, len(days))
    for i in range(2):
        alone = superposed(
            days.numpy(),
            [
                Transient("linear", float(t50[i]), 40.0, float(amplitude[i])),
                Transient("log", 250.0, (0.0, 90.0)[i], 0.005),
            ],
        )
        np.testing.assert_allclose(together[i].numpy(), alone, rtol=0, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_with_respect_to_time_and_duration(kind):
    """Away from the kinks; a step in the same batch has none, and no NaN."""
    days = torch.tensor([93.0, 97.0, 101.0, 111.0], dtype=DOUBLE)
    t50 = torch.tensor([100.0, 98.0], dtype=DOUBLE, requires_grad=True)
    duration = torch.tensor([30.0, 41.0], dtype=DOUBLE, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t, d: history(days, kind, t, d), (t50, duration))
    step = torch.tensor([0.0, 41.0], dtype=DOUBLE, requires_grad=True)
    gradients = torch.autograd.grad(history(days, kind, t50, step).sum(), (t50, step))
    assert all(torch.isfinite(g).all() for g in gradients)
    assert gradients[0][0] == 0 and gradients[1][0] == 0


@settings(max_examples=30, deadline=None)
@given(amplitude=st.floats(1e-3, 1.0), phase=st.floats(0, 2 * math.pi))
def test_a_season_peaks_at_its_phase_and_is_the_models(amplitude, phase):
    """A stack's `seasonal_amplitude` and `seasonal_phase`, as the model of a series fits them."""
    time = np.datetime64("2014-01-01", "ns") + np.arange(0, 1200, 6).astype("timedelta64[D]")
    days = np.arange(0.0, 1200.0, 6.0)
    season = seasonal(days, amplitude, phase)
    matrix, names = design_matrix(time)
    fitted = dict(zip(names, np.linalg.lstsq(matrix, season, rcond=None)[0], strict=True))
    assert math.hypot(fitted["annual_cos"], fitted["annual_sin"]) == pytest.approx(amplitude, rel=1e-9)
    assert seasonal([phase / (2 * math.pi) * DAYS_PER_YEAR], amplitude, phase)[0] == pytest.approx(amplitude)
    expected = amplitude * math.cos(phase), amplitude * math.sin(phase)
    assert (fitted["annual_cos"], fitted["annual_sin"]) == pytest.approx(expected, abs=1e-9)


def test_seasons_come_in_batches_and_twice_a_year():
    days = torch.arange(0.0, 800.0, 1.0, dtype=DOUBLE)
    batch = seasonal(days, torch.tensor([1.0, 2.0], dtype=DOUBLE), torch.tensor([0.0, 1.0], dtype=DOUBLE))
    assert batch.shape == (2, 800)
    np.testing.assert_allclose(batch[1].numpy(), seasonal(days.numpy(), 2.0, 1.0), rtol=0, atol=1e-12)
    twice = seasonal(days.numpy(), 1.0, 0.0, cycles_per_year=2.0)
    np.testing.assert_allclose(twice, 2 * seasonal(days.numpy(), 1.0, 0.0) ** 2 - 1, atol=1e-12)
