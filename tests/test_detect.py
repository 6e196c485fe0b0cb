import json
from pathlib import Path

import numpy as np
import pytest

from simulated import SHAPE, dates, stack_dataset, turbulence
from slipscan import vocabulary
from slipscan.detect import calibrate as calibrate_stage
from slipscan.detect import calibration as calibration_module
from slipscan.detect import stage
from slipscan.detect.bands import band
from slipscan.detect.calibrate import null_field
from slipscan.detect.calibration import Tail, calibrate, fit_tail
from slipscan.detect.cluster import Rules, best_cluster, label_lobes
from slipscan.detect.field import find, track_of
from slipscan.detect.history import projection, refine
from slipscan.detect.nulls import KINDS, null_order
from slipscan.detect.statistic import (
    Candidate,
    amplitudes,
    candidates,
    field_of,
    model_matrix,
    projected_out,
    ramps,
)
from slipscan.errors import SlipscanError
from slipscan.fit.model import days_since_2014, design_matrix, transient_column
from slipscan.settings import DetectSettings
from slipscan.store import same_store, write_zarr

FAST = DetectSettings(nulls=8, durations_d=(0.0, 48.0), scales_km=(0.5, 2.0), false_alarms_per_1e4km2_yr=1.0)


@pytest.mark.parametrize("duration", [0.0, 48.0])
def test_the_amplitude_of_a_known_ramp_is_recovered_beside_rate_and_season(duration: float) -> None:
    time = dates(60)
    tried = candidates(time, (0.0, 48.0), 4)
    truth = next(c for c in tried if c.duration_d == duration and c.middle_d > days_since_2014(time)[28])
    matrix = model_matrix(time, None, [])
    series = matrix @ np.linspace(0.01, 0.05, matrix.shape[1])[:, None] + 0.007 * ramps(time, [truth])
    series = np.hstack([series, series]) + 1e-6 * np.random.default_rng(0).normal(size=(60, 2))
    field = field_of(projected_out(series, matrix), np.full(60, 1e-6), 1.0, matrix.shape[1])
    amplitude, statistic = amplitudes(field, projected_out(ramps(time, tried), matrix))
    assert amplitude[tried.index(truth), 0] == pytest.approx(0.007, rel=1e-2)
    assert int(np.abs(statistic[:, 0]).argmax()) == tried.index(truth)


def test_a_band_by_hand_and_beside_gaps() -> None:
    flat_field = np.full((1, 40, 40), 3.0)
    np.testing.assert_allclose(band(flat_field, 2.0), 0.0, atol=1e-12)
    flat_field[0, 10:14, 10:14] = np.nan
    found = band(flat_field, 2.0)
    assert np.isnan(found[0, 11, 11])
    np.testing.assert_allclose(found[np.isfinite(found)], 0.0, atol=1e-12)  # a gap is no zero
    bump = np.zeros((1, 40, 40))
    bump[0, 20, 20] = 1.0
    assert band(bump, 2.0)[0, 20, 20] == pytest.approx(1 / (8 * np.pi) - 1 / (32 * np.pi), rel=0.05)


def test_candidates_stay_off_the_edges() -> None:
    time = dates(20)
    middles = {c.middle_d for c in candidates(time, (0.0,), 4)}
    days = days_since_2014(time)
    assert min(middles) == pytest.approx((days[3] + days[4]) / 2)
    assert max(middles) == pytest.approx((days[-4] + days[-5]) / 2)
    with pytest.raises(SlipscanError, match="no interval between edges"):
        candidates(dates(7), (0.0,), 4)


def test_lobes_of_both_signs_that_share_a_history_are_one() -> None:
    statistic = np.zeros((20, 30))
    statistic[4:7, 4:7], statistic[10:13, 4:7], statistic[4:7, 24:27], statistic[0, 29] = 5.0, -5.0, 4.0, 9.0
    profile = np.exp(-(((np.arange(40) - 20) / 4.0) ** 2))[:, None]
    responses = profile * statistic.ravel()
    rules = Rules(pixel_threshold=3.0, min_pixels=4, join_distance_px=5.0, join_correlation=0.7)
    assert sorted(map(len, label_lobes(statistic, rules))) == [9, 9, 9]
    both = best_cluster(statistic, 0.25, rules, responses, at=20)
    assert len(both.pixels) == 18
    assert both.statistic == pytest.approx(np.sqrt(18 * 25 * 0.25))
    other = responses.copy()
    other[:, (statistic < 0).ravel()] = np.roll(other[:, (statistic < 0).ravel()], 12, axis=0)
    assert len(best_cluster(statistic, 0.25, rules, other, at=20).pixels) == 9
    assert best_cluster(np.zeros((5, 5)), 1.0, rules, np.zeros((3, 25)), at=0) is None


