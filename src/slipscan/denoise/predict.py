"""The events of one cell of a stack: windows in time through the network, put together to one series."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from slipscan import seriesmodel
from slipscan.denoise import cells, front_end, local_history
from slipscan.denoise.front_end import Survey, Window
from slipscan.denoise.local_history import BLOCK, COARSE, LocalHistory
from slipscan.denoise.network import MULTIPLE, SIGNED, Closed, Image, SlipNet, closed_form, image_of, next_history
from slipscan.denoise.pretrained import Weights

ROUNDS: Final = 2
"""Times that an image is cleaned; a history is fitted between two of them."""


@dataclass(frozen=True)
class WindowEvents:
    """What happened in a window: a map, and a history in every place.

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
class CellEvents:
    """Events of a cell.

    Attributes
    ----------
    transient, variance
        (time, y, x) displacement by events about its temporal mean, m, and its variance, m2
    evidence
        (by, bx) the largest of any window
    """

    transient: Tensor
    variance: Tensor
    evidence: Tensor


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


def clean(window: Window, network: torch.nn.Module, rounds: int = ROUNDS) -> Cleaned:
    """Clean the image of the scan's history, then that of the history that fits the answer; sides as MULTIPLE."""
    with torch.inference_mode():
        closed = closed_form(window)
        history = closed.first
        image = image_of(window, closed, history)
        mean, std = odd_prediction(network, image)
        for _ in range(rounds - 1):
            history = next_history(window, closed, image, mean)
            image = image_of(window, closed, history)
            mean, std = odd_prediction(network, image)
    return Cleaned(mean, std, image, history, closed)


def window_events(window: Window, weights: Weights) -> WindowEvents:
    """What happened in a window of any size."""
    rows, cols = window.height.shape
    found = clean(padded(window), weights.network)
    std = found.std if weights.calibration is None else weights.calibration.apply(found.mean, found.std)
    shape = (found.mean.shape[0], found.mean.shape[1])
    template = local_history.whitened(avg_pool2d(found.mean[None], COARSE)[0], found.closed.levels)
    common = found.image.bands[:-1].sum(0) * template
    evidence = local_history.smoothed_blocks(avg_pool2d(common[None], BLOCK) * BLOCK**2)[0]
    crop = (slice(rows), slice(cols))
    scale = found.image.std[crop] * window.unit_m
    course = local_history.spread(found.history.course, shape)[(slice(None), *crop)]
    return WindowEvents(found.mean[crop] * scale, std[crop] * scale, course, evidence)


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


def cell_events(
    stack: Survey,
    time: NDArray[np.datetime64],
    segment: NDArray[np.integer] | None,
    weights: Weights,
    background_known: bool = False,
) -> CellEvents:
    """The events of a series of any length.

    Windows are asked for the change from epoch to epoch; it is blended where they overlap, and summed up in the end.

    Parameters
    ----------
    stack
        the cell
    time, segment
        (time,) epochs, and connected part of the network that each belongs to
    weights
        of the network
    background_known
        rate and season have been taken out beforehand
    """
    n = len(time)
    pieces = cells.windows(n)
    intervals = [slice(piece.start, piece.stop - 1) for piece in pieces]
    change = torch.zeros(n, *stack.height.shape, device=stack.cleaned.device)
    variance = torch.zeros_like(change)
    evidence = []
    for piece, share in zip(pieces, cells.shares(intervals, n - 1), strict=True):
        found = window_events(front_end.cut(stack, piece, design_of(time, segment, piece, background_known)), weights)
        steps = found.course.diff(dim=0) * torch.from_numpy(share)[:, None, None].to(found.course)
        change[piece.start + 1 : piece.stop] += steps * found.map
        variance += (_about_mean(_summed(steps, piece, n)) * found.std).square()
        evidence.append(found.evidence)
    return CellEvents(_about_mean(change.cumsum(0)), variance, torch.stack(evidence).amax(0))


def design_of(
    time: NDArray[np.datetime64], segment: NDArray[np.integer] | None, epochs: slice, background_known: bool
) -> NDArray[np.float64]:
    """Background columns (time, k) of some epochs: an offset a part, and rate and season unless they are known."""
    part = None if segment is None else segment[epochs]
    matrix, names = seriesmodel.design_matrix(time[epochs], part)
    return matrix[:, : names.count("offset")] if background_known else matrix


def _summed(steps: Tensor, piece: slice, n: int) -> Tensor:
    """Steps (time - 1, y, x) of a window as a course over all n epochs."""
    course = torch.zeros(n, *steps.shape[1:], device=steps.device)
    course[piece.start + 1 : piece.stop] = steps.cumsum(0)
    course[piece.stop :] = course[piece.stop - 1].clone()
    return course


def _about_mean(field: Tensor) -> Tensor:
    return field - field.mean(0, keepdim=True)
