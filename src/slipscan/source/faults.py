"""Mapped faults: the nearest one of a GeoJSON file, and how it bears on the prior of a source."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import shapely
import torch
from numpy.typing import NDArray
from torch import Tensor

from slipscan.faults import read_faults
from slipscan.geometry import from_lonlat
from slipscan.longitudes import shifted
from slipscan.source.frames import local_crs

Float = NDArray[np.float64]

ON_IT: Final = 0.7
"""Probability a priori that a source lies on the mapped fault and not on one that nobody drew."""
STRIKE_DEG: Final = 12.0
TRACE_M: Final = 1.5e3
"""Standard deviations of a source's strike and of its plane's outcrop about a mapped one."""
DIP_DEG: Final = 12.0
REGIONAL: Final = 0.5
REGIONAL_DEG: Final = 20.0
"""Share of a region's sources whose strike lies about that of its main fault, and how closely."""
AWAY_M: Final = 20e3
"""Spread of outcrops of faults that nobody drew, for the same place prior."""


@dataclass(frozen=True)
class MappedFault:
    """The part of a fault near an event.

    Attributes
    ----------
    name
        as mapped
    trace
        (vertex, 2) east, north, metres, in the event's local frame
    dip_deg
        where the map tells it: the fault dips to the right of the direction in which the trace is drawn
    """

    name: str
    trace: Float
    dip_deg: float | None = None

    @cached_property
    def nearest(self) -> tuple[float, float, float]:
        """Strike (degrees, 0 to 360, as the trace is drawn) and east, north of its point nearest to the origin."""
        line = shapely.LineString(self.trace)
        along = line.project(shapely.Point(0.0, 0.0))
        reach = min(2e3, line.length / 2)
        one = line.interpolate(max(0.0, along - reach))
        other = line.interpolate(min(line.length, along + reach))
        point = line.interpolate(along)
        return math.degrees(math.atan2(other.x - one.x, other.y - one.y)) % 360.0, point.x, point.y


def nearest_fault(path: Path, origin: tuple[float, float], within_km: float) -> MappedFault | None:
    """The mapped fault nearest to a place (longitude, latitude), in the local frame about it; None: none within.

    Parameters
    ----------
    path
        GeoJSON of lines, as `slipscan.faults.read_faults` takes it

    Raises
    ------
    SlipscanError
        what `read_faults` raises
    """
    best: tuple[float, MappedFault] | None = None
    frame = local_crs(*origin)
    for line in read_faults(path, "source.faults"):
        lonlat = np.column_stack([shifted(line.lonlat[:, 0], origin[0]), line.lonlat[:, 1]])
        # A degree is 111 km or less: faults far away are not projected.
        if np.abs(lonlat - origin).min(axis=0).max() * 30 > within_km and not shapely.LineString(lonlat).intersects(
            shapely.Point(*origin).buffer(within_km / 30)
        ):
            continue
        trace = np.asarray(np.column_stack(from_lonlat(lonlat[:, 0], lonlat[:, 1], frame)), np.float64)
        distance = shapely.LineString(trace).distance(shapely.Point(0.0, 0.0))
        if distance <= 1e3 * within_km and (best is None or distance < best[0]):
            best = distance, MappedFault(line.name, trace, line.dip_deg)
    return None if best is None else best[1]


def fault_log_prior(shape: dict[str, Tensor], fault: MappedFault) -> Tensor:
    """Log of a factor of a fault's prior: near the mapped one with probability `ON_IT`, (source,)."""
    strike, east, north = fault.nearest
    off = (shape["strike"] - strike + 90.0) % 180.0 - 90.0
    # Where the plane, continued upward, meets the ground.
    up = shape["depth"] / torch.tan(torch.deg2rad(shape["dip"].clamp(min=5.0)))
    right = torch.deg2rad(shape["strike"] + 90.0)
    e0, n0 = shape["east"] - up * torch.sin(right), shape["north"] - up * torch.cos(right)
    azimuth = math.radians(strike)
    distance = (e0 - east) * math.cos(azimuth) - (n0 - north) * math.sin(azimuth)
    log_near = (
        -0.5 * (off / STRIKE_DEG) ** 2 - math.log(math.sqrt(2 * math.pi) * STRIKE_DEG / 180.0)
        - 0.5 * (distance / TRACE_M) ** 2 - math.log(TRACE_M / AWAY_M)
    )  # fmt: skip
    if fault.dip_deg is not None:
        log_near = log_near - 0.5 * ((shape["dip"] - fault.dip_deg) / DIP_DEG) ** 2 - math.log(DIP_DEG / 34.0)
    return torch.logaddexp(log_near + math.log(ON_IT), torch.full_like(log_near, math.log(1 - ON_IT)))


def strike_log_prior(strike: Tensor, regional_deg: float) -> Tensor:
    """Log of a factor of a fault's prior: half of a region's sources strike about as its main fault does, (source,)."""
    off = (strike - regional_deg + 90.0) % 180.0 - 90.0
    near = 180.0 / (math.sqrt(2 * math.pi) * REGIONAL_DEG) * torch.exp(-0.5 * (off / REGIONAL_DEG) ** 2)
    return torch.log(1 - REGIONAL + REGIONAL * near)
