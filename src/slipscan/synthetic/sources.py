"""Sources of training scenes: what moves, and the ground displacement that it makes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slipscan.forward.crack import penny_crack_surface
from slipscan.forward.history import history, seasonal
from slipscan.forward.mogi import mogi_surface
from slipscan.forward.okada import okada_surface
from slipscan.forward.reservoir import aquifer_surface
from slipscan.synthetic.backdrop import Frame

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]
Kind = Literal["creep", "buried", "earthquake", "volume", "crack", "sill", "dike", "reservoir"]
Family = Literal["fault", "volumetric", "hydrological"]

SEASONAL: Final = "seasonal"
_NOT_PLANES = ("volume", "crack", "reservoir")
_RESERVOIR_CORNERS = 16
_STEEP_DIP_DEG = 87.1
"""About where okada_surface changes its formulas (cosine 0.05)."""
_PAIRS_PER_CALL = 16384
FAMILIES: Final[dict[Kind, Family]] = {
    "creep": "fault", "buried": "fault", "earthquake": "fault",
    "volume": "volumetric", "crack": "volumetric", "sill": "volumetric", "dike": "volumetric",
    "reservoir": "hydrological",
}  # fmt: skip


@dataclass(frozen=True)
class Source:
    """What moved in a scene.

    Attributes
    ----------
    kind
        a fault: 'creep' (it breaks the surface), 'buried' (it does not) or 'earthquake' (either, and a step in
        time: no slow slip, and labelled so); a volume: 'volume' (Mogi), 'crack' (penny-shaped,
        under pressure), 'sill' or 'dike' (opening); or
        'reservoir' (an aquifer, with the season or once)
    east, north, depth
        metres from the scene's centre; of the top edge's centre, of all but faults and
        dikes of the centre
    strike_deg, dip_deg, rake_deg, length, width
        of a fault, sill or dike; 0 for a point. A reservoir is an ellipse of that length along the strike;
        a crack's length is its diameter
    sign
        -1 turns the motion round: the other rake, deflation, drainage
    peak_m
        largest line-of-sight displacement at the end, or amplitude of its season
    history, t50_d, duration_d
        course in time, days since the first epoch; 'seasonal': t50_d is the day of the maximum, duration_d a year
    on_relief
        the scene has a summit above this source, or a range front along it
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
    on_relief: bool = False

    @property
    def family(self) -> Family:
        """'fault', 'volumetric' or 'hydrological'."""
        return FAMILIES[self.kind]


def course(source: Source, days: Float) -> Float:
    """Fraction of the final displacement that is reached at `days` (time,) since the first epoch."""
    if source.history == SEASONAL:
        return seasonal(days - source.t50_d, 1.0, 0.0)
    return history(days, source.history, source.t50_d, source.duration_d)


def ground_displacement(sources: Sequence[Source], points: Sequence[tuple[Float, Float]]) -> list[Float32]:
    """Displacement of the surface by sources of unit slip, opening or volume change, each at points of its own.

    Parameters
    ----------
    sources
        of any kinds
    points
        for each source the east and north (P,) of its points, metres from the scene's centre

    Returns
    -------
    displacement
        for each source (P, 3): east, north, up; in a unit of the source's own
    """
    out: list[Float32] = [np.empty((0, 3), np.float32)] * len(sources)
    planes = [i for i, source in enumerate(sources) if source.kind not in _NOT_PLANES]
    steep = [i for i in planes if sources[i].dip_deg > _STEEP_DIP_DEG]
    for group in (steep, sorted(set(planes) - set(steep))):  # Okada has a formula for each: a mixed call takes both
        for i, ground in zip(group, _plane_displacement([(sources[i], *points[i]) for i in group]), strict=True):
            out[i] = ground
    for i, source in enumerate(sources):
        if source.kind in _NOT_PLANES:
            east, north = (torch.from_numpy(axis.astype(np.float32)) for axis in points[i])
            out[i] = _point_displacement(source, east, north).numpy()
    return out


