"""The magnitude of completeness of every node of a place: by injections into all tracks of a region."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from slipscan.completeness.ground import Ground
from slipscan.completeness.injection import injected
from slipscan.completeness.pattern import Place, place_of
from slipscan.completeness.sources import Node
from slipscan.settings import CompletenessSettings

Float = NDArray[np.float64]

Z90: Final = 1.2815515655446004
"""Of the normal distribution, 90 % below it."""
START: Final = (4.6, 1.4)
"""Magnitude to begin with, and how much larger it is for ten times the depth (km)."""
ROUNDS: Final = 4
SETTLED: Final = 0.1
"""In magnitude: what rectangle a magnitude has changes its own a tenth as much."""
BEHIND: Final = 0.7
"""A track that needs a magnitude so much larger than the best one finds nothing that the best one does not."""
UNFOUND: Final = 0.05
"""Share of the events that may be found at no size at all."""
BLIND: Final = 0.1
"""Part of the slip in the line of sight below which it is said that it is blind."""


@dataclass(frozen=True)
class Found:
    """What injections tell of a node.

    Attributes
    ----------
    node
        place, depth, duration, kind
    mc90, mc90_std, mc50
        magnitudes at which 90 and 50 % of the events are found, and the standard error of the first; NaN: none
    los_share
        part of the slip in the line of sight of the track that sees most of it; NaN for a volume
    alone
        (track,) magnitude at which each finds the event where there is no noise; NaN: no data
    note
        why there is no magnitude of completeness; empty where there is one
    """

    node: Node
    mc90: float = math.nan
    mc90_std: float = math.nan
    mc50: float = math.nan
    los_share: float = math.nan
    alone: tuple[float, ...] = ()
    note: str = ""


def complete_from(
    grounds: Sequence[Ground], nodes: Sequence[tuple[int, Node]], settings: CompletenessSettings
) -> list[Found]:
    """The magnitudes of completeness of the nodes of one place.

    Parameters
    ----------
    grounds
        of all tracks
    nodes
        with their numbers, which set the times of their events
    settings
        of the stage
    """
    longitude, latitude = nodes[0][1].longitude, nodes[0][1].latitude
    places = [place_of(ground, longitude, latitude) for ground in grounds]
    starts: dict[tuple[str, float, float], float] = {}
    out = []
    for number, node in nodes:
        same = (node.kind, node.strike_deg, node.depth_km)
        start = starts.get(same, START[0] + START[1] * math.log10(node.depth_km))
        found = _of_node(grounds, places, node, number, start, settings)
        if math.isfinite(found.mc50):
            starts[same] = found.mc50
        out.append(found)
    return out


def _of_node(
    grounds: Sequence[Ground], places: Sequence[Place | None], node: Node, number: int, start: float,
    settings: CompletenessSettings,
) -> Found:  # fmt: skip
    seen = [place for place in places if place is not None]
    share = max((node.los_share(place.los) for place in seen), default=math.nan)
    largest = settings.largest_mw
    alone = [math.nan if place is None else _without_noise(place, node, start, largest) for place in places]
    nothing = Found(node, los_share=share, alone=tuple(alone))
    if np.isnan(alone).all():
        return replace(nothing, note="no data there")
    least = float(np.nanmin(alone))
    if least > largest:
        return replace(nothing, note=_too_faint(seen, node, share, largest))
    sizes = np.full(settings.injections, math.inf)
    days = _days(grounds, number, settings)
    for place, own in zip(places, alone, strict=True):
        if place is not None and own <= least + BEHIND:
            sizes = np.minimum(sizes, _sizes(place, node, least, own, days))
    return _fitted(nothing, least, sizes, largest)


def _sizes(place: Place, node: Node, mw: float, own: float, days: Float) -> Float:
    """(event,) size, over that of a magnitude, at which a track finds the events."""
    pattern = place.pattern(node, mw)
    if pattern is None:
        return np.full(len(days), math.inf)
    out: list[float] = []
    for number, day in enumerate(days):
        held = [size for size in out if math.isfinite(size)]
        start = float(np.median(held)) if held else 10 ** (1.5 * (own - mw))
        out.append(injected(place.ground, pattern, float(day), node.duration_d, number).least_size(start))
    return np.array(out)


def _without_noise(place: Place, node: Node, start: float, largest_mw: float) -> float:
    """Magnitude at which a track finds an event in the middle of its window where there is no noise.

    The source is as large as that magnitude makes it. NaN where the track has no data there; more than `largest_mw`
    where it is not found at that.
    """
    middle, mw = sum(place.ground.window) / 2, start
    for _ in range(ROUNDS):
        before = min(mw, largest_mw)
        pattern = place.pattern(node, before)
        if pattern is None:
            return math.nan
        size = injected(place.ground, pattern, middle, node.duration_d, None).least_size(1.0)
        mw = before + math.log10(size) / 1.5
        if abs(mw - before) <= SETTLED or min(mw, before) >= largest_mw:
            break
    return mw


def _days(grounds: Sequence[Ground], number: int, settings: CompletenessSettings) -> Float:
    """Middles of the events: anywhere in the window that all tracks share, the same for all of them."""
    first = max(ground.window[0] for ground in grounds)
    last = min(ground.window[1] for ground in grounds)
    generator = np.random.default_rng([settings.seed, number])
    return generator.uniform(min(first, last), max(first, last), settings.injections)


def _fitted(nothing: Found, mw: float, sizes: Float, largest_mw: float) -> Found:
    """Normal distribution of the magnitudes from which events were found."""
    held = np.isfinite(sizes)
    if (~held).mean() > UNFOUND:
        why = f"{(~held).sum()} of {len(sizes)} events are found at no size: rate, season or a gap hides them"
        return replace(nothing, note=why)
    magnitudes = mw + np.log10(sizes[held]) / 1.5
    mean, std, count = float(magnitudes.mean()), float(magnitudes.std(ddof=1)), int(held.sum())
    mc90 = mean + Z90 * std
    if mc90 > largest_mw:
        return replace(nothing, mc50=mean, note=f"90 % are found at no magnitude up to {largest_mw:g}")
    error = std * math.sqrt(1 / count + Z90**2 / (2 * (count - 1)))
    return replace(nothing, mc90=mc90, mc90_std=error, mc50=mean)


def _too_faint(places: Sequence[Place], node: Node, share: float, largest_mw: float) -> str:
    """Why an event is not found even where there is no noise."""
    patterns = [place.pattern(node, largest_mw) for place in places]
    peak = max((one.peak_m for one in patterns if one is not None), default=0.0)
    blind = f"blind: the line of sight holds {share:.2f} of the slip; " if share < BLIND else ""
    return f"{blind}not found at Mw {largest_mw:g}, which moves the ground {1e3 * peak:.1f} mm in the line of sight"
