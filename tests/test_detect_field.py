"""The detector of the field's candidates: white noise stays noise, an event keeps its size, halves are told apart."""

import dataclasses

import numpy as np
import pytest
import torch

from simulated import dates  # tests/simulated.py
from slipscan.detect import registry
from slipscan.detect.calibration import calibrate
from slipscan.detect.composite import is_residue, reached_day, shares_of
from slipscan.detect.crossfit import cross_fitted, power_of_map
from slipscan.detect.octaves import band_windows, octaves
from slipscan.detect.proposals import footprint_of, timed
from slipscan.detect.ramp import Epochs, Ramp
from slipscan.detect.seeds import seeds
from slipscan.detect.simulated import _fault
from slipscan.detect.temporal import TemporalModel
from slipscan.detect.track import track_of
from slipscan.detect.window import Window, window_of
from slipscan.field import Observation
from slipscan.fit.model import days_since_2014, design_matrix
from slipscan.settings import DetectSettings
from slipscan.vocabulary import CYCLE_M

SHAPE = (40, 44)
TIME = dates(60)
NOTHING = torch.zeros(60, 0, dtype=torch.float64)


def temporal(red: float = 0.0) -> TemporalModel:
    design = torch.from_numpy(design_matrix(TIME)[0])
    days = torch.from_numpy(days_since_2014(TIME))
    one = torch.ones(1, 60, dtype=torch.float64)
    return TemporalModel(days, design, one, red * one[:, 0], torch.ones(1, dtype=torch.float64))


def residual(series: np.ndarray) -> torch.Tensor:
    design = design_matrix(TIME)[0]
    flat = series.reshape(60, -1)
    return torch.from_numpy((flat - design @ np.linalg.lstsq(design, flat, rcond=None)[0]).astype("f4")).reshape(
        60, *SHAPE
    )


def noise(seed: int) -> np.ndarray:
    """White in time, red in space, 5 mm."""
    generator = np.random.default_rng(seed)
    ky, kx = np.fft.fftfreq(SHAPE[0])[:, None], np.fft.rfftfreq(SHAPE[1])
    modes = np.fft.rfft2(generator.normal(size=(60, *SHAPE))) / np.maximum(np.hypot(ky, kx), 0.02) ** 1.3
    fields = np.fft.irfft2(modes, s=SHAPE)
    return 5e-3 * fields / fields.std()


def lobes(peak: float) -> np.ndarray:
    """Of both signs, as a strike-slip fault has them."""
    rows, columns = np.indices(SHAPE)
    return peak * (rows - 20) / 4 * np.exp(0.5 - ((rows - 20) ** 2 + (columns - 22) ** 2) / (2 * 4.0**2))


STEP = Ramp(float(days_since_2014(TIME)[40]) - 6, 0.0)


def window(seed: int, peak: float) -> Window:
    return window_of(residual(noise(seed) + STEP.column(TIME)[:, None, None] * lobes(peak)), temporal(), 0.5)


def test_octaves_and_bands_add_up() -> None:
    total = octaves(SHAPE).square().sum(0)
    radius = np.hypot(np.fft.fftfreq(40)[:, None], np.fft.rfftfreq(44))
    np.testing.assert_allclose(total[torch.from_numpy(radius < 1 / 8)], 1, atol=1e-5)
    assert float(total[20, 22]) == 0.0
    np.testing.assert_allclose(band_windows(SHAPE, torch.tensor([1.0, 2.0, 4.0])).sum(0), 1, atol=1e-6)


def test_a_candidate_of_noise_is_noise_and_one_of_an_event_has_its_signal_to_noise_ratio() -> None:
    course, field = torch.from_numpy(STEP.column(TIME)), torch.from_numpy(lobes(0.02).astype("f4"))
    quiet = [
        cross_fitted(w, power_of_map(w, field), course, NOTHING) for w in (window(seed, 0.0) for seed in range(12))
    ]
    values = [one.statistic for one in quiet if one is not None]
    # Both products of halves are of nearly the same numbers: their sum has a standard deviation of up to sqrt(2).
    assert len(values) == 12 and abs(np.mean(values)) < 1.5 and np.std(values) < 2.0
    moved = window(0, 0.02)
    found = cross_fitted(moved, power_of_map(moved, field), course, NOTHING)
    assert found is not None and found.statistic > 8
    truth = lobes(0.02)
    peak = np.abs(truth).max()
    assert float((found.map - torch.from_numpy(truth)).abs().max()) < 0.5 * peak
    mask, true = footprint_of(found.map, found.std), np.abs(truth) > 0.3 * peak
    assert (mask & true).sum() / (mask | true).sum() > 0.5
    # Beside another of the same history nothing is left to test.
    assert cross_fitted(moved, power_of_map(moved, field), course, course[:, None]) is None


def test_noise_has_no_step_in_the_course_that_is_told_by_the_other_half() -> None:
    course, field = torch.from_numpy(STEP.column(TIME)), torch.from_numpy(lobes(0.02).astype("f4"))
    filters = temporal().filters(course, NOTHING, temporal().every)
    assert filters is not None
    sizes = []
    for seed in range(12):
        quiet = window(seed, 0.0)
        found = cross_fitted(quiet, power_of_map(quiet, field), course, NOTHING)
        assert found is not None
        sizes.append([float(filters.weights[0] @ one.double()) for one in (found.course, found.held_out)])
    own, crossed = np.mean(sizes, axis=0)
    # In the map of all epochs there is the step that their noise has.
    assert own > 4 * abs(crossed)


