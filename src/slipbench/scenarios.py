"""Named scenarios of slipbench: the eight rows of docs/science.md section 2, and what a detector meets beside them.

Sizes are absolute (slip in metres, peak of a volume source in metres); place, viewing geometry, relief, noise and
time are drawn for every realisation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from slipbench.plan import SkillPlan
from slipbench.scenes import Geometry, Key, Scene, assemble, draw_geometry
from slipbench.sequences import SEQUENCES, Several
from slipscan.forward.history import history
from slipscan.synthetic.sources import Kind, Source, peak_per_unit

Float = NDArray[np.float64]
Timing = Callable[[np.random.Generator, Float], tuple[str, float, float]]
"""History, t50 and duration (days) for the days of a series."""

_DAYS_PER_YEAR = 365.25


def _weeks(generator: np.random.Generator, days: Float) -> tuple[str, float, float]:
    """A slow slip event of 40 days in the inner half of the series."""
    low, high = days[0] + np.array([0.25, 0.75]) * np.ptp(days)
    return "gaussian_cdf", float(generator.uniform(low, high)), 40.0


def _step(generator: np.random.Generator, days: Float) -> tuple[str, float, float]:
    return "linear", _weeks(generator, days)[1], 0.0


def _afterslip(generator: np.random.Generator, days: Float) -> tuple[str, float, float]:
    return "log", float(generator.uniform(*(days[0] + np.array([0.2, 0.5]) * np.ptp(days)))), 120.0


def _rate_change(generator: np.random.Generator, days: Float) -> tuple[str, float, float]:
    """A ramp that begins in the inner part and goes on past the end, reaching one in a year."""
    start = generator.uniform(*(days[0] + np.array([0.3, 0.6]) * np.ptp(days)))
    return "linear", float(start + _DAYS_PER_YEAR / 2), 0.9 * _DAYS_PER_YEAR


def _months(generator: np.random.Generator, days: Float) -> tuple[str, float, float]:
    low, high = days[0] + np.array([0.35, 0.65]) * np.ptp(days)
    return "raised_cosine", float(generator.uniform(low, high)), float(generator.uniform(180, 365))


def _season(generator: np.random.Generator, days: Float) -> tuple[str, float, float]:
    return "seasonal", float(days[0] + generator.uniform(0, _DAYS_PER_YEAR)), _DAYS_PER_YEAR


@dataclass(frozen=True)
class Part:
    """One source of a scenario: lengths in km, angles in degrees, size in m of slip, or of peak for a volume."""

    kind: Kind
    size_m: float
    depth: float
    length: float = 0.0
    width: float = 0.0
    strike: float = 261.5
    dip: float = 90.0
    rake: float = 180.0
    timing: Timing = _weeks
    offset: tuple[float, float] = (0.0, 0.0)
    """East, north of the scenario's centre, km."""


@dataclass(frozen=True)
class Scenario:
    """What happens in a scene; a distractor is nothing that a catalogue of slow slip should hold."""

    title: str
    parts: tuple[Part, ...]
    distractor: bool = False
    pixel_m: float = 500.0
    epochs: int = 24


