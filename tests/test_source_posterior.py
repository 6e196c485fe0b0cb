"""Posteriors of sources: truth inside, evidence for the right kind, any data vector with its covariance."""

import math

import numpy as np
import pytest
import torch
import xarray as xr

from slipscan.earthquakes import moment_magnitude
from slipscan.errors import SlipscanError
from slipscan.noise.simulate import TurbulenceSpectrum, turbulence
from slipscan.settings import SourceSettings
from slipscan.source.covariance import MapNoise, change_weights, noise_of_map, noise_of_product
from slipscan.source.data import Block, Data
from slipscan.source.explain import (
    FAMILIES,
    explain_data,
    family_quantiles,
    predicted_in,
    weighted_quantiles,
)
from slipscan.source.faults import MappedFault
from slipscan.source.models import FAULT, KINDS, POINT, Area, mechanism_log_prior
from slipscan.source.posterior import Problem
from slipscan.source.sampler import sample
from slipscan.source.slip import distribute
from slipscan.source.sources import Fault, VolumeSource, displacement

ASCENDING = np.array([-0.58, -0.13, 0.80])
PIXEL_M = 1000.0
LAW = MapNoise(TurbulenceSpectrum(outer_scale_m=10e3), 9e-6, 1e-6)
SMALL = SourceSettings(particles=80, searched=512)


def map_block(source, seed, side=12, look=ASCENDING):
    """A map of a source with noise that is correlated in space, an offset and a ramp."""
    rows, columns = np.indices((side, side)).reshape(2, -1)
    east, north = PIXEL_M * (columns - side / 2), PIXEL_M * (side / 2 - rows)
    covariance = LAW.covariance(rows, columns, (PIXEL_M, PIXEL_M), np.ones(side**2))
    generator = np.random.default_rng(seed)
    noise = np.linalg.cholesky(covariance + 1e-12 * np.eye(side**2)) @ generator.standard_normal(side**2)
    ramp = np.column_stack([np.full(side**2, 0.05), 0.03 * east / 6e3, 0.03 * north / 6e3])
    value = displacement(source, east, north) @ look + noise + ramp @ generator.normal(0, 0.3, 3)
    return Block(east, north, np.tile(look, (side**2, 1)), value, covariance, ramp)


def test_whitened_noise_is_white_and_the_ramp_costs_nothing():
    nothing = VolumeSource(0.0, 0.0, 5e3, 0.0)
    energy = [Data([map_block(nothing, seed)]).energy for seed in range(12)]
    degrees = 12 * 12 - 3
    assert np.mean(energy) == pytest.approx(degrees, abs=4 * math.sqrt(2 * degrees / 12))


def test_covariance_is_that_of_simulated_turbulence():
    spectrum = TurbulenceSpectrum(outer_scale_m=8e3)
    fields = turbulence(np.random.default_rng(3), (40, 40), PIXEL_M, 400, spectrum)
    rows, columns = np.array([5, 5, 5, 20]), np.array([5, 8, 20, 5])
    law = MapNoise(spectrum, 1.0, 1e-9)
    found = law.covariance(rows, columns, (PIXEL_M, PIXEL_M), np.ones(4))
    seen = np.cov(fields[:, rows, columns].T)
    # Differences: a common offset is no part of a map.
    for one, other in ((0, 1), (0, 2), (0, 3)):
        expected = seen[one, one] + seen[other, other] - 2 * seen[one, other]
        assert found[one, one] + found[other, other] - 2 * found[one, other] == pytest.approx(expected, rel=0.25)


def test_the_map_itself_tells_its_noise():
    generator = np.random.default_rng(1)
    field = 5e-3 * turbulence(generator, (60, 60), PIXEL_M, 1, TurbulenceSpectrum(outer_scale_m=8e3))[0]
    rows, columns = np.indices((15, 15)).reshape(2, -1) * 4
    pairs = np.concatenate([rows, rows]), np.concatenate([columns, columns + 1])
    unknown = np.column_stack([np.ones(len(pairs[0])), pairs[0], pairs[1]])
    law = noise_of_map(field[pairs], np.full(len(pairs[0]), 5e-3), *pairs, (PIXEL_M, PIXEL_M), unknown)
    assert law.white < 0.2 * law.variance
    white = generator.normal(0, 2e-3, len(pairs[0]))
    law = noise_of_map(white, np.full(len(white), 2e-3), *pairs, (PIXEL_M, PIXEL_M), unknown)
    assert law.variance < 0.2 * law.white
    assert law.white == pytest.approx(4e-6, rel=0.4)


