"""What happened in a tile: a history is found, its map cleaned and taken out, until nothing rises above noise."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from slipscan.denoise.methods.slipnet import scales
from slipscan.denoise.methods.slipnet.candidates import only
from slipscan.denoise.methods.slipnet.image import Image, Moved, image_of, own_of
from slipscan.denoise.methods.slipnet.network import MULTIPLE
from slipscan.denoise.methods.slipnet.predict import oriented_prediction
from slipscan.denoise.methods.slipnet.prepare import Prepared, padded
from slipscan.denoise.methods.slipnet.rupture_map import Fault, rupture_map
from slipscan.denoise.methods.slipnet.scales import BLOCK, COARSE
from slipscan.denoise.methods.slipnet.search import search
from slipscan.denoise.methods.slipnet.steps import (
    TileState,
    begun,
    beside_of,
    course_of_fault,
    in_bands_of,
    next_steps,
    pixels_of,
)
from slipscan.denoise.sigma import SigmaCalibration

MOST_EVENTS: Final = 12
"""In a tile."""
GATE: Final = 1.4
"""Times what noise scores that a history must score."""
MIN_EVIDENCE, MIN_OF_FAULT = 150.0, 30.0
"""A map has this energy in common with the data, noise being 1, or nothing happened; that of a fault alone, this."""
ENERGY: Final = 2.0
"""Times its score: so much energy a history has at most. Streaks that the network took for a map have more in common
with the data, but the score tells directions apart."""
FAULT_ERROR: Final = 0.3
"""Standard deviation of the displacement of a fault that is fitted, over its size."""
SWEEPS: Final = 3
"""Times that maps of several events are made again beside one another."""


@dataclass(frozen=True)
class TileEvent:
    """One thing that happened in a tile.

    Attributes
    ----------
    map, std
        (y, x) displacement from the first to the last epoch and its standard deviation, m
    course
        (time,) fraction of it, 0 at the first epoch and 1 at the last
    evidence
        (by, bx) energy that map and data have in common near a block, noise being 1: about the square of the
        signal-to-noise ratio of a matched filter with the network's own map
    """

    map: Tensor
    std: Tensor
    course: Tensor
    evidence: Tensor


def tile_events(
    tiles: Sequence[Prepared],
    network: nn.Module,
    sigma: SigmaCalibration | None,
    orientations: int = 1,
    gate: float = GATE,
    most_events: int = MOST_EVENTS,
) -> list[list[TileEvent]]:
    """What happened in each of some tiles of one size, whatever it is, strongest first.

    Parameters
    ----------
    tiles
        go through the network together
    network
        cleans images
    sigma
        calibration of its standard deviation; None: as it says
    orientations
        that its answer is averaged over: with all eight it turns with the scene; faults of ruptures need not
    gate
        times the score of noise that a history must reach
    most_events
        in a tile
    """
    with torch.inference_mode():
        working = [begun(padded(tile, MULTIPLE), bool(network.whitened)) for tile in tiles]
        open_tiles = working
        while open_tiles:
            open_tiles = _one_more(open_tiles, network, orientations, gate, most_events)
        for tile in working:
            if len(tile.found) > 1:
                _prune(tile)
                settle(tile, network, orientations)
        return [
            [event for number in range(len(tile.found)) for event in _events(tile, number, sigma, one.height.shape)]
            for one, tile in zip(tiles, working, strict=True)
        ]


def _one_more(
    tiles: Sequence[TileState], network: nn.Module, orientations: int, gate: float, most_events: int
) -> list[TileState]:
    """Find the next event of each tile; the tiles in which there may be another one."""
    going = [(tile, steps) for tile in tiles if (steps := next_steps(tile, gate)) is not None]
    if not going:
        return []
    views = [_view(tile, steps.courses.mean(1), beside_of(tile, tile.found), tile.found) for tile, steps in going]
    left = []
    for (tile, steps), view, (mean, std) in zip(going, views, _cleaned(views, network, orientations), strict=True):
        told, courses = math.isinf(steps.score), steps.courses
        fault = _fault_in(view, None if told else mean)
        if fault is not None and courses.shape[1] == 1:
            view, mean, std, fault = _timed_by(fault, view, mean, std, told, network, orientations)
            courses = view.course[:, None]
        mean, std = _with_fault(view, fault, mean, std, told, network, orientations)
        if _share_of_least(tile, view.image, mean, steps.score) < 1:
            continue
        tile.found.append(Moved(mean * view.image.std, courses))
        tile.stds.append(std)
        tile.images.append(view.image)
        tile.scores.append(steps.score)
        if len(tile.found) < most_events:
            left.append(tile)
    return left


class _View(NamedTuple):
    """The image of a history in a tile, beside other histories, what else moved taken out; see `image_of`."""

    tile: TileState
    course: Tensor
    beside: Tensor | None
    others: Sequence[Moved]
    unsure: Tensor | None
    image: Image


def _view(
    tile: TileState, course: Tensor, beside: Tensor | None, others: Sequence[Moved], unsure: Tensor | None = None
) -> _View:
    image = image_of(tile.prepared, tile.levels, course, beside, others, unsure)
    return _View(tile, course, beside, others, unsure, image)


def _cleaned(views: Sequence[_View], network: nn.Module, orientations: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Maps that the network makes of images, and their standard deviations, both (y, x) over the error."""
    return zip(*oriented_prediction(network, [view.image for view in views], orientations), strict=True)