@pytest.mark.parametrize("kind", KINDS)
def test_nulls_hold_every_epoch_once_and_repeat(kind: str) -> None:
    time = dates(60)
    order, sign = null_order(kind, time, 1, 3)
    assert sorted(order) == list(range(60))
    assert not (order == np.arange(60)).all()
    assert sign in (-1.0, 1.0)
    if kind == "blocks":
        runs = np.split(order, np.flatnonzero(np.diff(order) != 1) + 1)
        days = days_since_2014(time)
        assert min(days[run[-1]] - days[run[0]] for run in runs) >= 90 - 2 * 12  # epochs a block surely holds
    np.testing.assert_array_equal(order, null_order(kind, time, 1, 3)[0])
    assert not np.array_equal(order, null_order(kind, time, 1, 4)[0])


def test_a_null_has_the_variance_of_the_noise_not_of_the_residual() -> None:
    time = dates(40)
    matrix = model_matrix(time, None, [])
    noise = np.random.default_rng(0).normal(size=(40, 3000))
    field = field_of(projected_out(noise, matrix), np.ones(40), 1.0, matrix.shape[1])
    null = null_field(field, np.arange(40)[::-1], -1.0)
    assert np.nanstd(field.values) == pytest.approx(np.sqrt(34 / 40), rel=0.01)
    assert np.nanstd(null.values) == pytest.approx(1.0, rel=0.01)


def test_the_tail_states_the_rate_it_was_drawn_from() -> None:
    maxima = 5 + np.random.default_rng(0).exponential(2.0, 4000)
    tail = fit_tail(maxima, exposure_each=0.5)
    # Maxima above s per null: exp(-(s - 5) / 2); per exposure twice that.
    # The shape is known to 1 / sqrt(2000 excesses): 3 % near the data's middle, a third far out in the tail.
    for statistic, tolerance in ((7.0, 0.1), (9.0, 0.15), (13.0, 0.3), (17.0, 0.6)):
        assert float(tail.rate_above(statistic)) == pytest.approx(2 * np.exp(-(statistic - 5) / 2), rel=tolerance)
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
    assert fit_tail(np.zeros(10), 0.5) == Tail(start=0.0, rate=0.2, shape=0.0, scale=1.0)


def test_a_planted_event_is_found_once_and_an_empty_stack_is_empty() -> None:
    planted = track_of(stack_dataset(epochs=40, seed=3, event_m=0.03, missing=0.05))
    out = stage.detect(planted, FAST, calibrate_stage.calibrate_track(planted, FAST, threads=2))
    vocabulary.check(out, "transients")
    assert out.sizes["transient"] == 1
    middle = dates(40)[20] - np.timedelta64(6, "D")
    assert abs(out["t50"].values[0] - middle) <= np.timedelta64(12, "D")
    # The map is not shrunk: the planted lobes are +30 and -30 mm, under 6 mm of turbulence per epoch.
    assert 0.018 < out["map"].values[0, 18, 26] < 0.042 and -0.042 < out["map"].values[0, 30, 26] < -0.018
    footprint = out["footprint"].values[0]
    assert footprint[18, 26] and footprint[30, 26] and not footprint[45, 3]
    assert out["p_value"].values[0] < 0.01
    quiet = track_of(stack_dataset(epochs=40, seed=3, missing=0.05))
    calibration = calibrate_stage.calibrate_track(quiet, FAST, threads=1)
    assert stage.detect(quiet, FAST, calibration).sizes["transient"] == 0


