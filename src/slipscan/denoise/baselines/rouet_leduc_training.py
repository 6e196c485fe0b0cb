"""Training of the prototype of 2021 by slipscan's own recipe (`denoise.recipe`), with slipscan's own budget."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from slipscan.denoise.apply import denoise
from slipscan.denoise.baselines.interval_examples import Batch, choose, interval_task
from slipscan.denoise.baselines.rouet_leduc_2021 import (
    WINDOW,
    WindowNet,
    accumulated,
    flatten,
    predict_transient,
    windows_of,
)
from slipscan.denoise.recipe import Task
from slipscan.denoise.validation import Skill, scene_time, validation_scenes
from slipscan.settings import TrainSettings
from slipscan.synthetic.scene import TrainingScene

PIXEL_M = 500.0
PATCH = 48
"""Side of a training window, pixels."""
POWER_FLOOR = 0.2
"""Four times that of slipscan's own network. In trials with the same one the answer shrank to half a percent of the
truth: four windows of five hold next to nothing, and an answer costs more there than it gains in the fifth."""


def task(settings: TrainSettings) -> Task:
    """The task of the prototype: what events moved the ground by over nine epochs; no standard deviation."""
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


def validate(network: nn.Module, settings: TrainSettings) -> dict[str, Any]:
    """Skill on held-out scenes, beside the classical method: the figures of slipscan's own card.

    Returns
    -------
    card
        calibration (none: the prototype states no standard deviation), and per method RMS of the transient
        with no event, NRMSE over events and amplitude slope
    """
    network_skill, classical = Skill(), Skill()
    for scene in validation_scenes(settings):
        time = scene_time(scene)
        network_skill.add(scene, predict_transient(network, scene.displacement, scene.height))
        classical.add(scene, denoise(scene.displacement, time, scene.height, None, None, pixel_m=PIXEL_M).transient)
    return {
        "calibration": None,
        "validation_network": network_skill.card(),
        "validation_classical": classical.card(),
    }
