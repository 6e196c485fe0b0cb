"""The prototype of 2021 as a denoiser, trained by slipscan's own trainer, with slipscan's own budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from slipscan.denoise.method import TrainedDenoiser
from slipscan.denoise.methods.rouet_leduc_2021.examples import Batch, choose, interval_task
from slipscan.denoise.methods.rouet_leduc_2021.network import (
    WINDOW,
    WindowNet,
    accumulated,
    flatten,
    predict_transient,
    windows_of,
)
from slipscan.denoise.training.parallel import processes
from slipscan.denoise.training.trainer import Task
from slipscan.errors import SlipscanError
from slipscan.field import Field, Observation
from slipscan.noise.simulate import NoiseModel
from slipscan.settings import TrainSettings
from slipscan.synthetic.scene import TrainingScene

PATCH: Final = 48
"""Side of a training window, pixels."""
POWER_FLOOR: Final = 0.2
"""Four times that of slipscan's own network. In trials with the same one the answer shrank to half a percent of the
truth: four windows of five hold next to nothing, and an answer costs more there than it gains in the fifth."""


class Prototype2021(TrainedDenoiser):
    """Rouet-Leduc et al. (2021), see `network`.

    What the network lets through of rate and season stays: its steps are ramps of up to sixteen epochs, and a fit of
    rate and season to them takes nine tenths of an event along. It states no standard deviation and no evidence.
    """

    name = "rouet_leduc_2021"
    shipped = "rouet-leduc-2021"

    @classmethod
    def network_of(cls, arguments: Mapping[str, Any]) -> nn.Module:
        """An untrained network; `width` channels."""
        return WindowNet(**arguments)

    def fields(self, observations: Sequence[Observation]) -> list[Field]:
        """Windows of nine epochs, put together."""
        out = []
        for seen in observations:
            height = np.zeros(seen.shape) if seen.height is None else seen.height
            out.append(Field.of(predict_transient(self.network, seen.values, height)))
        return out

    @classmethod
    def task(cls, settings: TrainSettings, noise: NoiseModel | None = None) -> Task:
        """What events moved the ground by over nine epochs; no standard deviation."""
        if noise is not None or processes() > 1:
            raise SlipscanError("the prototype of 2021 is trained by one process and for no region: train 'slipnet'")
        return interval_task(WindowNet(settings.width), WINDOW, patches_of, POWER_FLOOR)


def patches_of(scene: TrainingScene, count: int, generator: np.random.Generator) -> Batch:
    """Some windows of a scene, each cut to PATCH x PATCH pixels, half of them where an event moves the ground.

    Rate and season are in the data but not in the truth: the network has to learn to ignore steady motion.
    """
    field, unit = flatten(scene.displacement)
    moved = accumulated(scene.events)
    chosen = choose(np.abs(moved).max(axis=(1, 2)), count, generator)
    features = windows_of(field, unit, scene.height, chosen)
    truth = torch.from_numpy((moved[chosen] / unit).astype(np.float32))
    valid = torch.from_numpy(np.isfinite(field[chosen]).astype(np.float32))
    rows, columns = scene.height.shape
    corners = [(generator.integers(rows - PATCH + 1), generator.integers(columns - PATCH + 1)) for _ in chosen]

    def cut(tensor: torch.Tensor) -> torch.Tensor:
        return torch.stack([t[..., r : r + PATCH, c : c + PATCH] for t, (r, c) in zip(tensor, corners, strict=True)])

    return Batch(cut(features), cut(truth), cut(valid))
