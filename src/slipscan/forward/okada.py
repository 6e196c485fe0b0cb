"""Surface displacement of a rectangular dislocation in an elastic half space (Okada 1985, BSSA 75, 1135).

Batched over sources and points in torch, on any device. Okada's formulas are sums over the four corners of
the rectangle. Here the corners are combined before a logarithm or an arc tangent is taken: one logarithm of a
ratio stands for four, one arc tangent for two. What diverges on the line of an edge then cancels in the
algebra rather than in the arithmetic, so that displacement and gradients are finite and right there too.
The terms that Okada divides by the cosine of the dip are in `okada_medium`.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Final

import torch
from torch import Tensor

from slipscan.errors import SlipscanError
from slipscan.forward.batches import by_rows, columns, in_blocks, length_plus
from slipscan.forward.okada_medium import Corners, Dip, alternating, is_steep, linear, medium_terms

_ON_TRACE: Final = {torch.float32: 1e-6, torch.float64: 1e-10}
"""Points closer to a surface trace, in units of the fault's size, count as on it."""
_SMALL: Final = 0.1
"""Area over squared depth: of smaller faults the four corners all but cancel, which takes double precision."""


def okada_surface(
    east: Tensor,
    north: Tensor,
    *,
    east0: Tensor | float,
    north0: Tensor | float,
    depth_top: Tensor | float,
    strike_deg: Tensor | float,
    dip_deg: Tensor | float,
    length: Tensor | float,
    width: Tensor | float,
    rake_deg: Tensor | float,
    slip: Tensor | float,
    opening: Tensor | float = 0.0,
    poisson_ratio: float = 0.25,
) -> Tensor:
    """Displacement of the surface by uniform slip and opening of rectangular faults.

    Parameters
    ----------
    east, north
        (P,) points, metres, of the dtype (float32 or float64) and device of the result. In single precision
        count them from a point nearby: UTM coordinates of 4,000 km leave half a metre of resolution.
    east0, north0
        (S,) surface projection of the CENTRE OF THE TOP EDGE, metres
    depth_top
        (S,) depth of the top edge, metres, >= 0
    strike_deg, dip_deg
        (S,) Aki & Richards: clockwise from north, the fault dips to the right of the strike; dip 0 to 90
    length, width
        (S,) along strike and down dip, metres, > 0
    rake_deg
        (S,) direction of the hanging wall's slip: 0 left-lateral, 90 thrust, 180 right-lateral
    slip, opening
        (S,) metres; positive opening pulls the walls apart
    poisson_ratio
        of the half space

    Returns
    -------
    displacement
        (S, P, 3): east, north, up, metres. Finite everywhere, and so are its gradients with respect to points
        and sources: on the trace of a fault that reaches the surface it is the mean of both sides.

    Raises
    ------
    SlipscanError
        a dip outside 0 to 90, a top above the surface, a length or width that is not positive, a NaN
    """
    sources = columns(east, (east0, north0, depth_top, strike_deg, dip_deg, length, width, rake_deg, slip, opening))
    return _dislocations(east, north, sources, 1 - 2 * poisson_ratio)


def okada_parts(
    east: Tensor,
    north: Tensor,
    *,
    east0: Tensor | float,
    north0: Tensor | float,
    depth_top: Tensor | float,
    strike_deg: Tensor | float,
    dip_deg: Tensor | float,
    length: Tensor | float,
    width: Tensor | float,
    poisson_ratio: float = 0.25,
) -> Tensor:
    """Displacement of the surface by a metre of slip along strike (left-lateral), one up dip, one of opening.

    Parameters
    ----------
    east, north, east0, north0, depth_top, strike_deg, dip_deg, length, width, poisson_ratio
        see `okada_surface`, which takes three times as long for the same

    Returns
    -------
    displacement
        (S, P, 3, 3): parts; east, north, up, m/m

    Raises
    ------
    SlipscanError
        see `okada_surface`
    """
    sources = columns(east, (east0, north0, depth_top, strike_deg, dip_deg, length, width))
    return _dislocations(east, north, sources, 1 - 2 * poisson_ratio)


