"""A denoiser of your own in one file: convolutions over time, y and x that tell what moved from the air."""

from functools import partial

import numpy as np
import torch
from torch import nn

from slipscan.denoise.method import TrainedDenoiser
from slipscan.field import Field


class Network(nn.Module):
    """Three layers, made odd: of minus the data it says minus what it says of the data."""

    def __init__(self, width=16):
        super().__init__()
        layer = partial(nn.Conv3d, kernel_size=(5, 3, 3), padding=(2, 1, 1))
        self.layers = nn.Sequential(layer(1, width), nn.SiLU(), layer(width, width), nn.SiLU(), layer(width, 1))

    def forward(self, series):
        """(time, y, x) to (time, y, x), in units of the noise, about the temporal mean."""
        said = self.layers(torch.stack([series, -series])[:, None])[:, 0]
        moved = (said[0] - said[1]) / 2
        return moved - moved.mean(0)


def prepared(observation, device="cpu"):
    """What delay, rate and season leave of a series, (time, y, x), and its unit, m: the noise of an epoch."""
    cleaned = observation.cleaned(device)
    unit = float(cleaned.delay.std.median())
    return (cleaned.residual() / unit).reshape(-1, *observation.shape), unit


class MyDenoiser(TrainedDenoiser):
    """What trains, runs in `slipscan denoise` and stands in slipbench."""

    name = "my_denoiser"

    @classmethod
    def network_of(cls, arguments):
        return Network(**arguments)

    @staticmethod
    def example_of(scene, generator):
        series, unit = prepared(scene.observation)
        truth = torch.from_numpy(scene.events) / unit
        return series, truth - truth.mean(0)

    @staticmethod
    def loss(network, batch):
        device = next(network.parameters()).device
        errors, explained = [], []
        for series, truth in batch:
            wrong = (network(series.to(device)) - truth.to(device)).square().mean()
            errors.append((wrong + 1e-2).log())
            if truth.any():
                explained.append(1 - float(wrong.detach() / truth.square().mean()))
        return torch.stack(errors).mean(), float(np.mean(explained)) if explained else 0.0

    def fields(self, observations):
        device = next(self.network.parameters()).device
        with torch.inference_mode():
            parts = [prepared(one, device) for one in observations]
            return [Field.of((self.network(series) * unit).cpu().numpy()) for series, unit in parts]
