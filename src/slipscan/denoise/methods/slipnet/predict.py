"""Images through the network, in any orientation; a sign is kept exactly."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn

from slipscan.denoise.methods.slipnet.image import SIGNED, Image, Orientation, turned_back

EITHER: Final = (False, True)
ORIENTATIONS: Final[tuple[Orientation, ...]] = tuple(itertools.product(EITHER, EITHER, EITHER))
"""All that a square lattice has, the one as given first."""


def oriented_prediction(network: nn.Module, images: Sequence[Image], orientations: int) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, each (tile, y, x), averaged (the latter geometrically) over orientations."""
    if orientations == 1:
        return odd_prediction(network, images)
    means, log_stds = [], []
    for orientation in ORIENTATIONS[:orientations]:
        mean, std = odd_prediction(network, [image.turned(orientation) for image in images])
        means.append(turned_back(mean, orientation))
        log_stds.append(turned_back(std, orientation).log())
    return torch.stack(means).mean(0), torch.stack(log_stds).mean(0).exp()


def odd_prediction(network: nn.Module, images: Sequence[Image]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, each (tile, y, x), of images and their negatives: the sign is kept, exactly."""
    signs = torch.ones_like(images[0].features[:, :1, :1])
    signs[:SIGNED] = -1
    negatives = [
        dataclasses.replace(image, features=image.features * signs, bands=-image.bands, detail=-image.detail)
        for image in images
    ]
    prediction = network([*images, *negatives])
    one, other = prediction.mean.chunk(2)
    log_one, log_other = prediction.log_std.chunk(2)
    return (one - other) / 2, ((log_one + log_other) / 2).exp()
