"""A buried source in an image is found, as what it is, and its map is nearer to the truth than the network's alone."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from denoised import observe, shipped  # tests/denoised.py
from simulated import PIXEL_M, turbulence  # tests/simulated.py
from slipscan.denoise.methods.slipnet.ground import Ground, ground_of
from slipscan.denoise.methods.slipnet.maps import map_of
from slipscan.denoise.methods.slipnet.method import SlipNetDenoiser
from slipscan.denoise.methods.slipnet.prepare import prepare
from slipscan.denoise.methods.slipnet.scales import COARSE, coarse
from slipscan.denoise.methods.slipnet.source_map import Source, source_map
from slipscan.denoise.methods.slipnet.source_patterns import FAULT, SHEET, VOLUME, Kind
from slipscan.denoise.methods.slipnet.source_search import starts
from slipscan.denoise.methods.slipnet.steps import begun
from slipscan.field import Observation
from slipscan.fit.delay import spatial_columns

SHAPE, EPOCHS = (64, 64), 60
LOS = np.array([-0.62, -0.11, 0.777])
COARSE_M = COARSE * PIXEL_M
MIDDLE = 0.5 * COARSE_M * SHAPE[0] / COARSE


def noise(seed: int, number: int) -> Tensor:
    """Images (n, y, x) of noise as red as air."""
    return torch.from_numpy(turbulence(np.random.default_rng(seed), number, std_m=1.0, shape=SHAPE)).float()


def ground(seed: int) -> Ground:
    columns = spatial_columns(torch.zeros([side // COARSE for side in SHAPE]))
    los = torch.from_numpy(LOS / np.linalg.norm(LOS)).float()
    return ground_of(coarse(noise(seed, 24)), los, columns, torch.ones_like(columns[0]) > 0, COARSE_M)


def unknowns_of(kind: Kind) -> Tensor:
    place = [MIDDLE + 3 * COARSE_M, -MIDDLE + 4.3 * COARSE_M]
    shapes = {VOLUME: [4e3], SHEET: [3e3, 6e3], FAULT: [5e3, np.exp(63.0), np.exp(55.0), 9e3, 4e3]}
    rest = np.log(shapes[kind]).tolist()
    return torch.tensor([[*place, *rest]], dtype=torch.float32)


def moved(kind: Kind, of: Ground, size: float) -> Tensor:
    """What a source between those that are looked for everywhere moves, (y, x); its largest value is `size`."""
    truth = of.maps(kind, unknowns_of(kind), COARSE)[0, 0]
    return size * truth / truth.abs().max()


def fitted(image: Tensor, of: Ground) -> Source:
    found = source_map(coarse(image[None])[0], of)
    assert found is not None
    return found


def misfit(found: Tensor, truth: Tensor) -> float:
    return float((found - truth).square().mean().sqrt() / truth.square().mean().sqrt())


KINDS = pytest.mark.parametrize("kind", [VOLUME, SHEET, FAULT], ids=["volume", "sheet", "fault"])


@KINDS
def test_a_source_is_found_and_its_error_is_as_stated(kind: Kind) -> None:
    seen = ground(1)
    truth = moved(kind, seen, 10.0)
    found = [fitted(noise(20 + seed, 1)[0] + truth, seen) for seed in range(3)]
    assert np.median([misfit(one.map, truth) for one in found]) < 0.25
    errors = [float((one.map - truth).square().mean() / one.std.square().mean()) ** 0.5 for one in found]
    assert 0.4 < np.median(errors) < 1.8


@KINDS
def test_the_search_begins_near_the_source(kind: Kind) -> None:
    seen = ground(1)
    image = coarse((noise(24, 1)[0] + moved(kind, seen, 20.0))[None])[0]
    first = starts(seen.white(image[None])[:, 0], seen)[kind][0]
    assert float((first - unknowns_of(kind)[0])[:2].norm()) < 5 * COARSE_M


def test_the_map_is_a_mean_over_kinds_that_explain_the_image_as_well() -> None:
    seen = ground(1)
    truth, several = moved(VOLUME, seen, 8.0), 0
    for seed in (25, 26, 27):
        image = coarse((noise(seed, 1)[0] + truth)[None])[0]
        found = source_map(image, seen)
        assert found is not None
        singles = [
            source_map(image, seen, found._replace(kinds={kind: some[[number]]}))
            for kind, some in found.kinds.items()
            for number in range(len(some))
        ]
        misfits = [misfit(one.map, truth) for one in singles if one is not None]
        assert misfit(found.map, truth) < max(misfits) + 0.01
        several += len(misfits) > 1
    assert several


def test_of_noise_a_source_explains_little() -> None:
    seen = ground(1)
    event = moved(VOLUME, seen, 10.0)
    pairs = [(fitted(one, seen).explained, fitted(one + event, seen).explained) for one in noise(30, 2)]
    assert all(0 <= alone < beside / 2 for alone, beside in pairs)


def test_a_map_changes_sign_with_the_image() -> None:
    seen = ground(1)
    image = noise(21, 1)[0] + moved(VOLUME, seen, 10.0)
    torch.testing.assert_close(fitted(-image, seen).map, -fitted(image, seen).map, rtol=1e-3, atol=1e-3)


def test_a_plane_and_what_follows_height_are_no_source() -> None:
    seen = ground(1)
    image = noise(22, 1)[0] + moved(VOLUME, seen, 10.0)
    rows = torch.linspace(-20, 20, SHAPE[0])[:, None].expand(SHAPE)
    assert misfit(fitted(image + rows, seen).map, fitted(image, seen).map) < 0.05


def series(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Of a volume source that swells in the middle of it, m, and what it has moved (y, x)."""
    truth = 25e-3 * moved(VOLUME, ground(1), 1.0).numpy()
    noisy = turbulence(np.random.default_rng(seed), EPOCHS, std_m=3e-3, shape=SHAPE)
    return noisy + step()[:, None, None] * truth, truth


