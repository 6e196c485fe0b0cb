"""Calibration of SlipNet's standard deviation on held-out scenes."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from slipscan.denoise.methods.slipnet.events import tile_events
from slipscan.denoise.methods.slipnet.image import filter_of
from slipscan.denoise.methods.slipnet.prepare import prepare
from slipscan.denoise.sigma import calibrate
from slipscan.denoise.training.scenes import held_out
from slipscan.settings import TrainSettings

EVERY: Final = 5
"""One pixel in so many is kept: neighbours are alike."""


def calibration_card(network: nn.Module, settings: TrainSettings) -> dict[str, Any]:
    """'calibration' of the card, from what is found in the first `validation_scenes` held-out scenes."""
    rows = []
    for index in range(settings.validation_scenes):
        scene = held_out(settings, index)
        seen = scene.observation
        prepared = prepare(seen.cleaned(), seen.days, seen.pixel_m, los=seen.los)
        (events,) = tile_events([prepared], network, None)
        for event in events:
            others = [other.map for other in events if other is not event]
            moved = torch.from_numpy(scene.events[-1]) - sum(others, torch.zeros_like(event.map))
            error = float(filter_of(prepared, event.course, prepared.design[:, :0])[1]) * prepared.unit_m
            parts = [part[prepared.seen][::EVERY] / error for part in (event.map, event.std, moved)]
            rows.append(torch.stack(parts).numpy())
    mean, std, truth = np.concatenate(rows, axis=1) if rows else np.ones((3, 1))
    return {"calibration": dataclasses.asdict(calibrate(mean, std, truth))}
