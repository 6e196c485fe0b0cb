"""Training of a network on streamed synthetic scenes, and its validation and calibration on held-out ones."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

import slipscan
from slipscan.denoise import objective, parallel, pretrained
from slipscan.denoise.baselines import rouet_leduc_training
from slipscan.denoise.calibration import MIN_PIXELS, Calibration, calibrate
from slipscan.denoise.examples import Example, draw_example
from slipscan.denoise.predict import clean
from slipscan.denoise.recipe import CHECKPOINT, LOG, Task, Trainer
from slipscan.denoise.validation import VALIDATION_SEED_OFFSET
from slipscan.errors import SlipscanError
from slipscan.noise.parameters import model_of
from slipscan.outputs import check_outputs
from slipscan.settings import DenoiseSettings, TrainSettings
from slipscan.store import open_zarr

Float32 = NDArray[np.float32]

FIRST_VALIDATION_SCENE: Final = 1_000_000
"""Past the scenes that are made easier, whatever their seed."""
SNR_BINS: Final = ((5, 8), (8, 15), (15, 30), (30, 80), (80, 1000))
AMPLITUDE_BINS: Final = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 1e3)
STD_BINS: Final = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 1e3)
EVERY: Final = 5
"""One pixel in so many is kept for the calibration: neighbours are alike."""
BESIDE: Final = {".json": pretrained.CARD, ".checkpoint": CHECKPOINT, ".csv": LOG}
"""What lies beside the weights."""


def train(settings: TrainSettings, out: Path) -> dict[str, Any] | None:
    """Train for one slice; at the end of the schedule, validate and write weights and card to `out` (.safetensors).

    A checkpoint beside `out` lets a training go on, slice after slice, or after it was cut off. Started by torchrun,
    processes train together (`parallel`); the first one validates and writes.

    Returns
    -------
    card
        None where the schedule has not come to its end, and in all processes but the first

    Raises
    ------
    SlipscanError
        the checkpoint belongs to another network, width or seed; the prototype is to be trained by several processes
        or for a region; the noise product does not tell enough; `width` is not that of the shipped weights
    """
    outputs = [(out, pretrained.KIND), *((out.with_suffix(end), kind) for end, kind in BESIDE.items())]
    check_outputs(outputs, [settings.finetune_region] if settings.finetune_region else [])
    with parallel.joined():
        task = _task(settings)
        trainer = Trainer(task, settings, out.with_suffix(".checkpoint"))
        progress = trainer.run()
        if not trainer.finished or parallel.rank() > 0:
            return None
    task.network.cpu()
    ours = settings.network == "slipscan"
    skill = (validate if ours else rouet_leduc_training.validate)(task.network, settings)
    card = {
        "name": settings.name,
        "slipscan_version": slipscan.__version__,
        "training": settings.model_dump(),
        "slices": progress.slices,
        "steps": progress.step,
        "scenes": progress.scenes,
        "minutes": round(progress.seconds / 60, 1),
        **skill,
    }
    pretrained.save(task.network, out, card)
    return card


def _task(settings: TrainSettings) -> Task:
    """What is learnt; for a region, from the shipped weights on."""
    torch.manual_seed(settings.seed)
    if settings.network != "slipscan":
        if settings.finetune_region or parallel.processes() > 1:
            raise SlipscanError("the prototype of 2021 is trained by one process and for no region: train 'slipscan'")
        return rouet_leduc_training.task(settings)
    if settings.finetune_region is None:
        return objective.task(settings)
    task = objective.task(settings, model_of(open_zarr(Path(settings.finetune_region))))
    shipped = pretrained.load(DenoiseSettings().weights).network
    if shipped.width != settings.width:
        raise SlipscanError(f"the shipped weights have width {shipped.width}: set train.width to it to finetune them")
    task.network.load_state_dict(shipped.state_dict())
    return task


def validate(network: nn.Module, settings: TrainSettings) -> dict[str, Any]:
    """Skill on held-out scenes, and the calibration of the standard deviation, on others.

    Returns
    -------
    card
        'calibration'; and, over as many other scenes, per state of the background: RMS of the map where nothing
        happened, NRMSE and slope of the map by signal-to-noise ratio, and the share of truth within one standard
        deviation, in all pixels and in those above a fifth of the peak
    """
    seed = settings.seed + VALIDATION_SEED_OFFSET
    held_out = settings.model_copy(update={"seed": seed})
    number = settings.validation_scenes
    means: list[Float32] = []
    stds: list[Float32] = []
    truths: list[Float32] = []
    for index in range(FIRST_VALIDATION_SCENE, FIRST_VALIDATION_SCENE + number):
        mean, std, truth = _pixels(draw_example(held_out, index), network)
        means.append(mean[::EVERY])
        stds.append(std[::EVERY])
        truths.append(truth[::EVERY])
    calibration = calibrate(np.concatenate(means), np.concatenate(stds), np.concatenate(truths))
    first = FIRST_VALIDATION_SCENE + number
    others = (draw_example(held_out, index) for index in range(first, first + number))
    return {"calibration": dataclasses.asdict(calibration), "validation": _skill(network, calibration, others)}


def _pixels(example: Example, network: nn.Module) -> tuple[Float32, Float32, Float32]:
    """Mean, standard deviation and truth, over the formal error, of the valid pixels, each (pixel,)."""
    found = clean(example.window, network)
    total = (example.courses[-1][:, None, None] * example.maps).sum(0) if len(example.maps) else 0 * found.mean
    valid = example.window.valid.any(0)
    mean, std, truth = (part[valid].numpy() for part in (found.mean, found.std, total / found.image.std))
    return mean, std, truth


def _skill(network: nn.Module, calibration: Calibration, scenes: Iterable[Example]) -> dict[str, Any]:
    rows: list[dict[str, float]] = []
    predicted: list[Float32] = []
    for example in scenes:
        mean, std, truth = _pixels(example, network)
        sigma = calibration.apply(torch.from_numpy(mean), torch.from_numpy(std)).numpy()
        predicted.append(np.stack([np.abs(mean) / std, std, np.abs(mean - truth) < sigma])[:, ::EVERY])
        power = float((truth**2).mean())
        strong = np.abs(truth) > 0.2 * np.abs(truth).max()
        rows.append({
            "known": float(example.window.design.shape[1] == 1),
            "snr": example.gain * math.sqrt(power),
            "rms_mm": 1e3 * example.window.unit_m * float(np.sqrt((mean**2).mean())),
            "nrmse": math.sqrt(float(((mean - truth) ** 2).mean()) / power) if power > 0 else math.nan,
            "slope": float((mean * truth).sum() / (truth**2).sum()) if power > 0 else math.nan,
            "covered": float((np.abs(mean - truth) < sigma).mean()),
            "covered_strong": float((np.abs(mean - truth) < sigma)[strong].mean()) if power > 0 else math.nan,
        })  # fmt: skip
    table = pd.DataFrame(rows)
    ratio, size, inside = np.concatenate(predicted, axis=1)
    out: dict[str, Any] = {
        "covered": round(float(table["covered"].mean()), 3),
        "covered_strong": round(float(table["covered_strong"].mean()), 3),
        "covered_by_amplitude_over_std": _covered(ratio, inside, AMPLITUDE_BINS),
        "covered_by_std": _covered(size, inside, STD_BINS),
    }
    for known, part in table.groupby("known"):
        background = "known" if known else "unknown"
        quiet = part["snr"] == 0
        out[f"{background}_null_rms_mm"] = round(float(part.loc[quiet, "rms_mm"].mean()), 3)
        for low, high in SNR_BINS:
            chosen = part[(part["snr"] >= low) & (part["snr"] < high)]
            out[f"{background}_snr_{low}_{high}"] = {
                "scenes": len(chosen),
                "nrmse": round(float(chosen["nrmse"].median()), 3),
                "slope": round(float(chosen["slope"].median()), 3),
            }
    return out


def _covered(values: Float32, inside: Float32, edges: tuple[float, ...]) -> dict[str, float]:
    """Share of truth within one standard deviation in bins of what is predicted; bins of few pixels are left out."""
    out = {}
    for low, high in pairwise(edges):
        chosen = (values >= low) & (values < high)
        if chosen.sum() >= MIN_PIXELS:
            out[f"{low:g} to {high:g}"] = round(float(inside[chosen].mean()), 3)
    return out
