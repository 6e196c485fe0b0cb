"""A temporal model that sees one pixel at a time: convolutions over its epochs, no neighbours. An idea to compare with.

It is given each pixel's residual and validity in units of the noise, and answers with a displacement at every epoch.
It ships no weights: `slipscan train out.safetensors --set network=pixel_series`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from slipscan.denoise.method import TrainedDenoiser
from slipscan.denoise.methods.slipnet.loss import DETECTABLE_SNR, SOFT_POWER, softened
from slipscan.denoise.methods.slipnet.prepare import Prepared, prepare
from slipscan.denoise.training.scenes import LabelledScene
from slipscan.field import Field, Observation

DILATIONS: Final = (1, 2, 4, 8, 1)
STRIDE: Final = 3
"""One pixel in so many, each way, is trained on."""


@dataclass(frozen=True)
class Example:
    """A series and its truth.

    Attributes
    ----------
    prepared
        what is seen
    total
        (y, x) displacement by events from the first to the last epoch, units
    gain
        matched-filter SNR over the root mean square of the total; 0 without an event
    """

    prepared: Prepared
    total: Tensor
    gain: float


class PixelSeries(nn.Module):
    """Dilated convolutions over time, made odd."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        sizes = [2, *[width] * len(DILATIONS)]
        self.layers = nn.ModuleList(
            nn.Conv1d(a, b, 5, padding=2 * d, dilation=d) for (a, b), d in zip(pairwise(sizes), DILATIONS, strict=True)
        )
        self.head = nn.Conv1d(width, 1, 1)
        nn.init.zeros_(self.head.weight)

    def forward(self, residual: Tensor, valid: Tensor) -> Tensor:
        """Residual and validity (pixel, time) to displacement (pixel, time)."""
        return (self._once(residual, valid) - self._once(-residual, valid)) / 2

    def _once(self, residual: Tensor, valid: Tensor) -> Tensor:
        x = torch.stack([residual, valid], 1)
        for number, layer in enumerate(self.layers):
            new = silu(layer(x))
            x = new + x if number else new
        return torch.as_tensor(self.head(x)[:, 0])


class PixelSeriesDenoiser(TrainedDenoiser):
    """A temporal model of a pixel."""

    name = "pixel_series"

    @classmethod
    def network_of(cls, arguments: Mapping[str, Any]) -> nn.Module:
        """An untrained network; `width` channels."""
        return PixelSeries(**arguments)

    def fields(self, observations: Sequence[Observation]) -> list[Field]:
        """Displacement of every pixel; no standard deviation, no evidence."""
        out = []
        for seen in observations:
            prepared = prepare(seen.cleaned(), seen.days, seen.pixel_m)
            with torch.inference_mode():
                moved = self.network(*inputs(prepared, slice(None))).T * prepared.unit_m
            out.append(Field.of(moved.reshape(-1, *seen.shape).numpy()))
        return out

    @staticmethod
    def example_of(scene: LabelledScene, generator: np.random.Generator) -> Example:
        """Every scene that SlipNet learns from, as a series."""
        seen = scene.observation
        prepared = prepare(seen.cleaned(), seen.days, seen.pixel_m)
        total = torch.from_numpy(np.tensordot(scene.courses[-1], scene.maps, 1)) / prepared.unit_m
        rms = float(total.square().mean().sqrt())
        return Example(prepared, total, scene.snr / rms if scene.snr > 0 and rms > 0 else 0.0)

    @staticmethod
    def loss(network: nn.Module, batch: list[Example]) -> tuple[Tensor, float]:
        """See `loss`."""
        return loss(network, batch)


def loss(network: nn.Module, batch: list[Example]) -> tuple[Tensor, float]:
    """Squared error of the displacement from the first to the last epoch, events counted alike as for SlipNet."""
    terms, explained = [], []
    for example in batch:
        residual, valid = inputs(example.prepared, slice(None, None, STRIDE))
        answer = network(residual, valid)
        seen = valid.any(1)
        if not bool(seen.any()):
            continue
        truth = example.total[::STRIDE, ::STRIDE].flatten()[seen]
        squared = ((answer[:, -1] - answer[:, 0])[seen] - truth).square().mean()
        power = truth.square().mean()
        detectable = torch.tensor(DETECTABLE_SNR / example.gain).square().clamp(max=10.0) if example.gain else 0.1
        scale = power + detectable
        terms.append(softened(squared / (scale * (scale + SOFT_POWER)).sqrt()))
        if example.gain:
            explained.append(float((1 - squared.detach() / power.clamp(min=1e-12)).clamp(min=0)))
    return torch.stack(terms).mean(), float(np.mean(explained)) if explained else 0.0


def inputs(prepared: Prepared, step: slice) -> tuple[Tensor, Tensor]:
    """Residual in units of the noise, and validity, (pixel, time)."""
    residual = prepared.residual[:, step, step].flatten(1).T
    return residual.contiguous(), prepared.valid[:, step, step].flatten(1).T.float().contiguous()
