"""Surface displacement of water on or in the ground: a load on a polygon, an aquifer under it.

Both are integrals over the polygon that Green's theorem turns into closed forms of its edges, so that nothing
is divided into cells. The course in time (a season, say: `history.seasonal`) multiplies the result.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from shapely import Polygon
from torch import Tensor

from slipscan.errors import SlipscanError
from slipscan.forward.batches import columns, in_blocks, length_plus


def load_surface(
    east: Tensor,
    north: Tensor,
    *,
    polygon: Tensor,
    pressure: Tensor | float,
    young_modulus: float,
    poisson_ratio: float = 0.25,
) -> Tensor:
    """Displacement of the surface under uniform vertical loads on polygons (Boussinesq 1885; Becker & Bevis 2004).

    A point force F down moves the surface by -(1 - nu^2) F / (pi E r) up, and (1 + nu) (1 - 2 nu) F / (2 pi E r)
    towards itself; the integrals of 1 / r and of its gradient's potential ln r over a polygon are sums over edges.

    Parameters
    ----------
    east, north
        (P,) points, metres, of the dtype and device of the result
    polygon
        (V, 2) or (S, V, 2) corners, east and north, metres, in either sense; closing the ring is allowed
    pressure
        (S,) weight of the load per area, Pa: 9.8e3 for a metre of water; positive pushes the ground down
    young_modulus, poisson_ratio
        of the half space; the modulus in Pa

    Returns
    -------
    displacement
        (S, P, 3): east, north, up, metres; the tilt under an edge of the load has no bound, and stays finite here

    Raises
    ------
    SlipscanError
        a polygon without area or that crosses itself, a Young's modulus that is not positive
    """
    if not young_modulus > 0:
        raise SlipscanError(f"Young's modulus of the half space is {young_modulus} Pa: it must be positive")
    across = (1 + poisson_ratio) * (1 - 2 * poisson_ratio) / (2 * math.pi * young_modulus)
    down = (1 - poisson_ratio**2) / (math.pi * young_modulus)

    def displacement(east: Tensor, north: Tensor, some: tuple[Tensor, ...]) -> Tensor:
        rings, size, p = some
        total = torch.zeros(3, 1, 1, dtype=east.dtype, device=east.device)
        tiny = 4 * torch.finfo(east.dtype).eps
        for edge in _edges(rings, east, north, size, torch.full_like(size, tiny)):
            span = edge.s2 * torch.log(edge.r2) - edge.s1 * torch.log(edge.r1) - (edge.s2 - edge.s1)
            distance = edge.distance.abs()
            span = span + distance * (torch.atan2(edge.s2, distance + tiny) - torch.atan2(edge.s1, distance + tiny))
            total = total + torch.stack(
                (across * edge.east * span, across * edge.north * span, -down * edge.distance * edge.log_ratio())
            )
        return torch.movedim(total * (p * size), 0, -1)

    rings, size, (p,) = _prepare(east, polygon, (pressure,))
    return in_blocks(displacement, east, north, (rings, size, p))


def aquifer_surface(
    east: Tensor,
    north: Tensor,
    *,
    polygon: Tensor,
    depth: Tensor | float,
    thickness_change: Tensor | float,
    poisson_ratio: float = 0.25,
) -> Tensor:
    """Displacement of the surface over flat layers that swell or shrink within polygons (Geertsma 1973).

    Every part of the layer is a Mogi source of volume thickness_change x area. The vertical displacement is
    (1 - nu) / pi x thickness_change x the solid angle under which a point sees the layer.

    Parameters
    ----------
    east, north
        (P,) points, metres, of the dtype and device of the result
    polygon
        (V, 2) or (S, V, 2) corners, east and north, metres, in either sense; closing the ring is allowed
    depth
        (S,) of the layer, metres
    thickness_change
        (S,) metres that the layer would swell by if its sides were held: Geertsma's compaction coefficient x
        thickness x change of pore pressure; positive for recharge (uplift)
    poisson_ratio
        of the half space

    Returns
    -------
    displacement
        (S, P, 3): east, north, up, metres; differentiable in every argument

    Raises
    ------
    SlipscanError
        a polygon without area or that crosses itself, a depth that is not positive
    """
    rings, size, (z, change) = _prepare(east, polygon, (depth, thickness_change))
    if not (z > 0).all():
        raise SlipscanError("an aquifer lies above the surface: its depth must be positive, in metres")

    def displacement(east: Tensor, north: Tensor, some: tuple[Tensor, ...]) -> Tensor:
        rings, size, z, change = some
        total = torch.zeros(3, 1, 1, dtype=east.dtype, device=east.device)
        z = z / size
        for edge in _edges(rings, east, north, size, z):
            angle = edge.angle(edge.s2, edge.r2, z) - edge.angle(edge.s1, edge.r1, z)
            outward = edge.log_ratio()
            total = total + torch.stack((edge.east * outward, edge.north * outward, angle))
        return torch.movedim(total * ((1 - poisson_ratio) / math.pi * change), 0, -1)

    return in_blocks(displacement, east, north, (rings, size, z, change))


class _Edge:
    """One edge of the polygons seen from the points, lengths in units of the polygon's size, each (S, P).

    `distance` from the edge's line, positive on the inner side; s1, s2 along the edge to its ends; r1, r2 to the
    ends in space. `east` and `north` (S, 1) are the outward normal.
    """

    def __init__(self, start: Tensor, end: Tensor, x: Tensor, y: Tensor, z: Tensor) -> None:
        step = end - start
        along = step / torch.linalg.vector_norm(step, dim=-1, keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)
        te, tn = along[:, :1], along[:, 1:]
        self.east, self.north = tn, -te
        x1, y1, x2, y2 = start[:, :1] - x, start[:, 1:] - y, end[:, :1] - x, end[:, 1:] - y
        self.distance = x1 * tn - y1 * te
        self.s1, self.s2 = x1 * te + y1 * tn, x2 * te + y2 * tn
        self.off_line = self.distance**2 + z * z
        self.r1, self.r2 = (torch.sqrt(s * s + self.off_line) for s in (self.s1, self.s2))

    def log_ratio(self) -> Tensor:
        """The integral of 1 / R along the edge, ln((R2 + s2) / (R1 + s1)), without cancellation."""
        one, two = (length_plus(r, s, self.off_line) for r, s in ((self.r1, self.s1), (self.r2, self.s2)))
        return torch.log(two / one)

    def angle(self, s: Tensor, r: Tensor, z: Tensor) -> Tensor:
        """Part of the solid angle up to `s`: atan(s / distance) - atan(z s / (distance R)), in one."""
        return torch.atan(s * self.distance / ((r + z) * z + self.distance**2))


def _edges(rings: Tensor, east: Tensor, north: Tensor, size: Tensor, z: Tensor) -> Iterator[_Edge]:
    """The edges of polygons (S, V, 2)."""
    x, y = east[None] / size, north[None] / size
    corners = rings / size[:, :, None]
    for start, end in zip(corners.unbind(1), corners.roll(-1, dims=1).unbind(1), strict=True):
        yield _Edge(start, end, x, y, z)


def _prepare(
    like: Tensor, polygon: Tensor, parameters: tuple[Tensor | float, ...]
) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    """Counter-clockwise polygons (S, V, 2), their sizes (S, 1), and the parameters as columns."""
    rings = torch.as_tensor(polygon, dtype=like.dtype, device=like.device)
    rings = rings[None] if rings.ndim == 2 else rings
    if rings.ndim != 3 or rings.shape[1] < 3 or rings.shape[2] != 2:
        raise SlipscanError(f"a polygon of shape {tuple(rings.shape)}: it must be (corners, 2), at least 3 corners")
    for ring in rings.detach().cpu().double().numpy():
        if not Polygon(ring).is_valid:
            raise SlipscanError(
                "a polygon of a load or aquifer crosses itself or has no area: give its corners in turn"
            )
    first, *given = columns(like, (torch.zeros(len(rings)), *parameters))
    rings = rings.expand(len(first), -1, -1)
    onward = rings.roll(-1, dims=1)
    area = (rings[..., 0] * onward[..., 1] - rings[..., 1] * onward[..., 0]).sum(dim=1)
    rings = torch.where((area < 0)[:, None, None], rings.flip(1), rings)
    size = (rings.amax(dim=1) - rings.amin(dim=1)).amax(dim=1).detach()[:, None]
    return rings, size, tuple(given)
