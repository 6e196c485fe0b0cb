"""The prototype of 2021: its windows, how they become a series, and what its shipped weights recover."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from simulated import PIXEL_M, dates, turbulence  # tests/simulated.py
from slipbench.baselines.peak import detect
from slipbench.baselines.prepare import prepare
from slipbench.estimate import Estimate
from slipscan.denoise import cards
from slipscan.denoise.methods.rouet_leduc_2021 import examples as interval_examples
from slipscan.denoise.methods.rouet_leduc_2021 import network as prototype
from slipscan.denoise.methods.rouet_leduc_2021.examples import Batch, augment, choose
from slipscan.denoise.methods.rouet_leduc_2021.method import PATCH, Prototype2021, patches_of
from slipscan.denoise.methods.slipnet.method import SlipNetDenoiser
from slipscan.denoise.registry import build
from slipscan.denoise.training.run import train
from slipscan.errors import SlipscanError
from slipscan.field import Observation
from slipscan.settings import DenoiseSettings, TrainSettings
from slipscan.synthetic.scene import draw_scene

LOS = np.array([-0.6, -0.1, 0.79])
SMALL = {"steps": 4, "batch": 2, "width": 4, "pixels": 48, "epochs": 20, "validation_scenes": 8}


def observe(displacement: np.ndarray, known: bool = True, height: np.ndarray | None = None) -> Observation:
    relief = np.zeros(displacement.shape[1:], "f4") if height is None else height
    time = dates(len(displacement))
    return Observation(displacement.astype("f4"), time, PIXEL_M, relief, LOS, background_known=known)


def random_method(seed: int = 0) -> Prototype2021:
    """A network that answers something, whatever training makes of it."""
    torch.manual_seed(seed)
    network = prototype.WindowNet(4)
    torch.nn.init.normal_(network.head.weight, std=0.1)
    return Prototype2021(network.eval(), "random")


def estimate(seen: Observation, method: Prototype2021 | None = None) -> Estimate:
    """The strongest event, by the detector that the baselines share."""
    (found,) = (method or build(DenoiseSettings(method="rouet_leduc_2021"))).fields([seen])
    return detect(found.transient.astype(float), prepare(seen))


def test_the_network_takes_any_grid_and_sees_eleven_pixels_on_either_side() -> None:
    network = random_method().network
    for shape in ((48, 48), (3, 5), (31, 70)):
        assert network(torch.randn(2, prototype.WINDOW + 1, *shape)).shape == (2, *shape)
    features = torch.randn(1, prototype.WINDOW + 1, 40, 40)
    changed = features.clone()
    changed[0, :, 20, 20] += 5.0
    rows, columns = torch.nonzero((network(features) - network(changed))[0].abs() > 1e-7, as_tuple=True)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (9, 31, 9, 31)


def test_windows_by_hand() -> None:
    field = np.zeros((12, 1, 2), "f4")
    field[:, 0, 0] = np.arange(12)
    field[5, 0, 1] = np.nan
    features = prototype.windows_of(field, 2.0, np.array([[0.0, 1000.0]]), [0, 3]).numpy()
    np.testing.assert_allclose(features[1, :9, 0, 0], np.arange(-4, 5) / 2.0)
    assert (features[:, :9, 0, 1] == 0).all()  # missing is 0
    np.testing.assert_allclose(features[0, 9, 0], [-1.0, 1.0])
    np.testing.assert_array_equal(prototype.accumulated(field)[:, 0, 0], [8.0] * 4)


@pytest.mark.parametrize("epochs", [9, 11, 24])
def test_windows_of_a_steady_motion_combine_to_it(epochs: int) -> None:
    truth = 0.5 * (np.arange(epochs) - (epochs - 1) / 2)[:, None, None] * np.array([[1.0, -2.0]])
    starts = sorted({*range(0, epochs - 8, 4), epochs - 9})
    combined = prototype.combine(prototype.accumulated(truth)[starts], starts, epochs)
    np.testing.assert_allclose(combined, truth, atol=1e-12)


def test_windows_of_a_step_keep_its_size_and_its_time() -> None:
    truth = (np.arange(41) >= 21).astype(float)[:, None, None]  # between the epochs 20 and 21
    starts = list(range(0, 33, 4))
    combined = prototype.combine(prototype.accumulated(truth)[starts], starts, 41)[:, 0, 0]
    assert combined[-1] - combined[0] == pytest.approx(1.0)
    middle = np.interp(combined[0] + 0.5, combined, np.arange(41))
    assert middle == pytest.approx(20.5, abs=2)
    assert combined[:12].std() < 1e-12 and combined[30:].std() < 1e-12


def test_planes_are_taken_out_and_the_noise_is_found_beside_a_rate_and_an_event() -> None:
    generator = np.random.default_rng(0)
    y, x = np.indices((40, 50)) / 40
    noise = 4e-3 * generator.normal(size=(30, 40, 50))
    planes = sum(0.05 * generator.normal(size=(30, 1, 1)) * part for part in (1, x, y))
    field, unit = prototype.flatten((noise + planes).astype("f4"))
    np.testing.assert_allclose(field, noise - noise.mean(axis=0), atol=1.5e-3)
    assert unit == pytest.approx(4e-3, rel=0.02)
    bowl = 1e-2 * np.exp(-((y - 0.5) ** 2 + (x - 0.5) ** 2) / 0.02)
    moving = np.arange(30)[:, None, None] * bowl + 5 * bowl * (np.arange(30) > 12)[:, None, None]
    assert prototype.flatten(noise + planes + moving)[1] == pytest.approx(4e-3, rel=0.05)


@given(seed=st.integers(0, 1000), epoch=st.integers(0, 19), constant=st.floats(-0.5, 0.5))
@settings(max_examples=5, deadline=None)
def test_neither_the_reference_epoch_nor_a_constant_of_an_epoch_matters(seed: int, epoch: int, constant: float) -> None:
    generator = np.random.default_rng(seed)
    series = turbulence(generator, 20, shape=(16, 18))
    method = random_method(seed)
    one = estimate(observe(series), method)
    other = estimate(observe(series - series[[epoch]] + constant), method)
    np.testing.assert_allclose(one.transient, other.transient, atol=2e-5 * np.abs(one.transient).max() + 1e-7)
    offsets = 0.05 * generator.normal(size=(20, 1, 1))
    moved = estimate(observe(series + offsets), method)
    np.testing.assert_allclose(one.transient, moved.transient, atol=2e-5 * np.abs(one.transient).max() + 1e-7)


@given(seed=st.integers(0, 1000))
@settings(max_examples=5, deadline=None)
def test_the_sign_of_the_data_is_the_sign_of_the_answer(seed: int) -> None:
    series = turbulence(np.random.default_rng(seed), 20, shape=(16, 18))
    method = random_method(seed)
    one, other = (estimate(observe(sign * series), method) for sign in (1.0, -1.0))
    assert np.abs(one.map).max() > 1e-5
    np.testing.assert_allclose(one.transient, -other.transient, atol=1e-5 * np.abs(one.transient).max())
    assert one.score == pytest.approx(other.score, rel=1e-4)


def test_the_estimate_follows_the_contract_beside_missing_data() -> None:
    generator = np.random.default_rng(1)
    series = turbulence(generator, 21, shape=(20, 33)).astype("f4")
    series[:, :4] = np.nan
    series[generator.random(series.shape) < 0.1] = np.nan
    series[7] = np.nan
    found = estimate(observe(series, known=False, height=np.full((20, 33), 700.0, "f4")))
    assert found.map.shape == (20, 33) and found.transient.shape == series.shape
    assert np.isfinite(found.map).all() and np.isfinite(found.transient).all() and np.isfinite(found.score)
    assert (found.map[:4] == 0).all()
    np.testing.assert_allclose(found.transient.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(found.map, found.transient[-1] - found.transient[0], atol=1e-6)


@pytest.mark.parametrize(("sign", "known"), [(1, True), (-1, False)])
def test_the_shipped_weights_recover_a_strong_event(sign: int, known: bool) -> None:
    shape = (60, 52)
    series = turbulence(np.random.default_rng(3), 40, std_m=3e-3, shape=shape)
    y, x = np.indices(shape)
    bump = sign * 80e-3 * np.exp(-((y - 22) ** 2 + (x - 30) ** 2) / (2 * 5.0**2))
    found = estimate(observe(series + bump * (np.arange(40) >= 21)[:, None, None], known))
    row, column = np.unravel_index(np.abs(found.map).argmax(), shape)
    assert np.hypot(row - 22, column - 30) < 4
    assert 0.2 * 80e-3 < sign * found.map[22, 30] < 1.3 * 80e-3
    time = observe(series).days
    assert abs(found.t50_d - (time[20] + time[21]) / 2) <= 24
    quiet = estimate(observe(series, known))
    assert found.score > 3 * quiet.score


def test_bad_input_is_refused_in_one_sentence() -> None:
    with pytest.raises(SlipscanError, match="needs 9 epochs, this stack has 8"):
        estimate(observe(np.random.default_rng(0).normal(size=(8, 12, 12))))
    with pytest.raises(SlipscanError, match="holds no data"):
        estimate(observe(np.full((12, 6, 6), np.nan)))


def test_weights_of_one_network_are_not_read_into_another(tmp_path: Path) -> None:
    with pytest.raises(SlipscanError, match="are of the method 'slipnet', not of 'rouet_leduc_2021'"):
        cards.load("slipscan-1", Prototype2021)
    with pytest.raises(SlipscanError, match="are of the method 'rouet_leduc_2021', not of 'slipnet'"):
        cards.load("rouet-leduc-2021", SlipNetDenoiser)
    network = random_method().network
    path = tmp_path / "w.safetensors"
    cards.save(network, path, {"name": "w", "calibration": None}, "rouet_leduc_2021", {"width": 4})
    again, _, _ = cards.load(str(path), Prototype2021)
    features = torch.randn(1, prototype.WINDOW + 1, 12, 12)
    torch.testing.assert_close(network(features), again(features))


def test_a_training_window_holds_what_events_moved() -> None:
    scene = next(s for s in (draw_scene(0, i, epochs=20, pixels=56) for i in range(20)) if s.sources)
    batch = patches_of(scene, 6, np.random.default_rng(0))
    assert batch.features.shape == (6, prototype.WINDOW + 1, PATCH, PATCH)
    assert batch.truth.shape == batch.valid.shape == (6, PATCH, PATCH)
    assert batch.truth.abs().max() > 0


def test_augmentation_turns_data_and_truth_alike_and_leaves_the_height() -> None:
    torch.manual_seed(0)
    batch = Batch(torch.randn(2, 10, 12, 12), torch.randn(2, 12, 12), torch.ones(2, 12, 12))
    for seed in range(8):
        turned = augment(batch, prototype.WINDOW, np.random.default_rng(seed))
        for part in (slice(0, 9), slice(9, 10)):
            sign = 1 if part.start == 0 else turned.truth.sum().sign() * batch.truth.sum().sign()
            product = (turned.features[:, part] * turned.truth[:, None]).sum()
            torch.testing.assert_close(product, sign * (batch.features[:, part] * batch.truth[:, None]).sum())


def test_half_of_the_examples_are_drawn_where_something_happens() -> None:
    moved = np.zeros(40)
    moved[7:9] = [1.0, 0.5]
    chosen = choose(moved, 8, np.random.default_rng(0))
    assert len(chosen) == 8 and {7, 8} <= set(chosen)
    assert len(choose(np.zeros(3), 8, np.random.default_rng(0))) == 8


def test_a_short_training_writes_weights_that_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interval_examples, "MIN_BUFFER_SCENES", 2)
    out = tmp_path / "tiny.safetensors"
    card = train(TrainSettings(network="rouet_leduc_2021", name="tiny", **SMALL), out)
    assert card is not None and card["steps"] == 4
    assert "known_null_rms_mm" in card["validation"]
    method = build(DenoiseSettings(method="rouet_leduc_2021", weights=str(out)))
    assert isinstance(method, Prototype2021)
    assert np.isfinite(estimate(observe(np.random.default_rng(0).normal(size=(10, 8, 8))), method).score)
