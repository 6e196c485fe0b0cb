"""Calibration of SlipNet's standard deviation on held-out scenes."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from slipscan.denoise.methods.slipnet.examples import Example, example_of
from slipscan.denoise.methods.slipnet.image import image_of, levels_of
from slipscan.denoise.methods.slipnet.loss import truth_of
from slipscan.denoise.methods.slipnet.predict import odd_prediction
from slipscan.denoise.sigma import calibrate
from slipscan.denoise.training.scenes import held_out
from slipscan.settings import TrainSettings

Float32 = NDArray[np.float32]

EVERY: Final = 5
"""One pixel in so many is kept: neighbours are alike."""


def calibration_card(network: nn.Module, settings: TrainSettings) -> dict[str, Any]:
    """'calibration' of the card, from the first `validation_scenes` held-out scenes."""
    rows = []
    for index in range(settings.validation_scenes):
        scene = held_out(settings, index)
        example = example_of(scene, np.random.default_rng([settings.seed, 6, index]), taught=0.0)
        rows.append(np.stack(_pixels(example, network))[:, ::EVERY])
    mean, std, truth = np.concatenate(rows, axis=1)
    return {"calibration": dataclasses.asdict(calibrate(mean, std, truth))}


def _pixels(example: Example, network: nn.Module) -> tuple[Float32, Float32, Float32]:
    """Mean, standard deviation and truth, over the formal error, of the valid pixels, each (pixel,)."""
    prepared = example.prepared
    with torch.inference_mode():
        image = image_of(prepared, levels_of(prepared), example.history)
        (mean,), (std,) = odd_prediction(network, [image])
    parts = mean, std, truth_of(example, image)
    mean, std, truth = (part[prepared.seen].numpy() for part in parts)
    return mean, std, truth