def _dislocations(east: Tensor, north: Tensor, sources: tuple[Tensor, ...], k: float) -> Tensor:
    """Displacement (S, P, 3), each source by the form and in the precision that it needs.

    Sources without rake, slip and opening: (S, P, 3, 3) of parts.
    """
    _check(*(sources[i] for i in (2, 4, 5, 6)))
    if east.dtype == torch.float64:
        return _by_form(east, north, sources, k)
    _, _, top, _, dip, length, width, *_ = sources
    is_small = length * width < _SMALL * (top + width / 2 * torch.sin(torch.deg2rad(dip))) ** 2

    def in_double(some: tuple[Tensor, ...]) -> Tensor:
        return _by_form(east.double(), north.double(), tuple(s.double() for s in some), k).to(east.dtype)

    return by_rows(is_small[:, 0], sources, in_double, lambda some: _by_form(east, north, some, k))


def _by_form(east: Tensor, north: Tensor, sources: tuple[Tensor, ...], k: float) -> Tensor:
    """Displacement (S, P, 3), steep faults apart from the others."""
    steep, general = (
        partial(in_blocks, partial(_displacement, k=k, steep=steep), east, north) for steep in (True, False)
    )
    return by_rows(is_steep(sources[4])[:, 0], sources, steep, general)


def _check(top: Tensor, dip: Tensor, length: Tensor, width: Tensor) -> None:
    if not ((dip >= 0) & (dip <= 90)).all():
        raise SlipscanError("a fault's dip lies outside 0 to 90 degrees: turn the strike by 180 degrees instead")
    if not (top >= 0).all():
        raise SlipscanError("the top edge of a fault lies above the surface: depth_top must be 0 or more, in metres")
    if not ((length > 0) & (width > 0)).all():
        raise SlipscanError("a fault has no area: its length and width must be positive, in metres")


def _displacement(east: Tensor, north: Tensor, sources: tuple[Tensor, ...], *, k: float, steep: bool) -> Tensor:
    """Okada's equations 25 to 27, turned to east, north, up; k is mu / (lambda + mu)."""
    e0, n0, top, strike, dip_angle, length, width, *moved = sources
    # sin(90 - dip) is exactly 0 at 90 degrees, cos(dip) is not
    dip = Dip(torch.sin(torch.deg2rad(dip_angle)), torch.sin(torch.deg2rad(90.0 - dip_angle)))
    # Okada's frame: x along strike, y to the left of it. Lengths in units of the fault's size, so that the
    # terms are of order one.
    size = torch.maximum(length, width)
    de, dn = east[None] - e0, north[None] - n0
    sin, cos = torch.sin(torch.deg2rad(strike)), torch.cos(torch.deg2rad(strike))
    x, y = linear((sin / size, de), (cos / size, dn)), linear((sin / size, dn), (-cos / size, de))
    top = top / size
    # A sheet of no depth that lies flat carries its roof along: the limit from below.
    top = torch.where(dip_angle == 0, top.clamp_min(0.1 * _ON_TRACE[top.dtype]), top)
    corners, on_trace = _corners(x, y, top, length / size / 2, width / size, dip)
    # Unit slips of parts are (part, 1, 1), and so come before the sources.
    slips = tuple(u / (2 * math.pi) for u in (_slips(*moved) if moved else torch.eye(3).to(x)[..., None, None]))
    ux, uy, uz = _sums(corners, dip, slips, medium_terms(corners, dip, k, steep), on_trace)
    out = torch.stack((linear((sin, ux), (-cos, uy)), linear((cos, ux), (sin, uy)), uz), dim=-1)
    return out if moved else out.permute(1, 2, 0, 3)


