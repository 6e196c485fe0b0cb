"""What SlipNet is trained on: images that are drawn at once, and some that are made of series."""

from __future__ import annotations

from typing import Final

import numpy as np

from slipscan.denoise.methods.slipnet.drawn import drawn_example
from slipscan.denoise.methods.slipnet.examples import Example, example_of
from slipscan.denoise.training.loader import passed_over
from slipscan.denoise.training.scenes import draw_labelled
from slipscan.noise.simulate import NoiseModel
from slipscan.settings import TrainSettings

SERIES_SHARE: Final = 0.1
"""Of the examples: those made of a series. A region's noise has series only."""
STREAM: Final = 5


def make_example(settings: TrainSettings, index: int, noise: NoiseModel | None) -> Example | None:
    """The example of a number; None: nothing happens in it, and it is one of those that are passed over."""
    if passed_over(settings, index):
        return None
    generator = np.random.default_rng([settings.seed, STREAM, index])
    if noise is None and settings.noise == "full" and generator.random() >= SERIES_SHARE:
        return drawn_example(settings, index)
    return example_of(draw_labelled(settings, index, noise), generator)