SCENARIOS: Final[dict[str, Scenario]] = {
    "naf-surface": Scenario("NAF-like surface slip 10 x 4 km, 20 mm", (Part("creep", 0.02, 0, 10, 4, dip=85),)),
    "surface-40x5": Scenario("surface strike-slip 40 x 5 km, 20 mm", (Part("creep", 0.02, 0, 40, 5),)),
    "blind-2km": Scenario("blind strike-slip, top 2 km, 20 x 5 km, 100 mm", (Part("buried", 0.1, 2, 20, 5),)),
    "blind-5km": Scenario("blind strike-slip, top 5 km, 40 x 10 km, 200 mm", (Part("buried", 0.2, 5, 40, 10),)),
    "thrust-10km": Scenario(
        "thrust, top 10 km, 40 x 20 km, dip 30, 200 mm", (Part("buried", 0.2, 10, 40, 20, dip=30, rake=90),)
    ),
    "thrust-20km": Scenario(
        "thrust, top 20 km, 60 x 40 km, dip 15, 200 mm", (Part("buried", 0.2, 20, 60, 40, dip=15, rake=90),)
    ),
    "mogi-3km": Scenario("Mogi 3 km, 20 mm", (Part("volume", 0.02, 3),)),
    "mogi-8km": Scenario("Mogi 8 km, 20 mm", (Part("volume", 0.02, 8),)),
    "creep-rate-change": Scenario(
        "creep on 30 x 5 km faster by 20 mm/yr from some day on", (Part("creep", 0.02, 0, 30, 5, timing=_rate_change),)
    ),
    "two-overlapping": Scenario(
        "two events that overlap in time: blind strike-slip (100 mm) and Mogi 4 km (20 mm), 15 km apart",
        (Part("buried", 0.1, 2, 20, 5), Part("volume", 0.02, 4, offset=(0.0, 15.0))),
    ),
    "afterslip": Scenario(
        "afterslip on 20 x 8 km, 60 mm, after a coseismic step below it",
        (Part("creep", 0.06, 0, 20, 8, timing=_afterslip), Part("earthquake", 0.1, 8, 20, 8, timing=_step)),
    ),
    "deep-subduction": Scenario(
        "thrust, top 25 km, 150 x 100 km, dip 15, 150 mm in 180-365 d; 512 km, 60 epochs",
        (Part("buried", 0.15, 25, 150, 100, strike=0, dip=15, rake=90, timing=_months),),
        pixel_m=4000.0,
        epochs=60,
    ),
    "no-signal": Scenario("nothing", (Part("volume", 0.0, 5),), distractor=True),
    "seasonal-reservoir": Scenario(
        "aquifer of 8 x 5 km that breathes 15 mm with the season",
        (Part("reservoir", 0.015, 1, 8, 5, timing=_season),),
        distractor=True,
    ),
    "earthquake": Scenario(
        "coseismic step: strike-slip, top 4 km, 12 x 8 km, 300 mm",
        (Part("earthquake", 0.3, 4, 12, 8, timing=_step),),
        distractor=True,
    ),
}


def named(plan: SkillPlan) -> Mapping[str, Scenario | Several]:
    """The scenarios of a set, by name."""
    return SCENARIOS if plan.name == "short" else SEQUENCES


def scenario_keys(plan: SkillPlan) -> list[Key]:
    """All realisations of all scenarios."""
    return [
        Key("test", family, name, i, plan.name)
        for family in plan.families
        for name in named(plan)
        for i in range(plan.scenario_realisations)
    ]


def draw_scenario(key: Key, plan: SkillPlan) -> Scene:
    """Draw one realisation; the event's template is that of the first part."""
    scenario = SCENARIOS[key.kind]
    generator = key.generator()
    place = draw_geometry(generator, plan, (plan.pixels, plan.pixels), scenario.pixel_m, scenario.epochs)
    centre = generator.uniform(-0.25, 0.25, 2) * place.frame.half_m
    drawn = [planted(generator, part, place, centre) for part in scenario.parts]
    # Mapped fault and reference share a time where they should: afterslip follows its earthquake.
    if key.kind == "afterslip":
        start = drawn[0][1]
        drawn[1] = (drawn[1][0], (place.days >= place.days[np.argmax(start > 0)]).astype(float))
    scene = assemble(key, plan, generator, place, [s for s, _ in drawn], [c for _, c in drawn])
    if all(part.size_m == 0 for part in scenario.parts):
        return replace(scene, amplitude=0.0)
    return scene


def planted(generator: np.random.Generator, part: Part, place: Geometry, centre: Float) -> tuple[Source, Float]:
    """A part as a source of the right peak, with its course (time,)."""
    kind, t50_d, duration_d = part.timing(generator, place.days)
    if kind == "seasonal":
        course = np.cos(2 * np.pi * (place.days - t50_d) / duration_d)
    else:
        course = history(place.days, kind, t50_d, duration_d)
    east, north = centre + 1e3 * np.array(part.offset)
    source = Source(
        kind=part.kind, east=float(east), north=float(north), depth=1e3 * part.depth,
        strike_deg=part.strike, dip_deg=part.dip, rake_deg=part.rake, length=1e3 * part.length, width=1e3 * part.width,
        sign=1, peak_m=part.size_m or 1.0, history=kind, t50_d=t50_d, duration_d=duration_d,
        on_relief=bool(part.kind not in ("reservoir",) and generator.random() < 0.5),
    )  # fmt: skip
    if source.family == "fault":
        source = replace(source, peak_m=part.size_m * peak_per_unit(source, place.frame, place.los))
    return source, course
