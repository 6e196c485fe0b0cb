"""Training of any network on streamed synthetic scenes, and its skill on held-out ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import torch

import slipscan
from slipscan.denoise import cards
from slipscan.denoise.method import TrainedDenoiser
from slipscan.denoise.registry import find
from slipscan.denoise.training import parallel
from slipscan.denoise.training.skill import skill
from slipscan.denoise.training.trainer import CHECKPOINT, LOG, Task, Trainer
from slipscan.errors import SlipscanError
from slipscan.noise.parameters import model_of
from slipscan.outputs import check_outputs
from slipscan.settings import TrainSettings
from slipscan.store import open_zarr

BESIDE: Final = {".json": cards.CARD, ".checkpoint": CHECKPOINT, ".csv": LOG}
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
        there is no such network; the checkpoint belongs to another network, width or seed; the prototype is to be
        trained by several processes or for a region; the noise product does not tell enough; `width` is not that of
        the weights that it begins with
    """
    outputs = [(out, cards.KIND), *((out.with_suffix(end), kind) for end, kind in BESIDE.items())]
    check_outputs(outputs, [Path(settings.finetune_region)] if settings.finetune_region else [])
    method = find(settings.network)
    if not issubclass(method, TrainedDenoiser):
        raise SlipscanError(f"the denoiser {settings.network!r} has no network to train: name another in train.network")
    with parallel.joined():
        task = _task(method, settings)
        trainer = Trainer(task, settings, out.with_suffix(".checkpoint"))
        progress = trainer.run()
        if not trainer.finished or parallel.rank() > 0:
            return None
    task.network.cpu()
    own = task.card(task.network, settings) if task.card else {}
    denoiser = method(task.network, settings.name, own, settings.options)
    card = {
        "name": settings.name,
        "slipscan_version": slipscan.__version__,
        "training": settings.model_dump(),
        "slices": progress.slices,
        "steps": progress.step,
        "scenes": progress.scenes,
        "minutes": round(progress.seconds / 60, 1),
        "calibration": None,
        **own,
        "validation": skill(denoiser, settings),
    }
    cards.save(task.network, out, card, method.name, task.arguments or {"width": settings.width})
    return card


def _task(method: type[TrainedDenoiser], settings: TrainSettings) -> Task:
    """What is learnt; for a region, from the shipped weights on."""
    torch.manual_seed(settings.seed)
    region, start = settings.finetune_region, settings.start
    if region is not None and start is None:
        start = method.shipped
        if start is None:
            raise SlipscanError(f"the denoiser {method.name!r} ships no weights that could go on for a region")
    if start is None:
        return method.task(settings)
    network, _, card = cards.load(start, method)
    arguments = card["architecture"]["arguments"]
    if arguments["width"] != settings.width:
        raise SlipscanError(
            f"the weights {start} have width {arguments['width']}: set train.width to it to go on from them"
        )
    noise = None
    if region is not None:
        noise = model_of(open_zarr(Path(region)))
        # What is only made for a region goes on with images as it knows them.
        settings = settings.model_copy(update={"whitened": arguments.get("whitened", settings.whitened)})
    task = method.task(settings, noise)
    task.network.load_state_dict(network.state_dict())
    return task
