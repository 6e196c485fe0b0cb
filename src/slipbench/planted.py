"""Planted archives: eight years of two tracks of one piece of ground, with twelve events, as stacks and with the truth.

An archive is a function of its id alone. Ground, sources and their times are common to both tracks; dates, line of
sight, background and noise are each track's own.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from slipbench.families import FamilyNoise, draw_noise
from slipbench.plan import EventClass, Family, SkillPlan
from slipbench.scenes import SEED_TAG, Geometry, draw_geometry, draw_source
from slipbench.source_product import grid_of
from slipbench.source_scenes import LARGEST_M, draw_volume, other_side, snr_of, unit_displacement
from slipbench.source_truth import truth_of
from slipscan.forward.history import history
from slipscan.geometry import write_grid
from slipscan.noise.simulate import missing_pixels
from slipscan.synthetic.backdrop import draw_background, draw_relief
from slipscan.synthetic.sources import Source
from slipscan.vocabulary import annotate

Float = NDArray[np.float64]

VERSION: Final = "1.0"
EPOCHS, EVENTS = 243, 12
CLASSES: Final = (
    EventClass(source="creep"), EventClass(source="buried", depth_km=(3, 7)),
    EventClass(source="buried", depth_km=(7, 12)), EventClass(source="volume", depth_km=(2, 8)),
)  # fmt: skip
"""Taken by turns, so that a quarter of the events are volumes."""
HISTORIES: Final = ("linear", "gaussian_cdf", "raised_cosine")
DURATION_D: Final = (6.0, 180.0)
SNR: Final = (4.0, 40.0)
"""Of the matched filter that knows the source, beside rate and season, in the track that sees more; log-uniform."""
MARGIN: Final = 0.05
"""Of the series at each end, without an event."""
WITHIN_SLOT: Final = 0.6
"""Of the time from one event to the next, on average: where the middle of one lies."""
REGION: Final = "PLANTED"


@dataclass(frozen=True)
class PlantedKey:
    """An archive's name."""

    family: Family
    index: int

    @property
    def id(self) -> str:
        """As text."""
        return f"planted-{VERSION}/{self.family}/{self.index:04d}"

    def generator(self) -> np.random.Generator:
        """Random numbers of this archive alone."""
        words = np.frombuffer(hashlib.sha256(self.id.encode()).digest()[:16], "<u4")
        return np.random.default_rng([SEED_TAG, *(int(word) for word in words)])


@dataclass(frozen=True)
class Archive:
    """Two tracks, and what happened.

    Attributes
    ----------
    stacks
        products 'stack'
    truth
        as truth.json of a simulated region: region, and events with id, type, times, source, and snr of each track
    """

    stacks: tuple[xr.Dataset, xr.Dataset]
    truth: dict[str, Any]


def draw_archive(key: PlantedKey, plan: SkillPlan) -> Archive:
    """Draw an archive; `plan` is the long set's (benchmarks/skill/long.yaml), of whose noise it is."""
    generator = key.generator()
    plan = plan.model_copy(update={"twice_as_long": 0.0, "late_share": None, "duration_d": DURATION_D})
    shape = (plan.pixels, plan.pixels)
    one, two = (draw_geometry(generator, plan, shape, plan.pixel_m, EPOCHS) for _ in range(2))
    places = (one, other_side(generator, one, two))
    height = draw_relief(generator, one.frame)
    noises = [draw_noise(key.family, generator, place.days, height, plan.pixel_m, plan) for place in places]
    seen = [
        noise.delay - noise.delay[0] + draw_background(generator, place.frame, place.days, place.los, None)
        for place, noise in zip(places, noises, strict=True)
    ]
    events = []
    for number in range(EVENTS):
        source, name = _source(generator, number, one, plan)
        size, snr = _grow(generator, source, places, noises, height, seen)
        events.append(_event(number, source, size, name, snr))
    gaps = [missing_pixels(generator, (1, *shape), plan.pixel_m, plan.missing_pixels)[0] for _ in places]
    stacks = tuple(
        _stack(values, gap, height, place, f"T{number}")
        for number, (values, gap, place) in enumerate(zip(seen, gaps, places, strict=True))
    )
    return Archive((stacks[0], stacks[1]), {"region": REGION, "scenario": key.id, "events": events})


