"""The kinds of source: priors of their shapes, and what a unit of each does to the ground, many at a time.

A shape is a row of numbers that are standard normal a priori; `shape` turns them into metres and degrees, so that a
sampler knows nothing of units, bounds and circles.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from slipscan.forward.mogi import mogi_surface
from slipscan.forward.okada import okada_surface
from slipscan.forward.reservoir import aquifer_surface
from slipscan.forward.sheets import dike_surface, sill_surface
from slipscan.source.faults import MappedFault, fault_log_prior, strike_log_prior

Shape = dict[str, Tensor]
"""(source,) each: east, north, depth (of the centre, m), and of a plane depth_top, strike, dip, rake, length, width."""

STEEPEST_Z: Final = 5.0
"""Standard deviations beyond which a normal number counts as this much: float32 knows no larger probability."""
TOP_MAX_M: Final = 30e3
LENGTH_M: Final = (1.5e3, 120e3)
ASPECT: Final = (2.0, 0.6)
"""Length over width of a fault: median, and standard deviation of the logarithm."""
SLIP_STRAIN: Final = (-5.3, 0.8)
"""log10 of slip over the root of the area: mean and standard deviation. 3 MPa of stress drop are about 10^-4, slow slip
of 0.01 to 0.1 MPa 10^-6 to 10^-5."""
ANDERSONIAN: Final = 0.7
"""Weight of faults as Anderson (1951) has them; the others may have any dip and rake."""
_MECHANISMS: Final = (
    # share, dip and its deviation, rake and its deviation
    (0.25, 80.0, 12.0, 0.0, 20.0),
    (0.25, 80.0, 12.0, 180.0, 20.0),
    (0.3, 28.0, 14.0, 90.0, 25.0),
    (0.2, 55.0, 12.0, -90.0, 25.0),
)
_DIP_SHALLOWEST: Final = 5.0


@dataclass(frozen=True)
class Area:
    """Where a source is looked for.

    Attributes
    ----------
    east, north, size
        middle of the footprint in the local frame, and its diameter, m
    fault
        the nearest mapped one
    strike_deg
        of the region's main fault, or of a long footprint: one source in two strikes about so; None: unknown
    axes
        (2, 2) standard normal numbers to the distance of a source from the middle, east and north, m; None: as wide as
        the footprint in every direction
    """

    east: float
    north: float
    size: float
    fault: MappedFault | None = None
    strike_deg: float | None = None
    axes: tuple[tuple[float, float], tuple[float, float]] | None = None

    @property
    def spread(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """`axes`, or what stands for them."""
        wide = 1e3 + 0.4 * self.size
        return ((wide, 0.0), (0.0, wide)) if self.axes is None else self.axes


@dataclass(frozen=True)
class Kind:
    """A kind of source.

    Attributes
    ----------
    name
        in the event table
    dimensions
        numbers of a shape
    strength
        log10 of its size: mean, and standard deviation a priori; of a fault over the root of its area
    signed
        whether its size may be negative
    shape
        of standard normal numbers (source, dimension)
    moved
        displacement (source, point, 3) of sources of size one (m of slip, m3) at points, with a Poisson ratio
    more
        log of a factor of the prior, (source,)
    """

    name: str
    dimensions: int
    strength: tuple[float, float]
    signed: bool
    shape: Callable[[Tensor, Area], Shape]
    moved: Callable[[Tensor, Tensor, Shape, float], Tensor]
    more: Callable[[Shape, Area], Tensor] | None = None

    def log_reference(self, shape: Shape) -> Tensor:
        """log10 of the size (source,) that the prior expects."""
        mean = torch.full_like(shape["depth"], self.strength[0])
        if self.name == "fault":
            mean = mean + 0.5 * torch.log10(shape["length"] * shape["width"])
        return mean


def uniform(z: Tensor) -> Tensor:
    """Standard normal to uniform between 0 and 1."""
    return torch.special.ndtr(z.clamp(-STEEPEST_Z, STEEPEST_Z))


def log_uniform(z: Tensor, low: float, high: float) -> Tensor:
    """Standard normal to log-uniform between two numbers."""
    return low * torch.exp(uniform(z) * math.log(high / low))


def azimuth(x: Tensor, y: Tensor) -> Tensor:
    """Direction of a pair of standard normal numbers, uniform on the circle, degrees from 0 to 360: it has no seam."""
    return torch.rad2deg(torch.atan2(x, y)) % 360.0


def _centre(z: Tensor, area: Area) -> Shape:
    (ee, en), (ne, nn) = area.spread
    return {
        "east": area.east + ee * z[:, 0] + en * z[:, 1],
        "north": area.north + ne * z[:, 0] + nn * z[:, 1],
    }


def _fault(z: Tensor, area: Area) -> Shape:
    out = _centre(z, area)
    # The third power: a fifth of all faults begins in the top 240 m, half below 3.7 km.
    out["depth_top"] = TOP_MAX_M * uniform(z[:, 2]) ** 3
    out["strike"] = azimuth(z[:, 3], z[:, 4])
    out["dip"] = _DIP_SHALLOWEST + (90.0 - _DIP_SHALLOWEST) * uniform(z[:, 5])
    out["length"] = log_uniform(z[:, 6], *LENGTH_M)
    out["width"] = out["length"] / (ASPECT[0] * torch.exp(ASPECT[1] * z[:, 7]))
    out["rake"] = azimuth(z[:, 8], z[:, 9])
    out["depth"] = out["depth_top"] + 0.5 * out["width"] * torch.sin(torch.deg2rad(out["dip"]))
    return out


def _top_edge(shape: Shape) -> tuple[Tensor, Tensor]:
    across = 0.5 * shape["width"] * torch.cos(torch.deg2rad(shape["dip"]))
    right = torch.deg2rad(shape["strike"] + 90.0)
    return shape["east"] - across * torch.sin(right), shape["north"] - across * torch.cos(right)


def _slip(east: Tensor, north: Tensor, shape: Shape, poisson_ratio: float) -> Tensor:
    e0, n0 = _top_edge(shape)
    return okada_surface(
        east, north, east0=e0, north0=n0, depth_top=shape["depth_top"], strike_deg=shape["strike"],
        dip_deg=shape["dip"], length=shape["length"], width=shape["width"], rake_deg=shape["rake"], slip=1.0,
        poisson_ratio=poisson_ratio,
    )  # fmt: skip


def mechanism_log_prior(dip: Tensor, rake: Tensor) -> Tensor:
    """Log of the density of dip and rake (degrees) over that of a uniform one, (source,)."""
    area = (90.0 - _DIP_SHALLOWEST) * 360.0
    density = torch.full_like(dip, (1 - ANDERSONIAN) / area)
    for share, middle, spread, direction, wander in _MECHANISMS:
        off = (rake - direction + 180.0) % 360.0 - 180.0
        density = density + ANDERSONIAN * share / (2 * math.pi * spread * wander) * torch.exp(
            -0.5 * ((dip - middle) / spread) ** 2 - 0.5 * (off / wander) ** 2
        )
    return torch.log(density * area)


def _fault_more(shape: Shape, area: Area) -> Tensor:
    out = mechanism_log_prior(shape["dip"], shape["rake"])
    if area.fault is not None:
        return out + fault_log_prior(shape, area.fault)
    return out if area.strike_deg is None else out + strike_log_prior(shape["strike"], area.strike_deg)


def _point(z: Tensor, area: Area) -> Shape:
    return _centre(z, area) | {"depth": log_uniform(z[:, 2], 0.7e3, 25e3)}


def _inflation(east: Tensor, north: Tensor, shape: Shape, poisson_ratio: float) -> Tensor:
    return mogi_surface(
        east, north, east0=shape["east"], north0=shape["north"], depth=shape["depth"], volume_change=1.0,
        poisson_ratio=poisson_ratio,
    )  # fmt: skip


def _sill(z: Tensor, area: Area) -> Shape:
    out = _centre(z, area) | {"depth": log_uniform(z[:, 2], 0.7e3, 15e3), "strike": azimuth(z[:, 3], z[:, 4])}
    out["length"] = log_uniform(z[:, 5], 0.8e3, 12e3)
    return out | {"width": out["length"] * (0.3 + 0.7 * uniform(z[:, 6])), "dip": torch.zeros_like(out["depth"])}


def _opened_sill(east: Tensor, north: Tensor, shape: Shape, poisson_ratio: float) -> Tensor:
    del poisson_ratio  # it plays no part
    return sill_surface(
        east, north, east0=shape["east"], north0=shape["north"], depth=shape["depth"], strike_deg=shape["strike"],
        length=shape["length"], width=shape["width"], opening=1.0 / (shape["length"] * shape["width"]),
    )  # fmt: skip


def _dike(z: Tensor, area: Area) -> Shape:
    out = _centre(z, area) | {"depth_top": 8e3 * uniform(z[:, 2]) ** 2, "strike": azimuth(z[:, 3], z[:, 4])}
    out["dip"] = 70.0 + 20.0 * uniform(z[:, 5])
    out["length"] = log_uniform(z[:, 6], 1e3, 20e3)
    out["width"] = log_uniform(z[:, 7], 0.5e3, 8e3)
    out["depth"] = out["depth_top"] + 0.5 * out["width"] * torch.sin(torch.deg2rad(out["dip"]))
    return out


def _opened_dike(east: Tensor, north: Tensor, shape: Shape, poisson_ratio: float) -> Tensor:
    e0, n0 = _top_edge(shape)
    return dike_surface(
        east, north, east0=e0, north0=n0, depth_top=shape["depth_top"], strike_deg=shape["strike"],
        dip_deg=shape["dip"], length=shape["length"], height=shape["width"],
        opening=1.0 / (shape["length"] * shape["width"]), poisson_ratio=poisson_ratio,
    )  # fmt: skip


def _aquifer(z: Tensor, area: Area) -> Shape:
    out = _centre(z, area) | {"depth": log_uniform(z[:, 2], 0.15e3, 2e3), "strike": azimuth(z[:, 3], z[:, 4])}
    out["length"] = log_uniform(z[:, 5], 1.5e3, 30e3)
    return out | {"width": out["length"] * (0.3 + 0.7 * uniform(z[:, 6])), "dip": torch.zeros_like(out["depth"])}


_CORNERS: Final = 8


def _swollen_layer(east: Tensor, north: Tensor, shape: Shape, poisson_ratio: float) -> Tensor:
    """An ellipse of `length` along the strike by `width`, of which a volume of one m3 is spread evenly."""
    turn = torch.arange(_CORNERS, dtype=east.dtype) * (2 * math.pi / _CORNERS)
    half_length, half_width = (0.5 * shape[name][:, None] for name in ("length", "width"))
    along, across = half_length * torch.cos(turn), half_width * torch.sin(turn)
    strike = torch.deg2rad(shape["strike"])[:, None]
    ring = torch.stack(
        (
            shape["east"][:, None] + along * torch.sin(strike) + across * torch.cos(strike),
            shape["north"][:, None] + along * torch.cos(strike) - across * torch.sin(strike),
        ),
        dim=-1,
    )
    area = _CORNERS * math.sin(2 * math.pi / _CORNERS) / 2 * half_length[:, 0] * half_width[:, 0]
    return aquifer_surface(
        east, north, polygon=ring, depth=shape["depth"], thickness_change=1.0 / area, poisson_ratio=poisson_ratio
    )


FAULT: Final = Kind("fault", 10, SLIP_STRAIN, False, _fault, _slip, _fault_more)
POINT: Final = Kind("mogi", 3, (6.0, 1.0), True, _point, _inflation)
SILL: Final = Kind("sill", 7, (6.0, 1.0), True, _sill, _opened_sill)
DIKE: Final = Kind("dike", 8, (6.0, 1.0), False, _dike, _opened_dike)
AQUIFER: Final = Kind("aquifer", 7, (6.0, 1.0), True, _aquifer, _swollen_layer)
KINDS: Final = {kind.name: kind for kind in (FAULT, POINT, SILL, DIKE, AQUIFER)}
