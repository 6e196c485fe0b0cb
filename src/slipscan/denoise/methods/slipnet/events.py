"""What happened in a tile: a history is found, its map cleaned and taken out, until nothing rises above noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from slipscan.denoise.methods.slipnet import scales
from slipscan.denoise.methods.slipnet.candidates import only
from slipscan.denoise.methods.slipnet.image import Image, Moved
from slipscan.denoise.methods.slipnet.maps import Cleaner, Mapped, fault_in, mapped, timed_by, view_of
from slipscan.denoise.methods.slipnet.network import MULTIPLE
from slipscan.denoise.methods.slipnet.prepare import Prepared, padded
from slipscan.denoise.methods.slipnet.rupture_map import Fault
from slipscan.denoise.methods.slipnet.scales import BLOCK, COARSE
from slipscan.denoise.methods.slipnet.search import search
from slipscan.denoise.methods.slipnet.steps import (
    Event,
    TileState,
    begun,
    beside_of,
    in_bands_of,
    next_steps,
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
    clean = Cleaner(network, orientations)
    with torch.inference_mode():
        working = [begun(padded(tile, MULTIPLE), bool(network.whitened)) for tile in tiles]
        open_tiles = working
        while open_tiles:
            open_tiles = _one_more(open_tiles, clean, gate, most_events)
        for tile in working:
            if len(tile.events) > 1:
                _prune(tile)
                settle(tile, clean)
        return [
            [part for event in tile.events for part in _parts(tile, event, sigma, one.height.shape)]
            for one, tile in zip(tiles, working, strict=True)
        ]


def _one_more(tiles: Sequence[TileState], clean: Cleaner, gate: float, most_events: int) -> list[TileState]:
    """Find the next event of each tile; the tiles in which there may be another one."""
    going = [(tile, steps) for tile in tiles if (steps := next_steps(tile, gate)) is not None]
    if not going:
        return []
    views = [view_of(tile, steps.courses.mean(1), beside_of(tile, tile.found), tile.found) for tile, steps in going]
    left = []
    for (tile, steps), view, said in zip(going, views, clean(views), strict=True):
        told, courses = math.isinf(steps.score), steps.courses
        fault = fault_in(view, None if told else said.mean)
        if fault is not None and courses.shape[1] == 1:
            view, said, fault = timed_by(fault, view, said, told, clean)
            courses = view.course[:, None]
        made = mapped(view, fault, said, told, clean)
        share = _share_of_least(tile, view.image, made, steps.score)
        if share < 1:
            continue
        moved = Moved(made.mean * view.image.std, courses)
        tile.events.append(Event(moved, made.std, view.image, steps.score, share))
        if len(tile.events) < most_events:
            left.append(tile)
    return left


def _prune(tile: TileState) -> None:
    """Leave out what the other histories explain together: a slow ramp, say, that was found before two steps."""
    bands = in_bands_of(tile)
    while len(tile.events) > 1:
        scores = []
        for number, one in enumerate(tile.events):
            best = search(bands, only(one.moved.course), beside_of(tile, tile.without(number)), apart=0.0)
            scores.append(one.score if math.isinf(one.score) else 0.0 if best is None else best.score)
        weakest = len(scores) - 1 - int(np.argmin(scores[::-1]))
        if scores[weakest] >= tile.least:
            break
        del tile.events[weakest]


def settle(tile: TileState, clean: Cleaner) -> None:
    """Make the maps of all events beside one another, and leave out what is nothing then."""
    _refit(tile, clean)
    while _leave_out_emptiest(tile):
        _refit(tile, clean)


def _refit(tile: TileState, clean: Cleaner) -> None:
    """Maps of all events again, each with the others taken out instead of beside their histories (backfitting).

    The maps of the others are no surer than its own: of histories that are alike each would take noise from the other.
    """
    faults: list[Fault | None] = [None] * len(tile.events)
    before: list[Mapped | None] = [None] * len(tile.events)
    for sweep in range(SWEEPS):
        for number, one in enumerate(tile.events):
            others = tile.without(number)
            view = view_of(tile, one.moved.course, None, others, beside_of(tile, others))
            (said,) = clean([view])
            told = math.isinf(one.score)
            if sweep == 0:
                faults[number] = fault_in(view, None if told else said.mean)
            made = mapped(view, faults[number], said, told, clean, before[number])
            before[number] = made
            moved = replace(one.moved, map=made.mean * view.image.std)
            share = _share_of_least(tile, view.image, made, one.score)
            tile.events[number] = Event(moved, made.std, view.image, one.score, share)


def _leave_out_emptiest(tile: TileState) -> bool:
    """Leave out the event of least evidence, if that is not enough; whether there was one.

    One by one: beside a history that is alike neither of two has much, and one alone has all that both had.
    """
    emptiest = min(tile.events, key=lambda event: event.share, default=None)
    if emptiest is None or emptiest.share >= 1:
        return False
    tile.events = [event for event in tile.events if event is not emptiest]
    return True


def _share_of_least(tile: TileState, image: Image, made: Mapped, score: float) -> float:
    """Evidence of a map without a source, as a share of what one whose history was found so must have."""
    least = MIN_OF_FAULT if math.isinf(score) else MIN_EVIDENCE
    return float(_evidence(tile, image, made.without_source).sum()) / least


def _evidence(tile: TileState, image: Image, mean: Tensor) -> Tensor:
    """(by, bx) energy that a map, over the image's error, and the image have in common in every block."""
    template = scales.template(mean, tile.prepared.seen, tile.levels)
    return scales.projection(image.white[None], image.detail[:1], template)[0]


def _parts(tile: TileState, event: Event, sigma: SigmaCalibration | None, shape: Sequence[int]) -> list[TileEvent]:
    """What was found, in metres, without what padding added; two steps are two events of half the size.

    That they are equal is assumed, so each is known to 1 / sqrt(2) of the error of both, not to half of it: together,
    taken as independent, they have that error again.
    """
    moved, image, std = event.moved, event.image, event.std
    mean = moved.map / image.std
    inside = slice(shape[0]), slice(shape[1])
    std = std if sigma is None else sigma.apply(mean, std)
    blocks = tuple(-(-side // (BLOCK * COARSE)) for side in shape)
    evidence = _evidence(tile, image, mean)
    evidence = evidence * min(1.0, ENERGY * event.score / max(float(evidence.sum()), MIN_OF_FAULT))
    evidence = scales.smoothed_blocks(evidence[None])[0][: blocks[0], : blocks[1]]
    unit = tile.prepared.unit_m / moved.steps.shape[1]
    return [
        TileEvent(
            map=(moved.map * unit)[inside],
            std=(std * image.std * unit)[inside] * math.sqrt(moved.steps.shape[1]),
            course=step,
            evidence=evidence / moved.steps.shape[1],
        )
        for step in moved.steps.T
    ]
