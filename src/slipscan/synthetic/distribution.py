"""What training scenes are drawn from: sources, their times, the atmosphere, acquisition dates and viewing.

Sources: creep on thin faults that break the surface is drawn more often than nature has it, because it is what the
network must not miss; buried faults have their tops at 1.5 to 20 km, volume sources lie at 0.5 to 10 km. Noise:
turbulence around Hanssen's (2001) spectrum, nearly isotropic. Noise families B, C and D of the benchmark (von
Karman spectra, strong anisotropy, interannual delay, phase bias, unwrapping errors that persist) are held out: they
must not be drawn here.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from slipscan import geometry
from slipscan.noise.simulate import NoiseModel, TurbulenceSpectrum
from slipscan.synthetic.backdrop import Frame
from slipscan.synthetic.sources import FAMILIES, SEASONAL, Kind, Source

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]

NO_EVENT_SHARE: Final = 0.35
PEAK_M: Final = (1e-3, 60e-3)
"""Range of the largest line-of-sight displacement of an event, log-uniform."""
DURATION_D: Final = (1.0, 150.0)
LONG_DURATION_D: Final = (150.0, 1095.0)
LONG_SHARE: Final = 0.15
OVERLAP_SHARE: Final = 1 / 3
"""Of the second and third events: those that happen while the first does."""
TROPICS_SHARE: Final = 0.15
VEGETATED_SHARE: Final = 0.2
SURFACE_SHARE: Final = 0.5
"""Of the scenes with unwrapping blocks, a noisy reference or a stratified delay that bends or varies in space."""
SEASONAL_SHARE: Final = 0.5
"""Of the reservoirs: those that rise and fall with the season; the others are pumped or refilled once."""
HISTORIES: Final = ("linear", "gaussian_cdf", "raised_cosine", "exponential", "log")
FIRST_DAY: Final = (273.0, 4300.0)
"""Range of the first epoch, days since 2014-01-01: October 2014 to October 2025."""
MAX_ANISOTROPY: Final = 1.5
_SHARES: Final[dict[Kind, float]] = {
    "creep": 0.32, "buried": 0.34, "earthquake": 0.04,
    "volume": 0.12, "crack": 0.03, "sill": 0.03, "dike": 0.04,
    "reservoir": 0.08,
}  # fmt: skip
_MECHANISMS: Final = (
    # dips, rakes
    ((70.0, 90.0), (0.0, 180.0)),
    ((10.0, 45.0), (90.0,)),
    ((45.0, 65.0), (-90.0,)),
)
_DAYS_PER_YEAR = 365.25


def draw_sources(generator: np.random.Generator, frame: Frame) -> tuple[Source, ...]:
    """Draw no source (35 %), or one to three, without their times (see `draw_times`)."""
    if generator.random() < NO_EVENT_SHARE:
        return ()
    return tuple(_draw_source(generator, frame) for _ in range(int(generator.choice((1, 2, 3), p=(0.65, 0.25, 0.1)))))


def draw_times(generator: np.random.Generator, sources: Sequence[Source], last_d: float) -> tuple[Source, ...]:
    """Draw history, time and duration of each source for a series of `last_d` days.

    Every event touches the series; some began before it or are unfinished at its end, some overlap the first.
    """
    timed: list[Source] = []
    for source in sources:
        if source.kind == "earthquake":
            when = float(generator.uniform(0, last_d))
            timed.append(dataclasses.replace(source, history="linear", t50_d=when, duration_d=0.0))
            continue
        if source.kind == "reservoir" and generator.random() < SEASONAL_SHARE:
            when = float(generator.uniform(0, _DAYS_PER_YEAR))
            timed.append(dataclasses.replace(source, history=SEASONAL, t50_d=when, duration_d=_DAYS_PER_YEAR))
            continue
        duration = _log_uniform(generator, *(LONG_DURATION_D if generator.random() < LONG_SHARE else DURATION_D))
        before = min(duration, last_d) / 2
        low, high = -before, last_d + before
        if timed and timed[0].history != SEASONAL and generator.random() < OVERLAP_SHARE:
            first, reach = timed[0], (timed[0].duration_d + duration) / 2
            low, high = max(low, first.t50_d - reach), min(high, first.t50_d + reach)
        kind = HISTORIES[int(generator.integers(len(HISTORIES)))]
        when = float(generator.uniform(low, high))
        timed.append(dataclasses.replace(source, history=kind, t50_d=when, duration_d=duration))
    return tuple(timed)


def _draw_source(generator: np.random.Generator, frame: Frame) -> Source:
    """One source of a random kind, place and size; its times are still to be drawn."""
    kind = tuple(_SHARES)[int(generator.choice(len(_SHARES), p=tuple(_SHARES.values())))]
    depth, length, width, strike, dip, rake = _draw_shape(generator, kind)
    fault = FAMILIES[kind] == "fault"
    return Source(
        kind=kind,
        east=float(generator.uniform(-0.9, 0.9) * frame.half_m),
        north=float(generator.uniform(-0.9, 0.9) * frame.half_north_m),
        depth=depth,
        strike_deg=strike,
        dip_deg=dip,
        rake_deg=rake,
        length=length,
        width=width,
        sign=1 if fault else int(generator.choice((-1, 1))),
        peak_m=_log_uniform(generator, *PEAK_M),
        history="linear",
        t50_d=0.0,
        duration_d=0.0,
        on_relief=bool(kind != "reservoir" and generator.random() < 0.5),
    )


def _draw_shape(generator: np.random.Generator, kind: Kind) -> tuple[float, float, float, float, float, float]:
    """Depth, length, width (metres), strike, dip, rake (degrees)."""
    strike = float(generator.uniform(0, 360))
    if kind == "volume":
        return _log_uniform(generator, 2e3, 10e3), 0.0, 0.0, 0.0, 0.0, 0.0
    if kind == "crack":
        diameter = _log_uniform(generator, 1e3, 6e3)
        return _log_uniform(generator, 1.5e3, 8e3), diameter, diameter, 0.0, 0.0, 0.0
    if kind == "sill":
        length = _log_uniform(generator, 1e3, 8e3)
        return _log_uniform(generator, 1.5e3, 8e3), length, length * float(generator.uniform(0.4, 1)), strike, 0.0, 0.0
    if kind == "dike":
        length = _log_uniform(generator, 2e3, 12e3)
        dip = float(generator.uniform(75, 90))
        return _log_uniform(generator, 0.5e3, 4e3), length, float(generator.uniform(1e3, 5e3)), strike, dip, 0.0
    if kind == "reservoir":
        length = _log_uniform(generator, 2e3, 15e3)
        return _log_uniform(generator, 0.3e3, 2e3), length, length * float(generator.uniform(0.3, 1)), strike, 0.0, 0.0
    buried = kind == "buried" or (kind == "earthquake" and generator.random() < 0.7)
    dips, rakes = _MECHANISMS[int(generator.choice(3, p=(0.5, 0.3, 0.2) if buried else (0.8, 0.1, 0.1)))]
    dip, rake = float(generator.uniform(*dips)), float(generator.choice(rakes) + generator.uniform(-15, 15))
    if not buried:
        return 0.0, float(generator.uniform(4e3, 15e3)), _log_uniform(generator, 1e3, 5e3), strike, dip, rake
    depth = _log_uniform(generator, 1.5e3, 20e3)
    length = _log_uniform(generator, max(5e3, 0.7 * depth), max(30e3, 3 * depth))
    return depth, length, length * float(generator.uniform(0.4, 0.8)), strike, dip, rake


def _log_uniform(generator: np.random.Generator, low: float, high: float) -> float:
    return math.exp(generator.uniform(math.log(low), math.log(high)))


def draw_spectrum(generator: np.random.Generator) -> TurbulenceSpectrum:
    """Draw a spectrum of turbulence near Hanssen's (2001): exponents, breaks, outer scale, slight anisotropy."""
    large, middle, small = np.array((8, 11, 5)) / 3 + generator.uniform(-0.3, 0.3, 3)
    breaks = np.array((1500.0, 250.0)) * np.exp(generator.uniform(-0.4, 0.4, 2))
    return TurbulenceSpectrum(
        exponents=(float(large), float(middle), float(small)),
        breaks_m=(float(breaks[0]), float(breaks[1])),
        outer_scale_m=_log_uniform(generator, 40e3, 120e3),
        anisotropy=float(generator.uniform(1, MAX_ANISOTROPY)),
        azimuth_deg=float(generator.uniform(0, 180)),
    )


