"""Labelled training scenes: what a stack shows, and every part of it apart.

A scene is a function of (seed, index), of its shape and of its dates. Half of the volume sources lie under a summit
and half of the faults along a range front, because that is where sources sit and where delay imitates them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from slipscan.errors import SlipscanError
from slipscan.noise.simulate import NoiseModel, NoiseParts
from slipscan.synthetic.backdrop import Frame, Ground, draw_ground
from slipscan.synthetic.distribution import (
    FIRST_DAY,
    NO_EVENT_SHARE,
    draw_days,
    draw_los,
    draw_missing_share,
    draw_noise,
    draw_times,
    raise_relief,
)
from slipscan.synthetic.pool import FreshMaterial, PooledMaterial
from slipscan.synthetic.sources import SEASONAL, Source, course, source_map

__all__ = ["NO_EVENT_SHARE", "Source", "TrainingScene", "draw_scene", "draw_scenes", "source_map"]

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]

SCENE = 3
"""Stream of random numbers of a scene; the pool's are 1 and 2."""


@dataclass(frozen=True)
class TrainingScene:
    """One labelled scene; displacement = events + background + noise, and each of them is a sum of its parts.

    What moves is kept as maps and courses; the properties expand them to (time, y, x), metres of line of sight,
    positive toward the satellite, first epoch zero, no gaps.

    Attributes
    ----------
    days
        (time,) since the first epoch
    start_d
        days from 2014-01-01 to the first epoch
    displacement
        (time, y, x) line of sight, metres, positive toward the satellite; the first epoch is zero; NaN where
        `mask` is False
    height
        (y, x) metres
    los, orbit_direction
        (3,) unit vector ground to satellite: east, north, up; 'ascending' or 'descending'
    mask
        (y, x) True where a pixel is valid
    ground
        rate and season of the ground
    sources, source_maps
        what else moved, none to three; (source, y, x) final displacement in the line of sight, metres
    noise, noise_parts
        strengths of the noise; its parts, each (time, y, x) with a first epoch that is not zero
    """

    days: Float
    start_d: float
    displacement: Float32
    height: Float32
    los: Float
    orbit_direction: str
    mask: NDArray[np.bool_]
    ground: Ground
    sources: tuple[Source, ...]
    source_maps: Float32
    noise: NoiseModel
    noise_parts: NoiseParts

    @property
    def time(self) -> NDArray[np.datetime64]:
        """(time,) the epochs as datetime64[ns]."""
        return np.datetime64("2014-01-01", "ns") + ((self.start_d + self.days) * 86400e9).astype("timedelta64[ns]")

    @property
    def rate(self) -> Float32:
        """Secular rate of the ground (y, x), metres per year."""
        return self.ground.rate

    @cached_property
    def season(self) -> Float32:
        """Seasonal motion of the ground but that of reservoirs (time, y, x)."""
        return _expand(self.ground.waves(self.days), self.ground.season)

    @cached_property
    def fault(self) -> Float32:
        """Slip of faults (time, y, x)."""
        return self._moved(lambda source: source.family == "fault")

    @cached_property
    def volumetric(self) -> Float32:
        """Inflation and deflation (time, y, x)."""
        return self._moved(lambda source: source.family == "volumetric")

    @cached_property
    def hydrological(self) -> Float32:
        """Reservoirs, with the season or once (time, y, x)."""
        return self._moved(lambda source: source.family == "hydrological")

    @cached_property
    def events(self) -> Float32:
        """All transients: faults, volumes, and reservoirs that move once (time, y, x)."""
        return self._moved(lambda source: source.history != SEASONAL)

    @cached_property
    def background(self) -> Float32:
        """Rate and season, that of reservoirs included (time, y, x)."""
        steady = _expand(self.ground.years(self.days), self.rate[None])
        return steady + self.season + self._moved(lambda source: source.history == SEASONAL)

    @cached_property
    def delay(self) -> Float32:
        """Sum of the noise relative to the first epoch (time, y, x): displacement - events - background."""
        total = self.noise_parts.total
        return total - total[0]

    @property
    def event_parts(self) -> tuple[Float32, Float32]:
        """Courses (time, event) from 0 at the first epoch, and maps (event, y, x): `events` is their product."""
        return self._parts(lambda source: source.history != SEASONAL)

    def _moved(self, chosen: Callable[[Source], bool]) -> Float32:
        """Displacement by some of the sources (time, y, x)."""
        return _expand(*self._parts(chosen))

    def _parts(self, chosen: Callable[[Source], bool]) -> tuple[Float32, Float32]:
        picked = [i for i, source in enumerate(self.sources) if chosen(source)]
        return _courses(self.sources, self.days)[:, picked], self.source_maps[picked]