def _slips(rake: Tensor, slip: Tensor, opening: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Slip along strike and up dip, and opening."""
    rake = torch.deg2rad(rake)
    return slip * torch.cos(rake), slip * torch.sin(rake), opening


def _corners(x: Tensor, y: Tensor, top: Tensor, half: Tensor, down: Tensor, dip: Dip) -> tuple[Corners, Tensor | None]:
    """Okada's variables at the corners, and where the points lie on a trace (None: no fault has one)."""
    on_trace, near = None, _ON_TRACE[y.dtype]
    if bool((top < near).any()):
        # There the terms of the upper edge have a limit, the same from both sides: taken a step to the left.
        on_trace = (top + y.abs()) < near
        y = y + torch.where(on_trace, (near - y).detach(), 0.0)
    tiny = 1e-15 if y.dtype == torch.float32 else 1e-30  # its square is still a number
    q, eta = y * dip.sin - top * dip.cos, y * dip.cos + top * dip.sin
    xi, eta = torch.stack((x + half, x - half))[:, None], torch.stack((eta + down, eta))
    y = torch.stack((y + down * dip.cos, y))
    d = torch.stack((top + down * dip.sin, top))
    xi2, q2 = xi * xi, q * q + tiny
    off_xi = xi2 + q2
    r = torch.sqrt(off_xi + eta * eta)
    return Corners(xi, eta, q, y, d, r, length_plus(r, eta, off_xi), r + d, xi2, q2, off_xi), on_trace


def _sums(
    c: Corners, dip: Dip, slips: tuple[Tensor, ...], medium: tuple[Tensor, ...], on_trace: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Displacement in Okada's frame: along strike, to the left of it, up.

    With 1 / (R (R + eta)) = (1 - eta / R) / (xi^2 + q^2) the one cancels between the two eta of a side, and
    likewise for xi. With y~ = eta cos + q sin, the terms y~ q / (R (R + eta)) + q cos / (R + eta) of strike slip
    are q cos / R + q^2 sin / (R (R + eta)); those with d~ = eta sin - q cos follow.
    """
    i1, i2, i3, i4, i5 = medium
    (s, co), (u1, u2, u3), q = dip, slips, c.q
    inverse = 1 / c.r
    (h0, h1), (g0, g1) = (c.eta * inverse).unbind(1), c.xi.unbind(0)
    xi, off_xi = c.xi[:, 0], c.off_xi[:, 0]
    bend = h0 - h1
    by_eta = bend / -off_xi  # sum of 1 / (R (R + eta)) over the two eta
    xi_by_eta = q * alternating(xi * by_eta)
    q_by_eta = c.q2 * alternating(by_eta)
    angles = torch.atan2(q * xi * bend, c.q2 + c.xi2[:, 0] * h0 * h1)
    if on_trace is not None:
        # The jump comes from the lower edge, whose angle is a quarter turn: its mean over both sides is 0.
        angles = angles - torch.where(on_trace, (math.pi / 2) * xi.sign(), 0.0)
    angle = alternating(angles)
    by_xi = (g1 * inverse[1] - g0 * inverse[0]) * q / (c.y * c.y + c.d * c.d)
    y_by_xi, d_by_xi = alternating(c.y * by_xi), alternating(c.d * by_xi)
    q_r = q * alternating(inverse)
    oblique = u2 * s * co - u3 * s**2
    ux = linear(
        (-u1, xi_by_eta), (-u1, angle), (-u1 * s, i1), (-u2, q_r), (oblique, i3), (u3, q_by_eta)
    )  # fmt: skip
    uy = linear(
        (-u1 * co, q_r), (-u1 * s, q_by_eta), (-u1 * s, i2), (-u2, y_by_xi), (u3 * s - u2 * co, angle),
        (oblique, i1), (-u3, d_by_xi), (-u3 * s, xi_by_eta),
    )  # fmt: skip
    uz = linear(
        (-u1 * s, q_r), (u1 * co, q_by_eta), (-u1 * s, i4), (-u2, d_by_xi), (-u2 * s - u3 * co, angle),
        (oblique, i5), (u3, y_by_xi), (u3 * co, xi_by_eta),
    )  # fmt: skip
    return ux, uy, uz
