"""Slip that breaks the surface along a line is found by its rupture, where its energy is not told from noise."""

import numpy as np
import pytest
import torch
from torch import Tensor

from denoised import observe  # tests/denoised.py
from simulated import turbulence  # tests/simulated.py
from slipscan.denoise.methods.slipnet.events import GATE
from slipscan.denoise.methods.slipnet.prepare import prepare
from slipscan.denoise.methods.slipnet.rupture_map import rupture_map
from slipscan.denoise.methods.slipnet.rupture_patterns import Rupture, pattern_of
from slipscan.denoise.methods.slipnet.ruptures import clipped_amplitude, rupture_score, search_ruptures
from slipscan.denoise.methods.slipnet.search import APART, Found, search
from slipscan.denoise.methods.slipnet.steps import TileState, begun, course_of_fault, pixels_of
from slipscan.denoise.registry import build
from slipscan.settings import DenoiseSettings

SHAPE, EPOCHS = (96, 96), 60
STEP = 30


def noise(seed: int) -> np.ndarray:
    return turbulence(np.random.default_rng(seed), EPOCHS, std_m=5e-3, shape=SHAPE)


def creep(angle_deg: float, size_m: float = 7e-3) -> np.ndarray:
    """Either side of a line of 14 pixels moves the other way, (y, x)."""
    y, x = np.indices(SHAPE)
    angle = np.radians(angle_deg)
    across = (y - 40.3) * np.cos(angle) - (x - 52.3) * np.sin(angle)
    along = (y - 40.3) * np.sin(angle) + (x - 52.3) * np.cos(angle)
    return size_m * np.sign(across) * np.exp(-np.abs(across) / 3) * (np.abs(along) < 7)


def step() -> np.ndarray:
    return (np.arange(EPOCHS) >= STEP)[:, None, None].astype(float)


def working(series: np.ndarray) -> TileState:
    seen = observe(series)
    return begun(prepare(seen.cleaned(), seen.days, seen.pixel_m), True)


def rupture_of(tile: TileState) -> Found | None:
    return search_ruptures(pixels_of(tile), tile.bands, tile.tried, nothing(tile), APART)


FAULT = Rupture(y=40.3, x=52.7, strike_deg=35.0, length_px=22.0, depth_px=5.0)


def slip(size_m: float) -> np.ndarray:
    """Of a fault between the bank's directions and sizes, (y, x); its largest displacement is `size_m`."""
    y, x = (torch.from_numpy(axis.astype(np.float32)) for axis in np.indices(SHAPE))
    moved = pattern_of(FAULT, y, x).numpy()
    return size_m * moved / np.abs(moved).max()


def map_of(series: np.ndarray, otherwise: np.ndarray | None = None) -> np.ndarray | None:
    """Of the rupture that moved at the step, m, beside a map, m, without one."""
    tile = working(series)
    beside = None if otherwise is None else torch.from_numpy(otherwise / tile.prepared.unit_m).float()
    found = rupture_map(torch.from_numpy(step()[:, 0, 0]).float(), tile.bands, nothing(tile), pixels_of(tile), beside)
    return None if found is None else found.map.numpy() * tile.prepared.unit_m


def misfit(found: np.ndarray, truth: np.ndarray) -> float:
    return float(np.sqrt(np.mean((found - truth) ** 2) / np.mean(truth**2)))


def right(tile: TileState, found: Found) -> bool:
    return abs(float(tile.tried.middle_d[found.number]) - 12 * (STEP - 0.5)) <= 24


def nothing(tile: TileState) -> Tensor:
    return tile.prepared.design[:, :0]


@pytest.mark.parametrize("angle_deg", [0.0, 35.0, 100.0])
def test_the_rupture_of_a_thin_fault_tells_when_it_slipped(angle_deg: float) -> None:
    tile = working(noise(4) + creep(angle_deg) * step())
    energy = search(tile.bands, tile.tried, nothing(tile), GATE)
    assert energy is None or not right(tile, energy)
    found = rupture_of(tile)
    assert found is not None and right(tile, found)