def draw_noise(generator: np.random.Generator, spectrum: TurbulenceSpectrum | None = None) -> NoiseModel:
    """Draw the noise of one track: turbulence of 3 to 15 mm (in the tropics to 40 mm), and its companions."""
    tropics = generator.random() < TROPICS_SHARE
    return NoiseModel(
        turbulence_std_m=_log_uniform(generator, *((15e-3, 40e-3) if tropics else (3e-3, 15e-3))),
        strength_log_std=float(generator.uniform(0.2, 0.6)),
        stratified_std=float(generator.uniform(0, 12e-6)),
        stratified_annual=float(generator.uniform(0, 8e-6)),
        ramp_std_m=float(generator.uniform(0, 10e-3)),
        white_std_m=_log_uniform(generator, 0.3e-3, 3e-3),
        spectrum=draw_spectrum(generator) if spectrum is None else spectrum,
        **(_draw_surface(generator) if generator.random() < SURFACE_SHARE else {}),
    )


def _draw_surface(generator: np.random.Generator) -> dict[str, Any]:
    """Strengths of the parts that not every track suffers from."""
    return {
        "stratified_quadratic": float(generator.uniform(0, 1e-9)),
        "stratified_spatial": float(generator.uniform(0, 0.3)),
        "reference_std_m": float(generator.uniform(0, 5e-3)),
        "ramp_solar": float(generator.uniform(0, 0.8)),
        "unwrapping_rate": float(generator.choice((0.0, generator.uniform(0, 0.3)))),
        "unwrapping_size_m": _log_uniform(generator, 1e3, 8e3),
    }