def draw_scene(
    seed: int,
    index: int,
    *,
    epochs: int | None = None,
    pixels: int | tuple[int, int],
    pixel_m: float = 500.0,
    days: ArrayLike | None = None,
    pooled: bool = True,
    noise: NoiseModel | None = None,
) -> TrainingScene:
    """Draw one scene.

    Parameters
    ----------
    seed, index
        of the data set, and the scene's number in it; they determine the scene, whatever was drawn before it
    epochs
        number of epochs, 12 (sometimes 6) days apart, with gaps; not needed with `days`
    pixels, pixel_m
        side of the scene in cells, or its rows and columns; size of a cell
    days
        (time,) dates of the epochs instead of drawn ones, since 2014-01-01, ascending, at any distance
    pooled
        take random fields from a pool that some scenes share, which is fast (see `pool`); False draws every
        field for this scene alone and evaluates its sources on every pixel. Sources, dates and line of sight
        are the same either way, relief and noise are not.
    noise
        strengths and spectrum of the noise; None draws them

    Returns
    -------
    scene
        rows run from north to south

    Raises
    ------
    SlipscanError
        an empty grid, a cell size that is not positive, fewer than two epochs, dates that are out of order,
        double or not finite, a negative seed or index
    """
    if seed < 0 or index < 0:
        raise SlipscanError(f"scene {index} of seed {seed} does not exist: give a seed and an index of 0 or more")
    shape = pixels if isinstance(pixels, tuple) else (pixels, pixels)
    frame = Frame.rectangle(shape, pixel_m)
    generator = np.random.default_rng([seed, index, SCENE])
    orbit_direction, los = draw_los(generator)
    start_d, since = _dates(generator, epochs, days)
    material = (PooledMaterial if pooled else FreshMaterial)(seed, index, frame, noise.spectrum if noise else None)
    sources = draw_times(generator, material.sources, float(since[-1]))
    maps = np.zeros((len(sources), *frame.shape), np.float32)
    for number, source in enumerate(sources):
        maps[number] = material.source_map(number, source, los)
    height = material.relief(generator)
    for source in sources:
        if source.on_relief:
            raise_relief(generator, source, frame, height)
    height -= min(0.0, float(height.min()))
    trace = next(((s.east, s.north, s.strike_deg) for s in sources if s.family == "fault"), None)
    ground = draw_ground(generator, frame, los, trace)
    gaps = material.gaps(generator)
    mask = gaps <= np.quantile(gaps, 1 - draw_missing_share(generator))
    spectrum, fields = material.turbulence(generator, len(since))
    noise = noise or draw_noise(generator, spectrum)
    parts = noise.parts(
        generator, start_d + since, height, frame.pixel_m, fields=fields, coherence=material.cover(generator)
    )
    displacement = _sum(parts, mask, ground, _courses(sources, since), maps, since)
    return TrainingScene(
        since, start_d, displacement, height, los, orbit_direction, mask, ground, sources, maps, noise, parts
    )


def draw_scenes(
    seed: int,
    start: int = 0,
    *,
    epochs: int | None = None,
    pixels: int | tuple[int, int],
    pixel_m: float = 500.0,
    days: ArrayLike | None = None,
) -> Iterator[TrainingScene]:
    """Scenes of a data set from number `start` on, without end; parameters as of `draw_scene`."""
    for index in itertools.count(start):
        yield draw_scene(seed, index, epochs=epochs, pixels=pixels, pixel_m=pixel_m, days=days)


def _dates(generator: np.random.Generator, epochs: int | None, days: ArrayLike | None) -> tuple[float, Float]:
    """The first epoch (days since 2014-01-01) and the days of all since then."""
    start_d = float(generator.uniform(*FIRST_DAY))
    if days is None:
        if epochs is None or epochs < 2:
            raise SlipscanError(f"a series of {epochs} epochs shows no motion: give 2 or more, or the dates")
        return start_d, draw_days(generator, epochs)
    given = np.asarray(days, dtype=float)
    if given.ndim != 1 or len(given) < 2 or (epochs is not None and epochs != len(given)):
        raise SlipscanError(f"dates of shape {given.shape} for {epochs} epochs: give one list of 2 or more, no epochs")
    if not np.isfinite(given).all() or not (np.diff(given) > 0).all():
        raise SlipscanError("the dates of a scene are out of order, double or not finite: sort them and drop doubles")
    return float(given[0]), given - given[0]


def _courses(sources: tuple[Source, ...], days: Float) -> Float32:
    """Fraction of the final displacement since the first epoch (time, source)."""
    courses = np.zeros((len(days), len(sources)), np.float32)
    for number, source in enumerate(sources):
        reached = course(source, days)
        courses[:, number] = reached - reached[0]
    return courses


def _expand(courses: Float32, maps: Float32) -> Float32:
    """Courses (time, part) times maps (part, y, x), summed over the parts: (time, y, x)."""
    out = np.zeros((len(courses), *maps.shape[1:]), np.float32)
    _add(out, courses, maps)
    return out


def _add(out: Float32, courses: Float32, maps: Float32) -> None:
    """Add the same to `out` (time, y, x) in place.

    By torch, whose threads slipscan sets: numpy's would fight with those of other processes.
    """
    flat = torch.from_numpy(out).flatten(1)
    flat.addmm_(torch.from_numpy(courses), torch.from_numpy(maps).flatten(1))


def _sum(
    parts: NoiseParts, mask: NDArray[np.bool_], ground: Ground, courses: Float32, maps: Float32, days: Float
) -> Float32:
    """What the satellite sees (time, y, x): ground and noise since the first epoch, gaps as NaN."""
    out = parts.total
    out += np.where(mask, -out[0], np.float32(np.nan))
    _add(
        out,
        np.concatenate((ground.years(days), ground.waves(days), courses), axis=1),
        np.concatenate((ground.rate[None], ground.season, maps)),
    )
    return out
