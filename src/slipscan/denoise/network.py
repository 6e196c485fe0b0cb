"""The network: from step statistics around an interval to the true step there.

A small U-Net, convolutional in space, one pass per interval, so that any grid and any number of epochs
fit. It predicts the mean and the standard deviation of the *contrast*: mean displacement of the four epochs
after an interval less that of the four before, in units of the noise. The contrasts of a series sum to four
times its change, so a cumulative sum over four gives the transient, smoothed in time by a triangle of four
epochs on either side; the mean of a sum is the sum of the means.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

HALF_WINDOWS = (1, 2, 4, 8)
"""Half windows (epochs) of the step statistics."""
SCALE_WINDOW = 2
"""Index into HALF_WINDOWS of the contrast that is predicted; its standard deviation is the unit of the output."""
CONTRAST_EPOCHS = HALF_WINDOWS[SCALE_WINDOW]
RAMPS_D = (0.0, 36.0, 96.0)
"""Durations (days) of the ramps that are estimated jointly with rate and season."""
NEIGHBOURS = (-8, -4, 4, 8)
"""Intervals whose joint step statistic is a channel too: what happened before and after."""
CHANNELS = len(HALF_WINDOWS) + len(RAMPS_D) + len(NEIGHBOURS) + 2
"""Step statistics, joint ramps, neighbours, height, validity."""
LEVELS = 4
MULTIPLE = 2 ** (LEVELS - 1)
"""A scene's sides are padded to a multiple of this."""
HEIGHT_UNIT_M = 500.0
MIN_LOG_STD, MAX_LOG_STD = -4.0, 4.0


class Prediction(NamedTuple):
    """Mean and log standard deviation, each (batch, y, x), in units of the noise."""

    mean: torch.Tensor
    log_std: torch.Tensor


class Block(nn.Module):
    """Two 3 x 3 convolutions with a residual connection."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, inputs, y, x) to (batch, outputs, y, x)."""
        out = self.second(nn.functional.relu(self.first(x)))
        return nn.functional.relu(out + self.skip(x))


class ContrastNet(nn.Module):
    """U-Net over LEVELS scales with a thin branch at full resolution.

    Parameters
    ----------
    width
        channels at full resolution; they double at the next two scales
    """

    def __init__(self, width: int = 12) -> None:
        super().__init__()
        self.width = width
        sizes = [width, 2 * width, 4 * width, 4 * width]
        self.down = nn.ModuleList(
            Block(CHANNELS if level == 0 else sizes[level - 1], sizes[level]) for level in range(LEVELS)
        )
        self.up = nn.ModuleList(
            Block(sizes[level + 1] + sizes[level], sizes[level]) for level in reversed(range(LEVELS - 1))
        )
        self.mean_head = nn.Conv2d(width, 1, 1)
        self.std_head = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 1, 1))
        nn.init.zeros_(self.mean_head.weight)
        nn.init.zeros_(self.mean_head.bias)  # type: ignore[arg-type]

    def forward(self, features: torch.Tensor) -> Prediction:
        """Predict from features (batch, CHANNELS, y, x); sides must be multiples of MULTIPLE."""
        scales = []
        x = features
        for level, block in enumerate(self.down):
            if level:
                x = nn.functional.avg_pool2d(x, 2)
            x = block(x)
            scales.append(x)
        scales.pop()
        for block in self.up:
            x = nn.functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = block(torch.cat([x, scales.pop()], dim=1))
        # The standard deviation learns from the features of the mean without changing them.
        log_std = self.std_head(x.detach())[:, 0].clamp(MIN_LOG_STD, MAX_LOG_STD)
        return Prediction(self.mean_head(x)[:, 0], log_std)


def odd_prediction(network: nn.Module, features: torch.Tensor) -> Prediction:
    """Predict so that the mean changes sign with the data, exactly.

    The sign of the step statistics is flipped (height and validity stay) and the two answers combined.
    """
    flipped = features.clone()
    flipped[:, : CHANNELS - 2] *= -1
    one, other = network(features), network(flipped)
    return Prediction((one.mean - other.mean) / 2, (one.log_std + other.log_std) / 2)


def channels_last(network: ContrastNet) -> ContrastNet:
    """Lay the weights out as (batch, y, x, channel): faster convolutions on CPUs and tensor cores."""
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