def _source(generator: np.random.Generator, number: int, place: Geometry, plan: SkillPlan) -> tuple[Source, str]:
    """The source of one event, in its share of the series, and its class."""
    cls = CLASSES[number % len(CLASSES)]
    source = draw_source(generator, cls, place, plan)
    name = "surface" if cls.source == "creep" else "blind"
    if cls.source == "volume":
        source, name = draw_volume(generator, source, "volumetric", place)
    slot = (1 - 2 * MARGIN) * np.ptp(place.days) / EVENTS
    middle = place.days[0] + MARGIN * np.ptp(place.days) + slot * (number + 0.5)
    timed = replace(
        source, history=str(generator.choice(HISTORIES)), duration_d=math.exp(generator.uniform(*np.log(DURATION_D))),
        t50_d=float(middle + slot * WITHIN_SLOT * generator.uniform(-0.5, 0.5)), on_relief=False,
    )  # fmt: skip
    return timed, name


def _grow(
    generator: np.random.Generator,
    source: Source,
    places: tuple[Geometry, Geometry],
    noises: list[FamilyNoise],
    height: NDArray[np.float32],
    seen: list[NDArray[np.float32]],
) -> tuple[float, list[float]]:
    """Give a source the size of its signal-to-noise ratio and add it to the tracks; size, and the ratio in each."""
    moved = unit_displacement(source, places[0])
    maps = [moved @ place.los for place in places]
    courses = [history(place.days, source.history, source.t50_d, source.duration_d) for place in places]
    each = [snr_of(m, c, p, n, height) for m, c, p, n in zip(maps, courses, places, noises, strict=True)]
    wanted = math.exp(generator.uniform(*np.log(SNR)))
    size = min(wanted / max(each), LARGEST_M / max(float(np.abs(m).max()) for m in maps))
    for values, m, course in zip(seen, maps, courses, strict=True):
        values += (size * m[None] * (course - course[0])[:, None, None]).astype(np.float32)
    return size, [size * ratio for ratio in each]


def _event(number: int, source: Source, size: float, name: str, snr: list[float]) -> dict[str, Any]:
    """A row of the truth."""
    type_ = "slow_slip" if source.family == "fault" else "volumetric"
    days = source.t50_d + np.arange(-2 * source.duration_d - 2, 2 * source.duration_d + 2, 0.1)
    course = history(days, source.history, source.t50_d, source.duration_d)
    times = {share: days[int(np.argmax(course >= value))] for share, value in (("t05", 0.05), ("t95", 0.95))}
    times["t50"] = source.t50_d
    return truth_of(type_, source, size, name) | {
        "id": f"E{number:02d}", "type": type_, "snr": snr,
        **{share: str(np.datetime64("2014-01-01", "D") + round(float(day))) for share, day in times.items()},
    }  # fmt: skip


def _stack(
    values: NDArray[np.float32], gap: NDArray[np.bool_], height: NDArray[np.float32], place: Geometry, track: str
) -> xr.Dataset:
    values[:, gap] = np.nan
    time = np.datetime64("2014-01-01", "ns") + (place.days * 86400).round().astype("timedelta64[s]")
    los = zip(("los_east", "los_north", "los_up"), place.los, strict=True)
    dataset = xr.Dataset(
        {
            "displacement": (("time", "y", "x"), values.astype(np.float32)),
            "height": (("y", "x"), height),
            **{name: (("y", "x"), np.full(height.shape, part, np.float32)) for name, part in los},
        },
        coords={"time": time, "reference_time": time[0]},
        attrs={
            "title": "planted archive", "region": REGION, "track": track, "data_until": str(time[-1])[:10],
            "inventory_sha256": "", "slipscan_version": "bench",
        },
    )  # fmt: skip
    return annotate(write_grid(dataset, grid_of(place)), "stack")
