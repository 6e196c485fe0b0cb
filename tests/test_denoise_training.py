"""Training: what examples say is what a filter makes of the events, and a training goes on where it stopped."""

from pathlib import Path

import numpy as np
import pytest
import torch

from slipscan.denoise import objective, pretrained
from slipscan.denoise.calibration import COVERAGE, calibrate
from slipscan.denoise.examples import draw_example
from slipscan.denoise.network import closed_form, image_of
from slipscan.denoise.objective import truth_of
from slipscan.denoise.recipe import Trainer
from slipscan.denoise.train import train
from slipscan.errors import SlipscanError
from slipscan.settings import TrainSettings

SMALL = TrainSettings(steps=4, batch=2, width=8, pixels=48, validation_scenes=6, name="tiny")


def test_an_example_is_the_same_whenever_it_is_drawn() -> None:
    one, other = draw_example(SMALL, 5), draw_example(SMALL, 5)
    assert torch.equal(one.window.residual, other.window.residual) and torch.equal(one.maps, other.maps)
    assert one.gain == other.gain
    assert not torch.equal(one.window.height, draw_example(SMALL, 6).window.height)


def test_the_truth_of_an_image_is_what_its_filter_makes_of_the_events() -> None:
    found = 0
    for index in range(40):
        example = draw_example(SMALL, index)
        if example.gain == 0:
            continue
        image = image_of(example.window, closed_form(example.window), closed_form(example.window).first)
        moved = torch.einsum("te,eyx->tyx", example.courses, example.maps)
        torch.testing.assert_close(
            truth_of(example, image), (image.filters * moved).sum(0) / image.std, atol=1e-3, rtol=1e-3
        )
        found += 1
    assert found > 10


def test_the_events_are_in_the_data_with_the_sign_of_the_truth() -> None:
    agreeing = []
    for index in range(80):
        example = draw_example(SMALL, index)
        if example.window.design.shape[1] > 1:
            continue  # beside a rate, the residual of an event need not rise
        total = (example.courses[-1][:, None, None] * example.maps).sum(0) if len(example.maps) else torch.zeros(1)
        if example.gain * float(total.square().mean().sqrt()) > 200:
            window = example.window
            seen = window.residual[-3:].mean(0) - window.residual[:3].mean(0)
            agreeing.append(float((seen * total).sum()) > 0)
    assert len(agreeing) >= 5 and np.mean(agreeing) >= 0.8


def test_a_training_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    checkpoint = tmp_path / "w.checkpoint"
    short = SMALL.model_copy(update={"slice_minutes": 1e-6})
    first = Trainer(objective.task(short), short, checkpoint)
    assert first.run().step == 1 and not first.finished
    again = Trainer(objective.task(SMALL), SMALL, checkpoint)
    assert again.progress.step == 1 and again.progress.scenes >= 2
    moments = again.optimiser.state_dict()["state"].values()
    assert {float(part["step"]) for part in moments} == {1.0}
    assert max(float(part["exp_avg"].abs().max()) for part in moments) > 0
    assert again.run().step == 4 and again.finished
    assert [part["from_step"] for part in again.progress.slices] == [0, 1]
    with pytest.raises(SlipscanError, match="of another network, width or seed"):
        other = SMALL.model_copy(update={"seed": 8})
        Trainer(objective.task(other), other, checkpoint)


def test_the_learning_rate_rises_stays_and_falls(tmp_path: Path) -> None:
    settings = TrainSettings(steps=10_000, decay_share=0.3, learning_rate=1e-3)
    trainer = Trainer(objective.task(settings.model_copy(update={"width": 8})), settings, tmp_path / "none")
    rates = [trainer.learning_rate(step) for step in (0, 1000, 6999, 8500, 9999)]
    assert rates[0] < 1e-5 and rates[1] == rates[2] == 1e-3
    assert rates[3] == pytest.approx(5e-4) and rates[4] < 2e-6


def test_a_short_training_writes_weights_that_load(tmp_path: Path) -> None:
    out = tmp_path / "tiny.safetensors"
    card = train(SMALL, out)
    assert card is not None and card["steps"] == 4 and card["scenes"] >= 8
    assert 0 < card["validation"]["covered"] <= 1
    weights = pretrained.load(str(out))
    assert weights.calibration is not None and weights.label.startswith("tiny:")
    assert train(SMALL.model_copy(update={"steps": 6, "slice_minutes": 1e-6}), out) is None


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