def test_noise_has_no_ruptures() -> None:
    assert sum(rupture_of(working(noise(40 + seed))) is not None for seed in range(3)) == 0


def test_a_wrong_block_of_one_epoch_is_no_slip() -> None:
    series = noise(5)
    series[25, 30:60, 20:50] += 0.0277
    assert rupture_of(working(series)) is None


def test_an_epoch_that_is_wrong_hardly_counts() -> None:
    generator = np.random.default_rng(0)
    unit = torch.from_numpy(np.repeat([-1.0, 1.0], 50) / 10)
    series = torch.from_numpy(generator.standard_normal(100))
    wrong = series.clone()
    wrong[70] += 60
    assert abs(float(unit @ wrong) - float(unit @ series)) > 5
    assert abs(float(clipped_amplitude(wrong, unit)) - float(clipped_amplitude(series, unit))) < 0.7
    assert float(clipped_amplitude(series + 12 * unit, unit)) == pytest.approx(12, abs=2.5)


@pytest.mark.parametrize("seed", [6, 7, 8])
def test_a_fault_is_fitted_to_the_image_of_a_rupture(seed: int) -> None:
    truth = slip(8e-3)
    found = map_of(noise(seed) + truth * step())
    assert found is not None and misfit(found, truth) < 0.4
    turned = map_of(-noise(seed) - truth * step())
    assert turned is not None
    np.testing.assert_allclose(turned, -found, atol=1e-6)


@pytest.mark.parametrize("seed", [6, 7, 8])
def test_the_series_of_a_fault_tells_its_history(seed: int) -> None:
    """Even when it was found by another one, an epoch off."""
    tile = working(noise(seed) + slip(8e-3) * step())
    late = (tile.prepared.days >= 12 * (STEP + 1)).float()
    fault = rupture_map(late, tile.bands, nothing(tile), pixels_of(tile), None)
    assert fault is not None
    course = course_of_fault(tile, fault.kernel, nothing(tile), [])
    assert course is not None
    assert float(np.interp(0.5, course, tile.prepared.days)) == pytest.approx(12 * (STEP - 0.5), abs=6)


def test_a_steep_part_of_something_else_is_no_fault() -> None:
    y, x = np.indices(SHAPE) - 48.0
    block = 40e-3 * (np.maximum(abs(y), abs(x)) < 12)
    assert map_of(noise(6) + block * step()) is not None
    assert map_of(noise(6) + block * step(), block) is None
    fault = slip(8e-3)
    assert map_of(noise(6) + fault * step(), fault) is not None


def test_an_image_of_noise_has_no_fault() -> None:
    assert [map_of(noise(50 + seed)) for seed in range(3)] == [None] * 3


def test_the_map_of_a_thin_fault_is_not_empty() -> None:
    truth = slip(8e-3)
    (field,) = build(DenoiseSettings(method="slipnet", device="cpu")).fields([observe(noise(7) + truth * step())])
    found = field.transient[-1] - field.transient[0]
    assert misfit(found, truth) < 0.6
    std = field.candidates[0].std[np.abs(truth) > 0.3 * np.abs(truth).max()]
    assert 1e-3 < np.median(std) < 4e-3


def test_a_rupture_is_as_wide_and_long_as_it_says() -> None:
    moved = slip(1.0)
    tall = np.abs(moved) > 0.3
    y, x = np.nonzero(tall)
    along = (x - FAULT.x) * np.sin(np.radians(35)) - (y - FAULT.y) * np.cos(np.radians(35))
    across = (x - FAULT.x) * np.cos(np.radians(35)) + (y - FAULT.y) * np.sin(np.radians(35))
    assert np.abs(along).max() == pytest.approx(11, abs=2)
    assert FAULT.depth_px < np.abs(across).max() < 2 * FAULT.depth_px
    assert (np.sign(moved[tall]) == np.sign(moved[tall][0] * across * across[0])).all()


def test_the_score_of_a_rupture_is_that_of_one_gaussian_value() -> None:
    assert rupture_score(0.5) == 0.0
    assert rupture_score(6.0) == pytest.approx(0.5 * (36 - 1) - np.log(6.0))
