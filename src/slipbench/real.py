"""Family R: synthetic events in the noise of a real series, Erta Ale. The data are not part of this repository.

The series is a cum.h5 of LiCSBAS: epochs from June 2018 on, and more than 5 km from the vent. The volcano still moves
there, by centimetres over the years: what is slow is left in, or taken out. Rate and season stay. Scenes are a function
of their name and of the file.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from slipbench.baselines.prepare import prepare
from slipbench.families import FamilyNoise
from slipbench.noise_law import noise_law
from slipbench.scenes import HISTORIES, Geometry, Key, Scene
from slipscan.archive.reading import hdf5
from slipscan.errors import SlipscanError
from slipscan.fit.model import design_matrix
from slipscan.forward.history import history
from slipscan.synthetic.backdrop import Frame
from slipscan.synthetic.sources import Kind, Source, source_map

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]
Mask = NDArray[np.bool_]

VENT: Final = (40.67, 13.60)
"""Longitude, latitude."""
QUIET_M: Final = 5e3
FROM: Final = np.datetime64("2018-06-01")
KNOTS_D: Final[dict[str, tuple[float, tuple[float, ...]]]] = {
    "nine months": (270.0, (60.0, 150.0)),
    "200 days": (200.0, ()),
}
"""Piecewise linear fits that take slow motion out: days from knot to knot, and days of more after the start."""
CELLS: Final = 2
"""Pixels of 110 m that are averaged, a side."""
PEAK_MM: Final = (8.0, 15.0)
DURATION_D: Final = (6.0, 365.0)
_DEGREE_M: Final = 110.6e3
_INNER: Final = (0.1, 0.9)


@dataclass(frozen=True)
class SourceKind:
    """What is planted: ranges of depth (top edge, or point), length and width in km."""

    kind: Kind
    depth: tuple[float, float]
    size: tuple[float, float] = (0.0, 0.0)


KINDS: Final = {
    "Mogi 2-3 km": SourceKind("volume", (2.0, 3.0)),
    "creep 6 x 3 km": SourceKind("creep", (0.0, 0.0), (6.0, 3.0)),
    "blind 3-4 km": SourceKind("buried", (3.0, 4.0), (6.0, 3.0)),
}


def read_noise(path: Path, line: str | None = None) -> Scene:
    """The quiet part of the series as a scene without an event; its noise has the law that was estimated of it.

    Parameters
    ----------
    path
        cum.h5
    line
        of KNOTS_D, by which its slow part is taken out; None: it is left in

    Raises
    ------
    SlipscanError
        no such file, or no series of LiCSBAS
    """
    if not path.is_file():
        raise SlipscanError(f"there is no series {path}: give cum.h5 of Erta Ale (docs/benchmarks/real.md)")
    with hdf5.opened(path) as file, hdf5.reading(path):
        dates = [np.datetime64(f"{d // 10000:04d}-{d // 100 % 100:02d}-{d % 100:02d}") for d in file["imdates"][:]]
        time = np.array(dates, "datetime64[ns]")
        kept = time >= FROM
        metres = np.asarray(file["cum"][:][kept], np.float64) / 1e3
        height = np.asarray(file["hgt"][:], np.float64)
        los = np.array([float(np.nanmean(file[name][:])) for name in ("E.geo", "N.geo", "U.geo")])
        step = abs(float(file["post_lat"][()]))
        south = float(file["corner_lat"][()]) - step * np.arange(metres.shape[1])
        east = float(file["corner_lon"][()]) + float(file["post_lon"][()]) * np.arange(metres.shape[2])
    away = np.hypot((south - VENT[1])[:, None], ((east - VENT[0]) * math.cos(math.radians(VENT[1])))[None, :])
    known = np.isfinite(metres).all(axis=0) & np.isfinite(height)
    displacement, share = _averaged(np.where(known, metres, 0.0), known)
    heights, _ = _averaged(np.where(known, height, 0.0), known)
    _, quiet = _averaged(np.zeros_like(height), known & (away * _DEGREE_M > QUIET_M))
    frame = Frame.rectangle((heights.shape[0], heights.shape[1]), step * _DEGREE_M * CELLS)
    days = (time[kept] - np.datetime64("2014-01-01", "ns")) / np.timedelta64(1, "D")
    place = Geometry(frame, np.asarray(days, float), los)
    if line is not None:
        displacement -= _slow_part(time[kept], displacement, *KNOTS_D[line])
    return _with_law(place, heights.astype(np.float32), share > 0.5, quiet > 0.5, displacement.astype(np.float32))


def _slow_part(time: NDArray[np.datetime64], displacement: Float, spacing_d: float, more_d: tuple[float, ...]) -> Float:
    """A piecewise linear fit beside the season, by least squares: linear in the data, so that neighbours stay alike."""
    days = (time - time[0]) / np.timedelta64(1, "D")
    knots = np.union1d(np.linspace(0, days[-1], max(2, 1 + round(days[-1] / spacing_d))), more_d)
    line = np.stack([np.interp(days, knots, one) for one in np.eye(len(knots))], axis=1)
    columns, names = design_matrix(time)
    season = columns[:, ["annual" in name for name in names]]
    fit = np.linalg.pinv(np.hstack([line, season]))[: len(knots)]
    # The rate stays: it is the background's.
    rate = np.stack([np.ones_like(days), days], axis=1)
    bent = line @ fit
    bent -= rate @ (np.linalg.pinv(rate) @ bent)
    return np.asarray(np.tensordot(bent, displacement, 1))


def _averaged(fields: Float, mask: Mask) -> tuple[Float, Float]:
    """Means over cells of what the mask keeps, and the share that it keeps."""
    rows, columns = (n // CELLS * CELLS for n in mask.shape)

    def summed(values: Float) -> Float:
        cut = values[..., :rows, :columns]
        cells = cut.reshape(*cut.shape[:-2], rows // CELLS, CELLS, columns // CELLS, CELLS)
        return np.asarray(cells.sum(axis=(-3, -1)))

    count = summed(mask.astype(float))
    return summed(np.where(mask, fields, 0.0)) / np.maximum(count, 1.0), count / CELLS**2


def _with_law(place: Geometry, height: Float32, known: Mask, quiet: Mask, displacement: Float32) -> Scene:
    """A scene of the quiet pixels; the law in space is that of all that are known."""
    n, nothing = len(place.days), np.zeros_like(height)
    scene = Scene(
        Key("test", "R", "null", 0, "real"), place, height, known, nothing, np.zeros(n), 0.0,
        np.zeros_like(displacement), FamilyNoise(lambda kx, ky: kx + ky, np.eye(n), 0.0, displacement),
    )  # fmt: skip
    law = noise_law(prepare(scene.observation(background_known=False)), quiet)
    noise = FamilyNoise(law.density, law.covariance, law.white_std, displacement)
    return replace(scene, valid=quiet, noise=noise)


def plant(quiet: Scene, kind: str, index: int) -> Scene:
    """An event of 8 to 15 mm, 6 d to a year, more than 7 km from the vent, in the noise of `read_noise`."""
    key = Key("test", "R", kind, index, "real")
    generator = key.generator()
    place, planted = quiet.geometry, KINDS[kind]
    east, north = _centre(generator, place.frame)
    source = Source(
        kind=planted.kind, east=east, north=north, depth=1e3 * float(generator.uniform(*planted.depth)),
        strike_deg=float(generator.uniform(0, 360)), dip_deg=float(generator.uniform(70, 90)),
        rake_deg=float(generator.choice((0.0, 180.0))), length=1e3 * planted.size[0], width=1e3 * planted.size[1],
        sign=int(generator.choice((-1, 1))), peak_m=float(generator.uniform(*PEAK_MM)) / 1e3,
        history=HISTORIES[int(generator.integers(len(HISTORIES)))], t50_d=_when(generator, place.days),
        duration_d=math.exp(generator.uniform(*np.log(DURATION_D))),
    )  # fmt: skip
    if source.kind == "volume":
        source = replace(source, strike_deg=0.0, dip_deg=0.0, rake_deg=0.0)
    course = history(place.days, source.history, source.t50_d, source.duration_d)
    return dataclasses.replace(
        quiet, key=key, template=source_map(source, place.frame, place.los), course=course, amplitude=1.0
    )


def _centre(generator: np.random.Generator, frame: Frame) -> tuple[float, float]:
    """East and north of a source in a corner of the scene, whose middle is the vent."""
    half = 0.8 * frame.half_m
    for _ in range(1000):
        east, north = generator.uniform(-half, half, 2)
        if math.hypot(east, north) > QUIET_M + 2e3:
            break
    return float(east), float(north)


def _when(generator: np.random.Generator, days: Float) -> float:
    return float(generator.uniform(*(days[0] + np.array(_INNER) * np.ptp(days))))
