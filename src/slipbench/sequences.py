"""Named scenarios of the set `long`: slow events, and two events in one series. Their sizes are set by SNR."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from slipbench.plan import SkillPlan
from slipbench.scenes import Geometry, Key, Scene, assemble, draw_geometry, draw_source
from slipbench.snr import sized
from slipscan.forward.history import history
from slipscan.synthetic.sources import Kind, Source

Float = NDArray[np.float64]

YEAR_D = 365.25
SLOW_D = (300.0, 700.0)
RELAXATION_D = (100.0, 300.0)
APART_M = 20e3
"""Least distance of two events in different places."""
_INNER = (0.1, 0.9)
"""Of a series: where the events of a sequence lie."""
_TRIES = 200


@dataclass(frozen=True)
class Planned:
    """Events of one scene: what moves, when, and the SNR of each beside the background."""

    sources: tuple[Source, ...]
    snr: tuple[float, ...]


@dataclass(frozen=True)
class Several:
    """A scenario of a long series; none is a distractor."""

    title: str
    planned: Callable[[np.random.Generator, SkillPlan, Geometry], Planned]
    distractor: bool = False


def _any(generator: np.random.Generator, plan: SkillPlan, place: Geometry) -> Source:
    """A source of any class."""
    classes = list(plan.classes.values())
    return draw_source(generator, classes[int(generator.integers(len(classes)))], place, plan)


def _day(generator: np.random.Generator, place: Geometry, margin_d: float = 0.0) -> float:
    low, high = place.days[0] + np.array(_INNER) * np.ptp(place.days)
    return float(generator.uniform(low, high - margin_d))


def _short(generator: np.random.Generator) -> float:
    return math.exp(generator.uniform(math.log(6), math.log(90)))


def _snr(generator: np.random.Generator) -> float:
    return math.exp(generator.uniform(math.log(15), math.log(30)))


def _slow(generator: np.random.Generator, plan: SkillPlan, place: Geometry) -> Planned:
    source = _any(generator, plan, place)
    slow = replace(source, t50_d=_day(generator, place), duration_d=float(generator.uniform(*SLOW_D)))
    return Planned((slow,), (_snr(generator),))


def _again(generator: np.random.Generator, plan: SkillPlan, place: Geometry) -> Planned:
    first = replace(_any(generator, plan, place), t50_d=_day(generator, place, YEAR_D), duration_d=_short(generator))
    second = replace(first, t50_d=first.t50_d + YEAR_D, duration_d=_short(generator))
    return Planned((first, second), (15.0, 15.0))


def _apart(generator: np.random.Generator, plan: SkillPlan, place: Geometry) -> Planned:
    first = replace(_any(generator, plan, place), t50_d=_day(generator, place), duration_d=_short(generator))
    for _ in range(_TRIES):
        second = _any(generator, plan, place)
        if math.hypot(second.east - first.east, second.north - first.north) >= APART_M:
            break
    second = replace(second, t50_d=_day(generator, place), duration_d=_short(generator))
    return Planned((first, second), (_snr(generator), _snr(generator)))


def _relaxing(generator: np.random.Generator, plan: SkillPlan, place: Geometry) -> Planned:
    day = _day(generator, place, YEAR_D)
    step = replace(_any(generator, plan, place), history="linear", t50_d=day, duration_d=0.0)
    kind = ("exponential", "log")[int(generator.integers(2))]
    duration = float(generator.uniform(*RELAXATION_D))
    # Its motion begins with the step: the time of its half is what its shape makes of that.
    when = np.linspace(-YEAR_D, 0, 4001)
    begins = when[int(np.argmax(history(when, kind, 0.0, duration) > 0))]
    after = replace(step, history=kind, t50_d=day - float(begins), duration_d=duration, sign=-step.sign)
    deeper = step.depth + float(generator.uniform(1e3, 4e3))
    return Planned((step, replace(after, kind=_buried(step), depth=deeper)), (20.0, 20.0))


def _buried(source: Source) -> Kind:
    return "buried" if source.kind == "creep" else source.kind


SEQUENCES: Final[dict[str, Several]] = {
    "slow": Several("one event of 300 to 700 d, SNR 15 to 30", _slow),
    "two-one-place": Several("two events of one source, a year apart, SNR 15 each", _again),
    "two-places": Several("two events 20 km or more apart, at any times, SNR 15 to 30 each", _apart),
    "step-relaxation": Several(
        "a step, and below it a relaxation of 100 to 300 d the other way, SNR 20 each", _relaxing
    ),
}


def draw_sequence(
    key: Key, plan: SkillPlan, factors: Sequence[float] | None = None
) -> tuple[Scene, list[float], list[float]]:
    """Draw one realisation.

    Parameters
    ----------
    key, plan
        its name, the set
    factors
        of the events' maps, as the manifest has them; None works them out from the SNR

    Returns
    -------
    scene, factors, snr
        of each event, beside the background; not beside the other event
    """
    generator = key.generator()
    place = draw_geometry(generator, plan, (plan.pixels, plan.pixels), plan.pixel_m, plan.epochs)
    planned = SEQUENCES[key.kind].planned(generator, plan, place)
    courses = [history(place.days, s.history, s.t50_d, s.duration_d) for s in planned.sources]
    scene = assemble(key, plan, generator, place, list(planned.sources), courses)
    maps = [scene.template, *(part for part, _ in scene.others)]
    snr = list(planned.snr)
    if factors is None:
        both = [sized(s, m, c, scene, plan) for s, m, c in zip(snr, maps, courses, strict=True)]
        factors, snr = [f for f, _ in both], [s for _, s in both]
    maps = [part * np.float32(f) for part, f in zip(maps, factors, strict=True)]
    others = tuple(zip(maps[1:], courses[1:], strict=True))
    extra = np.sum([c.astype(np.float32)[:, None, None] * m for m, c in others], axis=0) if others else None
    return replace(scene, template=maps[0], others=others, extra=extra), list(factors), snr