def step() -> np.ndarray:
    return (np.arange(EPOCHS) >= EPOCHS // 2).astype(np.float32)


def mapped_from(seen: Observation, los: np.ndarray | None) -> Tensor:
    """What moved at the step, m, in the line of sight that is known or not."""
    method = shipped()
    assert isinstance(method, SlipNetDenoiser)
    prepared = prepare(seen.cleaned(), seen.days, seen.pixel_m, los=los)
    tile = begun(prepared, bool(method.network.whitened))
    with torch.inference_mode():
        return map_of(tile, torch.from_numpy(step()), method.network) * prepared.unit_m


def test_seen_from_a_known_direction_the_map_is_nearer_to_the_truth() -> None:
    known, unknown = [], []
    for seed in (3, 4, 5):
        noisy, truth = series(seed)
        for errors, los in ((known, LOS), (unknown, None)):
            errors.append(misfit(mapped_from(observe(noisy), los), torch.from_numpy(truth)))
    assert np.median(known) < 0.7 * np.median(unknown) < 0.5


def test_the_line_of_sight_of_every_pixel_may_be_given() -> None:
    seen = observe(series(3)[0])
    everywhere = np.broadcast_to(LOS[:, None, None], (3, *SHAPE)).copy()
    everywhere[:, :4] = np.nan
    nowhere = np.full_like(everywhere, np.nan)
    one, every, none = (
        prepare(seen.cleaned(), seen.days, seen.pixel_m, los=los).los for los in (LOS, everywhere, nowhere)
    )
    assert one is not None and every is not None and none is None
    assert float(one.norm()) == pytest.approx(1)
    torch.testing.assert_close(every, one)


def test_sources_can_be_left_out() -> None:
    seen = dataclasses.replace(observe(series(3)[0]), los=LOS)
    without, network, with_source = (
        shipped(sources=sources).fields([dataclasses.replace(seen, los=los)])[0]
        for sources, los in ((False, LOS), (True, None), (True, LOS))
    )
    np.testing.assert_array_equal(without.transient, network.transient)
    assert np.ptp(with_source.transient - without.transient) > 1e-3


@KINDS
def test_unknowns_beyond_all_measure_have_finite_maps(kind: Kind) -> None:
    far = torch.full((1, len(kind.steps)), 80.0)
    assert bool(ground(1).maps(kind, torch.cat([far, -far])).isfinite().all())
