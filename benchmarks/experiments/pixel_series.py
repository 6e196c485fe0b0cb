"""A temporal model that sees one pixel at a time: convolutions over its epochs, no neighbours. An idea to compare with.

It is given each pixel's residual and validity in units of the noise, and answers with a displacement at every epoch.
"""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, silu

from slipscan import seriesmodel
from slipscan.denoise import front_end
from slipscan.denoise.baselines.method import Estimate, Observation
from slipscan.denoise.examples import Example
from slipscan.denoise.front_end import Window
from slipscan.denoise.objective import DETECTABLE_SNR, SOFT_POWER, softened
from slipscan.denoise.recipe import Task
from slipscan.denoise.stream import batches
from slipscan.settings import TrainSettings

DILATIONS = (1, 2, 4, 8, 1)
STRIDE = 3
"""One pixel in so many, each way, is trained on."""
BLOCK = 8
"""Pixels of a side over which the score averages."""


class PixelSeries(nn.Module):
    """Dilated convolutions over time; `signal` twice, with either sign, gives an odd answer."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        sizes = [2, *[width] * len(DILATIONS)]
        self.layers = nn.ModuleList(
            nn.Conv1d(a, b, 5, padding=2 * d, dilation=d) for a, b, d in zip(sizes, sizes[1:], DILATIONS, strict=False)
        )
        self.head = nn.Conv1d(width, 1, 1)
        nn.init.zeros_(self.head.weight)

    def forward(self, residual: Tensor, valid: Tensor) -> Tensor:
        """Residual and validity (pixel, time) to displacement (pixel, time)."""
        return (self.once(residual, valid) - self.once(-residual, valid)) / 2

    def once(self, residual: Tensor, valid: Tensor) -> Tensor:
        """The same before it is made odd."""
        x = torch.stack([residual, valid], 1)
        for number, layer in enumerate(self.layers):
            new = silu(layer(x))
            x = new + x if number else new
        return self.head(x)[:, 0]


def task(settings: TrainSettings) -> Task:
    """Trained on the same scenes as the network."""
    return Task(PixelSeries(), batches, loss)


def loss(network: nn.Module, batch: list[Example]) -> tuple[Tensor, float]:
    """Squared error of the displacement from the first to the last epoch, events counted alike as in `objective`."""
    terms, explained = [], []
    for example in batch:
        residual, valid = inputs(example.window, slice(None, None, STRIDE))
        answer = network(residual, valid)
        seen = valid.any(1)
        if not bool(seen.any()):
            continue
        total = torch.zeros(example.window.height.shape)
        if len(example.maps):
            total = (example.courses[-1][:, None, None] * example.maps).sum(0)
        truth = total[::STRIDE, ::STRIDE].flatten()[seen]
        squared = ((answer[:, -1] - answer[:, 0])[seen] - truth).square().mean()
        power = truth.square().mean()
        detectable = torch.tensor(DETECTABLE_SNR / example.gain).square().clamp(max=10.0) if example.gain else 0.1
        scale = power + detectable
        terms.append(softened(squared / (scale * (scale + SOFT_POWER)).sqrt()))
        if example.gain:
            explained.append(float((1 - squared.detach() / power.clamp(min=1e-12)).clamp(min=0)))
    return torch.stack(terms).mean(), float(np.mean(explained)) if explained else 0.0


def inputs(window: Window, step: slice) -> tuple[Tensor, Tensor]:
    """Residual over the noise of its epoch, times the unit's, and validity, (pixel, time)."""
    residual = window.residual[:, step, step].flatten(1).T
    return residual.contiguous(), window.valid[:, step, step].flatten(1).T.float().contiguous()


def load(path: Path) -> PixelSeries:
    """The trained model."""
    network = PixelSeries()
    network.load_state_dict(load_file(path))
    return network.eval()


def estimate(observation: Observation, network: PixelSeries) -> Estimate:
    """As a method of the benchmark; the score is the strongest mean over 4 km in units of the scene's median one."""
    design = seriesmodel.design_matrix(observation.time)[0]
    if observation.background_known:
        design = design[:, :1]
    stack = front_end.survey(
        observation.displacement, observation.days, observation.height, design, observation.pixel_m
    )
    window = front_end.cut(stack, slice(None), design)
    with torch.inference_mode():
        moved = network(*inputs(window, slice(None))) * window.unit_m
    shape = window.height.shape
    transient = (moved - moved[:, :1]).T.reshape(-1, *shape)
    total = transient[-1]
    means = avg_pool2d(total[None], BLOCK)[0].abs() / window.unit_m
    share = transient.abs().flatten(1).amax(1)
    half = int(torch.argmax((share >= 0.5 * share[-1]).float()))
    t50 = float(observation.days[max(half, 1) - 1] + observation.days[max(half, 1)]) / 2
    return Estimate(map=total.numpy(), transient=transient.numpy(), score=float(means.max()), t50_d=t50)
