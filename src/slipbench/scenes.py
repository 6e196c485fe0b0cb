"""The scenes of slipbench: each a function of its id alone.

Every scene holds a secular rate, a season and the noise of its family; half of the sources lie under a summit or
along a range front. An event's size is set by its matched-filter signal-to-noise ratio (slipbench.snr).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from slipbench.families import FamilyNoise, draw_noise
from slipbench.plan import NULL, EventClass, Noise, SkillPlan
from slipbench.snr import sized
from slipscan import geometry
from slipscan.field import Observation
from slipscan.forward.history import history
from slipscan.noise.simulate import missing_epochs, missing_pixels
from slipscan.patches.find import find_patches
from slipscan.patches.patch import remove_cycles
from slipscan.synthetic.backdrop import Frame, draw_background, draw_relief
from slipscan.synthetic.distribution import raise_relief
from slipscan.synthetic.sources import Source, source_map

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]

SEED_TAG = 0xF1A7_BE7C
"""First word of every seed. Training seeds are below 2^31 (a test asserts it): no scene is ever trained on."""
HISTORIES = ("linear", "gaussian_cdf", "raised_cosine", "exponential", "log")
LATE_D = 365.25 / 2
FIRST_DAY = (730, 3200)
"""A series starts in 2016 to 2022."""
_MECHANISMS = (((70.0, 90.0), (0.0, 180.0)), ((10.0, 45.0), (90.0,)), ((45.0, 65.0), (-90.0,)))


@dataclass(frozen=True)
class Key:
    """A scene's name: split ('test' or 'validation'), family, kind (a class, a scenario or 'null'), number, set."""

    split: str
    family: Noise
    kind: str
    index: int
    plan: str = "short"

    @property
    def id(self) -> str:
        """The name as text; the set's stands before it in all but the first."""
        name = f"{self.split}/{self.family}/{self.kind}/{self.index:04d}"
        return name if self.plan == "short" else f"{self.plan}/{name}"

    def generator(self) -> np.random.Generator:
        """Random numbers of this scene alone."""
        words = np.frombuffer(hashlib.sha256(self.id.encode()).digest()[:16], "<u4")
        return np.random.default_rng([SEED_TAG, *(int(word) for word in words)])


@dataclass(frozen=True)
class Geometry:
    """Where a scene lies and when it is seen: cells, (time,) days since 2014-01-01, (3,) line of sight."""

    frame: Frame
    days: Float
    los: Float


