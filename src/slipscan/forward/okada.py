"""Surface displacement of a rectangular dislocation in an elastic half space (Okada 1985, BSSA 75, 1135).

Batched over sources and points in torch, on any device. Okada's formulas divide by the cosine of the dip
and have a case of their own for 90 degrees; for steep faults an algebraically equal form without that
division is used here, so that single precision holds at every dip, 90 degrees included.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

STEEP_COSINE = 0.05
"""Below this cosine of the dip (dip > 87.1 degrees) the form without division by it is used."""
_ON_TRACE = 1e-6
"""Points closer to a surface trace, in units of the fault's size, count as on it."""


@dataclass(frozen=True)
class _Corner:
    """One corner of the rectangle seen from the points; Okada's xi, eta, q, y~, d~, R, all (S, P)."""

    xi: Tensor
    eta: Tensor
    q: Tensor
    y: Tensor
    d: Tensor
    r: Tensor
    r_eta: Tensor  # R + eta
    r_xi: Tensor  # R + xi
    angle: Tensor  # atan(xi eta / (q R))


class _Slip(NamedTuple):
    """Strike slip, dip slip and opening of the sources (Okada's U1, U2, U3), each (S, 1), metres."""

    strike: Tensor
    dip: Tensor
    opening: Tensor


class _Dip(NamedTuple):
    """Sine and cosine of the dip, each (S, 1)."""

    sin: Tensor
    cos: Tensor


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
        (S, P, 3): east, north, up, metres. Finite everywhere: on the trace of a fault that reaches the
        surface it is the mean of both sides.

    Raises
    ------
    ValueError
        a dip outside 0 to 90, a top above the surface, a length or width that is not positive
    """
    sources = _columns(east, (east0, north0, depth_top, strike_deg, dip_deg, length, width, rake_deg, slip, opening))
    _check(*(sources[i] for i in (2, 4, 5, 6)))
    return _displacement(east, north, sources, 1 - 2 * poisson_ratio)


def _displacement(east: Tensor, north: Tensor, sources: tuple[Tensor, ...], k: float) -> Tensor:
    """The sum over the four corners, in Okada's frame, turned to east, north, up; k is mu / (lambda + mu)."""
    e0, n0, top, strike, dip_angle, length, width, rake, slip, opening = sources
    # sin(90 - dip) is exactly 0 at 90 degrees, cos(dip) is not
    dip = _Dip(torch.sin(torch.deg2rad(dip_angle)), torch.sin(torch.deg2rad(90.0 - dip_angle)))
    sin_strike, cos_strike = torch.sin(torch.deg2rad(strike)), torch.cos(torch.deg2rad(strike))
    rake = torch.deg2rad(rake)
    slips = _Slip(slip * torch.cos(rake), slip * torch.sin(rake), opening)
    # Okada's frame: x along strike, y to the left of it. Lengths in units of the fault's size, so that the
    # logarithms are of order one (their constants cancel in the sum over corners).
    size = torch.maximum(length, width)
    de, dn = (east[None] - e0) / size, (north[None] - n0) / size
    x, y = de * sin_strike + dn * cos_strike, dn * sin_strike - de * cos_strike
    half, down = length / size / 2, width / size
    edges = ((1, y + down * dip.cos, top / size + down * dip.sin), (-1, y, top / size))
    along, across, up = (torch.zeros_like(x) for _ in range(3))
    for sign_y, y_edge, depth in edges:
        for sign_x, xi in ((1, x + half), (-1, x - half)):
            ux, uy, uz = _corner_sum(_corner(xi, y_edge, depth, dip), dip, slips, k)
            sign = sign_x * sign_y / (2 * math.pi)
            along, across, up = along + sign * ux, across + sign * uy, up + sign * uz
    return torch.stack((along * sin_strike - across * cos_strike, along * cos_strike + across * sin_strike, up), dim=-1)


def _columns(like: Tensor, parameters: tuple[Tensor | float, ...]) -> tuple[Tensor, ...]:
    """Each source parameter as a (S, 1) tensor of the points' dtype and device."""
    tensors = [torch.as_tensor(p, dtype=like.dtype, device=like.device).reshape(-1) for p in parameters]
    count = max(len(t) for t in tensors)
    return tuple(t.expand(count)[:, None] for t in tensors)


def _check(top: Tensor, dip: Tensor, length: Tensor, width: Tensor) -> None:
    if ((dip < 0) | (dip > 90)).any():
        raise ValueError("a dip lies outside 0 to 90 degrees: turn the strike by 180 instead")
    if (top < 0).any():
        raise ValueError("the top edge of a fault lies above the surface")
    if ((length <= 0) | (width <= 0)).any():
        raise ValueError("the length or width of a fault is not positive")


def _corner(xi: Tensor, y: Tensor, depth: Tensor, dip: _Dip) -> _Corner:
    """Okada's variables at one corner; `y` is the distance from its edge, to the left of the strike."""
    # On the trace of a fault that breaks the surface the terms of this edge have a limit, the same from
    # both sides; the jump comes from the lower edge, whose angle below is 0, the mean of both sides.
    y = torch.where((depth + y.abs()) < _ON_TRACE, torch.full_like(y, _ON_TRACE), y)
    d = depth.expand_as(y)
    eta, q = y * dip.cos + d * dip.sin, y * dip.sin - d * dip.cos
    r = torch.sqrt(xi**2 + eta**2 + q**2)
    rounding = 8 * torch.finfo(y.dtype).eps * (y.abs() + d)
    on_plane = q.abs() <= rounding
    angle = torch.where(on_plane, torch.zeros_like(q), torch.atan(xi * eta / (torch.where(on_plane, r, q) * r)))
    return _Corner(
        xi, eta, q, y, d, r,
        r_eta=_sum_with_length(r, eta, xi**2 + q**2),
        r_xi=_sum_with_length(r, xi, eta**2 + q**2),
        angle=angle,
    )  # fmt: skip


