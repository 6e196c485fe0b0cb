"""Scenes of four years with one event each: 120 epochs, 160 x 160 pixels of 400 m, rate and season unknown.

The classes are those of long series in the literature of slow slip on continents; the size is the largest
line-of-sight displacement. Noise is family A of slipbench: von Karman turbulence of 10 mm, 10 mm per km of
stratified delay with an
annual wave, ramps, gaps.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from slipbench.plan import SkillPlan, read_plan
from slipbench.scenarios import Part, planted
from slipbench.scenes import Key, Scene, assemble, draw_geometry

PIXELS, PIXEL_M, EPOCHS = 160, 400.0, 120
NULL: Final = "null"


def _timing(generator: np.random.Generator, days: np.ndarray) -> tuple[str, float, float]:
    """A step, or a ramp of up to 60 days, in the inner three fifths of the series."""
    low, high = days[0] + np.array([0.2, 0.8]) * np.ptp(days)
    return "linear", float(generator.uniform(low, high)), float(generator.choice([0.0, 24.0, 60.0]))


CLASSES: Final[dict[str, tuple[Part, float]]] = {
    "surface 40x5": (Part("creep", 1.0, 0, 40, 5, timing=_timing), 0.025),
    "surface 10x4": (Part("creep", 1.0, 0, 10, 4, timing=_timing), 0.006),
    "blind 5": (Part("buried", 1.0, 5, 20, 10, timing=_timing), 0.018),
    "thrust 10": (Part("buried", 1.0, 10, 40, 20, dip=30, rake=90, timing=_timing), 0.050),
    "thrust 20": (Part("buried", 1.0, 20, 60, 40, dip=15, rake=90, timing=_timing), 0.040),
    "Mogi 3": (Part("volume", 1.0, 3, timing=_timing), 0.020),
    "Mogi 8": (Part("volume", 1.0, 8, timing=_timing), 0.020),
}
"""Source, and its peak in the line of sight, m."""


def plan_of() -> SkillPlan:
    """Slipbench's noise on the grid and dates of long series."""
    return read_plan(Path(__file__).parents[1] / "skill" / "slipbench.yaml").model_copy(
        update={"pixels": PIXELS, "pixel_m": PIXEL_M, "epochs": EPOCHS}
    )


def draw(kind: str, number: int, plan: SkillPlan) -> Scene:
    """Scene `number` of a class, or of `NULL`."""
    key = Key("validation", "A", kind, number)
    seed = hashlib.sha256(f"long/{kind}/{number}".encode()).digest()[:16]
    generator = np.random.default_rng(np.frombuffer(seed, "<u4"))
    place = draw_geometry(generator, plan, (PIXELS, PIXELS), PIXEL_M, EPOCHS)
    part, peak_m = CLASSES.get(kind, CLASSES["Mogi 3"])
    centre = generator.uniform(-0.25, 0.25, 2) * place.frame.half_m
    part = replace(part, strike=float(generator.uniform(0, 360)))
    source, course = planted(generator, part, place, centre)
    scene = assemble(key, plan, generator, place, [replace(source, peak_m=1.0)], [course])
    scene = replace(scene, template=scene.template * np.float32(peak_m / np.abs(scene.template).max()))
    return replace(scene, amplitude=0.0) if kind == NULL else scene
