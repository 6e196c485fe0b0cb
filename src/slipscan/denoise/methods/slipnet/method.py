"""SlipNet as a denoiser: the whole series of a tile, event by event, with a calibrated sigma."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
from pydantic import Field as Setting
from torch import nn
from torch.nn.functional import interpolate

from slipscan.denoise.method import TrainedDenoiser
from slipscan.denoise.methods.slipnet.events import GATE, MOST_EVENTS, TileEvent, tile_events
from slipscan.denoise.methods.slipnet.loss import loss
from slipscan.denoise.methods.slipnet.network import SlipNet
from slipscan.denoise.methods.slipnet.prepare import Prepared, prepare, without_empty
from slipscan.denoise.methods.slipnet.training import make_example
from slipscan.denoise.methods.slipnet.validate import calibration_card
from slipscan.denoise.training.loader import batches
from slipscan.denoise.training.trainer import Task
from slipscan.field import Candidate, Field, Observation
from slipscan.models import Frozen, validate
from slipscan.noise.simulate import NoiseModel
from slipscan.settings import TrainSettings


class Options(Frozen):
    """How histories are found and the network is run (see `events.tile_events`); whether sources are fitted to maps."""

    orientations: Literal[1, 8] = 1
    gate: float = Setting(GATE, ge=0)
    most_events: int = Setting(MOST_EVENTS, ge=1, le=20)
    sources: bool = True


class SlipNetDenoiser(TrainedDenoiser):
    """slipscan's own network."""

    name = "slipnet"
    shipped = "slipscan-1"
    options_model = Options

    @classmethod
    def network_of(cls, arguments: Mapping[str, Any]) -> nn.Module:
        """An untrained network; `width` channels, of images that are `whitened`."""
        return SlipNet(**arguments)

    def fields(self, observations: Sequence[Observation]) -> list[Field]:
        """What happened in each tile; those of one size, one after the other, go through the network together."""
        device = next(self.network.parameters()).device
        how = self.options.model_dump()
        sources = how.pop("sources")
        tiles = [
            without_empty(prepare(one.cleaned(device), one.days, one.pixel_m, one.noise, one.los if sources else None))
            for one in observations
        ]
        out: list[Field] = []
        for _, group in itertools.groupby(tiles, key=lambda tile: tile.residual.shape[1:]):
            same = list(group)
            found = tile_events(same, self.network, self.sigma, **how)
            seen = observations[len(out) : len(out) + len(same)]
            out += [_field_of(*one) for one in zip(seen, same, found, strict=True)]
        return out

    @classmethod
    def task(cls, settings: TrainSettings, noise: NoiseModel | None = None) -> Task:
        """To clean the image of a history, and how sure of it to be; in a region's `noise` where there is one."""
        validate(Options, dict(settings.options), "train.options")
        arguments = {"width": settings.width, "whitened": settings.whitened}
        made = partial(batches, make=make_example, noise=noise)
        return Task(cls.network_of(arguments), made, loss, calibration_card, arguments)


def _field_of(seen: Observation, tile: Prepared, events: Sequence[TileEvent]) -> Field:
    """Displacement of events about its temporal mean; at epochs that the tile lacks, between those beside them."""
    days, known = seen.days - seen.days[0], tile.days.cpu().numpy()
    shape = (len(seen.time), *seen.shape)
    transient, variance, evidence = (np.zeros(size, np.float32) for size in (shape, shape, seen.shape))
    candidates = []
    for event in events:
        course, size, std = (part.cpu().numpy() for part in (event.course, event.map, event.std))
        course = np.interp(days, known, course).astype(np.float32)
        about_mean = (course - course.mean())[:, None, None]
        transient += about_mean * size
        variance += about_mean**2 * std**2
        local = interpolate(event.evidence[None, None], size=seen.shape, mode="bilinear", align_corners=False)[0, 0]
        evidence += local.cpu().numpy()
        candidates.append(Candidate(size, std, course.astype(float), float(event.evidence.sum())))
    candidates.sort(key=lambda one: -one.evidence)
    return Field(transient, np.sqrt(variance, out=variance), evidence, tuple(candidates))
