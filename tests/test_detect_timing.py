"""When a transient was: histories by their evidence, and intervals that hold the truth."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from detecting import FAST, complete
from slipscan.detect.histories import close_histories, tried_histories
from slipscan.detect.ramp import Epochs, Ramp
from slipscan.detect.scan import Scanner
from slipscan.detect.timing import SHARES, Course, Timing
from slipscan.fit.temporal import random_walk
from temporal_builders import dates

TIME = dates(120)
EPOCHS = Epochs(TIME)
NOTHING = np.zeros((1, 1), bool)
WHITE = torch.eye(120, dtype=torch.float64)
RED = 0.5
"""1/yr."""


def noise_of(generator: np.random.Generator, red: float = 0.0) -> NDArray[np.float64]:
    covariance = np.eye(120) + red * random_walk(torch.from_numpy(EPOCHS.days)).numpy()
    return np.asarray(np.linalg.cholesky(covariance) @ generator.standard_normal(120))


def seen_by_the_scan(series: NDArray[np.float64], first: Ramp | None = None, red: float = 0.0) -> Scanner:
    """A scan of one place, by a candidate (None: those of the settings)."""
    design = EPOCHS.design().numpy()
    left = series - design @ np.linalg.lstsq(design, series, rcond=None)[0]
    band = complete(left[:, None], (1, 1), place_km2=4.0)
    # The noise of epochs is that of many places.
    unit = dataclasses.replace(band, values=torch.from_numpy(left[:, None]).float(), weight=torch.ones(120), red=red)
    out = Scanner([unit], EPOCHS, (1, 1), 2.0, FAST)
    if first is not None:
        object.__setattr__(out, "tried", [first])
        object.__setattr__(out, "columns", EPOCHS.columns([first]))
    return out


def timed(scanner: Scanner) -> tuple[Ramp, Timing]:
    best = scanner.strongest()
    assert best is not None
    ramp, timing = scanner.timed(best, [])
    assert timing is not None
    return ramp, timing


def days_of(ramp: Ramp) -> NDArray[np.float64]:
    return np.array([ramp.reached(share) for share in SHARES])


def test_intervals_of_times_hold_the_truth_as_often_as_they_say() -> None:
    inside, generator = [], np.random.default_rng(7)
    for _ in range(80):
        truth = Ramp(float(generator.uniform(*EPOCHS.days[[20, 100]])), float(np.exp(generator.uniform(2, 6))))
        shape = truth.column(TIME)
        size = generator.uniform(8, 16) / np.sqrt(information_of(shape))
        ramp, timing = timed(seen_by_the_scan(size * shape + noise_of(generator)))
        inside.append(np.abs(days_of(ramp) - days_of(truth)) <= timing.errors_d)
    # 68 %, within three standard errors of 80 draws.
    np.testing.assert_allclose(np.mean(inside, axis=0), 0.70, atol=0.16)


def information_of(shape: NDArray[np.float64]) -> float:
    """What rate and season leave of that of a history."""
    design = EPOCHS.design().numpy()
    return float(np.square(shape - design @ np.linalg.lstsq(design, shape, rcond=None)[0]).sum())


@pytest.mark.parametrize(("duration", "allowed"), [(0.0, 24.0), (36.0, 24.0), (96.0, 30.0), (400.0, 70.0)])
def test_the_history_of_a_cluster_is_as_long_as_it_was(duration: float, allowed: float) -> None:
    errors = []
    for seed in range(10):
        generator = np.random.default_rng(seed)
        truth = Ramp(float(generator.uniform(*EPOCHS.days[[30, 90]])), duration)
        shape = truth.column(TIME)
        series = 18 / np.sqrt(information_of(shape)) * shape + noise_of(generator)
        ramp, _ = timed(seen_by_the_scan(series))
        errors.append((ramp.middle_d - truth.middle_d, ramp.duration_d - duration))
    middle, length = np.median(np.abs(errors), axis=0)
    assert middle <= max(9.0, 0.1 * duration) and length <= allowed


def test_a_relaxation_has_its_times() -> None:
    truth = Ramp(float(EPOCHS.days[60]), 300.0, relaxes=True)
    assert abs(truth.reached(0.5) - truth.middle_d) < 1e-6 and abs(truth.reached(0.95) - truth.start_d - 300) < 1e-6
    series = 40 * truth.column(TIME) + noise_of(np.random.default_rng(0))
    course = Course(EPOCHS, torch.from_numpy(series), WHITE, EPOCHS.design())
    coarse = course.posterior(tried_histories(EPOCHS))
    assert coarse is not None and coarse.likeliest.relaxes
    found = course.close_posterior(coarse.likeliest.middle_d)
    assert found is not None and found.typical.relaxes
    assert (np.abs(days_of(found.typical) - days_of(truth)) < 3 * np.array(found.timing.errors_d)).all()
    assert not found.timing.left_censored and not found.timing.ongoing


def test_what_goes_on_at_the_end_is_said_to() -> None:
    truth = Ramp(float(EPOCHS.days[-1]), 120.0)
    _, timing = timed(seen_by_the_scan(40 * truth.column(TIME) + noise_of(np.random.default_rng(1))))
    assert timing.ongoing and not timing.left_censored


def test_the_time_of_an_event_in_noise_that_walks_is_better_known_with_it() -> None:
    truth = Ramp(float(EPOCHS.days[60]) + 6.0, 0.0)
    first = Ramp(truth.middle_d + 24, 0.0)
    errors: dict[float, list[float]] = {RED: [], 0.0: []}
    for seed in range(24):
        series = 6 * truth.column(TIME) + noise_of(np.random.default_rng(seed), RED)
        for red, own in errors.items():
            own.append(abs(timed(seen_by_the_scan(series, first, red))[0].middle_d - truth.middle_d))
    assert np.mean(errors[RED]) < 0.9 * np.mean(errors[0.0])


def test_beside_what_was_found_the_times_are_less_certain() -> None:
    truth, other = Ramp(float(EPOCHS.days[60]) + 6.0, 96.0), Ramp(float(EPOCHS.days[72]) + 6.0, 96.0)
    scanner = seen_by_the_scan(6 * truth.column(TIME) + noise_of(np.random.default_rng(2)))
    best = scanner.strongest()
    assert best is not None
    (_, alone), (_, beside), (_, elsewhere) = (
        scanner.timed(best, taken) for taken in ((), [(other, ~NOTHING)], [(other, NOTHING)])
    )
    assert alone is not None and beside is not None and alone == elsewhere
    assert beside.errors_d[1] > alone.errors_d[1]


def test_a_series_that_says_nothing_keeps_the_candidate() -> None:
    scanner = seen_by_the_scan(4 * Ramp(float(EPOCHS.days[60]), 48.0).column(TIME) + noise_of(np.random.default_rng(3)))
    best = scanner.strongest()
    assert best is not None
    nothing = dataclasses.replace(scanner.bands[0], gappy=torch.tensor([0]), valid=torch.zeros(120, 1))
    assert scanner.near([nothing]).timed(best, []) == (scanner.ramp_of(best), None)
    falling = -torch.from_numpy(Ramp(float(EPOCHS.days[60]), 0.0).column(TIME))
    steps = close_histories(EPOCHS, float(EPOCHS.days[60]))
    only = dataclasses.replace(
        steps, ramps=steps.ramps[16:17], columns=steps.columns[:, 16:17], log_prior=torch.zeros(1)
    )
    assert Course(EPOCHS, falling, WHITE, EPOCHS.design()).posterior(only) is None


def test_what_may_have_been_a_step_beside_a_gap_is_as_large_as_it_was() -> None:
    """One epoch after it and then a gap: a ramp that is half way there at that epoch would be twice as large."""
    kept = np.r_[0:41, 60:120]
    epochs = Epochs(TIME[kept])
    truth = Ramp(float(EPOCHS.days[39]) + 6, 0.0)
    series = 30 * truth.column(TIME[kept]) + noise_of(np.random.default_rng(4))[kept]
    course = Course(epochs, torch.from_numpy(series), torch.eye(len(kept), dtype=torch.float64), epochs.design())
    found = course.close_posterior(truth.middle_d)
    assert found is not None
    reached = found.typical.column(TIME[kept])[np.flatnonzero(kept == 40)[0]]
    assert reached > 0.85 and abs(found.typical.middle_d - truth.middle_d) < 2 * found.timing.errors_d[1] + 6


@pytest.mark.parametrize(("duration", "relaxes"), [(0.0, False), (40.0, False), (300.0, True), (20.0, True)])
def test_a_history_is_had_back_from_its_times(duration: float, relaxes: bool) -> None:
    ramp = Ramp(2000.0, duration, relaxes)
    times = np.datetime64("2014-01-01", "ns") + np.array(
        [ramp.reached(share) * 86400e9 for share in (0.05, 0.5, 0.95)]
    ).astype("timedelta64[ns]")
    again = Ramp.of_times(*times)
    assert again.relaxes == relaxes
    assert (again.middle_d, again.duration_d) == pytest.approx((2000.0, duration), abs=1e-3)
