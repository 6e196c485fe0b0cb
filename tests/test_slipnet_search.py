"""Histories of a tile: found among all, not in noise, at the edges of the series, whatever holes the data have."""

import dataclasses

import numpy as np
import pytest
import torch
import xarray as xr
from torch import Tensor

from denoised import observe, shipped  # tests/denoised.py
from simulated import turbulence  # tests/simulated.py
from slipscan.denoise.methods.slipnet import scales
from slipscan.denoise.methods.slipnet.bands import BLOCKS, block_modes, change_of, random_signs, signed
from slipscan.denoise.methods.slipnet.candidates import candidates, pairs
from slipscan.denoise.methods.slipnet.events import GATE, settle
from slipscan.denoise.methods.slipnet.image import Moved, image_of
from slipscan.denoise.methods.slipnet.maps import Cleaner
from slipscan.denoise.methods.slipnet.prepare import Prepared, prepare, red_of
from slipscan.denoise.methods.slipnet.search import Found, search
from slipscan.denoise.methods.slipnet.steps import Event, begun, in_bands_of
from slipscan.field import Candidate

SHAPE = (96, 96)
EPOCHS = 80


def bump(row: int = 40, column: int = 50, width: float = 8.0) -> np.ndarray:
    y, x = np.indices(SHAPE)
    return np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * width**2))


def ramp(middle: float, epochs: float, of: int = EPOCHS) -> np.ndarray:
    return np.clip((np.arange(of) - middle) / max(epochs, 1e-3) + 0.5, 0, 1)[:, None, None]


def noise(seed: int, std_m: float = 4e-3, of: int = EPOCHS) -> np.ndarray:
    return turbulence(np.random.default_rng(seed), of, std_m=std_m, shape=SHAPE)


def waves(seed: int) -> np.ndarray:
    """Noise of six plane waves, 16 pixels long, of random strengths and phases, and a little of all others."""
    generator = np.random.default_rng(seed)
    y, x = np.indices(SHAPE)
    turns = np.pi * (np.arange(6) + generator.random(6)) / 6
    phases = 2 * np.pi / 16 * np.stack([np.cos(turn) * y + np.sin(turn) * x for turn in turns])
    parts = np.concatenate([np.cos(phases), np.sin(phases)])
    field = np.tensordot(generator.normal(size=(EPOCHS, len(parts))), parts, 1)
    return np.asarray(3e-3 * field / field.std() + noise(seed, 1e-3))


def tile_of(series: np.ndarray) -> Prepared:
    seen = observe(series)
    return prepare(seen.cleaned(), seen.days, seen.pixel_m)


def search_in(tile: Prepared, gate: float, beside: Tensor | None = None) -> Found | None:
    working = begun(tile, True)
    return search(working.bands, working.tried, tile.design[:, :0] if beside is None else beside, gate)


def found_in(tile: Prepared, gate: float = 0.0) -> Found:
    found = search_in(tile, gate)
    assert found is not None
    return found


def candidates_of(series: np.ndarray) -> tuple[Candidate, ...]:
    return shipped().fields([observe(series)])[0].candidates


@pytest.mark.parametrize(("middle", "length"), [(39.5, 0.0), (30.0, 8.0), (45.0, 30.0), (76.5, 0.0), (2.5, 0.0)])
def test_the_true_history_is_found_among_all(middle: float, length: float) -> None:
    tile = tile_of(noise(1) + 0.03 * bump() * ramp(middle, length))
    found = found_in(tile, 2 * GATE)
    assert found.noise > 0
    tried = candidates(tile.days)
    assert abs(float(tried.middle_d[found.number]) - 12 * middle) <= max(12, 0.25 * 12 * length)


def test_noise_alone_is_no_event() -> None:
    assert sum(len(candidates_of(noise(100 + seed))) for seed in range(8)) <= 1


def test_noise_of_few_waves_has_few_independent_values() -> None:
    white, few = (in_bands_of(begun(tile_of(make(200)), True)) for make in (noise, waves))
    most = torch.stack([block_modes(block) for block in BLOCKS])
    assert bool((white.modes <= most).all())
    assert bool((white.modes[1, 1:4] > 0.6 * most[1, 1:4]).all())
    assert float(few.modes[2, 3]) < 0.4 * float(white.modes[2, 3])