@dataclass(frozen=True)
class Scene:
    """One scene with its truth; displacements in m, line of sight, positive toward the satellite.

    Attributes
    ----------
    key, geometry
        its name, its cells and dates
    height
        (y, x) m
    valid
        (y, x) pixels with data
    template
        (y, x) displacement of the events at their end; of unit peak where the scene has none (for the oracle)
    course
        (time,) fraction of it at every epoch
    amplitude
        1, or 0 in a scene without an event
    background
        (time, y, x) rate and season
    noise
        of the family
    """

    key: Key
    geometry: Geometry
    height: Float32
    valid: NDArray[np.bool_]
    template: Float32
    course: Float
    amplitude: float
    background: Float32
    noise: FamilyNoise
    extra: Float32 | None = None
    """(time, y, x) events of other histories than the first (scenarios)."""
    others: tuple[tuple[Float32, Float], ...] = ()
    """Map (y, x) and course (time,) of each of them."""

    @property
    def events(self) -> Float32:
        """(time, y, x) displacement of the events since the first epoch."""
        grown = self.amplitude * (self.course - self.course[0])
        out = grown.astype(np.float32)[:, None, None] * self.template
        return out if self.extra is None else out + (self.extra - self.extra[0])

    @property
    def map(self) -> Float32:
        """(y, x) displacement of the events from the first to the last epoch."""
        return self.events[-1]

    @property
    def t50_d(self) -> float:
        """Day at which half of what the series shows of the events has happened; NaN without one."""
        return self.reached_d(0.5)

    def reached_d(self, part: float) -> float:
        """Day at which a part of what the series shows of the events has happened; NaN without one."""
        if self.amplitude == 0:
            return math.nan
        where = np.unravel_index(int(np.abs(self.map).argmax()), self.map.shape)
        share = self.events[:, where[0], where[1]] / self.map[where]
        after = int(np.argmax(share >= part))
        step = share[after] - share[after - 1]
        days = self.geometry.days
        return float(days[after - 1] + (part - share[after - 1]) / step * (days[after] - days[after - 1]))

    @property
    def single_events(self) -> tuple[tuple[Float32, Float], ...]:
        """Map (y, x) and course (time,) of every event."""
        return ((self.template * np.float32(self.amplitude), self.course), *self.others)

    def observation(self, background_known: bool) -> Observation:
        """What a method sees; with known background, rate and season are taken out beforehand."""
        displacement = self.events + (self.noise.delay - self.noise.delay[0])
        if not background_known:
            displacement = displacement + self.background
        displacement[:, ~self.valid] = np.nan
        # As a stack is when it is opened (slipscan.stack): for all methods alike.
        remove_cycles(displacement, find_patches(displacement))
        time = np.datetime64("2014-01-01", "ns") + (self.geometry.days * 86400e9).astype("timedelta64[ns]")
        return Observation(
            displacement,
            time,
            self.geometry.frame.pixel_m,
            height=self.height,
            los=self.geometry.los,
            background_known=background_known,
        )

    @property
    def relief_correlation(self) -> float:
        """|correlation| of template and height over the valid pixels."""
        return float(abs(np.corrcoef(self.template[self.valid], self.height[self.valid])[0, 1]))


def stratified_keys(plan: SkillPlan) -> list[Key]:
    """All scenes of the stratified set: nulls of both splits, then the classes."""
    keys, name = [], plan.name
    for family in plan.families:
        keys += [Key("validation", family, NULL, i, name) for i in range(plan.validation_nulls)]
        keys += [Key("test", family, NULL, i, name) for i in range(plan.nulls)]
        keys += [Key("test", family, kind, i, name) for kind in plan.classes for i in range(plan.events_per_class)]
    return keys


def draw(key: Key, plan: SkillPlan, peak_m: float | None = None) -> tuple[Scene, float]:
    """Draw a scene of the stratified set.

    Parameters
    ----------
    key
        its name
    plan
        what scenes hold
    peak_m
        largest line-of-sight displacement of the event, as the manifest has it; None works it out from the SNR

    Returns
    -------
    scene, snr
        matched-filter SNR that was drawn, or what the largest event has (0 without an event)
    """
    generator = key.generator()
    classes = list(plan.classes.values())
    cls = plan.classes.get(key.kind) or classes[int(generator.integers(len(classes)))]
    place = draw_geometry(generator, plan, (plan.pixels, plan.pixels), plan.pixel_m, plan.epochs)
    source = draw_source(generator, cls, place, plan)
    snr = math.exp(generator.uniform(*np.log(plan.snr)))
    course = history(place.days, source.history, source.t50_d, source.duration_d)
    scene = assemble(key, plan, generator, place, [source], [course])
    if key.kind == NULL:
        return replace(scene, amplitude=0.0), 0.0
    if peak_m is None:
        peak_m, snr = sized(snr, scene.template, course, scene, plan)
    return replace(scene, template=scene.template * np.float32(peak_m)), snr


def draw_geometry(
    generator: np.random.Generator, plan: SkillPlan, shape: tuple[int, int], pixel_m: float, epochs: int
) -> Geometry:
    """Dates of a schedule, some of which fail, and the line of sight of an ascending or descending pass."""
    if plan.twice_as_long and generator.random() < plan.twice_as_long:
        epochs *= 2
    schedule = generator.integers(*FIRST_DAY) + np.arange(epochs) * plan.interval_d
    days = schedule[~missing_epochs(generator, schedule, plan.missing_epochs)].astype(float)
    heading = generator.choice((-13.0, -167.0)) + generator.uniform(-4, 4)
    incidence = generator.uniform(29, 46)
    los = np.stack(geometry.los_from_incidence_heading(np.array(incidence), np.array(heading))).astype(np.float64)
    return Geometry(Frame.rectangle(shape, pixel_m), days, los)


