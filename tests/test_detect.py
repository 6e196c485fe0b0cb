import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from simulated import SHAPE, dates, stack_dataset, turbulence
from slipscan import vocabulary
from slipscan.denoise.registry import build as build_denoiser
from slipscan.detect import calibrate as calibrate_stage
from slipscan.detect import calibration as calibration_module
from slipscan.detect import registry, stage
from slipscan.detect.bands import Band, band_of, bands_of, filtered
from slipscan.detect.calibration import Tail, calibrate, fit_tail
from slipscan.detect.lobes import Above, joined, lobes_of
from slipscan.detect.maps import amplitude_maps
from slipscan.detect.nulls import KINDS, null_order
from slipscan.detect.ramp import Epochs, Ramp, candidates
from slipscan.detect.refine import projection, refine
from slipscan.detect.scan import Scanner, Transient
from slipscan.detect.statistic import filters_of, statistics
from slipscan.detect.track import Track, track_of
from slipscan.errors import SlipscanError
from slipscan.fit.model import days_since_2014, design_matrix, transient_column
from slipscan.fit.ramps import projected
from slipscan.settings import DenoiseSettings, DetectSettings
from slipscan.stack import observation_of
from slipscan.store import same_store, write_zarr

FAST = DetectSettings(nulls=8, durations_d=(0.0, 48.0), scales_km=(0.5, 2.0), false_alarms_per_1e4km2_yr=1.0)


def scanner_of(track: Track, settings: DetectSettings = FAST) -> Scanner:
    search = registry.build("scan").search(track, settings)
    assert isinstance(search, Scanner)
    return search


def complete(values: np.ndarray, shape: tuple[int, int], place_km2: float = 1.0, cell_km2: float = 1.0) -> Band:
    series = torch.from_numpy(values.astype("f4"))
    return band_of(series, torch.ones_like(series, dtype=torch.bool), shape, 0, place_km2, cell_km2)


@pytest.mark.parametrize("duration", [0.0, 48.0])
def test_the_statistic_of_a_known_ramp_is_largest_at_it_beside_rate_and_season(duration: float) -> None:
    epochs = Epochs(dates(60))
    tried = candidates(epochs, (0.0, 48.0), 4)
    truth = next(c for c in tried if c.duration_d == duration and c.middle_d > epochs.days[28])
    design = epochs.design()
    noise = 1e-3 * np.random.default_rng(0).normal(size=(60, 400))
    series = design.numpy() @ np.linspace(0.01, 0.05, design.shape[1])[:, None] + noise
    series[:, :20] += 0.007 * epochs.columns([truth]).numpy()
    left = projected(torch.from_numpy(series), design, torch.ones(60)).numpy()
    band = complete(left, (20, 20))
    filters = filters_of(epochs.columns(tried), epochs, (), band.weight)
    found = statistics(band, filters)
    assert tried[int(found[:, :20].mean(1).abs().argmax())] == truth
    expected = 0.007 / 1e-3 * float(filters.energy[tried.index(truth)].sum() / band.weight.mean()) ** 0.5
    assert float(found[tried.index(truth), :20].mean()) == pytest.approx(expected, rel=0.1)
    # The estimate at some places is that at all of them.
    places = torch.tensor([3, 77])
    torch.testing.assert_close(statistics(band, filters, places), found[:, places])


def test_a_band_by_hand_and_beside_gaps() -> None:
    flat = torch.full((12, 1600), 3.0)
    valid = torch.ones_like(flat, dtype=torch.bool)
    valid[3, 410:414] = False
    (band,) = bands_of(flat * valid, valid, (40, 40), 1.0, [2.0])
    assert float(band.values.abs().max()) < 1e-2  # a constant has no scale; and a gap is no zero
    bump = torch.zeros(1, 40, 40)
    bump[0, 20, 20] = 1.0
    shown = filtered(bump, band, 1.0)
    assert shown.shape == (1, 40, 40)
    assert float(shown[0, 20, 20]) == pytest.approx(1 / (8 * np.pi) - 1 / (32 * np.pi), rel=0.05)


def test_a_broad_band_lies_on_a_grid_of_its_own_with_the_same_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    white = torch.randn(30, 96 * 96, generator=generator)
    valid = torch.ones_like(white, dtype=torch.bool)
    (fine,) = bands_of(white, valid, (96, 96), 1.0, [2.0])
    (broad,) = bands_of(white, valid, (96, 96), 1.0, [8.0])
    assert (fine.level, broad.level) == (0, 2) and broad.shape == (24, 24)
    # White noise averaged over four times the width is four times as quiet.
    ratio = float((fine.weight.median() / broad.weight.median()) ** 0.5)
    assert ratio == pytest.approx(1 / 4, rel=0.15)