def test_weights_give_the_size_of_a_history_beside_rate_and_season():
    time = np.datetime64("2018-01-01", "ns") + np.arange(80) * np.timedelta64(12 * 86400, "s")
    course = np.clip((np.arange(80) - 35) / 8, 0, 1)
    weight = change_weights(time, course, np.ones(80))
    years = np.arange(80) * 12 / 365.25
    background = 3 + 0.2 * years + np.cos(2 * np.pi * years)
    assert weight @ (background + 0.7 * course) == pytest.approx(0.7)
    assert change_weights(time, years, np.ones(80)) is None


def noise_product(red):
    """Turbulence of 5 mm an epoch, single pixels of 1 mm, and a random walk."""
    time = np.datetime64("2018-01-01", "ns") + np.arange(80) * np.timedelta64(12 * 86400, "s")
    numbers = {"white_std": 1e-3, "exponent": 8 / 3, "outer_scale": 20e3, "turbulence_std": 5e-3}
    return xr.Dataset(
        {
            **{name: ((), value) for name, value in numbers.items()},
            "turbulence_epoch_std": ("time", np.full(80, 5e-3)),
            "band_white_std": (("time", "band"), np.full((80, 2), 4e-3)),
            "red_variance": ("band", np.array([0.0, red])),
        },
        coords={"time": time, "band": ("band", [1.0, 8.0])},
    )


def test_the_noise_product_tells_the_covariance_of_a_change():
    course = np.clip((np.arange(80) - 35) / 8, 0, 1)
    product = noise_product(0.0)
    law = noise_of_product(product, product["time"].values, course)
    weight = change_weights(product["time"].values, course, np.ones(80))
    assert law.told_by == "noise product"
    assert law.variance == pytest.approx(25e-6 * (weight**2).sum())
    assert law.white == pytest.approx(1e-6 * (weight**2).sum())
    # What walks in time adds to the long waves, not to the short ones.
    walking = noise_of_product(noise_product(1.0), product["time"].values, course)
    rows, columns = np.array([0, 0, 0]), np.array([0, 1, 30])
    spread = []
    for one in (law, walking):
        found = one.covariance(rows, columns, (PIXEL_M, PIXEL_M), np.ones(3))
        spread.append([found[0, 0] + found[i, i] - 2 * found[0, i] for i in (1, 2)])
    near, far = (walked / white for white, walked in zip(*spread, strict=True))
    assert far > near > 0.99 and far > 1.1
    assert noise_of_product(product, product["time"].values, np.zeros(80)) is None


def test_posterior_of_a_volume_source_holds_the_truth_as_often_as_it_says():
    inside = []
    for seed in range(16):
        generator = np.random.default_rng(seed)
        truth = VolumeSource(*generator.normal(0, 2e3, 2), float(generator.uniform(2e3, 5e3)), 1.5e6)
        problem = Problem(POINT, Data([map_block(truth, seed)]), Area(0.0, 0.0, 4e3), 0.25)
        found = sample(problem, 60, 256, seed)
        for values, true in ((found.shape["depth"], truth.depth), (found.size, truth.volume_change)):
            low, high = np.quantile(values, (0.16, 0.84))
            inside.append(low <= true <= high)
    # 32 draws of 0.68, in pairs that hang together: two and a half standard deviations
    assert np.mean(inside) == pytest.approx(0.68, abs=0.29)


@pytest.fixture(scope="module")
def slipped():
    fault = Fault(1e3, -0.5e3, 3e3, 30.0, 80.0, 8e3, 4e3, 0.25, 0.0)
    data = [map_block(fault, 5), map_block(fault, 6, look=ASCENDING * [-1, 1, 1])]
    return fault, data, explain_data(data, Area(0.0, 0.0, 6e3), SMALL)


