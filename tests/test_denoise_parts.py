"""The parts of SlipNet one by one: histories, images, tiles, symmetries of the whole."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from denoised import observe, random_method, random_network, run, shipped  # tests/denoised.py
from simulated import PIXEL_M, dates, turbulence  # tests/simulated.py
from slipscan.denoise import tiles
from slipscan.denoise.methods.slipnet.candidates import candidates
from slipscan.denoise.methods.slipnet.image import (
    Image,
    Orientation,
    filter_of,
    image_of,
    turned,
    turned_back,
)
from slipscan.denoise.methods.slipnet.network import MULTIPLE, SlipNet
from slipscan.denoise.methods.slipnet.predict import ORIENTATIONS, odd_prediction
from slipscan.denoise.methods.slipnet.prepare import Prepared, padded, prepare
from slipscan.denoise.methods.slipnet.steps import begun
from slipscan.fit import background
from slipscan.fit.clean import clean
from slipscan.fit.delay import spatial_columns
from slipscan.fit.model import design_matrix
from slipscan.fit.temporal import TemporalCovariance


def prepared_of(series: np.ndarray, design: np.ndarray | None = None, height: np.ndarray | None = None) -> Prepared:
    matrix = np.ones((len(series), 1)) if design is None else design
    return prepare(clean(series, height, matrix), 12.0 * np.arange(len(series)), PIXEL_M)


def event(shape: tuple[int, int], epochs: int, when: int, peak_m: float = 0.06, width: float = 6.0) -> np.ndarray:
    y, x = np.indices(shape)
    bump = np.exp(-((y - shape[0] // 2) ** 2 + (x - shape[1] // 2) ** 2) / (2 * width**2))
    return peak_m * bump * (np.arange(epochs) >= when)[:, None, None]


def test_planes_and_height_delay_are_found_beside_gaps_and_an_unwrapping_block() -> None:
    generator = np.random.default_rng(0)
    height = 500 * generator.random((48, 60))
    columns = spatial_columns(torch.from_numpy(height).float()).numpy()
    truth = 0.02 * generator.normal(size=(12, 4))
    series = np.einsum("tc,cyx->tyx", truth, columns) + 1e-3 * generator.normal(size=(12, 48, 60))
    series[:, :6, :6] += 0.0277 * generator.normal(size=(12, 1, 1))
    series[generator.random(series.shape) < 0.1] = np.nan
    cleaned = clean(series, height, np.ones((12, 1)))
    np.testing.assert_allclose(cleaned.delay.coefficients, truth - truth.mean(0), atol=8e-4)
    np.testing.assert_allclose(cleaned.delay.std, 1e-3, rtol=0.15)


@given(seed=st.integers(0, 1000), missing=st.floats(0, 0.3))
@settings(max_examples=10, deadline=None)
def test_the_background_of_a_pixel_is_fitted_over_its_own_epochs(seed: int, missing: float) -> None:
    generator = np.random.default_rng(seed)
    time = dates(40)
    design = design_matrix(time)[0]
    truth = generator.normal(size=(design.shape[1], 30))
    valid = generator.random((40, 30)) >= missing
    series = np.where(valid, design @ truth, 0.0)
    found = background.parameters(
        torch.from_numpy(series).float(), torch.from_numpy(valid), torch.from_numpy(design).float(), torch.ones(40)
    )
    np.testing.assert_allclose(found, truth, atol=0.02)


def step_image(prepared: Prepared) -> Image:
    """The image of a step in the middle."""
    step = (torch.arange(len(prepared.days)) >= len(prepared.days) // 2).float()
    return image_of(prepared, begun(prepared, True).levels, step)


@pytest.mark.parametrize("red", [0.0, 0.5])
def test_the_filter_of_a_history_gives_its_amplitude_beside_any_background(red: float) -> None:
    generator = np.random.default_rng(1)
    time = dates(40)
    design = design_matrix(time)[0]
    prepared = dataclasses.replace(prepared_of(generator.normal(size=(40, 16, 16)), design), red=torch.full((6,), red))
    columns = candidates(prepared.days).columns
    for number in (7, 30, 60):
        own, std = filter_of(prepared, columns[:, number], columns[:, [12]])
        assert float(own @ columns[:, number]) == pytest.approx(1.0, abs=1e-3)
        np.testing.assert_allclose(own @ prepared.design, 0, atol=2e-3)
        np.testing.assert_allclose(own @ columns[:, 12], 0, atol=2e-3)
        noise = TemporalCovariance.relative(1 / prepared.weight, red).matrix(prepared.days)
        assert float(std) == pytest.approx(float((own @ noise @ own).sqrt()), rel=1e-3)


def test_two_events_at_two_places_have_histories_of_their_own() -> None:
    generator = np.random.default_rng(2)
    y, x = np.indices((128, 128))
    maps = [0.05 * np.exp(-((y - r) ** 2 + (x - c) ** 2) / (2 * 6.0**2)) for r, c in ((24, 24), (104, 104))]
    steps = [(np.arange(60) >= when)[:, None, None] for when in (18, 41)]
    series = turbulence(generator, 60, std_m=3e-3, shape=(128, 128)) + maps[0] * steps[0] + maps[1] * steps[1]
    found = shipped().fields([observe(series)])[0]
    assert len(found.candidates) == 2
    for (row, column), when in (((24, 24), 18), ((104, 104), 41)):
        moved = found.transient[:, row, column]
        assert moved[when + 1] - moved[when - 2] == pytest.approx(0.05, rel=0.25)
        assert abs(moved[when - 3] - moved[0]) < 0.01 and abs(moved[-1] - moved[when + 1]) < 0.01


@given(size=st.integers(1, 900))
@settings(max_examples=60, deadline=None)
def test_tiles_cover_a_side_and_share_it_out(size: int) -> None:
    pieces = tiles.tiles(size)
    total = np.zeros(size)
    for piece, share in zip(pieces, tiles.shares(pieces, size), strict=True):
        assert (share > 0).all()
        total[piece] += share
    np.testing.assert_allclose(total, 1.0, rtol=1e-5)


@given(seed=st.integers(0, 100))
@settings(max_examples=5, deadline=None)
def test_any_network_keeps_the_sign_and_the_amplitude(seed: int) -> None:
    series = turbulence(np.random.default_rng(seed), 20, shape=(48, 40)) + event((48, 40), 20, 9, 0.03)
    method = random_method(seed)
    one = run(series, known=True, method=method)
    scale = np.abs(one.transient).max()
    np.testing.assert_allclose(run(-series, known=True, method=method).transient, -one.transient, atol=1e-4 * scale)
    np.testing.assert_allclose(
        run(7 * series, known=True, method=method).transient, 7 * one.transient, atol=7e-2 * scale
    )


def test_in_all_orientations_the_answer_turns_with_the_scene() -> None:
    series = turbulence(np.random.default_rng(3), 20, shape=(48, 64)) + event((48, 64), 20, 9, 0.03)
    method = random_method(2, orientations=8)
    assert isinstance(method.network, SlipNet)
    method.network.half_precision = False
    first = run(series, known=True, method=method).transient
    scale = np.abs(first).max()
    for orientation in ((False, False, True), (False, True, False), (True, False, False)):
        scene = turned(torch.from_numpy(series), orientation).numpy()
        other = torch.from_numpy(run(scene, known=True, method=method).transient)
        np.testing.assert_allclose(turned_back(other, orientation), first, atol=5e-3 * scale)
    as_given = run(series, known=True, method=type(method)(method.network, "random")).transient
    assert np.abs(as_given - first).max() > 5e-3 * scale


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_an_image_of_a_turned_scene_is_the_turned_image(orientation: Orientation) -> None:
    series = turbulence(np.random.default_rng(6), 20, shape=(48, 64)) + event((48, 64), 20, 9)
    prepared = prepared_of(series)
    image = step_image(prepared)
    other = prepared_of(turned(torch.from_numpy(series), orientation).numpy())
    expected = step_image(other)
    found = image.turned(orientation)
    for part in ("features", "bands", "detail"):
        torch.testing.assert_close(getattr(found, part), getattr(expected, part), atol=0.02, rtol=0.02)
    torch.testing.assert_close(turned_back(found.detail, orientation), image.detail)


def test_padding_changes_nothing_where_data_are() -> None:
    series = turbulence(np.random.default_rng(3), 20, shape=(48, 40)) + event((48, 40), 20, 9)
    prepared = prepared_of(series)
    whole = padded(prepared, MULTIPLE)
    assert whole.height.shape == (48, 48) and all(n % MULTIPLE == 0 for n in whole.height.shape)
    assert not whole.valid[:, :, 40:].any()
    network = random_network()
    image = step_image(whole)
    mean, std = odd_prediction(network, [image])
    assert torch.isfinite(mean).all() and (std > 0).all()


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("peak_m", [0.06, 0.5])
def test_the_shipped_weights_recover_an_event_and_its_time(known: bool, peak_m: float) -> None:
    shape = (96, 96)
    series = turbulence(np.random.default_rng(4), 30, std_m=5e-3, shape=shape) + event(shape, 30, 14, peak_m)
    parts = run(series, known)
    total = parts.transient[-1] - parts.transient[0]
    assert total[48, 48] == pytest.approx(peak_m, rel=0.25)
    share = (parts.transient[:, 48, 48] - parts.transient[0, 48, 48]) / total[48, 48]
    assert share[12] < 0.2 and share[15] > 0.8
    assert np.sqrt((total[:24] ** 2).mean()) < 0.1 * peak_m
    quiet = run(turbulence(np.random.default_rng(5), 30, std_m=5e-3, shape=shape), known)
    assert parts.evidence.max() > 10 * quiet.evidence.max()


def test_a_wide_scene_is_put_together_without_seams() -> None:
    shape, epochs = (150, 180), 100
    series = turbulence(np.random.default_rng(6), epochs, std_m=4e-3, shape=shape) + event(shape, epochs, 52, 0.06, 8.0)
    parts = run(series, known=False)
    total = parts.transient[-1] - parts.transient[0]
    truth = event(shape, epochs, 52, 0.06, 8.0)[-1]
    error = np.sqrt(((total - truth) ** 2).mean() / (truth**2).mean())
    assert error < 0.6
    jump = parts.transient[54, 75, 90] - parts.transient[49, 75, 90]
    assert jump == pytest.approx(0.06, rel=0.35)
    # Across the borders of cells (columns 52 and 128) the field is as smooth as elsewhere.
    steps = np.abs(np.diff(total, axis=1))
    inner = np.delete(steps, [51, 52, 127, 128], axis=1)
    assert steps[:, [51, 52, 127, 128]].mean() < 2 * inner.mean()
    np.testing.assert_allclose(parts.transient.mean(axis=0), 0, atol=1e-5)


def test_gaps_are_no_values() -> None:
    shape = (64, 64)
    quiet = turbulence(np.random.default_rng(7), 30, std_m=4e-3, shape=shape) + event(shape, 30, 15)
    generator = np.random.default_rng(8)
    holes = generator.random(quiet.shape) < 0.15
    holes[11] = True
    whole, gappy = run(quiet, known=True), run(np.where(holes, np.nan, quiet), known=True)
    assert np.isfinite(gappy.transient).all()
    peak = np.abs(whole.transient[-1] - whole.transient[0]).max()
    difference = (gappy.transient[-1] - gappy.transient[0]) - (whole.transient[-1] - whole.transient[0])
    assert np.abs(difference).max() < 0.3 * peak


@pytest.mark.parametrize("seed", [7, 17, 27])
def test_an_epoch_without_data_makes_no_event(seed: int) -> None:
    """A tile may lack an epoch that the scene has; it passed for a jump there and back."""
    shape = (64, 64)
    series = turbulence(np.random.default_rng(seed), 30, std_m=4e-3, shape=shape) + event(shape, 30, 15)
    series[np.random.default_rng(8).random(series.shape) < 0.15] = np.nan
    series[11] = np.nan
    parts = run(series, known=True)
    (found,) = parts.candidates
    assert float(np.interp(0.5, found.history, np.arange(30))) == pytest.approx(14.5, abs=0.5)
    assert len(found.history) == 30 and np.isfinite(parts.transient).all()
