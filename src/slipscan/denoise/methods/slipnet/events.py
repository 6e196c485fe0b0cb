"""What happened in a tile: a history is found, its map cleaned and taken out, until nothing rises above noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from slipscan.denoise.methods.slipnet import scales
from slipscan.denoise.methods.slipnet.bands import BandSeries, change_of, in_bands
from slipscan.denoise.methods.slipnet.candidates import (
    Candidates,
    candidates,
    double_steps,
    double_steps_near,
    near,
    only,
    steps_of,
)
from slipscan.denoise.methods.slipnet.image import Image, Moved, image_of, left_of, levels_of
from slipscan.denoise.methods.slipnet.lines import search_lines
from slipscan.denoise.methods.slipnet.network import MULTIPLE
from slipscan.denoise.methods.slipnet.predict import oriented_prediction
from slipscan.denoise.methods.slipnet.prepare import Prepared, padded
from slipscan.denoise.methods.slipnet.scales import BLOCK, COARSE, Levels
from slipscan.denoise.methods.slipnet.search import APART, search
from slipscan.denoise.methods.slipnet.spectrum import Whitening, no_whitening, whitening_of
from slipscan.denoise.sigma import SigmaCalibration

MOST_EVENTS: Final = 12
"""In a tile."""
GATE: Final = 1.25
"""Times what noise scores (median) that a history must score. Noise alone does in one tile of some twenty; its maps are
nearly empty."""
MIN_EVIDENCE: Final = 60.0
"""A map has this energy in common with the data, noise being 1, or nothing happened."""
SLOW_D: Final = 200.0
PAIR: Final = 1.02
MARGIN: Final = 10.0
"""Instead of a history that is as slow, or a relaxation, two steps are taken if they explain more by this factor and by
this much more."""
SWEEPS: Final = 3
"""Times that maps of several events are made again beside one another."""
USED_SHARE: Final = 0.5
"""Of the epochs and pixels of a coarse pixel that have data: with less it tells no history."""


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


@dataclass
class TileState:
    """A tile that is worked on.

    Attributes
    ----------
    prepared
        the series
    broad, whitening
        (time, y, x) on coarse pixels, complete, and the spectrum of its noise
    even, fine
        (time, y, x) the same with noise alike in all directions, and the detail of `broad`
    used
        (y, x) coarse pixels that have data
    levels, tried
        noise of images, and histories
    least
        score that a history must reach
    found, stds, images
        what happened, strongest first; std (y, x) over the image's error, and what the map was made of
    edges
        whether each was found by an edge, not by its energy
    """

    prepared: Prepared
    broad: Tensor
    whitening: Whitening
    even: Tensor
    fine: Tensor
    used: Tensor
    levels: Levels
    tried: Candidates
    least: float
    found: list[Moved]
    stds: list[Tensor]
    images: list[Image]
    edges: list[bool]


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
        that its answer is averaged over: with all eight it turns with the scene, exactly but for rounding
    gate
        times the score of noise that a history must reach
    most_events
        in a tile
    """
    with torch.inference_mode():
        working = [begun(padded(tile, MULTIPLE), bool(network.whitened)) for tile in tiles]
        open_tiles = working
        while open_tiles:
            chosen = [_next_steps(tile, gate) for tile in open_tiles]
            going = [(tile, steps) for tile, steps in zip(open_tiles, chosen, strict=True) if steps is not None]
            if not going:
                break
            images = [
                image_of(tile.prepared, tile.levels, steps.courses.mean(1), _beside(tile, tile.found), tile.found)
                for tile, steps in going
            ]
            means, stds = oriented_prediction(network, images, orientations)
            open_tiles = []
            for (tile, steps), image, mean, std in zip(going, images, means, stds, strict=True):
                if float(_evidence(tile, image, mean).sum()) < MIN_EVIDENCE:
                    continue
                tile.found.append(Moved(mean * image.std, steps.courses))
                tile.stds.append(std)
                tile.images.append(image)
                tile.edges.append(steps.edge)
                if len(tile.found) < most_events:
                    open_tiles.append(tile)
        for tile in working:
            if len(tile.found) > 1:
                _prune(tile)
                _refit(tile, network, orientations)
        return [
            [event for number in range(len(tile.found)) for event in _events(tile, number, sigma, one.height.shape)]
            for one, tile in zip(tiles, working, strict=True)
        ]


def begun(tile: Prepared, whitened: bool) -> TileState:
    """A tile of which nothing is known yet; whether its images are `whitened`, as the network has learnt them."""
    broad, share = scales.complete(tile.residual, tile.valid)
    fine = scales.detail(tile.residual, broad, tile.valid)
    whitening = whitening_of(change_of(broad))
    levels = levels_of(tile, whitening if whitened else no_whitening(broad.device))
    used = share.mean(0) > USED_SHARE
    return TileState(
        tile, broad, whitening, whitening.even(broad), fine, used, levels, candidates(tile.days), 0.0, [], [], [], []
    )


def _beside(tile: TileState, found: Sequence[Moved]) -> Tensor:
    """Courses (time, n) of what was found."""
    return torch.stack([tile.prepared.days, *(one.course for one in found)], 1)[:, 1:]