def test_evidence_is_for_the_kind_that_it_was(slipped):
    fault, _, found = slipped
    assert found.evidence["slip"] > max(found.evidence["volumetric"], found.evidence["hydrological"]) + 3
    low, middle, high = family_quantiles(found, "slip")["mw"]
    assert low < middle < high
    assert middle == pytest.approx(moment_magnitude(fault.potency_m3), abs=0.2)


def test_equal_seeds_give_equal_posteriors_and_hopeless_kinds_are_given_up(slipped):
    _, data, found = slipped
    again = sample(Problem(POINT, Data(data), Area(0.0, 0.0, 6e3), 0.25), 50, 128, SMALL.seed)
    twin = sample(Problem(POINT, Data(data), Area(0.0, 0.0, 6e3), 0.25), 50, 128, SMALL.seed)
    np.testing.assert_array_equal(again.size, twin.size)
    given_up = sample(Problem(POINT, Data(data), Area(0.0, 0.0, 6e3), 0.25), 50, 128, SMALL.seed, rival=1e4)
    assert not given_up.complete and again.complete
    assert given_up.log_evidence < found.evidence["slip"]


def test_gnss_is_one_more_block_and_narrows_the_posterior():
    truth = VolumeSource(0.0, 0.0, 4e3, 2e6)
    insar = map_block(truth, 2)
    places = np.array([[2e3, 1e3], [-3e3, 2e3], [1e3, -4e3]])
    moved = displacement(truth, places[:, 0], places[:, 1])
    stations = Block(
        np.repeat(places[:, 0], 3), np.repeat(places[:, 1], 3), np.tile(np.eye(3), (3, 1)), moved.ravel(),
        np.diag(np.full(9, 0.5e-3**2)),
    )  # fmt: skip
    spread = []
    for blocks in ([insar], [insar, stations]):
        found = sample(Problem(POINT, Data(blocks), Area(0.0, 0.0, 4e3), 0.25), 80, 256, 1)
        spread.append(np.std(found.shape["depth"]))
        assert np.quantile(found.shape["depth"], 0.02) < 4e3 < np.quantile(found.shape["depth"], 0.98)
    assert spread[1] < 0.5 * spread[0]


def test_shapes_stay_within_their_bounds_and_move_the_ground_as_the_forward_model_does():
    z = torch.randn(200, 10, generator=torch.Generator().manual_seed(0))
    points = torch.tensor([1e3, -4e3]), torch.tensor([2e3, 3e3])
    for kind in KINDS.values():
        shape = kind.shape(z[:, : kind.dimensions], Area(0.0, 0.0, 5e3))
        moved = kind.moved(*points, shape, 0.25)
        assert moved.shape == (200, 2, 3) and torch.isfinite(moved).all()
        assert (shape["depth"] > 0).all()
    shape = FAULT.shape(z[:1], Area(0.0, 0.0, 5e3))
    number = {name: float(value[0]) for name, value in shape.items()}
    slip = math.radians(number["rake"])
    same = Fault(
        number["east"], number["north"], number["depth"], number["strike"], number["dip"], number["length"],
        number["width"], math.cos(slip), math.sin(slip),
    )  # fmt: skip
    expected = displacement(same, points[0].double().numpy(), points[1].double().numpy())
    np.testing.assert_allclose(FAULT.moved(*points, shape, 0.25)[0], expected, atol=2e-5)


def test_faults_are_as_anderson_has_them():
    dip, rake = torch.tensor([80.0, 28.0, 28.0, 55.0]), torch.tensor([180.0, 90.0, -90.0, -90.0])
    strike_slip, thrust, flat_normal, normal = mechanism_log_prior(dip, rake)
    assert min(strike_slip, thrust, normal) > flat_normal + 1


def test_slip_is_distributed_over_a_mapped_fault_with_its_moment():
    fault = Fault(0.0, 0.0, 3e3, 0.0, 90.0, 8e3, 4e3, 0.3, 0.0)
    trace = MappedFault("Main", np.array([[0.0, -20e3], [0.0, 20e3]]))
    model = distribute([map_block(fault, 8, side=16)], trace, 90.0, 0.0, 6e3, seed=1)
    assert model.log_evidence > 20
    low, _, high = model.mw
    true = moment_magnitude(fault.potency_m3)
    assert low - 0.15 < true < high + 0.15
    inside = (np.abs(model.north) < 4e3) & (np.abs(model.depth - 3e3) < 2e3)
    assert model.slip[inside].mean() > 3 * np.abs(model.slip[~inside]).mean()


