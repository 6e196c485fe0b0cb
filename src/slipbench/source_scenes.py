"""Frozen scenes for the source stage: what detection would hand over of an event that one or two tracks saw.

A scene is a function of its id alone. Relief, source and earthquakes are common to the tracks; dates, line of sight and
noise are each track's own. The change map is the least-squares size of a ramp beside offset, rate and season, with
the times of the ramp off as detection's are.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from slipbench.baselines.gls import StationaryNoise, projected_information
from slipbench.baselines.histories import filters_in
from slipbench.bound import TEMPORAL, epoch_nuisance, temporal_columns
from slipbench.families import FamilyNoise, draw_noise
from slipbench.plan import EventClass, Family, SkillPlan
from slipbench.scenes import SEED_TAG, Geometry, draw_geometry, draw_source
from slipbench.source_product import transients_of
from slipbench.source_truth import before_half, quakes_of, truth_of
from slipscan.forward.history import history
from slipscan.noise.simulate import missing_pixels
from slipscan.synthetic.backdrop import draw_relief
from slipscan.synthetic.distribution import raise_relief
from slipscan.synthetic.sources import Source, ground_displacement

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]

VERSION: Final = "1.0"
FAMILIES: Final[tuple[Family, ...]] = ("A", "B", "C", "D", "E")
TUNED_ON: Final = "A"
"""The only family that the source stage was developed with, in scenes of the split 'tune'."""
SPLITS: Final = ("tune", "test")
TYPES: Final = {
    "slow_slip": 12, "afterslip": 4, "creep_rate_change": 4, "coseismic": 4, "volumetric": 8, "hydrological": 4,
    "residue": 4,
}  # fmt: skip
"""Scenes of each type among forty."""
SNR: Final = (10.0, 60.0)
"""Matched-filter signal-to-noise ratio, of the track that sees more, log-uniform: of what is found in 8 years of data,
rate and season unknown, half of all events have 22 or more (docs/benchmarks/skill.md)."""
LARGEST_M: Final = 0.3
CYCLE_M: Final = 0.02773
T50_ERROR_D, DURATION_LOG_ERROR = 8.0, 0.2
"""Of detection: standard deviations."""
_FOOTPRINT: Final = 0.35
"""Share of the largest displacement, in any track, from which a pixel belongs to the footprint."""
_CLASSES: Final = (
    EventClass(source="creep"), EventClass(source="buried", depth_km=(3, 7)),
    EventClass(source="buried", depth_km=(7, 12)), EventClass(source="buried", depth_km=(12, 20)),
)  # fmt: skip


@dataclass(frozen=True)
class SourceKey:
    """A scene's name."""

    split: str
    family: Family
    index: int

    @property
    def id(self) -> str:
        """As text."""
        return f"source-{VERSION}/{self.split}/{self.family}/{self.index:04d}"

    @property
    def type(self) -> str:
        """Of the event."""
        each = [name for name, count in TYPES.items() for _ in range(count)]
        return each[self.index * 7 % len(each)]  # 7 and 40 have no common divisor: any few in a row are of many types

    def generator(self) -> np.random.Generator:
        """Random numbers of this scene alone."""
        words = np.frombuffer(hashlib.sha256(self.id.encode()).digest()[:16], "<u4")
        return np.random.default_rng([SEED_TAG, *(int(word) for word in words)])


@dataclass(frozen=True)
class SourceScene:
    """A scene with its truth.

    Attributes
    ----------
    key, source
        its name; what moved (None: nothing did)
    tracks
        (track) transients products as detection writes them, the one that sees more first
    quakes
        rows of an earthquake list: time (ISO), longitude, latitude, depth_km, magnitude
    truth
        type, class, snr, and of a source mw, depth_km, slip_mm, length_km, width_km, strike_deg, dip_deg, rake_deg,
        volume_change_m3, longitude, latitude (NaN where it has none)
    """

    key: SourceKey
    source: Source | None
    tracks: tuple[xr.Dataset, ...]
    quakes: list[dict[str, Any]]
    truth: dict[str, Any]