def _fault_in(view: _View, mean: Tensor | None) -> Fault | None:
    """A surface rupture in the image, if it is one; `mean` its map without one (see `rupture_map`)."""
    pixels, beside = pixels_of(view.tile, view.others), own_of(view.tile.prepared, view.beside)
    otherwise = None if mean is None else mean * view.image.std
    return rupture_map(view.course, view.tile.bands, beside, pixels, otherwise)


def _timed_by(
    fault: Fault, view: _View, mean: Tensor, std: Tensor, told: bool, network: nn.Module, orientations: int
) -> tuple[_View, Tensor, Tensor, Fault]:
    """View, map and fault of the history that the fault itself tells: beside it, the energy of a tile is noise."""
    course = course_of_fault(view.tile, fault.kernel, own_of(view.tile.prepared, view.beside), view.others)
    if course is None:
        return view, mean, std, fault
    again = _view(view.tile, course, view.beside, view.others)
    ((new_mean, new_std),) = _cleaned([again], network, orientations)
    better = _fault_in(again, None if told else new_mean)
    return (view, mean, std, fault) if better is None else (again, new_mean, new_std, better)


def _with_fault(
    view: _View, fault: Fault | None, mean: Tensor, std: Tensor, told: bool, network: nn.Module, orientations: int
) -> tuple[Tensor, Tensor]:
    """Map and standard deviation with a fault taken out before the network, and put back.

    What a surface rupture alone has `told` is that fault and nothing else: no energy says that there is more.
    """
    if fault is None:
        return (torch.zeros_like(mean) if told else mean), std
    moved = fault.map / view.image.std
    if told:
        mean = torch.zeros_like(mean)
    else:
        others = [*view.others, Moved(fault.map, view.course[:, None])]
        rest = _view(view.tile, view.course, view.beside, others, view.unsure)
        ((mean, std),) = _cleaned([rest], network, orientations)
    return mean + moved, torch.hypot(std, FAULT_ERROR * moved)


def map_of(tile: TileState, course: Tensor, network: nn.Module) -> Tensor:
    """Map (y, x) of a history (time,) that is known, as if it were found; units."""
    view = _view(tile, course, None, ())
    ((mean, std),) = _cleaned([view], network, 1)
    return _with_fault(view, _fault_in(view, mean), mean, std, False, network, 1)[0] * view.image.std


