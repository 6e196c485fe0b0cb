"""SlipNet as a denoiser: the whole series of a tile, map and history in turn, with a calibrated sigma."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

from pydantic import Field as Setting
from torch import Tensor, nn
from torch.nn.functional import interpolate

from slipscan.denoise.method import TrainedDenoiser
from slipscan.denoise.methods.slipnet.examples import example_of
from slipscan.denoise.methods.slipnet.loss import loss
from slipscan.denoise.methods.slipnet.network import SlipNet
from slipscan.denoise.methods.slipnet.predict import ROUNDS, TileEvents, tile_events
from slipscan.denoise.methods.slipnet.prepare import prepare
from slipscan.denoise.methods.slipnet.validate import calibration_card
from slipscan.denoise.training.loader import batches
from slipscan.denoise.training.trainer import Task
from slipscan.field import Field, Observation
from slipscan.models import Frozen, validate
from slipscan.noise.simulate import NoiseModel
from slipscan.settings import TrainSettings


class Options(Frozen):
    """How the network is run; see `predict.clean_images`."""

    orientations: Literal[1, 8] = 1
    rounds: int = Setting(ROUNDS, ge=1, le=8)
    first_history: Literal["scan", "ramp"] = "scan"


class SlipNetDenoiser(TrainedDenoiser):
    """slipscan's own network."""

    name = "slipnet"
    shipped = "slipscan-1"
    options_model = Options

    @classmethod
    def network_of(cls, arguments: Mapping[str, Any]) -> nn.Module:
        """An untrained network; `width` channels."""
        return SlipNet(**arguments)

    def fields(self, observations: Sequence[Observation]) -> list[Field]:
        """What happened in each tile; those of one size, one after the other, go through the network together."""
        device = next(self.network.parameters()).device
        tiles = [prepare(one.cleaned(device), one.days, one.pixel_m) for one in observations]
        out: list[Field] = []
        for _, group in itertools.groupby(tiles, key=lambda tile: tile.residual.shape[1:]):
            found = tile_events(list(group), self.network, self.sigma, **self.options.model_dump())
            out += [_field_of(events) for events in found]
        return out

    @classmethod
    def task(cls, settings: TrainSettings, noise: NoiseModel | None = None) -> Task:
        """To clean the images of both rounds, and how sure of it to be; in a region's `noise` where there is one."""
        first = validate(Options, dict(settings.options), "train.options").first_history
        network = cls.network_of({"width": settings.width})
        own_loss = partial(loss, first_history=first)
        return Task(network, partial(batches, make=example_of, noise=noise), own_loss, calibration_card)


def _field_of(events: TileEvents) -> Field:
    """Displacement of events about its temporal mean."""

    def about_mean(field: Tensor) -> Tensor:
        return field - field.mean(0, keepdim=True)

    course = about_mean(events.course)
    size = (events.map.shape[0], events.map.shape[1])
    evidence = interpolate(events.evidence[None, None], size=size, mode="bilinear", align_corners=False)[0, 0]
    return Field(
        transient=(course * events.map).cpu().numpy(),
        std=(course.abs() * events.std).cpu().numpy(),
        evidence=evidence.cpu().numpy(),
    )