def assemble(
    key: Key,
    plan: SkillPlan,
    generator: np.random.Generator,
    place: Geometry,
    sources: Sequence[Source],
    courses: Sequence[Float],
) -> Scene:
    """Draw the rest of a scene round its sources: relief, ground, noise and gaps.

    The first source is the template; others, of histories of their own, are `extra`.
    """
    frame, days = place.frame, place.days
    height = draw_relief(generator, frame)
    for source in sources:
        if source.on_relief:
            raise_relief(generator, source, frame, height)
    height -= min(0.0, float(height.min()))
    first = sources[0]
    trace = None if first.kind == "volume" else (first.east, first.north, first.strike_deg)
    background = draw_background(generator, frame, days, place.los, trace)
    assert key.family != "R", "real noise is not drawn"
    noise = draw_noise(key.family, generator, days, height, frame.pixel_m, plan)
    valid = ~missing_pixels(generator, (1, *frame.shape), frame.pixel_m, plan.missing_pixels)[0]
    maps = [source_map(source, frame, place.los) for source in sources]
    extra = None
    if len(maps) > 1:
        extra = np.tensordot(np.array(courses[1:]), np.array(maps[1:]), (0, 0)).astype(np.float32)
    others = tuple(zip(maps[1:], courses[1:], strict=True))
    return Scene(key, place, height, valid, maps[0], courses[0], 1.0, background, noise, extra, others)


def draw_source(generator: np.random.Generator, cls: EventClass, place: Geometry, plan: SkillPlan) -> Source:
    """A source of a class within the inner part of the scene, when and as long as the plan says."""
    half = place.frame.half_m
    depth = 1e3 * generator.uniform(*cls.depth_km)
    dips, rakes = _MECHANISMS[int(generator.choice(3, p=(0.8, 0.1, 0.1) if cls.source == "creep" else (0.5, 0.3, 0.2)))]
    dip, rake = generator.uniform(*dips), generator.choice(rakes) + generator.uniform(-15, 15)
    if cls.source == "creep":
        length, width = generator.uniform(5e3, 20e3), generator.uniform(2e3, 5e3)
    else:
        length = math.exp(generator.uniform(math.log(max(5e3, depth)), math.log(40e3)))
        width = length * generator.uniform(0.4, 0.8)
    fault = cls.source != "volume"
    span = _when(generator, place.days, plan.late_share)
    return Source(
        kind=cls.source,
        east=float(generator.uniform(-0.6, 0.6) * half),
        north=float(generator.uniform(-0.6, 0.6) * half),
        depth=float(depth),
        strike_deg=float(generator.uniform(0, 360)) if fault else 0.0,
        dip_deg=float(dip) if fault else 0.0,
        rake_deg=float(rake) if fault else 0.0,
        length=float(length) if fault else 0.0,
        width=float(width) if fault else 0.0,
        sign=int(generator.choice((-1, 1))),
        peak_m=1.0,
        history=HISTORIES[int(generator.integers(len(HISTORIES)))],
        t50_d=float(generator.uniform(*span)),
        duration_d=math.exp(generator.uniform(*np.log(plan.duration_d))),
        on_relief=bool(generator.random() < 0.5),
    )


def _when(generator: np.random.Generator, days: Float, late_share: float | None) -> Float:
    """First and last day of t50: the inner half of a series, or its last half year for a share, else what is before."""
    if late_share is None:
        return days[0] + np.array([0.25, 0.75]) * (days[-1] - days[0])
    late = days[-1] - LATE_D
    return np.array([late, days[-1]] if generator.random() < late_share else [days[0], late])
