"""What denoisers that are trained have in common; `field.Denoiser` is what every denoiser is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Final

import numpy as np
import torch
from torch import Tensor, nn

from slipscan.denoise.sigma import SigmaCalibration
from slipscan.denoise.training.loader import batches, scene_example
from slipscan.denoise.training.scenes import LabelledScene
from slipscan.denoise.training.trainer import Task
from slipscan.errors import SlipscanError
from slipscan.field import Denoiser, Field, Observation
from slipscan.models import Frozen, validate
from slipscan.noise.simulate import NoiseModel
from slipscan.settings import DenoiseSettings, TrainSettings

NOTHING_TO_LEARN: Final = (
    "this denoiser does not say what it learns: give its class `example_of` and `loss`, or a `task` of its own"
    " (docs/denoiser.md)"
)
ON_ACCELERATOR: Final = 8
"""Tiles that go through the network together there; set `tiles_at_once` of a method for more or fewer."""


class NoOptions(Frozen):
    """Of a method that has none."""


class Method(ABC):
    """A denoiser with options.

    Parameters
    ----------
    options
        `denoise.options` of the configuration, checked by `options_model`

    Raises
    ------
    SlipscanError
        an unknown option, or a value out of its range
    """

    name: ClassVar[str]
    options_model: ClassVar[type[Frozen]] = NoOptions

    tiles_at_once: int = 1
    """Tiles of one size that `fields` is given together, a memory bound apart (`denoise.run.BATCH_VALUES`)."""
    settings: DenoiseSettings | None = None
    """What it was built of, recorded in its products so that it can be built again; None: made by hand."""

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        self.options = validate(self.options_model, dict(options or {}), f"denoise.options of {self.name}")

    @property
    def label(self) -> str:
        """What stands in attributes and tables."""
        return self.name

    @property
    def device_class(self) -> str:
        """Of the devices that give the same bytes: 'cpu', or the architecture of a GPU, 'cuda 9.0'."""
        return "cpu"

    @abstractmethod
    def fields(self, observations: Sequence[Observation]) -> list[Field]:
        """What happened in each of a batch of observations."""


class TrainedDenoiser(Method):
    """A denoiser with a network: what trains, is saved with a card, and runs on any device.

    Parameters
    ----------
    network
        in evaluation mode
    label
        name of the weights and the first digits of their sha256
    card
        of the weights; its `calibration` is that of the standard deviation
    options
        see `Method`
    """

    shipped: ClassVar[str | None] = None
    """Name of the weights that are taken where none are named."""

    def __init__(
        self,
        network: nn.Module,
        label: str = "untrained",
        card: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(options)
        self.network = network
        if any(weights.device.type != "cpu" for weights in network.parameters()):
            self.tiles_at_once = ON_ACCELERATOR
        self._label = label
        table = (card or {}).get("calibration")
        self.sigma = SigmaCalibration(**table) if table else None

    @property
    def label(self) -> str:
        """Name of the weights and the first digits of their sha256."""
        return self._label

    @property
    def device_class(self) -> str:
        """Of the devices that give the same bytes: 'cpu', or the architecture of a GPU, 'cuda 9.0'."""
        device = next((weights.device for weights in self.network.parameters()), torch.device("cpu"))
        if device.type != "cuda":
            return device.type
        return "cuda {}.{}".format(*torch.cuda.get_device_capability(device))

    @classmethod
    @abstractmethod
    def network_of(cls, arguments: Mapping[str, Any]) -> nn.Module:
        """An untrained network; `arguments` stand on the card."""

    @classmethod
    def task(cls, settings: TrainSettings, noise: NoiseModel | None = None) -> Task:
        """What the network learns, in a region's `noise` where it is made for one.

        By default `loss` of batches of `example_of`; a network that needs more than these states its own.
        """
        network = cls.network_of({"width": settings.width})
        return Task(network, partial(batches, make=partial(scene_example, of=cls.example_of), noise=noise), cls.loss)

    @staticmethod
    def example_of(scene: LabelledScene, generator: np.random.Generator) -> Any:
        """What is kept of a labelled scene for a batch; made in the process that draws scenes."""
        raise SlipscanError(NOTHING_TO_LEARN)

    @staticmethod
    def loss(network: nn.Module, batch: Any) -> tuple[Tensor, float]:
        """Loss of a batch (a list of `train.batch` examples), and the share of the truth's power that is explained."""
        raise SlipscanError(NOTHING_TO_LEARN)


def device_class(denoiser: Denoiser | None) -> str:
    """Of the devices on which a denoiser gives the same bytes; 'cpu' of one that does not say."""
    return str(getattr(denoiser, "device_class", "cpu"))
