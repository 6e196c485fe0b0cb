"""What is no noise of the air in a map: single wrong pixels, and what a simple source cannot predict."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from slipscan.settings import SourceSettings
from slipscan.source.change import spikes
from slipscan.source.data import PREDICTION_ERROR, Block, Data, prediction_error
from slipscan.source.explain import explain_data
from slipscan.source.models import POINT, Area
from slipscan.source.posterior import Posterior
from slipscan.source.repeated import merged, repeated
from slipscan.source.sources import VolumeSource, displacement


def test_a_pixel_unlike_its_neighbours_has_its_difference_as_error_and_a_rupture_has_none() -> None:
    generator = np.random.default_rng(0)
    value = 1e-3 * generator.standard_normal((40, 40))
    value[:20] += 0.03  # a fault that breaks the surface
    value[10, 12] -= 0.15
    rows, columns = (part.ravel() for part in np.indices(value.shape))
    found = spikes(value, np.ones(value.shape, bool), rows, columns, rows > 25).reshape(value.shape)
    assert found[10, 12] == pytest.approx(-0.15, abs=5e-3)
    found[10, 12] = 0
    assert np.count_nonzero(found) <= 2 and np.abs(found).max() < 0.01


def test_a_pixel_without_neighbours_is_no_spike() -> None:
    value = np.full((9, 9), np.nan)
    value[4, 4] = 0.1
    assert spikes(value, np.isfinite(value), np.array([4]), np.array([4]), np.array([True])).tolist() == [0.0]


def test_the_prediction_error_is_a_share_of_what_moved_and_alike_near_by() -> None:
    moved = np.array([0.1, 0.1, 0.0])
    east, north = np.array([0.0, 100.0, 0.0]), np.zeros(3)
    covariance = prediction_error(moved, east, north, 1000.0)
    assert np.sqrt(covariance[0, 0]) == pytest.approx(PREDICTION_ERROR * 0.1)
    assert covariance[0, 1] == pytest.approx(covariance[0, 0] * np.exp(-0.1))
    assert not covariance[2].any()
    assert np.linalg.eigvalsh(covariance).min() > -1e-12


def test_a_block_has_the_errors_of_what_moved() -> None:
    east, north = np.array([0.0, 100.0, 5e4]), np.zeros(3)
    up = np.tile([0.0, 0.0, 1.0], (3, 1))
    block = Block(east, north, up, np.array([0.1, 0.1, 0.0]), 1e-6 * np.eye(3), error_length_m=1000.0)
    moved = block.moved
    assert moved == pytest.approx([0.1, 0.1, 0.0], abs=1e-3)
    errors = block.with_errors().covariance - block.covariance
    assert errors[0, 0] == pytest.approx(0.1**2 * moved[0] ** 2)
    assert errors[0, 1] == pytest.approx(0.1**2 * np.exp(-0.1) * moved[0] * moved[1])
    stations = replace(block, error_length_m=0.0)
    assert stations.with_errors() is stations
    quiet = replace(block, value=np.array([1e-4, -1e-4, 1e-4]))
    assert not quiet.moved.any()


def test_errors_of_the_size_are_in_proportion_to_what_a_source_predicts() -> None:
    """Integrated out one block after the other they are what the whole covariance says."""
    generator = np.random.default_rng(3)
    errors = (0.4, 0.1)
    blocks = []
    for error in errors:
        east, north = 1e3 * generator.standard_normal((2, 6))
        root = generator.standard_normal((6, 6))
        up = np.tile([0.0, 0.0, 1.0], (6, 1))
        covariance = 1e-4 * (root @ root.T + np.eye(6))
        value = 0.02 * generator.standard_normal(6)
        blocks.append(Block(east, north, up, value, covariance, size_error=error))
    data = Data(blocks)
    unit = torch.from_numpy(generator.standard_normal((2, len(data.east), 3))).float()
    sizes = torch.tensor([[0.01, 0.03], [-0.02, 0.05]], dtype=torch.float64)
    chi_square, log_errors = data.misfit(sizes, *data.products(unit))
    predicted = data.predicted(unit).double().numpy()
    for source, node in np.ndindex(2, 2):
        found = [0.0, 0.0]
        for number, block in enumerate(blocks):
            seen = sizes[source, node].item() * predicted[source, 6 * number : 6 * number + 6]
            bare = block.root @ block.root.T
            whole = bare + errors[number] ** 2 * np.outer(seen, seen)
            found[0] += (block.value - seen) @ np.linalg.solve(whole, block.value - seen)
            found[1] += np.linalg.slogdet(whole)[1] - np.linalg.slogdet(bare)[1]
        assert chi_square[source, node].item() == pytest.approx(found[0], rel=1e-3)
        assert log_errors[source, node].item() == pytest.approx(found[1], rel=1e-3)


def test_the_size_of_a_source_is_right_on_average_beside_errors_of_its_prediction() -> None:
    """Errors in proportion to what was measured would make it too small (Peelle's puzzle)."""
    generator = np.random.default_rng(0)
    east, north = (part.ravel() for part in np.meshgrid(np.arange(-6e3, 6e3, 1e3), np.arange(-6e3, 6e3, 1e3)))
    source = VolumeSource(0.0, 0.0, 3e3, 1e6)
    moved = displacement(source, east, north)
    up = np.tile([0.0, 0.0, 1.0], (len(east), 1))
    truth = moved[:, 2]
    blocks = [
        Block(east, north, up, truth + 4e-3 * generator.standard_normal(len(east)), 1.6e-5 * np.eye(len(east)),
              error_length_m=3e3)
        for _ in range(25)
    ]  # fmt: skip
    sizes = {}
    for name in ("moved", "measured"):
        found = []
        for block in blocks:
            errors = prediction_error(block.value, block.east, block.north, block.error_length_m)
            whole = replace(block, covariance=block.covariance + errors)
            if name == "moved":
                whole = block.with_errors()
            white, data = whole.whitened(truth), whole.whitened(block.value)
            found.append(float(white @ data) / float(white @ white))
        sizes[name] = np.mean(found)
    assert sizes["moved"] == pytest.approx(1.0, abs=0.03)
    assert sizes["measured"] < 0.9


def test_an_event_whose_date_is_not_known_is_an_event_all_the_same() -> None:
    """No source predicts nothing wrongly: an error of the size of a source explains no data without one."""
    source = VolumeSource(0.0, 0.0, 3e3, 2e6)
    east, north = (part.ravel() for part in np.meshgrid(np.arange(-6e3, 6e3, 1e3), np.arange(-6e3, 6e3, 1e3)))
    up = np.tile([0.0, 0.0, 1.0], (len(east), 1))
    noise = 1e-3 * np.random.default_rng(1).standard_normal(len(east))
    block = Block(
        east, north, up, displacement(source, east, north)[:, 2] + noise, 1e-6 * np.eye(len(east)), error_length_m=3e3
    )
    small = SourceSettings(particles=80, searched=512)
    known, vague = (
        explain_data([replace(block, size_error=error)], Area(0.0, 0.0, 6e3), small) for error in (0.0, 0.5)
    )
    assert vague.evidence["volumetric"] == pytest.approx(known.evidence["volumetric"], rel=0.1)
    widths = [np.diff(np.quantile(np.log(np.abs(f.posteriors["mogi"].size)), (0.16, 0.84)))[0] for f in (known, vague)]
    assert widths[1] > 2 * widths[0]


def test_runs_go_on_until_one_says_what_those_before_said_and_weigh_by_their_evidence() -> None:
    def run(depth: float, evidence: float) -> Posterior:
        around = depth + 100.0 * np.random.default_rng(int(depth)).standard_normal(200)
        return Posterior(POINT, {"depth": around}, np.full(200, 1e6), np.zeros(200), np.zeros(200), evidence)

    whole = merged([run(3e3, 10.0), run(9e3, 10.0 + np.log(3))], seed=1)
    assert np.mean(whole.shape["depth"] > 6e3) == pytest.approx(0.75, abs=0.01)
    assert len(whole.size) == 400 and whole.log_evidence == pytest.approx(10 + np.log(2))
    asked: list[int] = []

    def sampled(number: int) -> Posterior:
        asked.append(number)
        return run({1: 9e3, 2: 9e3 + 1, 3: 3e3 + 1}[number], 10.0)

    assert len(repeated(lambda _: run(3e3 + 5, 10.0), run(3e3, 10.0), 1).size) == 400
    assert len(repeated(sampled, run(3e3, 10.0), 1).size) == 800 and asked == [1, 2, 3]