def test_what_is_unknown_is_fitted_beside_the_noise():
    block = map_block(VolumeSource(0.0, 0.0, 5e3, 0.0), 4)
    plane = block.nuisance @ np.array([0.4, -0.7, 0.2])
    np.testing.assert_allclose(block.left_of(plane), 0.0, atol=2e-4)


def test_quantiles_of_weighted_values():
    values = np.arange(1000.0)
    low, middle, _ = weighted_quantiles(values, np.ones(1000), (0.16, 0.5, 0.84))
    assert (low, middle) == (pytest.approx(160, abs=1), pytest.approx(500, abs=1))
    assert weighted_quantiles(values, (values > 900).astype(float), (0.5,))[0] == pytest.approx(950, abs=2)
    assert set(FAMILIES) == {"slip", "volumetric", "hydrological"}


def test_bad_blocks_are_said_in_a_sentence():
    two = np.zeros(2)
    with pytest.raises(SlipscanError, match="positions, directions"):
        Block(two, two, np.zeros((2, 2)), two, np.eye(2))
    with pytest.raises(SlipscanError, match="not finite"):
        Block(two, two, np.zeros((2, 3)), np.array([np.nan, 0]), np.eye(2))
    with pytest.raises(SlipscanError, match="positive definite"):
        Data([Block(two, two, np.zeros((2, 3)), two, np.array([[1.0, 2.0], [2.0, 1.0]]))])
    with pytest.raises(SlipscanError, match="no data"):
        Data([])


def test_a_value_near_the_event_is_the_mean_over_its_pixel() -> None:
    """Slip that breaks the surface jumps within a pixel, which holds the mean of both sides."""
    east, zero = np.array([-500.0, 0.0, 500.0, 4000.0]), np.zeros(4)
    look = np.tile([0.0, 1.0, 0.0], (4, 1))
    near = np.array([True, True, True, False])
    points, cells = (
        Block(east, zero, look, zero, np.eye(4), near=near, cell_m=cell) for cell in ((0.0, 0.0), (500.0, 500.0))
    )
    shape = {
        "east": 0.0, "north": 0.0, "depth_top": 0.0, "depth": 2e3, "strike": 0.0, "dip": 90.0, "length": 40e3,
        "width": 4e3, "rake": 0.0,
    }  # fmt: skip
    sharp, mean = (predicted_in(block, KINDS["fault"], shape, 1.0, 0.25) for block in (points, cells))
    assert abs(mean[1]) < 0.01 < 0.3 < abs(mean[0])
    np.testing.assert_allclose(mean[[0, 2]], sharp[[0, 2]], rtol=0.05)
    assert mean[3] == pytest.approx(sharp[3])
    # The sampler has the same.
    data = Data([cells])
    rows = {name: torch.tensor([value], dtype=torch.float32) for name, value in shape.items()}
    seen = data.predicted(KINDS["fault"].moved(data.east, data.north, rows, 0.25))[0]
    np.testing.assert_allclose(seen.numpy(), mean, atol=1e-4)


def test_what_is_white_in_space_is_told_by_neighbours_in_the_map() -> None:
    generator = np.random.default_rng(0)
    noise = MapNoise(noise_of_map(np.empty(0), np.full(9, 1e-3), np.empty(0, int), np.empty(0, int), (1.0, 1.0),
                                  np.empty((0, 3))).spectrum, 1e-6, 1e-7)  # fmt: skip
    value, quiet = 3e-3 * generator.standard_normal((60, 60)), np.ones((60, 60), bool)
    quiet[:20, :20], value[:20, :20] = False, 1.0
    assert noise.with_white_of(value, quiet, (500.0, 500.0)).white == pytest.approx(9e-6, rel=0.1)
    assert noise.with_white_of(value, quiet & (np.indices((60, 60))[0] > 57), (500.0, 500.0)) == noise