def draw_source_scene(key: SourceKey, plan: SkillPlan) -> SourceScene:
    """Draw a scene; `plan` is the long set's (benchmarks/skill/long.yaml), of whose noise it is."""
    generator = key.generator()
    plan = plan.model_copy(update={"twice_as_long": 0.0, "late_share": None, "duration_d": (12.0, 400.0)})
    shape = (plan.pixels, plan.pixels)
    places = [draw_geometry(generator, plan, shape, plan.pixel_m, plan.epochs) for _ in range(2)]
    places[1] = other_side(generator, places[0], places[1])
    source, cls = _source(generator, key, places[0], plan)
    height = draw_relief(generator, places[0].frame)
    if source.on_relief:
        raise_relief(generator, source, places[0].frame, height)
    height -= min(0.0, float(height.min()))
    noises = [draw_noise(key.family, generator, p.days, height, plan.pixel_m, plan) for p in places]
    gaps = [missing_pixels(generator, (1, *shape), plan.pixel_m, plan.missing_pixels)[0] for _ in places]
    snr = math.exp(generator.uniform(*np.log(SNR)))
    moved = unit_displacement(source, places[0])
    courses = [history(p.days, source.history, source.t50_d, source.duration_d) for p in places]
    maps = [moved @ p.los for p in places]
    each = np.array([snr_of(m, c, p, n, height) for m, c, p, n in zip(maps, courses, places, noises, strict=True)])
    size = snr / float(each.max())
    largest = max(float(np.abs(m).max()) for m in maps)
    if key.type != "coseismic":
        size = min(size, LARGEST_M / largest)
    if key.type == "residue":
        size = 0.0
    ramp = _found(generator, source, places[0])
    mask = np.any([np.abs(m) > _FOOTPRINT * np.abs(m).max() for m in maps], axis=0)
    extra = np.zeros(shape)
    if key.type == "residue":
        extra, mask = _residue(generator, mask, shape)
    order = np.argsort(-each, kind="stable")
    tracks = []
    for track in order:
        grown = size * maps[track][None] * courses[track][:, None, None].astype(np.float32)
        seen = grown + noises[track].delay
        if track == order[0]:  # what nothing but one track's processing made
            seen = seen + extra * (places[track].days >= ramp[0])[:, None, None]
        errors_d = (T50_ERROR_D, DURATION_LOG_ERROR * ramp[1])
        statistic = each[track] * size
        tracks.append(
            transients_of(seen, ~gaps[track], mask, height, places[track], ramp, errors_d, f"T{track}", statistic)
        )
    truth = truth_of(key.type, source, size, cls) | {"snr": float(each.max() * size), "type": key.type}
    return SourceScene(key, source, tuple(tracks), quakes_of(generator, key.type, source, truth, places[0]), truth)


def other_side(generator: np.random.Generator, one: Geometry, other: Geometry) -> Geometry:
    """The second track looks from the other side, at the dates of its own in the same years."""
    flip = np.array([-1.0, 1.0, 1.0]) if np.sign(one.los[0]) == np.sign(other.los[0]) else np.ones(3)
    start = one.days[0] + float(generator.integers(1, 12))
    return replace(other, los=other.los * flip, days=other.days - other.days[0] + start)


def _source(generator: np.random.Generator, key: SourceKey, place: Geometry, plan: SkillPlan) -> tuple[Source, str]:
    """What moves, and its class."""
    if key.type in ("volumetric", "hydrological"):
        base = draw_source(generator, EventClass(source="volume", depth_km=(2, 10)), place, plan)
        return draw_volume(generator, base, key.type, place)
    number = 0 if key.type == "creep_rate_change" else int(generator.integers(len(_CLASSES)))
    cls = _CLASSES[number]
    source = draw_source(generator, cls, place, plan)
    name = "surface" if number == 0 else "blind"
    inner = place.days[0] + np.array([0.25, 0.75]) * np.ptp(place.days)
    when = float(generator.uniform(*inner))
    if key.type == "coseismic":
        return replace(source, history="linear", duration_d=0.0, t50_d=when), name
    if key.type == "afterslip":
        return replace(source, history="log", duration_d=float(generator.uniform(40, 400)), t50_d=when), name
    if key.type == "creep_rate_change":
        # From some day on, past the end of the series.
        length = place.days[-1] - when + 200.0
        return replace(source, history="linear", duration_d=0.9 * length, t50_d=when + length / 2), name
    return replace(source, history=str(generator.choice(("linear", "gaussian_cdf", "raised_cosine"))), t50_d=when), name


