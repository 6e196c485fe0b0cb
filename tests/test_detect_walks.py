"""Noise that walks at random in time: filters that know it, null stacks that hold it, and rates that are kept."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from numpy.typing import NDArray

from detecting import FAST, complete
from simulated import stack_dataset
from slipscan.detect.bands import band_of
from slipscan.detect.calibrate import calibrate_track
from slipscan.detect.nulls import SIMULATED, null_order
from slipscan.detect.ramp import Epochs, Ramp
from slipscan.detect.scan import Scanner
from slipscan.detect.stage import detect
from slipscan.detect.statistic import amplitudes, filters_of, statistics
from slipscan.detect.track import open_track, track_in
from slipscan.detect.walks import walk_of
from slipscan.errors import SlipscanError
from slipscan.fit.ramps import projected
from slipscan.fit.temporal import random_walk
from slipscan.noise.stage import estimate_noise
from slipscan.noise.temporal import red_at, shrunk
from slipscan.settings import NoiseSettings
from slipscan.store import write_zarr
from temporal_builders import dates, structure_function

RED = 0.5
"""1/yr."""
LOW = FAST.model_copy(update={"pixel_threshold": 2.5, "min_area_km2": 1.0})


def noisy(seed: int, epochs: int, places: int, red: float = RED, smooth: int = 0) -> NDArray[np.float64]:
    """Series (time, place) of white noise of 1 and a random walk beside it, rate and season out."""
    generator = np.random.default_rng(seed)
    own = Epochs(dates(epochs))
    covariance = np.eye(epochs) + red * random_walk(torch.from_numpy(own.days)).numpy()
    series = np.linalg.cholesky(covariance) @ generator.standard_normal((epochs, places))
    return projected(torch.from_numpy(series), own.design(), torch.ones(epochs)).numpy()


def scanner(seed: int, red: float, epochs: int = 90, side: int = 18) -> Scanner:
    band = complete(noisy(seed, epochs, side**2), (side, side), cell_km2=2.0)
    return Scanner([dataclasses.replace(band, red=red)], Epochs(dates(epochs)), (side, side), 1.0, LOW)


def test_a_statistic_of_noise_that_walks_is_of_unit_variance_and_half_of_what_white_filters_make_it() -> None:
    epochs = Epochs(dates(120))
    series = torch.from_numpy(noisy(1, 120, 4000)).float()
    band = dataclasses.replace(complete(series.numpy(), (40, 100)), red=RED)
    columns = epochs.columns([Ramp(float(epochs.days[k]), d) for k, d in ((40, 0.0), (60, 96.0), (80, 0.0))])
    knows, not_ = (statistics(band, filters_of(columns, epochs, (), band.weight, red=red)).std(1) for red in (RED, 0.0))
    # The noise of a place is estimated from differences of epochs, in which 12 d of the walk lie.
    assert knows.numpy() == pytest.approx(np.ones(3), rel=0.08)
    assert bool((not_ > 1.8).all())


def test_the_filters_are_those_of_generalized_least_squares() -> None:
    """Against the textbook: amplitude (A' C^-1 A)^-1 A' C^-1 x, and its variance."""
    epochs, count = Epochs(dates(50)), 50
    weight = torch.from_numpy(np.random.default_rng(2).uniform(0.5, 2, count)).double()
    order = null_order(SIMULATED, epochs.time, 1, 0)
    column = epochs.columns([Ramp(float(epochs.days[20]), 48.0)])
    filters = filters_of(column, epochs, (), weight, order, red=RED)
    white = (1 / weight[order]).numpy()
    covariance = np.diag(white) + RED * np.median(white) * random_walk(torch.from_numpy(epochs.days)).numpy()
    design = np.column_stack([column.numpy(), epochs.design().numpy()])
    inverse = np.linalg.inv(covariance)
    information = design.T @ inverse @ design
    series = np.random.default_rng(3).standard_normal(count)
    expected = np.linalg.solve(information, design.T @ inverse @ series[order])[0]
    amplitude, root = amplitudes(torch.from_numpy(series[:, None]).float(), torch.ones(count, 1), filters)
    assert float(amplitude[0, 0]) == pytest.approx(expected, rel=1e-3)
    assert float(root[0, 0]) ** -2 == pytest.approx(np.linalg.inv(information)[0, 0], rel=1e-3)


def test_what_gaps_leave_of_a_statistic_is_not_above_its_noise() -> None:
    epochs = Epochs(dates(120))
    series, valid = noisy(4, 120, 3000), np.random.default_rng(5).random((120, 3000)) > 0.4
    known = torch.from_numpy(valid)
    band = band_of(torch.from_numpy(series * valid).float(), known.clone(), (50, 60), 0, 1.0, 1.0)
    columns = epochs.columns([Ramp(float(epochs.days[60]), 0.0)])
    spread = [
        float(statistics(band, filters_of(columns, epochs, (), band.weight, red=red)).std()) for red in (RED, 0.0)
    ]
    assert 0.6 < spread[0] < 1.3 < spread[1]


def test_a_walk_gains_what_is_asked_for() -> None:
    days = Epochs(dates(150)).days
    white = np.random.default_rng(6).standard_normal((150, 4000))
    made = np.stack([
        walk_of(np.random.default_rng(seed), days, torch.ones(150), RED).numpy() @ white[:, seed::40]
        for seed in range(40)
    ])  # fmt: skip
    years = (days[-1] - days[30]) / 365.25
    assert np.mean((made[:, -1] - made[:, 30]) ** 2) == pytest.approx(RED * years, rel=0.1)
    assert not made[:, 0].any()


def test_a_null_stack_is_as_red_as_the_noise() -> None:
    here = scanner(7, RED)
    (order, null), noise = here.null_stack(SIMULATED, 1, 0), here.bands[0].values.double().numpy()
    (band,) = null.bands
    assert band.noise_ratio is not None
    made = (band.series(torch.arange(noise.shape[1]))[order] * band.noise_ratio).double()
    left = projected(made, here.epochs.design(), torch.ones(90)).numpy()
    lengths = (1, 8, 24)
    assert structure_function(left, lengths) == pytest.approx(structure_function(noise, lengths), rel=0.2)
    shuffled = structure_function(noise[null_order("permutation", here.epochs.time, 1, 0)], lengths)
    assert shuffled[2] < 0.75 * structure_function(noise, lengths)[2]
    again, other = here.null_stack(SIMULATED, 1, 0)[1], here.null_stack(SIMULATED, 1, 1)[1]
    torch.testing.assert_close(again.bands[0].walk, band.walk)
    assert band.walk is not None and other.bands[0].walk is not None
    assert not torch.equal(other.bands[0].walk, band.walk)


def test_false_alarms_of_noise_that_walks_are_as_many_as_its_null_stacks_say() -> None:
    """Fresh noise is above the median of the null stacks in half of the cases; above that of permutations always."""
    above = []
    for seed in range(8):
        fresh = scanner(100 + seed, RED)
        noise = fresh.without([])
        nulls = [noise.null_maxima("simulated", 1, k)[0][0] for k in range(3)]
        above.append(fresh.maximum(np.arange(90)) > np.median(nulls))
    assert 1 <= sum(above) <= 7
    for seed in range(2):
        fresh = dataclasses.replace(scanner(100 + seed, 0.0), settings=FAST)
        noise = fresh.without([])
        nulls = [noise.null_maxima("permutation", 1, k)[0][0] for k in range(3)]
        assert fresh.maximum(np.arange(90)) > max(*nulls, FAST.pixel_threshold)


def of_scene(epochs: int) -> tuple[xr.Dataset, xr.Dataset]:
    dataset = stack_dataset(epochs=epochs, seed=9)
    return dataset, estimate_noise(dataset, NoiseSettings())


def test_the_walk_at_a_scale_is_between_those_of_the_bands() -> None:
    _, noise = of_scene(40)
    count = noise.sizes["band"]
    known = noise.assign(
        red_variance=("band", np.linspace(0.1, 0.4, count)), red_variance_error=("band", np.full(count, 1e-3))
    )
    band = noise["band"].values
    assert red_at(known, float(band[0]) / 2) == pytest.approx(0.1, rel=1e-3)
    assert red_at(known, 1e3) == pytest.approx(0.4, rel=1e-3)
    between = red_at(known, float(np.sqrt(band[0] * band[1])))
    assert between == pytest.approx(known["red_variance"].values[:2].mean(), rel=1e-3)
    nothing = noise.assign(red_variance=("band", np.full(count, np.nan)))
    assert red_at(nothing, 1.0) == red_at(None, 1.0) == red_at(noise.drop_vars("red_variance"), 1.0) == 0


def test_a_band_that_few_places_tell_goes_with_the_others() -> None:
    generator = np.random.default_rng(0)
    errors = np.array([0.02, 0.03, 0.06, 0.2])
    for scatter in (0.0, 0.1):
        true = 0.3 + scatter * generator.standard_normal((4000, 4))
        seen = true + errors * generator.standard_normal((4000, 4))
        made = np.array([shrunk(row, errors) for row in seen])
        before, after = (np.sqrt(np.mean((found - true) ** 2, axis=0)) for found in (seen, made))
        assert after[3] < 0.7 * before[3] and bool((after < 1.1 * before).all())
    assert shrunk(np.array([0.4]), np.array([0.2])) == pytest.approx([0.4])
    assert shrunk(np.zeros(3), np.zeros(3)) == pytest.approx(np.zeros(3))


def test_new_epochs_change_no_threshold_of_the_epochs_before() -> None:
    dataset, noise = of_scene(36)
    short = dataset.isel(time=slice(None, 30))
    until = str(short["time"].values[-1])[:10]
    tracks = [
        track_in(dataset, FAST, until=until, noise=noise)[1],
        track_in(dataset.isel(time=slice(None, 33)), FAST, until=until, noise=noise.isel(time=slice(None, 33)))[1],
    ]
    one, two = (calibrate_track(track, FAST, 1) for track in tracks)
    assert one.id == two.id and SIMULATED in one.tails


def test_a_search_without_the_noise_product_that_its_calibration_had_is_refused() -> None:
    dataset, noise = of_scene(30)
    made = calibrate_track(track_in(dataset, FAST, noise=noise)[1], FAST, 1)
    with pytest.raises(SlipscanError, match="was calibrated with its noise product: give it here"):
        detect(*track_in(dataset, FAST), FAST, made)
    assert detect(*track_in(dataset, FAST, noise=noise), FAST, made).sizes["transient"] == 0


def test_a_noise_product_of_another_stack_is_refused(tmp_path: Path) -> None:
    dataset, noise = of_scene(30)
    write_zarr(dataset, tmp_path / "stack.zarr")
    write_zarr(noise, tmp_path / "noise.zarr")
    assert open_track(tmp_path / "stack.zarr", FAST, noise=tmp_path / "noise.zarr")[1].coarse.noise is not None
    for other in (dataset.isel(time=slice(None, 29)), dataset.assign_attrs(track="another")):
        write_zarr(other.assign_attrs(track=other.attrs.get("track", "one")), tmp_path / "other.zarr")
        write_zarr(noise.assign_attrs(track="one"), tmp_path / "noise.zarr")
        with pytest.raises(SlipscanError, match=r"noise.zarr is of another stack .* run noise again"):
            open_track(tmp_path / "other.zarr", FAST, noise=tmp_path / "noise.zarr")