def test_candidates_stay_off_the_edges() -> None:
    epochs = Epochs(dates(20))
    middles = {c.middle_d for c in candidates(epochs, (0.0,), 4)}
    days = epochs.days
    assert min(middles) == pytest.approx((days[3] + days[4]) / 2)
    assert max(middles) == pytest.approx((days[-4] + days[-5]) / 2)
    with pytest.raises(SlipscanError, match="no interval between edges"):
        candidates(Epochs(dates(7)), (0.0,), 4)


def above(statistic: np.ndarray, threshold: float, candidate: int = 0) -> Above:
    place = np.flatnonzero(np.abs(statistic.ravel()) >= threshold)
    return Above(np.full(len(place), candidate), place, statistic.ravel()[place])


def test_lobes_are_connected_places_of_one_sign_and_candidate() -> None:
    statistic = np.zeros((20, 30))
    statistic[4:7, 4:7], statistic[7:10, 4:7], statistic[4:7, 27:30], statistic[5, 0] = 5.0, -5.0, 4.0, 9.0
    found = lobes_of(above(statistic, 3.0), statistic.shape, min_places=4)
    # The end of a row and the beginning of the next do not touch, nor do lobes of two signs.
    assert sorted(len(found.places(i)) for i in range(len(found.strength))) == [9, 9, 9]
    assert sorted(found.strength) == pytest.approx([9 * 16, 9 * 25, 9 * 25])
    both = [above(statistic, 3.0, 0), above(statistic, 3.0, 7)]
    merged = Above(*(np.concatenate(parts) for parts in zip(*(vars(one).values() for one in both), strict=True)))
    twice = lobes_of(merged, statistic.shape, min_places=4)
    assert sorted(twice.candidate) == [0, 0, 0, 7, 7, 7]
    assert len(lobes_of(above(np.zeros((5, 5)), 1.0), (5, 5), 1).strength) == 0


def test_lobes_of_both_signs_that_share_a_history_are_one() -> None:
    statistic = np.zeros((20, 30))
    statistic[4:7, 4:7], statistic[10:13, 4:7], statistic[4:7, 24:27] = 5.0, -5.0, 4.0
    lobes = lobes_of(above(statistic, 3.0), statistic.shape, min_places=4)
    profile = np.exp(-(((np.arange(40) - 20) / 4.0) ** 2))
    chosen = np.arange(3)
    near = [int(lobes.places(i)[0]) % 30 < 20 for i in range(3)]
    group = joined(lobes, chosen, [profile] * 3, 20, statistic.shape, 5.0, 0.7)
    assert len({int(g) for g, is_near in zip(group, near, strict=True) if is_near}) == 1
    assert len(set(group.tolist())) == 2  # the third is too far away
    late = [np.roll(profile, 12) if values[0] < 0 else profile for values in (lobes.values(i) for i in range(3))]
    assert len(set(joined(lobes, chosen, late, 20, statistic.shape, 5.0, 0.7).tolist())) == 3


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
    assert here.null_maximum(order) == pytest.approx(there.null_maximum(np.arange(40)), rel=1e-3)


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
    dataset = stack_dataset(epochs=40, seed=3, event_m=0.03, missing=0.05)
    planted = track_of(observation_of(dataset), FAST)
    out = stage.detect(dataset, planted, FAST, calibrate_stage.calibrate_track(planted, FAST, threads=2))
    vocabulary.check(out, "transients")
    assert out.sizes["transient"] == 1 and out.attrs["detector"] == "scan"
    middle = dates(40)[20] - np.timedelta64(6, "D")
    assert abs(out["t50"].values[0] - middle) <= np.timedelta64(12, "D")
    # The map is not shrunk: the planted lobes are +30 and -30 mm, under 6 mm of turbulence per epoch.
    assert 0.018 < out["map"].values[0, 18, 26] < 0.042 and -0.042 < out["map"].values[0, 30, 26] < -0.018
    footprint = out["footprint"].values[0]
    assert footprint[18, 26] and footprint[30, 26] and not footprint[45, 3]
    assert out["p_value"].values[0] < 0.01
    dataset = stack_dataset(epochs=40, seed=3, missing=0.05)
    quiet = track_of(observation_of(dataset), FAST)
    calibration = calibrate_stage.calibrate_track(quiet, FAST, threads=1)
    assert stage.detect(dataset, quiet, FAST, calibration).sizes["transient"] == 0


def test_two_events_at_one_place_are_two() -> None:
    dataset = stack_dataset(epochs=60, seed=5, event_m=0.03)
    bump = dataset["displacement"].values[-1] * 0
    yy, xx = np.indices(bump.shape)
    bump = 0.03 * np.exp(-((yy - 18) ** 2 + (xx - 26) ** 2) / (2 * 4.0**2))
    dataset["displacement"].values[12:] += bump.astype("f4")
    track = track_of(observation_of(dataset), FAST)
    found = scanner_of(track).find(floor=6.0)
    assert len(found) == 2
    days = track.epochs.days
    assert sorted(round(t.ramp.middle_d) for t in found) == pytest.approx([days[12] - 6, days[30] - 6], abs=12)


