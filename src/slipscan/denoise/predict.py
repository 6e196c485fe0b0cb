"""One window through the network: what happened in it, a map and a history in every place."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import pad

from slipscan.denoise import local_history, scales
from slipscan.denoise.front_end import Window
from slipscan.denoise.local_history import LocalHistory
from slipscan.denoise.network import (
    MULTIPLE,
    SIGNED,
    Closed,
    Image,
    Orientation,
    SlipNet,
    closed_form,
    image_of,
    next_history,
    turned_back,
)
from slipscan.denoise.pretrained import Weights

ROUNDS: Final = 2
"""Times that an image is cleaned; a history is fitted between two of them."""
EITHER: Final = (False, True)
ORIENTATIONS: Final[tuple[Orientation, ...]] = tuple(itertools.product(EITHER, EITHER, EITHER))
"""All that a square lattice has, the one as given first."""


@dataclass(frozen=True)
class WindowEvents:
    """What happened in a window: a map, and a history in every place.

    Attributes
    ----------
    map, std
        (y, x) displacement from the first to the last epoch and its standard deviation, m
    course
        (time, by, bx) fraction of it, 0 at the first epoch and 1 at the last, in blocks (see `change`)
    evidence
        (by, bx) energy that map and data have in common near a block, noise being 1: about the square of the
        signal-to-noise ratio of a matched filter with the network's own map
    """

    map: Tensor
    std: Tensor
    course: Tensor
    evidence: Tensor

    def change(self) -> Tensor:
        """(time - 1, y, x) share of the map that happened between an epoch and the next."""
        rows, cols = self.map.shape
        shape = (rows + -rows % MULTIPLE, cols + -cols % MULTIPLE)
        return local_history.spread(self.course, shape)[:, :rows, :cols].diff(dim=0)


@dataclass(frozen=True)
class Cleaned:
    """A window's last image, the history that it belongs to, and what the network made of it.

    Attributes
    ----------
    mean, std
        (y, x) displacement from the first to the last epoch and its standard deviation, over `image.std`
    image, history, closed
        what they were made from
    """

    mean: Tensor
    std: Tensor
    image: Image
    history: LocalHistory
    closed: Closed


def clean(window: Window, network: torch.nn.Module, rounds: int = ROUNDS, orientations: int = 1) -> Cleaned:
    """Clean the image of the scan's history, then that of the history that fits the answer; sides as MULTIPLE.

    With all eight `orientations` the answer turns with the scene, exactly but for rounding.
    """
    with torch.inference_mode():
        closed = closed_form(window)
        history = closed.first
        image = image_of(window, closed, history)
        mean, std = oriented_prediction(network, image, orientations)
        for _ in range(rounds - 1):
            history = next_history(window, closed, image, mean)
            image = image_of(window, closed, history)
            mean, std = oriented_prediction(network, image, orientations)
    return Cleaned(mean, std, image, history, closed)


def window_events(window: Window, weights: Weights) -> WindowEvents:
    """What happened in a window of any size."""
    rows, cols = window.height.shape
    window = padded(window)
    found = clean(window, weights.network, orientations=weights.orientations)
    std = found.std if weights.calibration is None else weights.calibration.apply(found.mean, found.std)
    template = scales.whitened(found.mean, window.valid.any(0), found.closed.levels)
    common = scales.projection(found.image.bands[:-1].sum(0)[None], found.image.detail[:1], template)
    evidence = local_history.smoothed_blocks(common)[0]
    crop = (slice(rows), slice(cols))
    scale = found.image.std[crop] * window.unit_m
    return WindowEvents(found.mean[crop] * scale, std[crop] * scale, found.history.course, evidence)


def oriented_prediction(network: torch.nn.Module, image: Image, orientations: int) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, each (y, x), averaged (the latter geometrically) over the first orientations."""
    if orientations == 1:
        return odd_prediction(network, image)
    means, log_stds = [], []
    for orientation in ORIENTATIONS[:orientations]:
        mean, std = odd_prediction(network, image.turned(orientation))
        means.append(turned_back(mean, orientation))
        log_stds.append(turned_back(std, orientation).log())
    return torch.stack(means).mean(0), torch.stack(log_stds).mean(0).exp()


def odd_prediction(network: torch.nn.Module, image: Image) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, each (y, x), of an image and its negative combined: the sign is kept, exactly."""
    assert isinstance(network, SlipNet)
    signs = torch.ones_like(image.features[:, :1, :1])
    signs[:SIGNED] = -1
    negative = dataclasses.replace(image, features=image.features * signs, bands=-image.bands, detail=-image.detail)
    prediction = network([image, negative])
    mean = (prediction.mean[0] - prediction.mean[1]) / 2
    return mean, ((prediction.log_std[0] + prediction.log_std[1]) / 2).exp()


def padded(window: Window) -> Window:
    """A window with rows and columns without data added, so that its sides are multiples of MULTIPLE."""
    rows, cols = window.height.shape
    extra = (0, -cols % MULTIPLE, 0, -rows % MULTIPLE)
    if not any(extra):
        return window
    return dataclasses.replace(
        window,
        residual=pad(window.residual, extra),
        valid=pad(window.valid, extra),
        columns=pad(window.columns, extra),
        height=pad(window.height, extra),
    )
