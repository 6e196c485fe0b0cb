"""The next history of a tile: the search goes over what was found before, by energy and by surface ruptures."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Final, NamedTuple

import torch
from torch import Tensor

from slipscan.denoise.methods.slipnet import scales
from slipscan.denoise.methods.slipnet.bands import BandSeries, change_of, in_bands
from slipscan.denoise.methods.slipnet.candidates import (
    Candidates,
    candidates,
    each_of,
    near,
    only,
    pair_of,
    pairs,
    pairs_near,
)
from slipscan.denoise.methods.slipnet.ground import Ground, ground_of
from slipscan.denoise.methods.slipnet.image import Image, Moved, left_of, levels_of, step_statistics
from slipscan.denoise.methods.slipnet.prepare import Prepared
from slipscan.denoise.methods.slipnet.ruptures import FEWEST, search_ruptures
from slipscan.denoise.methods.slipnet.scales import Levels
from slipscan.denoise.methods.slipnet.search import APART, Found, search, units_of
from slipscan.fit.spectrum import Whitening, mirrored, no_whitening, whitening_of

CLOSER: Final = (1.0, 0.5)
"""Steps of `candidates.near` in which the best history is refined."""
PAIR: Final = 1.02
MARGIN: Final = 3.0
"""Two events of one size are taken instead of one if they explain more by this factor and by this much more."""
ONE_OF_TWO: Final = 0.7
"""Of the score that a history must reach: that of each of them. It is no best of many."""
SLOW_D: Final = 200.0
"""They may be closer than that only where the one would be as slow, or a relaxation."""
EACH_D: Final = (0.0, 30.0, 60.0, 90.0)
"""Days that each of them takes."""
USED_SHARE: Final = 0.5
"""Of the epochs and pixels of a coarse pixel that have data: with less it tells no history."""


class Event(NamedTuple):
    """Something that happened in a tile.

    Attributes
    ----------
    moved, std
        what it was, and the standard deviation (y, x) of its map over the image's error
    image
        that the map was made of
    score
        log likelihood ratio of the history's energy; infinite of one that a surface rupture tells: it has little
    share
        its evidence, of what it must have
    """

    moved: Moved
    std: Tensor
    image: Image
    score: float
    share: float


@dataclass
class TileState:
    """A tile that is worked on.

    Attributes
    ----------
    prepared
        the series
    broad, whitening
        (time, y, x) on coarse pixels, complete, and the spectrum of its noise
    fine
        (time, y, x) detail of `broad`
    used
        (y, x) coarse pixels that have data
    levels, tried
        noise of images, and histories
    least
        score that a history must reach
    bands
        the series less what was found before the last search, in bands
    events
        what happened, strongest first
    """

    prepared: Prepared
    broad: Tensor
    whitening: Whitening
    fine: Tensor
    used: Tensor
    levels: Levels
    tried: Candidates
    least: float
    bands: BandSeries
    events: list[Event] = field(default_factory=list)

    @property
    def found(self) -> list[Moved]:
        """What moved by what happened."""
        return [event.moved for event in self.events]

    def without(self, number: int) -> list[Moved]:
        """What moved by all but one of the events."""
        return [event.moved for other, event in enumerate(self.events) if other != number]

    @cached_property
    def ground(self) -> Ground | None:
        """Where images of it are seen, their noise being that of short histories; None: nobody knows from where."""
        prepared = self.prepared
        if prepared.los is None:
            return None
        images = step_statistics(prepared)
        noise = scales.complete(images, prepared.seen.expand_as(images))[0]
        columns, seen = scales.coarse(prepared.columns), scales.coarse(prepared.seen.float()[None])[0]
        return ground_of(noise, prepared.los, columns, seen >= scales.MIN_KNOWN, scales.COARSE * prepared.pixel_m)


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
        fine,
        used,
        levels,
        candidates(tile.days),
        0.0,
        in_bands(whitening.isotropic(broad), fine, used, tile),
    )


def beside_of(tile: TileState, found: Sequence[Moved]) -> Tensor:
    """Courses (time, n) of what was found."""
    return torch.stack([tile.prepared.days, *(one.course for one in found)], 1)[:, 1:]


def in_bands_of(tile: TileState, found: Sequence[Moved] = ()) -> BandSeries:
    """The series less what was found, in bands."""
    broad, fine = _less(tile, found)
    return in_bands(tile.whitening.isotropic(broad), fine, tile.used, tile.prepared)


def _less(tile: TileState, found: Sequence[Moved]) -> tuple[Tensor, Tensor]:
    """Coarse pixels, complete, and detail of the series less what was found.

    It is taken out before holes are filled: what fills a hole in a steep map is not what moved there.
    """
    if not found:
        return tile.broad, tile.fine
    prepared = tile.prepared
    left = prepared.residual.clone()
    for one in found:
        left -= left_of(prepared, one.course)[:, None, None] * one.map
    left *= prepared.valid
    broad = scales.complete(left, prepared.valid)[0]
    return broad, scales.detail(left, broad, prepared.valid)


class Steps(NamedTuple):
    """A history, as the courses (time, step) that it is the mean of, and its score (see `Event`)."""

    courses: Tensor
    score: float


def next_steps(tile: TileState, gate: float) -> Steps | None:
    """The next history; None where nothing is above noise."""
    if not tile.used.any():
        return None
    if tile.found:
        tile.bands = in_bands_of(tile, tile.found)
    bands, beside = tile.bands, beside_of(tile, tile.found)
    best = search(bands, tile.tried, beside, gate)
    if best is None:
        course = _course_of_rupture(tile, bands, beside)
        return None if course is None else Steps(course, math.inf)
    tile.least = gate * best.noise
    tried, best = _refined(tile, best, partial(search, bands, beside=beside))
    duration_d = float(tried.duration_d[best.number])
    slow = duration_d >= SLOW_D or duration_d < 0
    two = _best_pair(tile, bands, beside, 0.0 if slow else SLOW_D)
    if two is not None and two.score > PAIR * best.score + MARGIN and _two_alike(tile, bands, two.courses, beside):
        return two
    return Steps(tried.columns[:, [best.number]], best.score)


def _course_of_rupture(tile: TileState, bands: BandSeries, beside: Tensor) -> Tensor | None:
    """Course (time, 1) of the strongest surface rupture that rises above noise."""
    look = partial(search_ruptures, pixels_of(tile, tile.found), bands, beside=beside, apart=APART)
    best = look(tile.tried)
    if best is None:
        return None
    tried, best = _refined(tile, best, look)
    return tried.columns[:, [best.number]]


def course_of_fault(tile: TileState, kernel: Tensor, beside: Tensor, others: Sequence[Moved]) -> Tensor | None:
    """The history (time,) that the series of a fault tells, if any; see `rupture_map.Fault`."""
    series = tile.bands.whiteners[0] @ torch.tensordot(mirrored(pixels_of(tile, others)), kernel, 2)

    def look(tried: Candidates) -> Found | None:
        units, epochs, usable = units_of(tile.bands, tried, beside, APART)
        sizes = (units[0] @ series).abs() * (usable & (epochs[0] >= FEWEST))
        best = int(sizes.argmax())
        return Found(best, float(sizes[best]), 0.0, sizes) if float(sizes[best]) > 0 else None

    best = look(tile.tried)
    if best is None:
        return None
    tried, best = _refined(tile, best, look)
    return tried.columns[:, best.number]


def _refined(tile: TileState, best: Found, look: Callable[[Candidates], Found | None]) -> tuple[Candidates, Found]:
    """The best history between those of a search and those beside them: of the best ramp and the best relaxation.

    Before they are looked at closely, the other kind may be ahead by the spacing of candidates alone.
    """
    relaxation = tile.tried.duration_d < 0
    kinds = (best.best_of(kind) for kind in (relaxation, ~relaxation))
    firsts = {best.number, *(number for number in kinds if number is not None)}
    refined = [_closer(tile, number, best, look) for number in sorted(firsts)]
    return max(refined, key=lambda one: one[1].score)


def _closer(
    tile: TileState, number: int, found: Found, look: Callable[[Candidates], Found | None]
) -> tuple[Candidates, Found]:
    """The best history between a candidate and those beside it, looked for closer and closer."""
    tried, best = tile.tried, dataclasses.replace(found, number=number, score=float(found.scores[number]))
    for step in CLOSER:
        finer = near(tile.prepared.days, tried, best.number, step)
        better = look(finer)
        if better is None:
            break
        tried, best = finer, better
    return tried, best


def pixels_of(tile: TileState, found: Sequence[Moved] = ()) -> Tensor:
    """The series (time, y, x) of single pixels, complete, less what was found."""
    broad, fine = _less(tile, found)
    return scales.upsampled(broad[None])[0] + fine


def broad_image(tile: TileState, image: Image, found: Sequence[Moved]) -> Tensor:
    """An image (y, x) on coarse pixels, complete, over its error, less what was found."""
    return torch.tensordot(image.filter, _less(tile, found)[0], 1) / image.std


def _best_pair(tile: TileState, bands: BandSeries, beside: Tensor, apart_d: float) -> Steps | None:
    """The two events of one size, at least so far apart, that explain most.

    Beside rate and season two steps a year apart look like one of the other sign in the year before or after.
    """
    days = tile.prepared.days
    tried = pairs(days, apart_d)
    best = search(bands, tried, beside)
    if best is None:
        return None
    found = [Steps(pair_of(days, tried, best.number, each_of(days)), best.score)]
    for each_d in EACH_D:
        finer = pairs_near(days, tried, best.number, each_d)
        better = search(bands, finer, beside)
        if better is not None:
            found.append(Steps(pair_of(days, finer, better.number, each_d), better.score))
    return max(found, key=lambda steps: steps.score)


def _two_alike(tile: TileState, bands: BandSeries, pair: Tensor, beside: Tensor) -> bool:
    """Whether each of two events (time, 2) rises above noise beside the other, and what they differ by does not."""

    def score(course: Tensor, other: Tensor) -> float:
        found = search(bands, only(course), torch.cat([beside, other[:, None]], 1), apart=0.0)
        return 0.0 if found is None else found.score

    first, second = pair.T
    weaker = min(score(first, second), score(second, first))
    return weaker >= ONE_OF_TWO * tile.least and score(first - second, pair.mean(1)) < tile.least


def best_course(tile: TileState) -> Tensor:
    """The history (time,) that rises most above noise, however little that is; of a series that has none, a ramp."""
    steps = next_steps(tile, 0.0)
    return torch.linspace(0, 1, len(tile.prepared.days)) if steps is None else steps.courses.mean(1)