def draw_volume(generator: np.random.Generator, base: Source, type_: str, place: Geometry) -> tuple[Source, str]:
    """A volume source or a reservoir where another one was drawn, and its class."""
    inner = place.days[0] + np.array([0.25, 0.75]) * np.ptp(place.days)
    timed = replace(base, t50_d=float(generator.uniform(*inner)))
    if type_ == "hydrological":
        length = math.exp(generator.uniform(math.log(3e3), math.log(20e3)))
        return replace(
            timed, kind="reservoir", depth=math.exp(generator.uniform(math.log(300.0), math.log(1.5e3))),
            length=length, width=length * generator.uniform(0.35, 1.0), strike_deg=float(generator.uniform(0, 360)),
            history="raised_cosine", duration_d=float(generator.uniform(100, 400)), on_relief=False,
        ), "reservoir"  # fmt: skip
    kind = str(generator.choice(("volume", "sill", "crack", "dike"), p=(0.4, 0.2, 0.2, 0.2)))
    timed = replace(timed, duration_d=float(generator.uniform(12, 400)))
    if kind == "volume":
        return timed, "mogi"
    length = math.exp(generator.uniform(math.log(2e3), math.log(8e3)))
    strike = float(generator.uniform(0, 360))
    if kind == "crack":
        depth = math.exp(generator.uniform(math.log(max(2e3, 0.6 * length)), math.log(9e3)))
        return replace(timed, kind="crack", depth=depth, length=length, width=length), "crack"
    width = length * generator.uniform(0.4, 1.0)
    if kind == "sill":
        depth = math.exp(generator.uniform(math.log(1.5e3), math.log(9e3)))
        return replace(timed, kind="sill", depth=depth, length=length, width=width, strike_deg=strike), "sill"
    return replace(
        timed, kind="dike", depth=float(generator.uniform(0.5e3, 4e3)), length=length,
        width=float(generator.uniform(1e3, 5e3)), strike_deg=strike, dip_deg=float(generator.uniform(75, 90)), sign=1,
    ), "dike"  # fmt: skip


def unit_displacement(source: Source, place: Geometry) -> Float32:
    """Of a source of unit slip, opening or volume (y, x, 3), m."""
    frame = place.frame
    points = (frame.east.ravel().astype(float), frame.north.ravel().astype(float))
    return np.asarray(ground_displacement([source], [points])[0].reshape(*frame.shape, 3), np.float32)


def snr_of(template: Float, course: Float, place: Geometry, noise: FamilyNoise, height: Float32) -> float:
    """Matched-filter SNR of an event of this size beside offset, rate, season of a pixel and the delay of an epoch."""
    peak = float(np.abs(template).max())
    if peak == 0 or np.ptp(course) < 0.05:
        return 1e-6
    stationary = StationaryNoise(height.shape, place.frame.pixel_m, noise.density, noise.white_std_m)
    nuisance = epoch_nuisance(height.astype(float))
    _, information = projected_information(stationary, template.astype(float) / peak, nuisance, None)
    columns = temporal_columns(place.days - place.days.mean(), TEMPORAL)
    in_time = float(filters_in(course[:, None], columns, noise.covariance)[0] @ course)
    return peak * math.sqrt(information) * in_time


def _found(generator: np.random.Generator, source: Source, place: Geometry) -> tuple[float, float]:
    """Begin and length (days) of the ramp that detection would find."""
    wander = generator.standard_normal(2)
    if source.duration_d == 0:
        # Between the epochs that bracket it.
        return source.t50_d, 0.0
    t50 = source.t50_d + min(T50_ERROR_D, 0.15 * source.duration_d + 2.0) * wander[0]
    length = source.duration_d / 0.9 * math.exp(DURATION_LOG_ERROR * wander[1])
    if source.history == "log":
        # Of a decaying history a ramp finds the fast part: from its beginning to about twice its half.
        start = source.t50_d - before_half(source)
        return start, 2.0 * (t50 - start)
    del place
    return t50 - length / 2, length


def _residue(
    generator: np.random.Generator, mask: NDArray[np.bool_], shape: tuple[int, int]
) -> tuple[Float, NDArray[np.bool_]]:
    """What is no event: a block of a whole cycle, or nothing but noise, where a footprint was drawn."""
    if generator.random() < 0.5:
        return np.zeros(shape), mask
    y, x = np.indices(shape)
    centre = generator.uniform(0.25, 0.75, 2) * shape[0]
    radius = generator.uniform(6, 14)
    turn = np.arctan2(y - centre[0], x - centre[1])
    edge = radius * (1 + 0.25 * np.sin(2 * turn + generator.uniform(0, 6)) + 0.15 * np.sin(5 * turn))
    block = np.hypot(y - centre[0], x - centre[1]) < edge
    return CYCLE_M * float(generator.choice((-1, 1))) * block, block
