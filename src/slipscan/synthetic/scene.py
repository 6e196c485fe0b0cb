"""Labelled training scenes: what a stack shows, and the events and background that are in it.

A scene is a function of (seed, index) alone. Half of the volume sources lie under a summit and half of the
faults along a range front, because that is where sources sit and where delay imitates them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import fft

from slipscan import geometry
from slipscan.forward.history import KINDS, history
from slipscan.forward.mogi import mogi_surface
from slipscan.forward.okada import okada_surface
from slipscan.noise.simulate import NoiseModel
from slipscan.synthetic.backdrop import Frame, draw_background, draw_noise, draw_relief

Float32 = NDArray[np.float32]
Kind = Literal["creep", "buried", "volume"]

NO_EVENT_SHARE: Final = 0.35
PEAK_M: Final = (1e-3, 60e-3)
"""Range of the largest line-of-sight displacement of an event, log-uniform."""
DURATION_D: Final = (1.0, 150.0)
_MECHANISMS: Final = (
    # dips, rakes
    ((70.0, 90.0), (0.0, 180.0)),
    ((10.0, 45.0), (90.0,)),
    ((45.0, 65.0), (-90.0,)),
)


@dataclass(frozen=True)
class Source:
    """What moved in a scene.

    Attributes
    ----------
    kind
        'creep' (a fault that breaks the surface), 'buried' (a fault that does not) or 'volume' (Mogi)
    east, north, depth
        metres from the scene's centre; of the top edge's centre, or of the point
    strike_deg, dip_deg, rake_deg, length, width
        of a fault; 0 for a volume source
    sign
        -1 turns the motion round: the other rake, or deflation
    peak_m
        largest line-of-sight displacement at the end
    history, t50_d, duration_d
        course in time, days since the first epoch
    """

    kind: Kind
    east: float
    north: float
    depth: float
    strike_deg: float
    dip_deg: float
    rake_deg: float
    length: float
    width: float
    sign: int
    peak_m: float
    history: str
    t50_d: float
    duration_d: float


@dataclass(frozen=True)
class TrainingScene:
    """One labelled scene; displacement = events + background + noise.

    Attributes
    ----------
    days
        (time,) since the first epoch
    displacement
        (time, y, x) line of sight, metres, positive toward the satellite; the first epoch is zero; NaN where
        `mask` is False
    height
        (y, x) metres
    los
        (3,) unit vector ground to satellite: east, north, up
    events, background
        (time, y, x) true motion of the ground in the line of sight, metres, first epoch zero: that of the
        events, and that of rate and season; no gaps
    mask
        (y, x) True where a pixel is valid
    sources
        what made the events, none to two
    noise
        strengths of the noise
    """

    days: NDArray[np.float64]
    displacement: Float32
    height: Float32
    los: NDArray[np.float64]
    events: Float32
    background: Float32
    mask: NDArray[np.bool_]
    sources: tuple[Source, ...]
    noise: NoiseModel


def draw_scene(seed: int, index: int, *, epochs: int, pixels: int, pixel_m: float = 500.0) -> TrainingScene:
    """Draw one scene.

    Parameters
    ----------
    seed, index
        of the data set, and the scene's number in it; they determine the scene
    epochs
        number of epochs, 12 (sometimes 6) days apart, with gaps
    pixels, pixel_m
        side of the scene in cells, size of a cell

    Returns
    -------
    scene
        rows run from north to south
    """
    generator = np.random.default_rng([seed, index])
    frame = Frame.square(pixels, pixel_m)
    days = _draw_days(generator, epochs)
    los = _draw_los(generator)
    sources = _draw_sources(generator, frame.half_m, float(days[-1]))
    height = draw_relief(generator, frame)
    for source in sources:
        if generator.random() < 0.5:
            height += _relief_of(source, frame, generator)
    trace = next(((s.east, s.north, s.strike_deg) for s in sources if s.kind != "volume"), None)
    height -= min(0.0, float(height.min()))
    background = draw_background(generator, frame, days, los, trace)
    events = np.zeros_like(background)
    for source in sources:
        course = history(days, source.history, source.t50_d, source.duration_d)
        events += (course - course[0]).astype(np.float32)[:, None, None] * source_map(source, frame, los)
    model = draw_noise(generator)
    delay = model.simulate(generator, days, height, pixel_m)
    mask = _draw_mask(generator, pixels)
    displacement = background + events + (delay - delay[0])
    displacement[:, ~mask] = np.nan
    return TrainingScene(days, displacement, height, los, events, background, mask, sources, model)


def source_map(source: Source, frame: Frame, los: NDArray[np.float64]) -> Float32:
    """Final displacement of a source in the line of sight (y, x), metres; its extreme is `peak_m`."""
    east, north = torch.from_numpy(frame.east.ravel()), torch.from_numpy(frame.north.ravel())
    if source.kind == "volume":
        ground = mogi_surface(
            east, north, east0=source.east, north0=source.north, depth=source.depth,
            volume_change=1e6 * source.sign,
        )  # fmt: skip
    else:
        ground = okada_surface(
            east, north, east0=source.east, north0=source.north, depth_top=source.depth,
            strike_deg=source.strike_deg, dip_deg=source.dip_deg, length=source.length, width=source.width,
            rake_deg=source.rake_deg, slip=float(source.sign),
        )  # fmt: skip
    shape = (ground[0].numpy() @ los.astype(np.float32)).reshape(frame.east.shape)
    return np.asarray(shape * (source.peak_m / np.abs(shape).max()), dtype=np.float32)


def _draw_days(generator: np.random.Generator, epochs: int) -> NDArray[np.float64]:
    """Days (time,) since the first epoch: every 12 days (one scene in six: 6), one epoch in eight missing."""
    step = 6.0 if generator.random() < 1 / 6 else 12.0
    missed = np.where(generator.random(epochs - 1) < 1 / 8, generator.integers(1, 5, epochs - 1), 0)
    return np.concatenate(([0.0], np.cumsum(step * (1 + missed))))


def _draw_los(generator: np.random.Generator) -> NDArray[np.float64]:
    """Line of sight (3,) of an ascending or descending Sentinel-1 pass."""
    heading = generator.choice((-13.0, -167.0)) + generator.uniform(-4, 4)
    incidence = generator.uniform(29, 46)
    return np.stack(geometry.los_from_incidence_heading(np.array(incidence), np.array(heading)))


def _draw_sources(generator: np.random.Generator, half_m: float, last_d: float) -> tuple[Source, ...]:
    """No source (35 %), one, or two."""
    if generator.random() < NO_EVENT_SHARE:
        return ()
    return tuple(_draw_source(generator, half_m, last_d) for _ in range(1 + (generator.random() < 0.25)))


def _draw_source(generator: np.random.Generator, half_m: float, last_d: float) -> Source:
    """One source of a random kind, place, size and course."""
    kind: Kind = ("creep", "buried", "volume")[int(generator.choice(3, p=(0.3, 0.45, 0.25)))]
    dips, rakes = _MECHANISMS[int(generator.choice(3, p=(0.5, 0.3, 0.2) if kind == "buried" else (0.8, 0.1, 0.1)))]
    length, width = generator.uniform(4e3, 15e3), generator.uniform(3e3, 5e3)
    depth = 0.0
    if kind == "buried":
        depth = _log_uniform(generator, 1.5e3, 12e3)
        length = _log_uniform(generator, 5e3, 30e3)
        width = length * generator.uniform(0.4, 0.8)
    if kind == "volume":
        depth, length, width = _log_uniform(generator, 2e3, 10e3), 0.0, 0.0
    fault = kind != "volume"
    strike, dip = generator.uniform(0, 360), generator.uniform(*dips)
    rake = generator.choice(rakes) + generator.uniform(-15, 15)
    return Source(
        kind=kind,
        east=float(generator.uniform(-0.9, 0.9) * half_m),
        north=float(generator.uniform(-0.9, 0.9) * half_m),
        depth=float(depth),
        strike_deg=float(strike) if fault else 0.0,
        dip_deg=float(dip) if fault else 0.0,
        rake_deg=float(rake) if fault else 0.0,
        length=float(length),
        width=float(width),
        sign=1 if fault else int(generator.choice((-1, 1))),
        peak_m=_log_uniform(generator, *PEAK_M),
        history=KINDS[int(generator.integers(len(KINDS)))],
        t50_d=float(generator.uniform(0, last_d)),
        duration_d=_log_uniform(generator, *DURATION_D),
    )


def _log_uniform(generator: np.random.Generator, low: float, high: float) -> float:
    return math.exp(generator.uniform(math.log(low), math.log(high)))


def _relief_of(source: Source, frame: Frame, generator: np.random.Generator) -> Float32:
    """The summit above a volume source, or the range front along a fault (y, x), metres."""
    de, dn = frame.east - np.float32(source.east), frame.north - np.float32(source.north)
    rise, breadth = np.float32(generator.uniform(300, 1500)), np.float32(generator.uniform(1.5e3, 5e3))
    if source.kind == "volume":
        return np.asarray(rise * np.exp(-(de**2 + dn**2) / (2 * breadth**2)), dtype=np.float32)
    strike = math.radians(source.strike_deg)
    # The hanging wall, to the right of the strike, stands high over a thrust and low over a normal fault.
    right = de * np.float32(math.cos(strike)) - dn * np.float32(math.sin(strike))
    up = -1.0 if source.rake_deg < -45 else 1.0
    return np.asarray(up * rise / 2 * np.tanh(right / breadth), dtype=np.float32)


def _draw_mask(generator: np.random.Generator, pixels: int) -> NDArray[np.bool_]:
    """Valid pixels (y, x): blobs of 0 to 20 % of the scene are missing."""
    white = generator.standard_normal((pixels, pixels), dtype=np.float32)
    k = np.hypot(*np.meshgrid(fft.fftfreq(pixels), fft.rfftfreq(pixels), indexing="ij"))
    smooth = fft.irfft2(fft.rfft2(white) * np.exp(-((k * 8) ** 2)).astype(np.float32), s=white.shape)
    share = generator.uniform(0, 0.2)
    return np.asarray(smooth <= np.quantile(smooth, 1 - share))
