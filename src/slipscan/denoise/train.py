"""Training of a network on streamed synthetic scenes, and its validation on held-out ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import slipscan
from slipscan.denoise import background, pretrained
from slipscan.denoise.apply import denoise
from slipscan.denoise.baselines import rouet_leduc_training
from slipscan.denoise.features import Features
from slipscan.denoise.network import CHANNELS, CONTRAST_EPOCHS, ContrastNet, channels_last
from slipscan.denoise.pretrained import Weights
from slipscan.denoise.recipe import Batch, Task, Trainer, choose
from slipscan.denoise.validation import Skill, scene_time, validation_scenes
from slipscan.settings import TrainSettings
from slipscan.synthetic.scene import TrainingScene

COVERAGE = 0.68


def train(settings: TrainSettings, out: Path) -> dict[str, Any]:
    """Train, validate and write the weights and their card to `out` (.safetensors).

    A checkpoint beside `out` lets a training that was cut off go on; raises SlipscanError where that
    checkpoint belongs to other settings.
    """
    torch.manual_seed(settings.seed)
    ours = settings.network == "slipscan"
    task = contrast_task(settings) if ours else rouet_leduc_training.task(settings)
    checkpoint = out.with_suffix(".checkpoint")
    progress = Trainer(task, settings, checkpoint).run()
    skill = (validate if ours else rouet_leduc_training.validate)(task.network, settings)
    card = {
        "name": settings.name,
        "slipscan_version": slipscan.__version__,
        "training": settings.model_dump(),
        "steps": progress.step,
        "scenes": progress.scenes,
        "minutes": round(progress.seconds / 60, 1),
        **skill,
    }
    pretrained.save(task.network, out, card)
    checkpoint.unlink(missing_ok=True)
    return card


def contrast_task(settings: TrainSettings) -> Task:
    """The task of slipscan's own network: the contrast at an interval, and its standard deviation."""
    return Task(channels_last(ContrastNet(settings.width)), CHANNELS - 2, intervals_of, _predict)


def _predict(network: nn.Module, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
    prediction = network(features.to(memory_format=torch.channels_last))
    return prediction.mean, prediction.log_std


def intervals_of(scene: TrainingScene, count: int, generator: np.random.Generator) -> Batch:
    """Some intervals of a scene, half of them where an event moves the ground."""
    shape = (scene.displacement.shape[1], scene.displacement.shape[2])
    series = scene.displacement.reshape(len(scene.displacement), -1).astype(float)
    closed = background.estimate(series, scene_time(scene), scene.height, shape)
    features = Features(closed, scene_time(scene), scene.height, shape)
    step = background.contrast(scene.events, CONTRAST_EPOCHS)
    chosen = choose(np.abs(step).max(axis=(1, 2)), count, generator)
    unit = features.unit[chosen]
    valid = unit > 0
    truth = np.where(valid, step[chosen] / np.where(valid, unit, 1.0), 0.0)
    return Batch(
        features.of(chosen),
        torch.from_numpy(truth.astype(np.float32)),
        torch.from_numpy(valid.astype(np.float32)),
    )


def _about_mean(field: NDArray[np.floating]) -> NDArray[np.floating]:
    """A field relative to its temporal mean: what does not depend on the reference epoch."""
    return np.asarray(field - field.mean(axis=0, keepdims=True))


def validate(network: nn.Module, settings: TrainSettings) -> dict[str, Any]:
    """Skill on held-out scenes, beside the classical method, and the factor that makes sigma cover 68 %.

    Returns
    -------
    card
        std_factor, and per method: RMS of the transient with no event, NRMSE over events and amplitude slope
    """
    raw = Weights(network, "raw", 1.0)
    methods: dict[str, Weights | None] = {"network": raw, "classical": None}
    errors: list[NDArray[np.floating]] = []
    spreads: list[NDArray[np.floating]] = []
    skills = {method: Skill() for method in methods}
    for scene in validation_scenes(settings):
        for method, weights in methods.items():
            parts = denoise(scene.displacement, scene_time(scene), scene.height, None, weights)
            skills[method].add(scene, parts.transient)
            if method == "network":
                truth = _about_mean(scene.background + scene.events)
                error = np.abs(_about_mean(parts.denoised) - truth)
                ok = np.isfinite(error)
                errors.append(error[ok][::7])
                spreads.append(parts.denoised_std[ok][::7])
    ratio = np.concatenate(errors) / np.concatenate(spreads)
    card: dict[str, Any] = {"std_factor": round(float(np.quantile(ratio, COVERAGE)), 3)}
    return card | {f"validation_{method}": skill.card() for method, skill in skills.items()}
