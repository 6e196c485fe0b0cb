"""Results do not depend on the epoch that a series is counted from (to 1e-6 of sigma)."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulated import SHAPE, stack_dataset
from slipscan.detect import registry
from slipscan.detect.track import track_of
from slipscan.noise.stage import estimate_noise
from slipscan.settings import DetectSettings, NoiseSettings
from slipscan.stack import observation_of, open_stack
from slipscan.store import write_zarr

FAST = DetectSettings(durations_d=(0.0, 48.0), scales_km=(0.5, 2.0))
STEP = 2.0**-22
"""Displacements are multiples of it (0.2 micrometres), so that a constant is added to float32 without rounding."""

MEASURED = ("epoch_rms", "band_std", "power_spectrum")
"""Taken from the residual as they are. The rest is what searches end at, each within a tolerance of its own: a
thousandth of its stated error is nothing."""


def counted_from(constant: np.ndarray):
    dataset = stack_dataset(epochs=24, event_m=0.05, missing=0.05)
    values = np.round(dataset["displacement"].values.astype(float) / STEP) * STEP + constant
    dataset["displacement"].values[:] = values
    np.testing.assert_array_equal(dataset["displacement"].values[np.isfinite(values)], values[np.isfinite(values)])
    return dataset


@pytest.fixture(scope="module")
def from_the_first():
    dataset = counted_from(np.zeros(SHAPE))
    return results(dataset)


def results(dataset):
    track = track_of(observation_of(dataset), FAST)
    found = registry.build("scan").search(track, FAST).find(4.0)
    return estimate_noise(dataset, NoiseSettings()), track, found


@given(seed=st.integers(0, 99), size_m=st.sampled_from([0.01, 0.5]))
@settings(max_examples=3, deadline=None, derandomize=True)
def test_noise_and_detection_do_not_depend_on_the_reference(from_the_first, seed, size_m) -> None:
    """Another epoch of reference, or none at all, is a constant of every pixel."""
    noise, track, found = from_the_first
    constant = np.round(np.random.default_rng(seed).uniform(-size_m, size_m, SHAPE) / STEP) * STEP
    again, moved, found_again = results(counted_from(constant))
    sigma = float(noise["epoch_rms"].median())
    # In single precision: 1e-6 of sigma for the series as a whole, 5e-6 in the worst pixel and epoch.
    difference = (moved.cleaned.residual() - track.cleaned.residual()).numpy()
    assert np.sqrt((difference**2).mean()) < 1e-6 * sigma and np.abs(difference).max() < 5e-6 * sigma
    np.testing.assert_allclose(moved.cleaned.delay.std, track.cleaned.delay.std, rtol=1e-6)
    for name in noise.data_vars:
        one, other = noise[name].values, again[name].values
        if name in MEASURED:
            np.testing.assert_allclose(other, one, rtol=1e-6, atol=1e-6 * sigma, err_msg=name)
        elif f"{name}_error" in noise:
            assert (np.abs(other - one) < 1e-3 * noise[f"{name}_error"].values).all(), name
        else:
            np.testing.assert_allclose(other, one, rtol=1e-3, err_msg=name)
    assert len(found) > 0
    for one, other in zip(found, found_again, strict=True):
        assert one.ramp.middle_d == pytest.approx(other.ramp.middle_d, abs=1e-3)
        assert one.ramp.duration_d == pytest.approx(other.ramp.duration_d, abs=1e-3)
        assert one.statistic == pytest.approx(other.statistic, rel=1e-5)


def test_a_series_that_is_not_zero_in_its_first_epoch_is_opened_as_it_is(tmp_path: Path) -> None:
    dataset = counted_from(np.full(SHAPE, 0.25))
    write_zarr(dataset, tmp_path / "stack.zarr")
    opened = open_stack(tmp_path / "stack.zarr")
    np.testing.assert_array_equal(opened["displacement"].values, dataset["displacement"].values)
    assert np.nanmin(opened["displacement"].values[0]) == 0.25