def _plane_displacement(planes: Sequence[tuple[Source, Float, Float]]) -> list[Float32]:
    """Faults slip, sills and dikes open: (P, 3) each.

    Every pair of a source and a point is a source of its own, seen from the origin: so a few large calls serve
    many sources, although their points differ.
    """
    if not planes:
        return []
    counts = [len(east) for _, east, _ in planes]
    names = ("east", "north", "depth", "strike_deg", "dip_deg", "length", "width", "rake_deg", "slip", "opening")
    rows = np.array([[*(getattr(s, name) for name in names[:8]), *_unit_slip(s)] for s, _, _ in planes])
    for row, (source, _, _) in zip(rows, planes, strict=True):
        if source.kind == "sill":  # the "top" edge of a flat rectangle lies half a width to the left of its centre
            strike = math.radians(source.strike_deg)
            row[:2] += source.width / 2 * np.array([-math.cos(strike), math.sin(strike)])
    pairs = np.repeat(rows, counts, axis=0)
    pairs[:, 0] -= np.concatenate([east for _, east, _ in planes])
    pairs[:, 1] -= np.concatenate([north for _, _, north in planes])
    columns = torch.from_numpy(np.ascontiguousarray(pairs.T, dtype=np.float32))
    origin, ground = torch.zeros(1), []
    for first in range(0, columns.shape[1], _PAIRS_PER_CALL):
        e0, n0, depth, strike, dip, length, width, rake, slip, opening = columns[:, first : first + _PAIRS_PER_CALL]
        ground.append(
            okada_surface(
                origin, origin, east0=e0, north0=n0, depth_top=depth, strike_deg=strike, dip_deg=dip,
                length=length, width=width, rake_deg=rake, slip=slip, opening=opening,
            )[:, 0]
        )  # fmt: skip
    return np.split(torch.cat(ground).numpy(), np.cumsum(counts)[:-1])


def _unit_slip(source: Source) -> tuple[float, float]:
    """Slip and opening."""
    return (float(source.sign), 0.0) if source.family == "fault" else (0.0, float(source.sign))


def _point_displacement(source: Source, east: Tensor, north: Tensor) -> Tensor:
    """Of a volume source, a crack or a reservoir (P, 3)."""
    if source.kind == "crack":
        return penny_crack_surface(
            east, north, east0=source.east, north0=source.north, depth=source.depth,
            radius=source.length / 2, volume_change=1e6 * source.sign,
        )[0]  # fmt: skip
    if source.kind == "reservoir":
        return _reservoir_displacement(source, east, north)
    return mogi_surface(
        east, north, east0=source.east, north0=source.north, depth=source.depth, volume_change=1e6 * source.sign
    )[0]


def _reservoir_displacement(source: Source, east: Tensor, north: Tensor) -> Tensor:
    """An aquifer below an ellipse, as a polygon (P, 3)."""
    angle = 2 * math.pi * (np.arange(_RESERVOIR_CORNERS) + 0.5) / _RESERVOIR_CORNERS
    along, across = np.cos(angle) * source.length / 2, np.sin(angle) * source.width / 2
    strike = math.radians(source.strike_deg)
    corners = np.stack(
        (
            source.east + along * math.sin(strike) + across * math.cos(strike),
            source.north + along * math.cos(strike) - across * math.sin(strike),
        ),
        axis=1,
    )
    polygon = torch.from_numpy(corners.astype(np.float32))
    return aquifer_surface(east, north, polygon=polygon, depth=source.depth, thickness_change=float(source.sign))[0]


def source_map(source: Source, frame: Frame, los: Float) -> Float32:
    """Final displacement of a source in the line of sight (y, x), metres; its extreme is `peak_m`."""
    return scale_to_peak(source, _unit_map(source, frame, los))


def peak_per_unit(source: Source, frame: Frame, los: Float) -> float:
    """Largest line-of-sight displacement on the cells, metres, per metre of slip or opening (or unit of a volume)."""
    return float(np.abs(_unit_map(source, frame, los)).max())


def _unit_map(source: Source, frame: Frame, los: Float) -> Float32:
    (ground,) = ground_displacement([source], [(frame.east.ravel().astype(float), frame.north.ravel().astype(float))])
    return np.asarray((ground @ los.astype(np.float32)).reshape(frame.shape))


def scale_to_peak(source: Source, shape: Float32) -> Float32:
    """A map (y, x) scaled so that its extreme is `peak_m`, metres."""
    return np.asarray(shape * np.float32(source.peak_m / np.abs(shape).max()), dtype=np.float32)