def test_calibration_does_not_depend_on_threads_and_comes_from_the_cache(tmp_path: Path) -> None:
    write_zarr(stack_dataset(epochs=24), tmp_path / "stack.zarr")
    for threads in (1, 2):
        calibrate_stage.calibrate_file(tmp_path / "stack.zarr", tmp_path / f"{threads}.json", FAST, threads=threads)
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()
    calibrate_stage.calibrate_file(
        tmp_path / "stack.zarr", tmp_path / "3.json", FAST, until="2018-09-15", cache_dir=tmp_path / "cache"
    )
    entries = list((tmp_path / "cache").rglob("*"))
    longer = stack_dataset(epochs=24)
    write_zarr(longer.isel(time=slice(0, 22)), tmp_path / "shorter.zarr")
    calibrate_stage.calibrate_file(
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
        stage.detect_file(tmp_path / "stack.nc", tmp_path / f"{name}.zarr", FAST)
    assert same_store(tmp_path / "a.zarr", tmp_path / "b.zarr")


def test_scales_below_the_pixel_are_refused() -> None:
    with pytest.raises(SlipscanError, match=r"all below the pixel of 0\.5 km"):
        track_of(observation_of(stack_dataset(epochs=20)), DetectSettings(scales_km=(0.1, 0.2)))


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
        truth = Ramp(float(days_since_2014(time)[generator.integers(12, 48)]) + 6.0, duration)
        ramp = transient_column(time, truth.start_d, duration)
        series = turbulence(generator, 60).reshape(60, -1) + background[:, None] + ramp[:, None] * bell
        series[generator.random(series.shape) < 0.1] = np.nan
        seen = projection(series, bell, np.column_stack([columns, rows]))
        smoothed = Ramp(truth.middle_d + 18.0, 96.0)  # what a denoised transient, smoothed in time, suggests
        found = refine(seen, Epochs(time), smoothed)
        errors.append((abs(found.middle_d - truth.middle_d), abs(found.duration_d - duration)))
    middle_error, duration_error = np.median(errors, axis=0)
    assert middle_error <= 9.0
    assert duration_error <= 24.0


def test_a_history_without_data_is_kept() -> None:
    time = dates(60)
    first = Ramp(days_since_2014(time)[30], 48.0)
    assert refine(np.full(60, np.nan), Epochs(time), first) == first
    assert np.isnan(projection(np.full((60, 9), np.nan), np.ones(9), np.arange(18.0).reshape(9, 2))).all()


def test_a_coarse_grid_finds_what_the_fine_one_finds_and_maps_it_at_full_resolution() -> None:
    dataset = stack_dataset(epochs=100, seed=3, event_m=0.03, missing=0.05)
    settings = DetectSettings(nulls=8, durations_d=(0.0, 48.0), scales_km=(2.0,), false_alarms_per_1e4km2_yr=1.0)
    track = track_of(observation_of(dataset), settings)
    assert track.factor == 3 and track.coarse.shape == (16, 19)
    found = scanner_of(track, settings).find(floor=1.0)[0]
    assert abs(found.ramp.middle_d - (days_since_2014(dates(100))[50] - 6)) <= 12
    amplitude, std = amplitude_maps(track, [found.ramp])
    assert amplitude.shape == (1, 48, 56)
    fine = track_of(observation_of(dataset), FAST)
    expected, _ = amplitude_maps(fine, [found.ramp])
    inside = np.isfinite(amplitude) & np.isfinite(expected)
    assert inside.mean() > 0.9
    # The same but for the delay, which is fitted on blocks here.
    assert np.abs(amplitude - expected)[inside].max() < 0.3 * std[inside].max()


def test_the_field_detector_asks_the_denoiser_and_says_so() -> None:
    dataset = stack_dataset(epochs=120, seed=3, event_m=0.03)
    chosen = DenoiseSettings()
    settings = DetectSettings(method="field", nulls=8, durations_d=(0.0, 48.0), scales_km=(0.5, 2.0))
    track = track_of(observation_of(dataset), settings, build_denoiser(chosen))
    search = registry.build("field").search(track, settings)
    strongest = search.find(floor=0.0)[0]
    # dates(n)[20] is where the event begins, whatever n.
    assert isinstance(strongest, Transient)
    assert abs(strongest.ramp.middle_d - (days_since_2014(dates(120))[60] - 6)) <= 48
    noise = search.without([strongest])
    nulls = [noise.null_maximum(null_order("permutation", track.epochs.time, 1, index)) for index in range(3)]
    assert strongest.statistic > 1.5 * max(nulls)
    with pytest.raises(SlipscanError, match="give the denoised product too"):
        registry.build("field").search(track_of(observation_of(dataset), settings), settings)
    with pytest.raises(SlipscanError, match="there is no detector 'none': slipscan knows scan, field"):
        registry.build("none")
