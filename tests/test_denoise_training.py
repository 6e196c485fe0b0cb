"""Training: what examples say is what a filter makes of the events, and a training goes on where it stopped."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from slipscan.denoise.methods.slipnet import scales
from slipscan.denoise.methods.slipnet.drawn import drawn_example
from slipscan.denoise.methods.slipnet.examples import Example, example_of
from slipscan.denoise.methods.slipnet.image import BANDS
from slipscan.denoise.methods.slipnet.loss import whitened_energy
from slipscan.denoise.methods.slipnet.method import SlipNetDenoiser
from slipscan.denoise.methods.slipnet.prepare import prepare
from slipscan.denoise.registry import build
from slipscan.denoise.sigma import COVERAGE, calibrate
from slipscan.denoise.training.run import train
from slipscan.denoise.training.scenes import (
    REGION_SHARE,
    LabelledScene,
    _turned,
    _turned_los,
    draw_labelled,
    of_the_region,
)
from slipscan.denoise.training.trainer import Trainer
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid, utm_crs, write_grid
from slipscan.noise.parameters import model_of
from slipscan.noise.simulate import NoiseModel
from slipscan.noise.stage import estimate_noise
from slipscan.settings import DenoiseSettings, NoiseSettings, TrainSettings
from slipscan.store import open_zarr, write_zarr
from slipscan.synthetic.pool import SCENES_PER_BLOCK


def draw_example(settings: TrainSettings, index: int, noise: NoiseModel | None = None) -> Example:
    return example_of(draw_labelled(settings, index, noise), np.random.default_rng(index))


def unit_of(scene: LabelledScene) -> float:
    """What noise leaves of a step, m."""
    seen = scene.observation
    return prepare(seen.cleaned(), seen.days, seen.pixel_m).unit_m


SMALL = TrainSettings(steps=4, batch=2, width=8, pixels=48, validation_scenes=6)


def test_an_example_is_the_same_whenever_it_is_drawn() -> None:
    for make in (draw_example, drawn_example):
        one, other = make(SMALL, 5), make(SMALL, 5)
        assert torch.equal(one.image.features, other.image.features) and torch.equal(one.truth, other.truth)
        assert one.gain == other.gain
        assert not torch.equal(one.image.features, make(SMALL, 6).image.features)


@pytest.mark.parametrize("make", [draw_example, drawn_example])
def test_the_truth_is_in_the_image_with_its_sign(make: Callable[[TrainSettings, int], Example]) -> None:
    agreeing = []
    for index in range(60):
        example = make(SMALL, index)
        power = float(example.truth.square().mean().sqrt())
        if example.gain * power < 60:
            continue
        # The image has no plane and no height: what is seen of the truth is what lies across them.
        broad = example.image.bands[: 2 * BANDS].sum(0)
        truth = scales.coarse(example.truth[None])[0]
        agreeing.append(float((broad * (truth - truth.mean())).sum()) > 0)
    assert len(agreeing) >= 8 and np.mean(agreeing) >= 0.85


def test_the_signal_to_noise_ratio_of_a_drawn_image_is_what_its_gain_says() -> None:
    settings = SMALL.model_copy(update={"pixels": 96, "easy_scenes": 1})
    ratios = []
    for index in range(2000, 2080):
        example = drawn_example(settings, index)
        snr = example.gain * float(example.truth.square().mean().sqrt())
        if 0 < snr < 200 and example.seen.float().mean() > 0.85:
            ratios.append(float(whitened_energy(example.truth, example)) ** 0.5 / snr)
    assert len(ratios) > 5 and 0.5 < np.median(ratios) < 1.6


@pytest.mark.slow
def test_drawn_noise_is_what_the_levels_say_and_streaks_are_among_it() -> None:
    stretched, sizes = [], []
    for index in range(40):
        example = drawn_example(SMALL.model_copy(update={"pixels": 96}), 128 * index)
        noise = example.image.features[1 : 2 * BANDS : 2]
        sizes.append(noise.square().mean((1, 2)).sqrt())
        stretched.append(float(example.levels.whitening.log_power[2:5, 1:3].abs().max()))
    # The broadest band holds few independent values of a scene, and its mean.
    assert torch.stack(sizes).median(0).values[:-1].tolist() == pytest.approx([1.0] * (BANDS - 1), rel=0.35)
    assert min(stretched) < 0.5 and max(stretched) > 1.5


def test_a_training_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    checkpoint = tmp_path / "w.checkpoint"
    short = SMALL.model_copy(update={"slice_minutes": 1e-6})
    first = Trainer(SlipNetDenoiser.task(short), short, checkpoint)
    assert first.run().step == 1 and not first.finished
    again = Trainer(SlipNetDenoiser.task(SMALL), SMALL, checkpoint)
    assert again.progress.step == 1 and again.progress.scenes >= 2
    moments = again.optimiser.state_dict()["state"].values()
    assert {float(part["step"]) for part in moments} == {1.0}
    assert max(float(part["exp_avg"].abs().max()) for part in moments) > 0
    assert again.run().step == 4 and again.finished
    assert [part["from_step"] for part in again.progress.slices] == [0, 1]
    with pytest.raises(SlipscanError, match="of another network, width or seed"):
        other = SMALL.model_copy(update={"seed": 8})
        Trainer(SlipNetDenoiser.task(other), other, checkpoint)


def test_the_learning_rate_rises_stays_and_falls(tmp_path: Path) -> None:
    settings = TrainSettings(steps=10_000, decay_share=0.3, learning_rate=1e-3)
    trainer = Trainer(SlipNetDenoiser.task(settings.model_copy(update={"width": 8})), settings, tmp_path / "none")
    rates = [trainer.learning_rate(step) for step in (0, 1000, 6999, 8500, 9999)]
    assert rates[0] < 1e-5 and rates[1] == rates[2] == 1e-3
    assert rates[3] == pytest.approx(5e-4) and rates[4] < 2e-6


def test_a_short_training_writes_weights_that_load(tmp_path: Path) -> None:
    out = tmp_path / "tiny.safetensors"
    card = train(SMALL, out)
    assert card is not None and card["steps"] == 4 and card["scenes"] >= 8
    assert 0 < card["validation"]["covered"] <= 1
    loaded = build(DenoiseSettings(weights=str(out)))
    assert isinstance(loaded, SlipNetDenoiser)
    assert loaded.sigma is not None and loaded.label.startswith("own:")
    assert train(SMALL.model_copy(update={"steps": 6, "slice_minutes": 1e-6}), out) is None


@pytest.fixture
def noise_product(tmp_path: Path) -> Path:
    """What `slipscan noise` says of a calm region: turbulence of 2 mm."""
    generator = np.random.default_rng(0)
    time = np.datetime64("2020-01-01", "ns") + np.timedelta64(12, "D") * np.arange(24)
    height = np.zeros((64, 64), np.float32)
    calm = NoiseModel(turbulence_std_m=2e-3, white_std_m=5e-4)
    series = calm.simulate(generator, 12.0 * np.arange(24), height, 500.0)
    x, y = 500_000 + 500.0 * np.arange(64), 4_500_000 - 500.0 * np.arange(64)
    dataset = xr.Dataset(
        {"displacement": (("time", "y", "x"), series), "height": (("y", "x"), height)}, coords={"time": time}
    )
    path = tmp_path / "noise.zarr"
    write_zarr(estimate_noise(write_grid(dataset, Grid(x, y, utm_crs(32.6, 40.8))), NoiseSettings()), path)
    return path


def test_a_training_for_a_region_begins_with_the_shipped_weights_in_its_noise(
    noise_product: Path, tmp_path: Path
) -> None:
    shipped = build(DenoiseSettings()).network
    settings = SMALL.model_copy(update={"finetune_region": str(noise_product), "width": 48, "steps": 1, "batch": 1})
    assert train(settings, tmp_path / "region.safetensors") is not None
    tuned = build(DenoiseSettings(weights=str(tmp_path / "region.safetensors"))).network
    pairs = list(zip(shipped.parameters(), tuned.parameters(), strict=True))
    moved = max(float((one - other).detach().abs().max()) for one, other in pairs)
    assert 0 < moved < 0.01
    with pytest.raises(SlipscanError, match="have width 48"):
        train(settings.model_copy(update={"width": 8}), tmp_path / "narrow.safetensors")


def test_the_noise_of_a_region_comes_in_step_by_step(noise_product: Path) -> None:
    shares = [np.mean([of_the_region(seed, block) for seed in range(200)]) for block in (0, 12, 24, 500)]
    assert shares[0] == 0 and shares[1] == pytest.approx(0.375, abs=0.1)
    assert shares[2] == pytest.approx(REGION_SHARE, abs=0.1) and shares[3] == pytest.approx(REGION_SHARE, abs=0.1)
    noise = model_of(open_zarr(noise_product))
    block = next(block for block in range(24, 99) if of_the_region(SMALL.seed, block))
    index = block * SCENES_PER_BLOCK
    units = [unit_of(draw_labelled(SMALL, index + i, noise)) for i in range(6)]
    anywhere = [unit_of(draw_labelled(SMALL, index + i)) for i in range(6)]
    assert max(units) < 4e-3 and np.median(units) < np.median(anywhere)


def test_calibrated_sigma_covers_what_it_says_in_bins_of_what_is_predicted() -> None:
    generator = np.random.default_rng(0)
    n = 200_000
    std = 10 ** generator.uniform(-1, 0.5, n)
    mean = std * 10 ** generator.uniform(-2, 1.2, n)
    factor = 1 + 2 * (mean / std > 1)
    truth = mean + factor * std * generator.standard_normal(n)
    table = calibrate(mean, std, truth)
    sigma = table.apply(torch.from_numpy(mean), torch.from_numpy(std)).numpy()
    for low, high in ((0.0, 0.3), (3.0, 20.0)):
        chosen = (mean / std > low) & (mean / std < high)
        assert np.mean(np.abs(truth - mean)[chosen] < sigma[chosen]) == pytest.approx(COVERAGE, abs=0.02)


def test_factors_of_sigma_do_not_jump_where_few_pixels_tell_them() -> None:
    generator = np.random.default_rng(1)
    std = 10 ** generator.uniform(-1, 0.5, 50_000)
    mean = std * 10 ** generator.uniform(-2, 0.3, len(std))
    truth = mean + std * generator.standard_normal(len(std))
    mean[:300], truth[:300] = 12 * std[:300], 3 * std[:300]  # of one event, whose map was wrong
    factor = np.log(np.array(calibrate(mean, std, truth).factor))
    assert max(np.abs(np.diff(factor, axis=axis)).max() for axis in (0, 1)) < np.log(1.7)


def test_a_turned_scene_is_seen_from_where_its_maps_are() -> None:
    """A Mogi source moves the ground alike, turned or not, if the line of sight turns with it."""
    shape, depth, los = (33, 33), 3e3, np.array([-0.62, -0.11, 0.777])

    def seen_from(sight: np.ndarray, row: int, column: int) -> np.ndarray:
        rows, columns = (500.0 * np.arange(side) for side in shape)
        east, south = columns[None] - 500.0 * column, rows[:, None] - 500.0 * row
        moved = np.stack(np.broadcast_arrays(east, -south, depth)) / (east**2 + south**2 + depth**2) ** 1.5
        return np.tensordot(sight, moved, 1).astype("f4")

    for turned, down, across in itertools.product((False, True), repeat=3):
        row, column = (32 - 10 if down else 10), (32 - 20 if across else 20)
        row, column = (column, row) if turned else (row, column)
        expected = seen_from(_turned_los(los, turned, down, across), row, column)
        np.testing.assert_allclose(
            _turned(seen_from(los, 10, 20), turned, down, across), expected, rtol=1e-4, atol=1e-12
        )
