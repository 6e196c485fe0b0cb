"""What SlipNet learns from: a scene in units of its noise, and what events moved the ground by in it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slipscan.denoise.methods.slipnet import history
from slipscan.denoise.methods.slipnet.history import LocalHistory
from slipscan.denoise.methods.slipnet.prepare import Prepared, prepare
from slipscan.denoise.training.scenes import LabelledScene, strongest

TAUGHT_SHARE: Final = 0.5
"""Of the examples with an event: those whose first history is the true one."""


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
    taught
        whether the first history is the true one
    """

    prepared: Prepared
    maps: Tensor
    courses: Tensor
    gain: float
    taught: bool

    def to(self, device: torch.device) -> Example:
        """The same on a device."""
        return dataclasses.replace(
            self, prepared=self.prepared.to(device), maps=self.maps.to(device), courses=self.courses.to(device)
        )


def example_of(scene: LabelledScene, generator: np.random.Generator) -> Example:
    """Make an example of a labelled scene."""
    seen = scene.observation
    prepared = prepare(seen.cleaned(), seen.days, seen.pixel_m)
    gain = 0.0
    if scene.snr > 0:
        total = np.tensordot(scene.courses[-1], scene.maps, 1)
        std = float(true_history(prepared, strongest(scene.courses, scene.maps), (1, 1)).std)
        gain = scene.snr * std * prepared.unit_m / float(np.sqrt((total**2).mean()))
    return Example(
        prepared=prepared,
        maps=torch.from_numpy(np.ascontiguousarray(scene.maps)) / prepared.unit_m,
        courses=torch.from_numpy(scene.courses),
        gain=gain,
        taught=bool(generator.random() < TAUGHT_SHARE),
    )


def true_history(prepared: Prepared, course: NDArray[np.floating], shape: tuple[int, ...]) -> LocalHistory:
    """The history of one course (time,), the same in every block."""
    column = torch.from_numpy(np.ascontiguousarray(course, dtype=np.float32))[:, None].to(prepared.days)
    return history.expected(prepared, column, torch.ones(1, *shape, device=column.device))
