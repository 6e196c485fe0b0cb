"""The recipe that every network here is trained by: optimiser, schedule, running average, checkpoint, log.

A `Task` says what differs from one network to the other; all the rest is here, so that two networks that
were trained with equal settings have had an equal budget. Training goes on in slices: a slice that ends, or is
killed, leaves a checkpoint that the next one goes on from.
"""

from __future__ import annotations

import csv
import logging
import math
import pickle
import time as clock
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from slipscan.atomic import written_beside
from slipscan.denoise.training import parallel
from slipscan.errors import SlipscanError
from slipscan.outputs import csv_kind, file_kind
from slipscan.settings import TrainSettings

log = logging.getLogger(__name__)

WARM_UP_STEPS: Final = 200
AVERAGE: Final = 0.998
LOG_EVERY, SAVE_EVERY = 50, 500
LOG_COLUMNS: Final = ("step", "scenes", "minutes", "learning_rate", "loss", "explained")
SAME: Final = ("network", "width", "seed")
"""Settings that a checkpoint shares with the training that goes on from it."""


def _is_checkpoint(path: Path) -> bool:
    try:
        state = torch.load(path, weights_only=True, map_location="cpu", mmap=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError("torch cannot read it") from error
    return isinstance(state, dict) and {"settings", "progress", "network"} <= set(state)


CHECKPOINT: Final = file_kind("a checkpoint", _is_checkpoint)
LOG: Final = csv_kind("a log of a training", *LOG_COLUMNS)


@dataclass(frozen=True)
class Task:
    """What one network learns.

    Attributes
    ----------
    network
        to be trained
    batches
        (settings, number of the first scene) to batches, each with the number of the scene after it
    loss
        (network, batch) to the loss, and the share of the truth's power that is explained
    card
        (trained network, settings) to what its card holds beside skill, say a calibration of its sigma
    arguments
        that the network is made with again; None: the width of the settings
    """

    network: nn.Module
    batches: Callable[[TrainSettings, int], Iterator[tuple[int, Any]]]
    loss: Callable[[nn.Module, Any], tuple[Tensor, float]]
    card: Callable[[nn.Module, TrainSettings], dict[str, Any]] | None = None
    arguments: Mapping[str, Any] | None = None


@dataclass
class Progress:
    """How far a training has come.

    Attributes
    ----------
    step, scenes, seconds
        optimiser steps, number of the next scene, wall time
    slices
        settings of every slice and the step that it began at
    """

    step: int = 0
    scenes: int = 0
    seconds: float = 0.0
    slices: list[dict[str, Any]] = field(default_factory=list)


class Trainer:
    """A network in training: AdamW, a schedule, a running average of the weights, a checkpoint, a log.

    The learning rate rises over WARM_UP_STEPS, stays, and falls by a cosine over the last `decay_share` of the steps.
    Of processes that train together (`parallel`) the first one writes.

    Parameters
    ----------
    task, settings
        what is learnt, for how long
    checkpoint
        written every SAVE_EVERY steps and at the end of a slice; a training that finds one goes on from there.
        A log (.csv) grows beside it

    Raises
    ------
    SlipscanError
        the checkpoint belongs to another network or seed
    """

    def __init__(self, task: Task, settings: TrainSettings, checkpoint: Path) -> None:
        self.task, self.settings, self.checkpoint = task, settings, checkpoint
        task.network.to(parallel.device())
        self.optimiser = torch.optim.AdamW(
            task.network.parameters(), lr=settings.learning_rate, betas=(0.9, 0.99), weight_decay=1e-4
        )
        self.averaged = torch.optim.swa_utils.AveragedModel(
            task.network,
            multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(AVERAGE),
        )
        self.progress = Progress()
        if checkpoint.exists():
            self._resume()
        self.progress.slices.append({"from_step": self.progress.step, **settings.model_dump()})

    @property
    def finished(self) -> bool:
        """Whether the schedule has come to its end."""
        return self.progress.step >= self.settings.steps

    def run(self) -> Progress:
        """Train to the end of the slice and leave the averaged weights in the network."""
        progress, settings = self.progress, self.settings
        before, start = progress.seconds, clock.monotonic()
        running = {"loss": 0.0, "explained": 0.0}
        if not self.finished:
            for scenes, batch in self.task.batches(settings, progress.scenes):
                loss, explained = self._step(batch)
                progress.step, progress.scenes = progress.step + 1, parallel.largest(scenes)
                progress.seconds = before + clock.monotonic() - start
                running["loss"] += loss / LOG_EVERY
                running["explained"] += explained / LOG_EVERY
                if progress.step % LOG_EVERY == 0:
                    self._log(**running)
                    running = dict.fromkeys(running, 0.0)
                over = progress.seconds - before >= 60 * settings.slice_minutes
                if self.finished or parallel.largest(int(over)):
                    break
                if progress.step % SAVE_EVERY == 0:
                    self._save()
        self._save()
        self.task.network.load_state_dict(self.averaged.module.state_dict())
        self.task.network.eval()
        return progress

    def learning_rate(self, step: int) -> float:
        """At a step of the schedule."""
        settings = self.settings
        left = (settings.steps - step) / max(1.0, settings.decay_share * settings.steps)
        decay = 0.5 * (1 - math.cos(math.pi * min(1.0, max(0.0, left))))
        return settings.learning_rate * min(1.0, (step + 1) / WARM_UP_STEPS) * max(decay, 1e-3)

    def _step(self, batch: Any) -> tuple[float, float]:
        """One optimiser step; loss and explained share before it."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate(self.progress.step)
        loss, explained = self.task.loss(self.task.network, batch)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        parallel.average_gradients(self.task.network)
        # Part by part: a wild gradient of the standard deviation must not silence the mean.
        for part in self.task.network.children():
            torch.nn.utils.clip_grad_norm_(part.parameters(), 1.0)
        self.optimiser.step()
        self.averaged.update_parameters(self.task.network)
        return loss.item(), explained

    def _log(self, loss: float, explained: float) -> None:
        if parallel.rank() > 0:
            return
        progress = self.progress
        row = (
            progress.step, progress.scenes, f"{progress.seconds / 60:.2f}",
            f"{self.learning_rate(progress.step):.2e}", f"{loss:.4f}", f"{explained:.4f}",
        )  # fmt: skip
        path = self.checkpoint.with_suffix(".csv")
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            if new:
                writer.writerow(LOG_COLUMNS)
            writer.writerow(row)
        log.info("%s", ", ".join(f"{name} {value}" for name, value in zip(LOG_COLUMNS, row, strict=True)))

    def _save(self) -> None:
        """Everything that a resumed training needs; moments and the average's distance in bfloat16."""
        if parallel.rank() > 0:
            return
        network = self.task.network.state_dict()
        average = self.averaged.module.state_dict()
        state = {
            "settings": self.settings.model_dump(),
            "progress": vars(self.progress),
            "network": network,
            "averaged": {name: (average[name] - network[name]).bfloat16() for name in network},
            "updates": int(self.averaged.n_averaged),
            "moments": [
                {name: moment.bfloat16() if moment.dim() else moment for name, moment in entry.items()}
                for entry in self.optimiser.state_dict()["state"].values()
            ],
        }
        with written_beside(self.checkpoint, CHECKPOINT) as beside:
            torch.save(state, beside)

    def _resume(self) -> None:
        state = torch.load(self.checkpoint, weights_only=True, map_location=parallel.device())
        ours = self.settings.model_dump()
        if any(state["settings"][name] != ours[name] for name in SAME):
            raise SlipscanError(
                f"the checkpoint {self.checkpoint} is of another network, width or seed: remove it to train anew"
            )
        network = state["network"]
        self.task.network.load_state_dict(network)
        self.averaged.module.load_state_dict(
            {name: network[name] + state["averaged"][name].float() for name in network}
        )
        self.averaged.n_averaged.fill_(state["updates"])
        whole = self.optimiser.state_dict()
        whole["state"] = {
            number: {name: moment.float() for name, moment in entry.items()}
            for number, entry in enumerate(state["moments"])
        }
        self.optimiser.load_state_dict(whole)
        self.progress = Progress(**state["progress"])
        log.info("goes on from step %d of %s", self.progress.step, self.checkpoint)
