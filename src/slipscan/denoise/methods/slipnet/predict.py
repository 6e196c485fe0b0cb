"""One tile through the network: what happened in it, a map and a history in every place."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from slipscan.denoise.methods.slipnet import history, scales
from slipscan.denoise.methods.slipnet.history import LocalHistory
from slipscan.denoise.methods.slipnet.image import (
    SIGNED,
    Decomposition,
    Image,
    Orientation,
    decompose,
    image_of,
    next_history,
    turned_back,
)
from slipscan.denoise.methods.slipnet.network import MULTIPLE
from slipscan.denoise.methods.slipnet.prepare import Prepared, padded
from slipscan.denoise.sigma import SigmaCalibration

ROUNDS: Final = 2
"""Times that an image is cleaned; a history is fitted between two of them."""
EITHER: Final = (False, True)
ORIENTATIONS: Final[tuple[Orientation, ...]] = tuple(itertools.product(EITHER, EITHER, EITHER))
"""All that a square lattice has, the one as given first."""


@dataclass(frozen=True)
class TileEvents:
    """What happened in a tile: a map, and a history in every place.

    Attributes
    ----------
    map, std
        (y, x) displacement from the first to the last epoch and its standard deviation, m
    course
        (time, y, x) fraction of it, 0 at the first epoch and 1 at the last
    evidence
        (by, bx) energy that map and data have in common near a block, noise being 1: about the square of the
        signal-to-noise ratio of a matched filter with the network's own map
    """

    map: Tensor
    std: Tensor
    course: Tensor
    evidence: Tensor


@dataclass(frozen=True)
class CleanedImage:
    """A tile's last image, the history that it belongs to, and what the network made of it.

    Attributes
    ----------
    mean, std
        (y, x) displacement from the first to the last epoch and its standard deviation, over `image.std`
    image, history, parts
        what they were made from
    """

    mean: Tensor
    std: Tensor
    image: Image
    history: LocalHistory
    parts: Decomposition


def clean_images(
    tiles: Sequence[Prepared],
    network: nn.Module,
    rounds: int = ROUNDS,
    orientations: int = 1,
    first_history: str = "scan",
) -> list[CleanedImage]:
    """Clean the images of the first histories, then those of the histories that fit the answers.

    Parameters
    ----------
    tiles
        of one size, sides multiples of MULTIPLE; they go through the network together
    rounds
        so often
    orientations
        that the answer is averaged over: with all eight it turns with the scene, exactly but for rounding
    first_history
        'scan': of step statistics; 'ramp': one ramp from the first to the last epoch everywhere
    """
    with torch.inference_mode():
        parts = [decompose(tile, first_history) for tile in tiles]
        histories = [part.first for part in parts]
        images = [image_of(*one) for one in zip(tiles, parts, histories, strict=True)]
        means, stds = oriented_prediction(network, images, orientations)
        for _ in range(rounds - 1):
            histories = [next_history(*one) for one in zip(tiles, parts, images, means, strict=True)]
            images = [image_of(*one) for one in zip(tiles, parts, histories, strict=True)]
            means, stds = oriented_prediction(network, images, orientations)
    return [CleanedImage(*one) for one in zip(means, stds, images, histories, parts, strict=True)]


def tile_events(
    tiles: Sequence[Prepared],
    network: nn.Module,
    sigma: SigmaCalibration | None,
    **how: Any,
) -> list[TileEvents]:
    """What happened in tiles of one size, whatever it is; `how`: see `clean_images`."""
    rows, cols = tiles[0].height.shape
    whole = [padded(tile, MULTIPLE) for tile in tiles]
    out = []
    for tile, found in zip(whole, clean_images(whole, network, **how), strict=True):
        std = found.std if sigma is None else sigma.apply(found.mean, found.std)
        template = scales.whitened(found.mean, tile.seen, found.parts.levels)
        common = scales.projection(found.image.bands[:-1].sum(0)[None], found.image.detail[:1], template)
        course = history.spread(found.history.course, (tile.height.shape[0], tile.height.shape[1]))
        scale = found.image.std[:rows, :cols] * tile.unit_m
        out.append(
            TileEvents(
                map=found.mean[:rows, :cols] * scale,
                std=std[:rows, :cols] * scale,
                course=course[:, :rows, :cols],
                evidence=history.smoothed_blocks(common)[0],
            )
        )
    return out


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
