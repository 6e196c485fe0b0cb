"""What SlipNet learns from: images of histories, and what events make of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from slipscan.denoise.methods.slipnet.image import Image, filter_of, image_of
from slipscan.denoise.methods.slipnet.prepare import prepare
from slipscan.denoise.methods.slipnet.scales import Levels
from slipscan.denoise.methods.slipnet.steps import begun, best_course
from slipscan.denoise.training.scenes import LabelledScene, strongest

TAUGHT_SHARE: Final = 0.5
"""Of the examples of a series with an event: those whose image is that of the true history."""


@dataclass(frozen=True)
class Example:
    """The image of a history and its truth.

    Attributes
    ----------
    image, levels
        what is seen, and its noise in scales
    truth
        (y, x) what the image's filter makes of the events, over the image's error
    seen
        (y, x) bool, where there is data
    gain
        matched-filter SNR over the root mean square of the truth; 0 without an event
    """

    image: Image
    levels: Levels
    truth: Tensor
    seen: Tensor
    gain: float

    def to(self, device: torch.device) -> Example:
        """The same on a device."""
        return Example(
            self.image.to(device), self.levels.to(device), self.truth.to(device), self.seen.to(device), self.gain
        )


def example_of(scene: LabelledScene, generator: np.random.Generator, whitened: bool = True) -> Example:
    """Make an example of a labelled scene: the image of the true history, or of the one that is found."""
    observed = scene.observation
    prepared = prepare(observed.cleaned(), observed.days, observed.pixel_m)
    tile = begun(prepared, whitened)
    gain, true = 0.0, None
    if scene.snr > 0:
        total = np.tensordot(scene.courses[-1], scene.maps, 1)
        true = torch.from_numpy(strongest(scene.courses, scene.maps))
        std = float(filter_of(prepared, true, prepared.design[:, :0])[1])
        gain = scene.snr * std * prepared.unit_m / float(np.sqrt((total**2).mean()))
    history = true if true is not None and generator.random() < TAUGHT_SHARE else best_course(tile)
    image = image_of(prepared, tile.levels, history)
    truth = torch.zeros_like(prepared.height)
    if len(scene.maps):
        share = image.filter @ torch.from_numpy(scene.courses) / (image.std * prepared.unit_m)
        truth = torch.tensordot(share, torch.from_numpy(np.ascontiguousarray(scene.maps)), 1)
    return Example(image, tile.levels, truth, prepared.seen, gain)