def test_times_of_what_was_tested_hold_the_truth() -> None:
    moved = window(0, 0.02)
    course, field = torch.from_numpy(STEP.column(TIME)), torch.from_numpy(lobes(0.02).astype("f4"))
    found = cross_fitted(moved, power_of_map(moved, field), course, NOTHING)
    assert found is not None
    when = timed(moved, found, STEP.middle_d + 30, Epochs(TIME), NOTHING)
    assert when is not None
    assert abs(when.typical.middle_d - STEP.middle_d) < 2 * when.timing.errors_d[1] + 6 and when.timing.errors_d[1] < 12


def test_the_other_half_does_not_know_the_red_noise_of_the_first() -> None:
    walk = temporal(red=2.0)
    even, odd = (walk.filters(torch.from_numpy(STEP.column(TIME)), NOTHING, half) for half in walk.halves)
    assert even is not None and odd is not None
    common = float(walk.covariance(even, odd))
    assert 0.1 < common / float((even.variance * odd.variance).sqrt()) < 0.95
    white = temporal()
    even, odd = (white.filters(torch.from_numpy(STEP.column(TIME)), NOTHING, half) for half in white.halves)
    assert even is not None and odd is not None and abs(float(white.covariance(even, odd))) < 1e-9


def test_the_scan_proposes_where_and_when_it_was() -> None:
    tried = [Ramp(float(day), 0.0) for day in (temporal().days[1:] + temporal().days[:-1]) / 2]
    best = seeds(window(1, 0.015), Epochs(TIME).columns(tried), NOTHING, 3)[0]
    assert abs(tried[best.history].middle_d - STEP.middle_d) <= 24
    assert np.hypot(best.row - 20, best.column - 22) < 8


def test_parts_of_one_event_add_up_to_one_history() -> None:
    maps = np.stack([lobes(0.03), lobes(0.01)]).astype("f4")
    shares = shares_of(maps, np.abs(lobes(1.0)) > 0.3)
    np.testing.assert_allclose(shares, [0.75, 0.25], atol=1e-5)
    parts = [Ramp(1000.0, 0.0), Ramp(1100.0, 200.0)]
    assert abs(reached_day(parts, shares, 0.5) - 1000) <= 1 and abs(reached_day(parts, shares, 0.875) - 1100) <= 1


def test_whole_cycles_in_a_patch_are_a_residue_and_an_event_is_none() -> None:
    patch = np.zeros(SHAPE, "f4")
    patch[10:18, 10:18] = CYCLE_M
    coherence = np.ones(SHAPE, "f4")
    assert is_residue(patch, patch > 0, None, True, 0.25)
    assert not is_residue(patch, patch > 0, coherence, True, 0.25)
    coherence[8:20, 8:20] = 0.3
    assert is_residue(patch, patch > 0, coherence, True, 0.25)
    assert not is_residue(patch, patch > 0, None, False, 0.25)
    smooth = np.abs(lobes(CYCLE_M)).astype("f4")
    assert not is_residue(smooth, smooth > 0.3 * CYCLE_M, None, True, 0.25)


def test_a_cycle_in_one_interferogram_leaves_less_than_a_cycle_in_the_series() -> None:
    course = np.abs(_fault(np.random.default_rng(3), 20, (30, 30), 500.0)).max(axis=(1, 2))
    assert 0.05 * CYCLE_M < course.max() < CYCLE_M


def test_what_lies_at_an_edge_or_in_a_gap_has_its_own_threshold_and_far_tails_are_bounds() -> None:
    gappy = Epochs(np.delete(TIME, slice(30, 36)))
    days = gappy.days
    assert gappy.at_edge(Ramp(days[1] + 6, 0.0), 4) and gappy.at_edge(Ramp((days[29] + days[30]) / 2, 0.0), 4)
    assert not gappy.at_edge(Ramp(days[20] + 6, 0.0), 4)
    draw = np.random.default_rng(0).exponential
    inner, edge = ({kind: base + draw(1, 40) for kind in ("permutation", "blocks")} for base in (5, 8))
    made = calibrate(inner, 0.5, 0.1, seed=1, data_until="2020-01-01", at_edges=edge)
    assert made.threshold_of(True) > made.threshold_of(False) + 1
    assert made.is_bound(40.0) and not made.is_bound(made.threshold)
    # 20 times the exposure of a scan, and a tenth of what they could tell.
    assert float(made.p_value(40.0, 1.0)) == float(made.p_value(400.0, 1.0)) > 0.004
    assert dataclasses.replace(made, nulls=1).id != made.id


@pytest.mark.parametrize("shape", [(1, 1), (20, 24)])
def test_a_stack_that_never_changes_and_one_of_a_pixel_hold_nothing(shape: tuple[int, int]) -> None:
    settings = DetectSettings(method="field", scales_km=(0.5,))
    for size in (0.0, 1e-3):
        series = size * np.random.default_rng(0).normal(size=(30, *shape)).astype("f4")
        track = track_of(Observation(series, dates(30), 500.0), settings)
        search = registry.build("field").search(track, settings)
        assert search.find(floor=7.0) == []
        assert all(0 <= value < 7 for value, _ in search.null_maxima("permutation", 1, 0))
