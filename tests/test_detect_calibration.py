import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from detecting import FAST, complete, scanner_of
from simulated import dates, stack_dataset
from slipscan.detect import calibrate as calibrate_stage
from slipscan.detect import calibration as calibration_module
from slipscan.detect.calibration import calibrate
from slipscan.detect.nulls import KINDS, null_order
from slipscan.detect.ramp import Epochs
from slipscan.detect.scan import Scanner
from slipscan.detect.statistic import filters_of, statistics
from slipscan.detect.tail import Tail, fit_tail
from slipscan.detect.track import track_of
from slipscan.errors import SlipscanError
from slipscan.fit.model import days_since_2014
from slipscan.fit.ramps import projected
from slipscan.stack import observation_of
from slipscan.store import write_zarr


@pytest.mark.parametrize("kind", KINDS)
def test_nulls_hold_every_epoch_once_and_repeat(kind: str) -> None:
    time = dates(60)
    order = null_order(kind, time, 1, 3)
    assert sorted(order) == list(range(60))
    assert not (order == np.arange(60)).all()
    if kind == "blocks":
        runs = np.split(order, np.flatnonzero(np.diff(order) != 1) + 1)
        days = days_since_2014(time)
        assert min(days[run[-1]] - days[run[0]] for run in runs) >= 90 - 2 * 12  # epochs a block surely holds
    np.testing.assert_array_equal(order, null_order(kind, time, 1, 3))
    assert not np.array_equal(order, null_order(kind, time, 1, 4))


def test_a_null_has_the_variance_of_the_noise_not_of_the_residual() -> None:
    epochs = Epochs(dates(40))
    noise = np.random.default_rng(0).normal(size=(40, 3000))
    left = projected(torch.from_numpy(noise), epochs.design(), torch.ones(40)).numpy()
    scanner = Scanner([complete(left, (50, 60))], epochs, (50, 60), 1.0, FAST)
    (before,), (after,) = scanner.bands, scanner.without([]).bands
    assert float(after.values.std() / before.values.std()) == pytest.approx(np.sqrt(40 / 34), rel=0.01)


def test_noise_is_as_strong_in_the_data_as_in_its_nulls() -> None:
    """Places that are quiet by chance are so in the data's own order: nulls need an estimate of their own."""
    ranks = []
    for seed in range(24):
        track = track_of(observation_of(stack_dataset(epochs=40, seed=100 + seed)), FAST)
        scanner = scanner_of(track)
        strongest, noise = scanner.find(0.0, 1)[0].statistic, scanner.without([])
        nulls = [max(noise.null_maxima("permutation", 1, index))[0] for index in range(16)]
        ranks.append(np.mean([null >= strongest for null in nulls]))
    assert 0.5 - 2.5 / np.sqrt(12 * 24) < np.mean(ranks) < 0.75


@pytest.mark.parametrize("kind", KINDS)
def test_a_null_by_its_filters_is_the_scan_of_a_shuffled_stack(kind: str) -> None:
    epochs = Epochs(dates(40))
    left = np.random.default_rng(0).normal(size=(40, 600)) * np.random.default_rng(1).uniform(0.5, 2, (40, 1))
    order = null_order(kind, epochs.time, 1, 0)
    here = Scanner([complete(left, (20, 30))], epochs, (20, 30), 1.0, FAST)
    band = here.bands[0]
    shuffled = dataclasses.replace(band, values=band.values[order], weight=band.weight[order])
    there = Scanner([shuffled], epochs, (20, 30), 1.0, FAST)
    filters = filters_of(here.columns, epochs, (), band.weight, order)
    other = filters_of(there.columns, epochs, (), shuffled.weight)
    torch.testing.assert_close(statistics(band, filters), statistics(shuffled, other), atol=1e-3, rtol=1e-3)
    assert here.shuffled(order).maximum(order) == pytest.approx(there.maximum(np.arange(40)), rel=1e-3)


def test_the_tail_states_the_rate_it_was_drawn_from() -> None:
    maxima = np.sqrt(25 + np.random.default_rng(0).exponential(20.0, 4000))
    tail = fit_tail(maxima, exposure_each=0.5)
    # A share exp(-(s^2 - 25) / 20) of the maxima is above s: as many of Poisson's counts of twice the rate are not 0.
    # The shape is known to 1 / sqrt(2000 excesses): 3 % near the data's middle, a third far out in the tail.
    for energy, tolerance in ((45.0, 0.1), (65.0, 0.15), (105.0, 0.3), (145.0, 0.6)):
        assert float(tail.rate_above(energy**0.5)) == pytest.approx(
            -2 * np.log1p(-np.exp(-(energy - 25) / 20)), rel=tolerance
        )
    assert float(tail.rate_above(tail.threshold(0.01))) == pytest.approx(0.01, rel=1e-6)


