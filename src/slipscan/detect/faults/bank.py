"""The bank of sources that may slip along mapped faults, and the patterns that they make in the line of sight."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import shapely
import torch
from numpy.typing import NDArray
from torch import Tensor

from slipscan.faults import FaultLine
from slipscan.forward.okada import okada_surface
from slipscan.geometry import Grid, from_lonlat, to_lonlat
from slipscan.longitudes import shifted

Float = NDArray[np.float64]
Whole = NDArray[np.integer]


@dataclass(frozen=True)
class Kind:
    """A rectangle that may slip: depth of its top edge, width down dip and length along strike, km."""

    top_km: float
    width_km: float
    length_km: float

    @property
    def reach_km(self) -> float:
        """From its middle: how far its pattern is looked at."""
        return self.length_km / 2 + 3 * (self.top_km + self.width_km)


KINDS: Final = (
    Kind(0, 2, 5),
    Kind(0, 2, 12),
    Kind(0, 4, 6),
    Kind(0, 4, 12),
    Kind(0, 4, 30),
    Kind(0, 8, 12),
    Kind(0, 8, 30),
    Kind(2, 4, 6),
    Kind(2, 6, 15),
    Kind(5, 8, 12),
    Kind(5, 10, 30),
)
"""Neighbours, and one of them and any source between, have patterns that correlate by 0.8 or so."""
STEP: Final = 1 / 3
"""From one source to the next along the fault, over their length."""
BESIDE_KM: Final = (-1.0, 0.0, 1.0)
"""Where what breaks the surface may do so, from the line: maps of faults are as good as that."""
STEEP_DEG: Final = 90.0
"""Dip where the map tells none: of a pattern near the trace it changes little."""
RAKES_DEG: Final = (0.0, 90.0)
"""Where the map tells none: along strike, and down dip; either sense has the same pattern."""


@dataclass(frozen=True)
class Trace:
    """A mapped fault beside a track.

    Attributes
    ----------
    points
        (vertex, 2) east and north, m, from the middle of the first pixel (north-west) of the coarse grid
    """

    points: Float
    dip_deg: float | None = None
    rake_deg: float | None = None


def traces_in(faults: Sequence[FaultLine], grid: Grid, shape: tuple[int, int], pixel_m: float) -> tuple[Trace, ...]:
    """The faults of a map that cross a track's coarse grid (y, x), whose pixels are blocks of those of `grid`."""
    dx, dy = grid.spacing
    west, north = grid.x[0] + (pixel_m - dx) / 2, grid.y[0] - (pixel_m - dy) / 2
    box = shapely.box(0, -(shape[0] - 1) * pixel_m, (shape[1] - 1) * pixel_m, 0)
    middle = float(to_lonlat(np.asarray(grid.x.mean()), np.asarray(grid.y.mean()), grid.crs)[0])
    out = []
    for fault in faults:
        x, y = from_lonlat(shifted(fault.lonlat[:, 0], middle), fault.lonlat[:, 1], grid.crs)
        line = shapely.LineString(np.column_stack([x - west, y - north]))
        for part in shapely.get_parts(shapely.intersection(line, box)):
            if isinstance(part, shapely.LineString) and part.length > 0:
                out.append(Trace(np.asarray(part.coords, float), fault.dip_deg, fault.rake_deg))
    return tuple(out)


@dataclass(frozen=True)
class Sources:
    """Rectangles of one kind along traces: rectangle (source,) in the frame of the traces, m and degrees."""

    kind: Kind
    east: Float
    north: Float
    strike_deg: Float
    dip_deg: Float
    rake_deg: Float

    def __len__(self) -> int:
        return len(self.east)

    def some(self, chosen: slice) -> Sources:
        """Some of them."""
        parts = (self.east, self.north, self.strike_deg, self.dip_deg, self.rake_deg)
        return Sources(self.kind, *(part[chosen] for part in parts))


def sources_along(traces: Sequence[Trace]) -> list[Sources]:
    """The bank: rectangles of every kind along the traces, those of a kind together, in the order of the traces."""
    out = []
    for kind in KINDS:
        rows = [row for trace in traces for row in _along(trace, kind)]
        if rows:
            out.append(Sources(kind, *np.array(rows, float).T))
    return out


def _along(trace: Trace, kind: Kind) -> Iterator[tuple[float, ...]]:
    """East, north, strike, dip and rake of rectangles along a trace that is at least half as long as they are."""
    line = shapely.LineString(trace.points)
    length, dip = 1e3 * kind.length_km, STEEP_DEG if trace.dip_deg is None else trace.dip_deg
    if line.length < length / 2:
        return
    rakes = RAKES_DEG if trace.rake_deg is None else (trace.rake_deg,)
    ends = min(length, line.length) / 2
    count = 1 + int((line.length - 2 * ends) / (STEP * length))
    for along in ends + (line.length - 2 * ends) * (np.arange(count) + 0.5) / count:
        one, other = (line.interpolate(along + sign * ends) for sign in (-1, 1))
        strike = np.arctan2(other.x - one.x, other.y - one.y)
        middle = line.interpolate(along)
        # Of the top edge, which lies down dip of the trace, to the right of it.
        down = 1e3 * kind.top_km / np.tan(np.radians(dip)) if dip < 90 else 0.0
        for beside in BESIDE_KM if kind.top_km == 0 else (0.0,):
            right = down + 1e3 * beside
            east, north = middle.x + right * np.cos(strike), middle.y - right * np.sin(strike)
            for rake in rakes:
                yield east, north, np.degrees(strike), dip, rake


def patterns(sources: Sources, first: Whole, side: int, los: Tensor, pixel_m: float) -> Tensor:
    """Displacement in the line of sight for a metre of slip, (source, y, x) m, on squares of pixels.

    Parameters
    ----------
    first
        (source, 2) row and column of the first pixel of each square, which may lie beyond the scene
    side
        of a square, pixels
    los
        (3, y, x) of the scene, unit vector ground to satellite: east, north, up
    pixel_m
        of the scene
    """
    steps = torch.arange(side, dtype=torch.float64) * pixel_m
    kind, out = sources.kind, []
    for number, (row, column) in enumerate(first):
        north, east = torch.meshgrid(-(row * pixel_m + steps), column * pixel_m + steps, indexing="ij")
        moved = okada_surface(
            east.flatten() - sources.east[number], north.flatten() - sources.north[number], east0=0.0, north0=0.0,
            depth_top=1e3 * kind.top_km, strike_deg=float(sources.strike_deg[number]),
            dip_deg=float(sources.dip_deg[number]), length=1e3 * kind.length_km, width=1e3 * kind.width_km,
            rake_deg=float(sources.rake_deg[number]), slip=1.0,
        )[0]  # fmt: skip
        rows = (torch.arange(side) + int(row)).clamp(0, los.shape[1] - 1)
        columns = (torch.arange(side) + int(column)).clamp(0, los.shape[2] - 1)
        seen = los[:, rows][:, :, columns].double()
        out.append((moved.T.reshape(3, side, side) * seen).sum(0).float())
    return torch.stack(out)