def test_two_events_at_one_place_are_two() -> None:
    dataset = stack_dataset(epochs=60, seed=5, event_m=0.03)
    bump = dataset["displacement"].values[-1] * 0
    yy, xx = np.indices(bump.shape)
    bump = 0.03 * np.exp(-((yy - 18) ** 2 + (xx - 26) ** 2) / (2 * 4.0**2))
    dataset["displacement"].values[12:] += bump.astype("f4")
    track = track_of(dataset)
    found = find(track, FAST, floor=6.0).found
    assert len(found) == 2
    days = days_since_2014(track.time)
    assert sorted(round(t.candidate.middle_d) for t in found) == pytest.approx([days[12] - 6, days[30] - 6], abs=12)


def test_calibration_does_not_depend_on_threads_and_comes_from_the_cache(tmp_path: Path) -> None:
    write_zarr(stack_dataset(epochs=24), tmp_path / "stack.zarr")
    for threads in (1, 2):
        calibrate_stage.run(tmp_path / "stack.zarr", tmp_path / f"{threads}.json", FAST, threads=threads)
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()
    calibrate_stage.run(
        tmp_path / "stack.zarr", tmp_path / "3.json", FAST, until="2018-09-15", cache_dir=tmp_path / "cache"
    )
    entries = list((tmp_path / "cache").rglob("*"))
    longer = stack_dataset(epochs=24)
    write_zarr(longer.isel(time=slice(0, 22)), tmp_path / "shorter.zarr")
    calibrate_stage.run(
        tmp_path / "shorter.zarr", tmp_path / "4.json", FAST, until="2018-09-15", cache_dir=tmp_path / "cache"
    )
    # Epochs past calibration_as_of neither change nor recompute the calibration.
    assert list((tmp_path / "cache").rglob("*")) == entries
    assert (tmp_path / "3.json").read_bytes() == (tmp_path / "4.json").read_bytes()


def test_a_foreign_stack_of_displacement_alone_is_enough(tmp_path: Path) -> None:
    dataset = stack_dataset(epochs=20).drop_vars("reference_time")
    dataset.attrs = {}
    dataset.isel(y=slice(None, None, -1)).astype("f8").assign(
        displacement=lambda d: d["displacement"].assign_attrs(units="m")
    ).to_netcdf(tmp_path / "stack.nc", engine="netcdf4")
    for name in ("a", "b"):
        stage.run(tmp_path / "stack.nc", tmp_path / f"{name}.zarr", FAST, None, 1)
    assert same_store(tmp_path / "a.zarr", tmp_path / "b.zarr")


def test_scales_below_the_pixel_are_refused() -> None:
    with pytest.raises(SlipscanError, match=r"all below the pixel of 0\.5 km"):
        find(track_of(stack_dataset(epochs=20)), DetectSettings(scales_km=(0.1, 0.2)), floor=0.0)


@pytest.mark.parametrize("duration", [0.0, 36.0, 96.0])
def test_the_history_of_a_transient_comes_from_the_raw_series(duration: float) -> None:
    time = dates(60)
    rows, columns = np.indices(SHAPE).reshape(2, -1).astype(float)
    bell = 0.02 * np.exp(-((rows - 24) ** 2 + (columns - 25) ** 2) / (2 * 4.0**2))
    matrix, names = design_matrix(time)
    background = matrix @ np.linspace(0.005, 0.02, len(names))
    errors = []
    for seed in range(6):
        generator = np.random.default_rng(seed)
        truth = Candidate(float(days_since_2014(time)[generator.integers(12, 48)]) + 6.0, duration)
        ramp = transient_column(time, truth.start_d, duration)
        series = turbulence(generator, 60).reshape(60, -1) + background[:, None] + ramp[:, None] * bell
        series[generator.random(series.shape) < 0.1] = np.nan
        projected = projection(series, bell, np.column_stack([columns, rows]))
        smoothed = Candidate(truth.middle_d + 18.0, 96.0)  # what a denoised transient, smoothed in time, suggests
        found = refine(projected, time, None, smoothed)
        errors.append((abs(found.middle_d - truth.middle_d), abs(found.duration_d - duration)))
    middle_error, duration_error = np.median(errors, axis=0)
    assert middle_error <= 9.0
    assert duration_error <= 24.0


def test_a_history_without_data_is_kept() -> None:
    time = dates(60)
    first = Candidate(days_since_2014(time)[30], 48.0)
    assert refine(np.full(60, np.nan), time, None, first) == first
    assert np.isnan(projection(np.full((60, 9), np.nan), np.ones(9), np.arange(18.0).reshape(9, 2))).all()