def test_the_worse_kind_of_null_sets_the_threshold(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    maxima = {"permutation": 5 + generator.exponential(1, 50), "blocks": 7 + generator.exponential(1, 50)}
    made = calibrate(maxima, 0.5, 0.1, seed=1, data_until="2020-01-01")
    assert made.threshold == max(tail.threshold(0.1) for tail in made.tails.values())
    assert made.redness > 1.1
    assert made.threshold_low < made.threshold < made.threshold_high
    assert float(made.p_value(made.threshold, 1.0)) == pytest.approx(1 - np.exp(-0.1), rel=1e-6)
    calibration_module.write(tmp_path / "c.json", made)
    assert calibration_module.read(tmp_path / "c.json") == made
    assert json.loads((tmp_path / "c.json").read_text())["id"] == made.id
    with pytest.raises(SlipscanError, match="there is no calibration"):
        calibration_module.read(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(SlipscanError, match="is no calibration"):
        calibration_module.read(tmp_path / "bad.json")


def test_nulls_without_any_cluster_still_state_a_bound() -> None:
    assert fit_tail(np.zeros(10), 0.5) == Tail(energy=0.0, rate=0.2, shape=0.0, scale=1.0, exposure=0.5)


def test_calibration_does_not_depend_on_threads_and_comes_from_the_cache(tmp_path: Path) -> None:
    write_zarr(stack_dataset(epochs=24), tmp_path / "stack.zarr")
    for threads in (1, 2):
        calibrate_stage.write_calibration(tmp_path / "stack.zarr", tmp_path / f"{threads}.json", FAST, threads=threads)
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()
    calibrate_stage.write_calibration(
        tmp_path / "stack.zarr", tmp_path / "3.json", FAST, until="2018-09-15", cache_dir=tmp_path / "cache"
    )
    entries = list((tmp_path / "cache").rglob("*"))
    longer = stack_dataset(epochs=24)
    write_zarr(longer.isel(time=slice(0, 22)), tmp_path / "shorter.zarr")
    calibrate_stage.write_calibration(
        tmp_path / "shorter.zarr", tmp_path / "4.json", FAST, until="2018-09-15", cache_dir=tmp_path / "cache"
    )
    # Epochs past calibration_as_of neither change nor recompute the calibration.
    assert list((tmp_path / "cache").rglob("*")) == entries
    assert (tmp_path / "3.json").read_bytes() == (tmp_path / "4.json").read_bytes()


def test_a_calibration_that_was_stopped_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_zarr(stack_dataset(epochs=24), tmp_path / "stack.zarr")
    original, done = calibrate_stage._maxima, []

    def counted(*arguments: Any) -> calibrate_stage.Maxima:
        if len(done) == 30:  # in the second of two passes over 16 null stacks each
            raise KeyboardInterrupt
        done.append(arguments[-1])
        return original(*arguments)

    monkeypatch.setattr(calibrate_stage, "_maxima", counted)
    arguments = {"cache_dir": tmp_path / "cache"}
    with pytest.raises(KeyboardInterrupt):
        calibrate_stage.write_calibration(tmp_path / "stack.zarr", tmp_path / "1.json", FAST, **arguments)
    assert not (tmp_path / "1.json").exists() and len(done) == 30
    done.clear()
    done.extend([None] * 100)  # no more interruptions
    calibrate_stage.write_calibration(tmp_path / "stack.zarr", tmp_path / "1.json", FAST, **arguments)
    # The first pass and a batch of 8 of the second are kept; what was done of its next batch is lost.
    assert len(done) == 100 + 8
    monkeypatch.setattr(calibrate_stage, "_maxima", original)
    calibrate_stage.write_calibration(tmp_path / "stack.zarr", tmp_path / "2.json", FAST)
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()


def test_more_than_a_handful_of_events_do_not_raise_the_threshold() -> None:
    dataset = stack_dataset(epochs=100, seed=3)
    rows, columns = np.indices(dataset["displacement"].shape[1:])
    thresholds = []
    for events in (0, 8):
        for number in range(events):
            away = (rows - 12 - 24 * (number % 2)) ** 2 + (columns - 8 - 13 * (number // 2)) ** 2
            bump = 0.06 * (-1) ** number * np.exp(-away / (2 * 3.0**2))
            dataset["displacement"].values[14 + 10 * number :] += bump.astype("f4")
        track = track_of(observation_of(dataset), FAST)
        thresholds.append(calibrate_stage.calibrate_track(track, FAST, threads=1).threshold)
    assert thresholds[1] < 1.3 * thresholds[0]


def test_suspects_are_as_many_as_are_asked_for_whatever_is_below(monkeypatch: pytest.MonkeyPatch) -> None:
    scanner = scanner_of(track_of(observation_of(stack_dataset(epochs=40, seed=3)), FAST))
    monkeypatch.setattr("slipscan.detect.pursuit.MAX_TRANSIENTS", 4)
    assert 0 < len(scanner.find(floor=0.0, at_most=3)) <= 3
    with pytest.raises(SlipscanError, match="more than 4 transients above a statistic of 0"):
        scanner.find(floor=0.0, at_most=4)


def test_what_one_ramp_does_not_explain_is_taken_out_with_it() -> None:
    dataset = stack_dataset(epochs=100, seed=3)
    rows, columns = np.indices(dataset["displacement"].shape[1:])
    bump = 0.3 * np.exp(-((rows - 24) ** 2 + (columns - 26) ** 2) / (2 * 4.0**2))
    since = days_since_2014(dates(100)) - days_since_2014(dates(100))[50]
    relaxation = np.where(since < 0, 0.0, 0.7 + 0.3 * (1 - np.exp(-since / 40.0)))
    dataset["displacement"].values[:] += (relaxation[:, None, None] * bump).astype("f4")
    scanner = scanner_of(track_of(observation_of(dataset), FAST))
    found = scanner.find(floor=10.0)
    assert len(found) == 1 and found[0].remainders
    left, kept = scanner.without(found), scanner.without([dataclasses.replace(found[0], remainders=())])
    assert left.find(0.0, 1)[0].statistic < 7.0 < kept.find(0.0, 1)[0].statistic


def test_an_event_far_above_few_nulls_of_many_sizes_is_no_chance() -> None:
    """The tail is that of squares: nulls from 0 to 3 do not make 7 likely, though their mean excess is 1.5."""
    maxima = np.array([2.4, 0.7, 0.0, 1.5, 3.1, 0.5, 0.0, 0.9])
    tail = fit_tail(maxima, 1.0)
    assert float(tail.rate_above(7.0)) < 1e-4
    assert 0.05 < float(tail.rate_above(3.1)) < 0.3