def _prune(tile: TileState) -> None:
    """Leave out what the other histories explain together: a slow ramp, say, that was found before two steps."""
    bands = in_bands_of(tile)
    while len(tile.found) > 1:
        scores = []
        for one, alone in zip(tile.found, tile.scores, strict=True):
            others = beside_of(tile, [other for other in tile.found if other is not one])
            best = search(bands, only(one.course), others, apart=0.0)
            scores.append(alone if math.isinf(alone) else 0.0 if best is None else best.score)
        weakest = len(scores) - 1 - int(np.argmin(scores[::-1]))
        if scores[weakest] >= tile.least:
            break
        tile.leave_out(weakest)


def settle(tile: TileState, network: nn.Module, orientations: int) -> None:
    """Make the maps of all events beside one another, and leave out what is nothing then."""
    _refit(tile, network, orientations)
    while _leave_out_emptiest(tile):
        _refit(tile, network, orientations)


def _refit(tile: TileState, network: nn.Module, orientations: int) -> None:
    """Maps of all events again, each with the others taken out instead of beside their histories (backfitting).

    The maps of the others are no surer than its own: of histories that are alike each would take noise from the other.
    """
    faults: list[Fault | None] = [None] * len(tile.found)
    for sweep in range(SWEEPS):
        for number, one in enumerate(tile.found):
            others = [other for other in tile.found if other is not one]
            view = _view(tile, one.course, None, others, beside_of(tile, others))
            ((mean, std),) = _cleaned([view], network, orientations)
            told = math.isinf(tile.scores[number])
            if sweep == 0:
                faults[number] = _fault_in(view, None if told else mean)
            mean, std = _with_fault(view, faults[number], mean, std, told, network, orientations)
            tile.found[number] = replace(one, map=mean * view.image.std)
            tile.stds[number], tile.images[number] = std, view.image


def _leave_out_emptiest(tile: TileState) -> bool:
    """Leave out the event of least evidence, if that is not enough; whether there was one.

    One by one: beside a history that is alike neither of two has much, and one alone has all that both had.
    """
    shares = [
        _share_of_least(tile, image, one.map / image.std, score)
        for one, image, score in zip(tile.found, tile.images, tile.scores, strict=True)
    ]
    if not shares or min(shares) >= 1:
        return False
    tile.leave_out(int(np.argmin(shares)))
    return True


def _share_of_least(tile: TileState, image: Image, mean: Tensor, score: float) -> float:
    """Evidence of a map, over the image's error, as a share of what one whose history was found so must have."""
    least = MIN_OF_FAULT if math.isinf(score) else MIN_EVIDENCE
    return float(_evidence(tile, image, mean).sum()) / least


def _evidence(tile: TileState, image: Image, mean: Tensor) -> Tensor:
    """(by, bx) energy that a map, over the image's error, and the image have in common in every block."""
    template = scales.template(mean, tile.prepared.seen, tile.levels)
    return scales.projection(image.white[None], image.detail[:1], template)[0]


def _events(tile: TileState, number: int, sigma: SigmaCalibration | None, shape: Sequence[int]) -> list[TileEvent]:
    """What was found, in metres, without what padding added; two steps are two events of half the size.

    That they are equal is assumed, so each is known to 1 / sqrt(2) of the error of both, not to half of it: together,
    taken as independent, they have that error again.
    """
    one, image, std = tile.found[number], tile.images[number], tile.stds[number]
    mean = one.map / image.std
    inside = slice(shape[0]), slice(shape[1])
    std = std if sigma is None else sigma.apply(mean, std)
    blocks = tuple(-(-side // (BLOCK * COARSE)) for side in shape)
    evidence = _evidence(tile, image, mean)
    evidence = evidence * min(1.0, ENERGY * tile.scores[number] / max(float(evidence.sum()), MIN_OF_FAULT))
    evidence = scales.smoothed_blocks(evidence[None])[0][: blocks[0], : blocks[1]]
    unit = tile.prepared.unit_m / one.steps.shape[1]
    return [
        TileEvent(
            map=(one.map * unit)[inside],
            std=(std * image.std * unit)[inside] * math.sqrt(one.steps.shape[1]),
            course=step,
            evidence=evidence / one.steps.shape[1],
        )
        for step in one.steps.T
    ]
