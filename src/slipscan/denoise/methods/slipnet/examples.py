"""What SlipNet learns from: a scene in units of its noise, what events moved the ground by in it, and a history."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from slipscan.denoise.methods.slipnet.events import best_course
from slipscan.denoise.methods.slipnet.image import filter_of
from slipscan.denoise.methods.slipnet.prepare import Prepared, prepare
from slipscan.denoise.training.scenes import LabelledScene, strongest

TAUGHT_SHARE: Final = 0.5
"""Of the examples with an event: those whose image is that of the true history."""


@dataclass(frozen=True)
class Example:
    """A scene and the events in it.

    Attributes
    ----------
    prepared
        what is seen
    maps, courses
        (event, y, x) units, and (time, event), 0 at the first epoch: their sum of products is the truth
    gain
        matched-filter SNR over the root mean square of a map in units of its error in a pixel; 0 without an event
    history
        (time,) whose image is cleaned: the true one, or the one that is found
    """

    prepared: Prepared
    maps: Tensor
    courses: Tensor
    gain: float
    history: Tensor

    def to(self, device: torch.device) -> Example:
        """The same on a device."""
        return dataclasses.replace(
            self, prepared=self.prepared.to(device), maps=self.maps.to(device), courses=self.courses.to(device),
            history=self.history.to(device),
        )  # fmt: skip


def example_of(scene: LabelledScene, generator: np.random.Generator) -> Example:
    """Make an example of a labelled scene."""
    seen = scene.observation
    prepared = prepare(seen.cleaned(), seen.days, seen.pixel_m)
    gain, truth = 0.0, None
    if scene.snr > 0:
        total = np.tensordot(scene.courses[-1], scene.maps, 1)
        truth = torch.from_numpy(strongest(scene.courses, scene.maps))
        std = float(filter_of(prepared, truth, prepared.design[:, :0])[1])
        gain = scene.snr * std * prepared.unit_m / float(np.sqrt((total**2).mean()))
    return Example(
        prepared=prepared,
        maps=torch.from_numpy(np.ascontiguousarray(scene.maps)) / prepared.unit_m,
        courses=torch.from_numpy(scene.courses),
        gain=gain,
        history=truth if truth is not None and generator.random() < TAUGHT_SHARE else best_course(prepared),
    )
