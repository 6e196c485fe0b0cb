"""The next history of a tile: the search goes over what was found before, by energy and by surface ruptures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
from torch import Tensor

from slipscan.denoise.methods.slipnet import scales
from slipscan.denoise.methods.slipnet.bands import BandSeries, change_of, in_bands
from slipscan.denoise.methods.slipnet.candidates import (
    Candidates,
    candidates,
    double_steps,
    double_steps_near,
    near,
    steps_of,
)
from slipscan.denoise.methods.slipnet.image import Image, Moved, left_of, levels_of
from slipscan.denoise.methods.slipnet.prepare import Prepared
from slipscan.denoise.methods.slipnet.ruptures import search_ruptures
from slipscan.denoise.methods.slipnet.scales import Levels
from slipscan.denoise.methods.slipnet.search import APART, search
from slipscan.fit.spectrum import Whitening, no_whitening, whitening_of

SLOW_D: Final = 200.0
PAIR: Final = 1.02
MARGIN: Final = 10.0
"""Instead of a history that is as slow, or a relaxation, two steps are taken if they explain more by this factor and by
this much more."""
USED_SHARE: Final = 0.5
"""Of the epochs and pixels of a coarse pixel that have data: with less it tells no history."""


@dataclass
class TileState:
    """A tile that is worked on.

    Attributes
    ----------
    prepared
        the series
    broad, whitening
        (time, y, x) on coarse pixels, complete, and the spectrum of its noise
    isotropic, fine
        (time, y, x) the same with noise alike in all directions, and the detail of `broad`
    used
        (y, x) coarse pixels that have data
    levels, tried
        noise of images, and histories
    least
        score that a history must reach
    found, stds, images
        what happened, strongest first; std (y, x) over the image's error, and what the map was made of
    ruptures
        whether each was found as a surface rupture, not by its energy
    """

    prepared: Prepared
    broad: Tensor
    whitening: Whitening
    isotropic: Tensor
    fine: Tensor
    used: Tensor
    levels: Levels
    tried: Candidates
    least: float
    found: list[Moved]
    stds: list[Tensor]
    images: list[Image]
    ruptures: list[bool]


def begun(tile: Prepared, whitened: bool) -> TileState:
    """A tile of which nothing is known yet; whether its images are `whitened`, as the network has learnt them."""
    broad, share = scales.complete(tile.residual, tile.valid)
    fine = scales.detail(tile.residual, broad, tile.valid)
    whitening = whitening_of(change_of(broad))
    levels = levels_of(tile, whitening if whitened else no_whitening(broad.device))
    used = share.mean(0) > USED_SHARE
    return TileState(
        tile,
        broad,
        whitening,
        whitening.isotropic(broad),
        fine,
        used,
        levels,
        candidates(tile.days),
        0.0,
        [],
        [],
        [],
        [],
    )


def beside_of(tile: TileState, found: Sequence[Moved]) -> Tensor:
    """Courses (time, n) of what was found."""
    return torch.stack([tile.prepared.days, *(one.course for one in found)], 1)[:, 1:]


def in_bands_of(tile: TileState, found: Sequence[Moved] = ()) -> BandSeries:
    """The series less what was found, in bands."""
    prepared, isotropic, fine = tile.prepared, tile.isotropic, tile.fine
    for one in found:
        left = left_of(prepared, one.course)[:, None, None]
        coarse = scales.coarse(one.map[None])
        isotropic = isotropic - left * tile.whitening.isotropic(coarse)
        fine = fine - left * scales.detail(one.map[None], coarse, prepared.seen)
    return in_bands(isotropic, fine, tile.used, prepared)


class Steps(NamedTuple):
    """A history, as the courses (time, step) that it is the mean of, and whether a surface rupture tells it."""

    courses: Tensor
    rupture: bool = False


def next_steps(tile: TileState, gate: float) -> Steps | None:
    """The next history; None where nothing is above noise."""
    if not tile.used.any():
        return None
    bands, beside = in_bands_of(tile, tile.found), beside_of(tile, tile.found)
    best = search(bands, tile.tried, beside, gate)
    if best is None:
        course = _course_of_rupture(tile, bands, beside)
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


def _course_of_rupture(tile: TileState, bands: BandSeries, beside: Tensor) -> Tensor | None:
    """Course (time, 1) of the strongest surface rupture that rises above noise."""
    pixels = pixels_of(tile, tile.found)
    best = search_ruptures(pixels, bands, tile.tried, beside, APART)
    if best is None:
        return None
    finer = near(tile.prepared.days, tile.tried, best.number)
    better = search_ruptures(pixels, bands, finer, beside, APART)
    tried, number = (tile.tried, best.number) if better is None else (finer, better.number)
    return tried.columns[:, [number]]


def pixels_of(tile: TileState, found: Sequence[Moved] = ()) -> Tensor:
    """The series (time, y, x) of single pixels, complete, less what was found."""
    prepared = tile.prepared
    pixels = scales.upsampled(tile.broad[None])[0] + tile.fine
    for one in found:
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
    steps = next_steps(tile, 0.0)
    return torch.linspace(0, 1, len(tile.prepared.days)) if steps is None else steps.courses.mean(1)