def test_holes_without_data_change_neither_history_nor_score() -> None:
    series = noise(2) + 0.012 * bump() * ramp(39.5, 0.0)
    whole = found_in(tile_of(series))
    holes = series.copy()
    holes[:, 70:90, 5:25] = np.nan
    holes[:, :, 90:] = np.nan
    with_holes = found_in(tile_of(holes))
    assert with_holes.number == whole.number
    assert with_holes.score == pytest.approx(whole.score, rel=0.15)


def test_what_is_known_is_not_found_again() -> None:
    tile = tile_of(noise(3) + 0.03 * bump() * ramp(39.5, 0.0))
    known = torch.from_numpy(ramp(39.5, 0.0)[:, 0].astype("f4"))
    assert search_in(tile, 2.0) is not None
    assert search_in(tile, 2.0, known) is None


@pytest.mark.parametrize(("first", "length"), [(25.5, 4.0), (39.5, 0.0), (58.5, 4.0)])
def test_two_events_in_one_place_a_year_apart_are_both_found(first: float, length: float) -> None:
    """Beside rate and season they look like one event of the other sign, a year before or after."""
    courses = [ramp(middle, length, 120) for middle in (first, first + 30)]
    found = candidates_of(noise(4, 3e-3, 120) + 0.02 * bump() * sum(courses))
    middles = sorted(float(np.interp(0.5, one.history, np.arange(120))) for one in found)
    assert middles == pytest.approx([first, first + 30], abs=1.5)
    assert [float(one.map[40, 50]) for one in found] == pytest.approx([0.02, 0.02], rel=0.3)


def test_one_event_is_no_pair() -> None:
    assert len(candidates_of(noise(9, 3e-3, 120) + 0.03 * bump() * ramp(88.0, 2.5, 120))) == 1


@pytest.mark.parametrize("sizes", [(0.012, 0.036), (0.036, 0.012)])
def test_events_that_differ_in_size_are_no_pair_of_one_size(sizes: tuple[float, float]) -> None:
    courses = [size * ramp(middle, 0.0, 120) for size, middle in zip(sizes, (39.5, 69.5), strict=True)]
    found = candidates_of(noise(4, 3e-3, 120) + bump() * sum(courses))
    assert len({round(float(one.map[40, 50]), 5) for one in found}) == len(found)
    strong = max(found, key=lambda one: one.map[40, 50])
    assert float(np.interp(0.5, strong.history, np.arange(120))) == pytest.approx(
        39.5 if sizes[0] > sizes[1] else 69.5, abs=1
    )
    assert float(strong.map[40, 50]) == pytest.approx(0.036, rel=0.3)


def test_a_slow_event_is_one_event() -> None:
    found = candidates_of(noise(5, 3e-3, 120) + 0.05 * bump(width=6.0) * ramp(60.0, 25.0, 120))
    assert len(found) == 1
    rise = np.interp([0.25, 0.75], found[0].history, np.arange(120))
    assert rise.mean() == pytest.approx(60, abs=3) and 2 * np.ptp(rise) == pytest.approx(25, rel=0.3)


def test_a_relaxation_is_no_ramp_though_a_ramp_is_ahead_at_first() -> None:
    """Its time lies between those that are tried, and is found when the best of both kinds are looked at closely."""
    course = 1 - np.exp(-np.maximum(np.arange(150) - 63.0, 0) * 12 / 300)
    series = noise(12, 3e-3, 150) + 0.05 * bump() * course[:, None, None]
    working = begun(tile_of(series), True)
    first = search(working.bands, working.tried, working.prepared.design[:, :0])
    assert first is not None and float(working.tried.duration_d[first.number]) > 0
    (found,) = candidates_of(series)
    np.testing.assert_allclose(found.history, (course - course[0]) / (course[-1] - course[0]), atol=0.06)


def test_pairs_are_at_most_two_years_apart() -> None:
    days = 12.0 * torch.arange(240)
    tried = pairs(days, 100.0)
    assert float(tried.duration_d.min()) >= 100 and 600 < float(tried.duration_d.max()) <= 730


def test_a_map_that_was_taken_out_is_no_surer_than_what_it_leaves() -> None:
    """Beside a history that is alike an amplitude has a larger error, though it is the same amplitude."""
    working = begun(tile_of(noise(13) + 0.03 * bump() * ramp(39.5, 30.0)), False)
    one, other = (torch.from_numpy(ramp(middle, 30.0)[:, 0, 0].astype("f4")) for middle in (38.0, 41.0))
    taken = [Moved(torch.from_numpy(bump().astype("f4")), other[:, None])]
    sure, unsure = (
        image_of(working.prepared, working.levels, one, None, taken, beside) for beside in (None, other[:, None])
    )
    assert float(unsure.std) > 2 * float(sure.std)
    torch.testing.assert_close(unsure.white * unsure.std, sure.white * sure.std, rtol=1e-3, atol=1e-4)


