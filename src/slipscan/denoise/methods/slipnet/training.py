"""What SlipNet is trained on: images that are drawn at once, and some that are made of series."""

from __future__ import annotations

from functools import partial
from typing import Final

import numpy as np

from slipscan.denoise.methods.slipnet.drawn import drawn_example
from slipscan.denoise.methods.slipnet.examples import Example, example_of
from slipscan.denoise.training.loader import EXAMPLE_STREAM, passed_over, scene_example
from slipscan.noise.simulate import NoiseModel
from slipscan.settings import TrainSettings

SERIES_SHARE: Final = 0.1
"""Of the examples: those made of a series. A region's noise has series only."""


def make_example(settings: TrainSettings, index: int, noise: NoiseModel | None) -> Example | None:
    """The example of a number; None: nothing happens in it, and it is one of those that are passed over."""
    if passed_over(settings, index):
        return None
    share = float(np.random.default_rng([settings.seed, EXAMPLE_STREAM, index]).random())
    if noise is None and settings.noise == "full" and share >= SERIES_SHARE:
        return drawn_example(settings, index)
    return scene_example(settings, index, noise, of=partial(example_of, whitened=settings.whitened))