def draw_days(generator: np.random.Generator, epochs: int) -> Float:
    """Days (time,) since the first epoch: every 12 days (one scene in six: 6), one epoch in eight missing."""
    step = 6.0 if generator.random() < 1 / 6 else 12.0
    missed = np.where(generator.random(epochs - 1) < 1 / 8, generator.integers(1, 5, epochs - 1), 0)
    return np.concatenate(([0.0], np.cumsum(step * (1 + missed))))


def draw_missing_share(generator: np.random.Generator) -> float:
    """Share of a scene's pixels without data: 0 to 20 %, where plants grow to 60 %."""
    return float(generator.uniform(*((0.2, 0.6) if generator.random() < VEGETATED_SHARE else (0.0, 0.2))))


def draw_los(generator: np.random.Generator) -> tuple[str, Float]:
    """Orbit direction and line of sight (3,) of a Sentinel-1 pass: incidence 29 to 46 degrees, right-looking."""
    ascending = generator.random() < 0.5
    heading = (-13.0 if ascending else -167.0) + generator.uniform(-4, 4)
    incidence = generator.uniform(29, 46)
    los = geometry.los_from_incidence_heading(np.array(incidence), np.array(heading))
    return "ascending" if ascending else "descending", np.array(los, dtype=float)


def raise_relief(generator: np.random.Generator, source: Source, frame: Frame, height: Float32) -> None:
    """Raise, in place, the summit above a volume source, or the range front along a fault (y, x), metres."""
    de, dn = frame.east - np.float32(source.east), frame.north - np.float32(source.north)
    rise, breadth = np.float32(generator.uniform(300, 1500)), np.float32(generator.uniform(1.5e3, 5e3))
    if source.family == "volumetric":
        height += rise * np.outer(np.exp(-(dn[:, 0] ** 2) / (2 * breadth**2)), np.exp(-(de[0] ** 2) / (2 * breadth**2)))
        return
    strike = math.radians(source.strike_deg)
    # The hanging wall, to the right of the strike, stands high over a thrust and low over a normal fault.
    right = de * np.float32(math.cos(strike)) - dn * np.float32(math.sin(strike))
    up = np.float32(-0.5 if source.rake_deg < -45 else 0.5)
    height += up * rise * np.tanh(right / breadth)