def in_bands_of(tile: TileState, found: Sequence[Moved] = ()) -> BandSeries:
    """The series less what was found, in bands."""
    prepared, even, fine = tile.prepared, tile.even, tile.fine
    for one in found:
        left = left_of(prepared, one.course)[:, None, None]
        coarse = scales.coarse(one.map[None])
        even = even - left * tile.whitening.even(coarse)
        fine = fine - left * scales.detail(one.map[None], coarse, prepared.seen)
    return in_bands(even, fine, tile.used, prepared)


class Steps(NamedTuple):
    """A history, as the courses (time, step) that it is the mean of, and whether an edge told it."""

    courses: Tensor
    edge: bool = False


def _next_steps(tile: TileState, gate: float) -> Steps | None:
    """The next history; None where nothing is above noise."""
    if not tile.used.any():
        return None
    bands, beside = in_bands_of(tile, tile.found), _beside(tile, tile.found)
    best = search(bands, tile.tried, beside, gate)
    if best is None:
        course = _course_of_edge(tile, bands, beside)
        return None if course is None else Steps(course, True)
    tile.least = gate * best.noise
    finer = near(tile.prepared.days, tile.tried, best.number)
    better = search(bands, finer, beside)
    if better is None:
        return Steps(tile.tried.columns[:, [best.number]])
    duration_d = float(finer.duration_d[better.number])
    if duration_d >= SLOW_D or duration_d < 0:
        two = _best_double_step(tile, bands, beside)
        if two is not None and two[0] > PAIR * better.score + MARGIN:
            return Steps(two[1])
    return Steps(finer.columns[:, [better.number]])


def _course_of_edge(tile: TileState, bands: BandSeries, beside: Tensor) -> Tensor | None:
    """Course (time, 1) of the strongest edge that rises above noise."""
    pixels = pixels_of(tile)
    best = search_lines(pixels, bands, tile.tried, beside, APART)
    if best is None:
        return None
    finer = near(tile.prepared.days, tile.tried, best.number)
    better = search_lines(pixels, bands, finer, beside, APART)
    tried, number = (tile.tried, best.number) if better is None else (finer, better.number)
    return tried.columns[:, [number]]


def pixels_of(tile: TileState) -> Tensor:
    """The series (time, y, x) of single pixels, complete, less what was found."""
    prepared = tile.prepared
    pixels = scales.upsampled(tile.broad[None])[0] + tile.fine
    for one in tile.found:
        pixels -= left_of(prepared, one.course)[:, None, None] * one.map
    return pixels


def _best_double_step(tile: TileState, bands: BandSeries, beside: Tensor) -> tuple[float, Tensor] | None:
    """Score and courses (time, 2) of the two steps of one size that explain most."""
    days = tile.prepared.days
    tried = double_steps(days)
    best = search(bands, tried, beside)
    if best is None:
        return None
    finer = double_steps_near(days, tried, best.number)
    better = search(bands, finer, beside)
    if better is None or better.score < best.score:
        return best.score, steps_of(days, tried, best.number)
    return better.score, steps_of(days, finer, better.number)


def best_course(tile: TileState) -> Tensor:
    """The history (time,) that rises most above noise, however little that is; of a series that has none, a ramp."""
    steps = _next_steps(tile, 0.0)
    return torch.linspace(0, 1, len(tile.prepared.days)) if steps is None else steps.courses.mean(1)


def _prune(tile: TileState) -> None:
    """Leave out what the other histories explain together: a slow ramp, say, that was found before two steps."""
    bands = in_bands_of(tile)
    while len(tile.found) > 1:
        scores = []
        for one, edge in zip(tile.found, tile.edges, strict=True):
            others = _beside(tile, [other for other in tile.found if other is not one])
            best = search(bands, only(one.course), others, apart=0.0)
            # What an edge tells has little energy.
            scores.append(math.inf if edge else 0.0 if best is None else best.score)
        weakest = len(scores) - 1 - int(np.argmin(scores[::-1]))
        if scores[weakest] >= tile.least:
            break
        for part in (tile.found, tile.stds, tile.images, tile.edges):
            del part[weakest]


def _refit(tile: TileState, network: nn.Module, orientations: int) -> None:
    """Maps of all events again, each with the others taken out instead of beside their histories (backfitting)."""
    for _ in range(SWEEPS):
        for number, one in enumerate(tile.found):
            others = [other for other in tile.found if other is not one]
            image = image_of(tile.prepared, tile.levels, one.course, None, others)
            means, stds = oriented_prediction(network, [image], orientations)
            tile.found[number] = replace(one, map=means[0] * image.std)
            tile.stds[number], tile.images[number] = stds[0], image


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
    evidence = smoothed_blocks(_evidence(tile, image, mean)[None])[0][: blocks[0], : blocks[1]]
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


def smoothed_blocks(blocks: Tensor) -> Tensor:
    """Means (n, by, bx) over neighbouring blocks, weights 1 2 1."""
    out = torch.nn.functional.pad(blocks[:, None], (1, 1, 1, 1), mode="replicate")
    out = out[..., :-2] + 2 * out[..., 1:-1] + out[..., 2:]
    return (out[..., :-2, :] + 2 * out[..., 1:-1, :] + out[..., 2:, :])[:, 0] / 16