def test_of_two_histories_that_are_alike_one_is_left() -> None:
    """Beside one another neither has the evidence of an event, though there is one."""
    middles = (39.0, 40.0)
    tile = begun(tile_of(noise(14) + 0.012 * bump() * ramp(39.5, 10.0)), False)
    courses = [torch.from_numpy(ramp(middle, 10.0)[:, 0].astype("f4")) for middle in middles]
    network = shipped().network
    for course in courses:
        image = image_of(tile.prepared, tile.levels, course[:, 0])
        half = torch.from_numpy(0.006 * bump().astype("f4")) / tile.prepared.unit_m
        tile.events.append(Event(Moved(half, course), half, image, score=100.0, share=2.0))
    with torch.inference_mode():
        settle(tile, Cleaner(network))
    (one,) = tile.found
    assert float(one.map[40, 50]) * tile.prepared.unit_m == pytest.approx(0.012, rel=0.3)


def test_the_red_part_of_the_noise_is_what_the_product_tells_of_the_scale() -> None:
    noise = xr.Dataset(
        {"red_variance": ("band", [0.4, 0.1, 0.2]), "red_variance_error": ("band", [0.05, 0.02, 0.2])},
        {"band": ("band", [0.4, 1.6, 6.4])},
    )
    red = red_of(noise, 400.0)  # widths 0.4, 0.8, 1.6, 3.2, 6.4, 12.8 km; the last band is a guess
    np.testing.assert_allclose(red, [0.4, 0.25, 0.1, 0.1, 0.1, 0.1], atol=1e-6)
    assert not red_of(None, 400.0).any()
    assert not red_of(noise.isel(band=[2]), 400.0).any()


def test_red_noise_is_no_slow_history_where_it_is_told() -> None:
    red_per_yr = 1.0
    walk = np.sqrt(red_per_yr * 12 / 365.25) * noise(8, 4e-3, 120).cumsum(axis=0)
    tile = tile_of(noise(7, 4e-3, 120) + walk)
    white, red = (search_in(dataclasses.replace(tile, red=torch.full((6,), red)), GATE) for red in (0.0, red_per_yr))
    assert white is not None and white.score > GATE * white.noise
    assert red is None


@pytest.mark.parametrize("red_per_yr", [0.0, 1.0])
def test_images_are_in_units_of_their_noise_whether_it_is_red_or_not(red_per_yr: float) -> None:
    """Both the error of an amplitude and the noise of images hold the red part: it counts once."""
    walk = np.sqrt(red_per_yr * 12 / 365.25) * noise(8, 4e-3, 120).cumsum(axis=0)
    tile = dataclasses.replace(tile_of(noise(7, 4e-3, 120) + walk), red=torch.full((6,), red_per_yr))
    working = begun(tile, False)
    chosen = torch.nonzero(working.tried.duration_d == 240.0)[4:-4:4, 0]
    images = [image_of(tile, working.levels, working.tried.columns[:, number]) for number in chosen]
    fine = torch.stack([image.detail[0] for image in images]) / working.levels.detail_std
    broad = torch.stack([torch.stack(scales.bands(image.white[None]))[:, 0] for image in images])
    assert float(fine.square().mean().sqrt()) == pytest.approx(1, abs=0.1)
    sizes = broad.square().mean((0, 2, 3)).sqrt() / working.levels.band_std
    np.testing.assert_allclose(sizes[:4], 1, atol=0.15)


def test_noise_with_random_signs_has_the_size_that_filters_say() -> None:
    """Epochs beside one another share noise: whatever the signs are, a filter of unit size gives noise of size one."""
    epochs = 60
    generator = torch.Generator().manual_seed(1)
    std = torch.exp(0.5 * torch.randn(epochs, generator=generator))
    units = torch.cumsum(torch.randn(5, epochs, generator=generator), 1)
    units = units / torch.linalg.vector_norm(units, dim=1, keepdim=True)
    changes = change_of(std[:, None] * torch.randn(epochs, 20000, generator=generator))
    for sign in random_signs(4, epochs):
        amplitudes = signed(units, sign, changes.std(1), torch.corrcoef(changes)) @ changes
        np.testing.assert_allclose(amplitudes.std(1), 1, atol=0.05)