def _sum_with_length(r: Tensor, part: Tensor, rest: Tensor) -> Tensor:
    """R + part without cancellation for a negative part: R^2 = part^2 + rest. Never zero."""
    stable = torch.where(part < 0, rest / (r - part).clamp_min(_ON_TRACE), r + part)
    return stable.clamp_min(_ON_TRACE**2)


def _corner_sum(c: _Corner, dip: _Dip, slip: _Slip, k: float) -> tuple[Tensor, Tensor, Tensor]:
    """Okada's equations 25 to 27 at one corner, without the factor 1 / (2 pi); k is mu / (lambda + mu)."""
    i1, i2, i3, i4, i5 = _media_terms(c, dip, k)
    s, co = dip
    by_eta, by_xi = c.q / (c.r * c.r_eta), c.q / (c.r * c.r_xi)
    u1, u2, u3 = slip
    wedge = c.xi * by_eta - c.angle
    ux = -u1 * (c.xi * by_eta + c.angle + i1 * s) - u2 * (c.q / c.r - i3 * s * co) + u3 * (c.q * by_eta - i3 * s**2)
    uy = (
        -u1 * (c.y * by_eta + c.q * co / c.r_eta + i2 * s)
        - u2 * (c.y * by_xi + co * c.angle - i1 * s * co)
        + u3 * (-c.d * by_xi - s * wedge - i1 * s**2)
    )
    uz = (
        -u1 * (c.d * by_eta + c.q * s / c.r_eta + i4 * s)
        - u2 * (c.d * by_xi + s * c.angle - i5 * s * co)
        + u3 * (c.y * by_xi + co * wedge - i5 * s**2)
    )
    return ux, uy, uz


def _media_terms(c: _Corner, dip: _Dip, k: float) -> tuple[Tensor, ...]:
    """Okada's I1 to I5: the form for steep faults, the general form, or each where it holds."""
    steep = dip.cos < STEEP_COSINE
    if not steep.any():
        return _media_general(c, dip, k)
    if steep.all():
        return _media_steep(c, dip, k)
    general = _media_general(c, _Dip(dip.sin, dip.cos.clamp_min(STEEP_COSINE)), k)
    near = _media_steep(c, _Dip(dip.sin, dip.cos.clamp_max(STEEP_COSINE)), k)
    return tuple(torch.where(steep, a, b) for a, b in zip(near, general, strict=True))


def _half_tangent(c: _Corner, dip: _Dip) -> Tensor:
    """W, of which I5 = -2 k atan(cos W) / cos, up to a constant that the sum over corners removes.

    Okada's own argument, (eta (X + q cos) + X (R + X) sin) / (xi (R + X) cos), is the cotangent of the same
    angle plus that constant. The denominator here is at least R sin, so there is neither a pole nor a branch.
    """
    return c.xi / ((1 + dip.sin) * c.r_eta - dip.cos * c.q).clamp_min(_ON_TRACE**2)


def _media_general(c: _Corner, dip: _Dip, k: float) -> tuple[Tensor, ...]:
    """Okada's equation 28."""
    s, co = dip
    log_r_eta, deep = torch.log(c.r_eta), c.r + c.d
    i5 = -2 * k / co * torch.atan(co * _half_tangent(c, dip))
    i4 = k / co * (torch.log(deep) - s * log_r_eta)
    i3 = k * (c.y / (co * deep) - log_r_eta) + s / co * i4
    i2 = -k * log_r_eta - i3
    i1 = -k * c.xi / (co * deep) - s / co * i5
    return i1, i2, i3, i4, i5


def _media_steep(c: _Corner, dip: _Dip, k: float) -> tuple[Tensor, ...]:
    """Equation 28 with the divisions by the cosine carried out; at 90 degrees it is Okada's equation 29.

    With A = (q + eta cos / (1 + sin)) / (R + eta): ln((R + d~) / (R + eta)) = ln(1 - cos A), and |cos A| and
    cos W are below 0.06 here, so that short series take the place of small differences.
    """
    s, co = dip
    deep, log_r_eta = c.r + c.d, torch.log(c.r_eta)
    a = (c.q + c.eta * co / (1 + s)) / c.r_eta
    remainder = a**2 * _series(-co * a, [(-1.0) ** (n + 1) / (n + 2) for n in range(12)])  # (ln(1+z)-z)/cos^2
    i4 = k * (-a + co * remainder + co / (1 + s) * log_r_eta)
    # (q / (R + d~) + I4 / k) / cos
    quotient = (a**2 * c.r_eta - c.eta / (1 + s)) / deep + remainder + log_r_eta / (1 + s)
    i3 = k * (c.eta / deep - log_r_eta + s * quotient)
    i2 = -k * log_r_eta - i3
    w = _half_tangent(c, dip)
    bend = w**3 * _series((co * w) ** 2, [(-1.0) ** (n + 1) / (2 * n + 3) for n in range(6)])  # (atan u - u)/cos^3
    i5 = -2 * k * (w + co**2 * bend)
    # (2 sin W - xi / (R + d~)) / cos
    slope = w / deep * (c.q * (1 - 2 * s) - co / (1 + s) * (c.r + c.eta * (2 * s + 1)))
    i1 = k * (slope + 2 * s * co * bend)
    return i1, i2, i3, i4, i5


def _series(x: Tensor, coefficients: list[float]) -> Tensor:
    """A polynomial by Horner's rule, the constant first."""
    total = torch.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = total * x + coefficient
    return total
