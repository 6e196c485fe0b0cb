"""Surface displacement of a pressurised horizontal circular crack (Fialko, Khazan & Simons 2001, GJI 146, 181).

The crack opens, and because the free surface above is not the same as the rock below, its walls also slide past
each other. Both follow from two Fredholm equations of the second kind on (0, radius), solved here by
Gauss-Legendre quadrature. Each of its nodes is then a point source at the complex depth h - i t, so that no
Bessel function is needed, and torch differentiates the whole with respect to depth and radius.

Derived in Hankel space, lengths in units of the radius, depth h, wave number k, x = k h:

- opening w(r) = int_r^1 phi(t) / sqrt(t^2 - r^2) dt and outward sliding of the upper wall
  s(r) = r int_r^1 chi(t) / (t sqrt(t^2 - r^2)) dt have the transforms int phi t j0(k t) dt, int chi t j1(k t) dt;
- tractions on the crack's plane: normal [1 - e^-2x (1 + 2 x + 2 x^2)] w + 2 x^2 e^-2x s,
  shear [1 - e^-2x (1 - 2 x + 2 x^2)] s + 2 x^2 e^-2x w, both times -G k / (2 (1 - nu));
- surface: up e^-x [(1 + x) w - x s], outward e^-x [x w + (1 - x) s].
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slipscan.errors import SlipscanError
from slipscan.forward.batches import columns, in_blocks

SHALLOWEST: Final = 0.1
"""Smallest depth in units of the radius; a shallower crack is a plate, and would need ever more nodes."""
_DECAYED: Final = 20.0
"""Where e^-2x ends the integrals over x = k h."""


def penny_crack_surface(
    east: Tensor,
    north: Tensor,
    *,
    east0: Tensor | float,
    north0: Tensor | float,
    depth: Tensor | float,
    radius: Tensor | float,
    volume_change: Tensor | float,
) -> Tensor:
    """Displacement of the surface by horizontal circular cracks under uniform pressure.

    Given the volume, it does not depend on the medium; `penny_crack_volume_change` turns pressure into volume.
    Far away and deep down it is that of a point tensile crack, 3 dV d^2 (x, y, d) / (2 pi R^5); the Mogi source
    is (1 - nu) dV (x, y, d) / (pi R^3).

    Parameters
    ----------
    east, north
        (P,) points, metres, of the dtype and device of the result
    east0, north0, depth
        (S,) centre of the cracks, metres
    radius
        (S,) metres, at most 10 depths
    volume_change
        (S,) integral of the opening over the crack, m3, positive for inflation (uplift)

    Returns
    -------
    displacement
        (S, P, 3): east, north, up, metres; differentiable in every argument

    Raises
    ------
    SlipscanError
        a depth or radius that is not positive, a radius of more than 10 depths
    """
    sources = columns(east, (east0, north0, depth, radius, volume_change))
    e0, n0, d, a, dv = sources
    t, phi, chi = _solve(d[:, 0], a[:, 0])
    scale = dv / (2 * math.pi * (phi @ t))[:, None].to(dv.dtype) / a**2

    def displacement(east: Tensor, north: Tensor, some: tuple[Tensor, ...]) -> Tensor:
        e0, n0, d, a, scale, phi, chi = some
        x, y = (east[None] - e0) / a, (north[None] - n0) / a
        up, outward = _surface(x * x + y * y, d / a, t, phi, chi)
        return torch.stack((x * outward, y * outward, up), dim=-1) * scale[..., None]

    return in_blocks(displacement, east, north, (e0, n0, d, a, scale, phi.to(dv.dtype), chi.to(dv.dtype)))


def penny_crack_volume_change(
    pressure: Tensor | float,
    *,
    depth: Tensor | float,
    radius: Tensor | float,
    shear_modulus: float,
    poisson_ratio: float = 0.25,
) -> Tensor:
    """Volume that an excess pressure opens: 8 (1 - nu) p a^3 / (3 G) far below the surface, more near it.

    Parameters
    ----------
    pressure
        (S,) pressure of the fluid less the weight of the rock, Pa
    depth, radius
        (S,) of the cracks, metres
    shear_modulus, poisson_ratio
        of the half space; the modulus in Pa

    Returns
    -------
    volume_change
        (S,) float64, m3

    Raises
    ------
    SlipscanError
        a depth, radius or shear modulus that is not positive, a radius of more than 10 depths
    """
    if not shear_modulus > 0:
        raise SlipscanError(f"the shear modulus of the half space is {shear_modulus} Pa: it must be positive")
    p, d, a = (c[:, 0] for c in columns(torch.zeros(1, dtype=torch.float64), (pressure, depth, radius)))
    t, phi, _ = _solve(d, a)
    return 4 * math.pi * (1 - poisson_ratio) / shear_modulus * p * a**3 * (phi @ t)


def _solve(depth: Tensor, radius: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Nodes (N,), and phi and chi (S, N) times the weights of the nodes, for 2 (1 - nu) p / G = 1; float64."""
    if not ((depth > 0) & (radius > 0)).all():
        raise SlipscanError("a crack has no size or lies above the surface: depth and radius must be positive")
    ratio = depth.double() / radius.double()
    shallowest = float(ratio.detach().min())
    if shallowest < SHALLOWEST:
        raise SlipscanError(f"a crack's depth is {shallowest:.2g} of its radius: {SHALLOWEST} is the least")
    # What is integrated has poles about h away from the interval, and phases up to 2 x / h.
    t, weight_t = (_on(v, ratio) for v in _gauss_legendre(max(16, math.ceil(8 / shallowest)), 1.0))
    x, weight_x = (_on(v, ratio) for v in _gauss_legendre(max(48, math.ceil(30 / shallowest)), _DECAYED))
    kt = (x / ratio[:, None])[:, :, None] * t
    opening = torch.sin(kt)
    sliding = opening / kt - torch.cos(kt)
    decay = torch.exp(-2 * x) * weight_x / ratio[:, None]
    kernels = (
        (opening, opening, decay * (1 + 2 * x + 2 * x * x)),
        (opening, sliding, -decay * 2 * x * x),
        (sliding, sliding, decay * (1 - 2 * x + 2 * x * x)),
    )
    normal, cross, shear = (a.mT @ (weight[:, :, None] * b) for a, b, weight in kernels)
    kernel = torch.cat((torch.cat((normal, cross), dim=2), torch.cat((cross.mT, shear), dim=2)), dim=1)
    weights = torch.cat((weight_t, weight_t))
    system = torch.diag(torch.full_like(weights, math.pi / 2)) - kernel * weights
    pressure = torch.cat((t, torch.zeros_like(t))).expand(len(ratio), -1)
    solution = torch.linalg.solve(system, pressure) * weights
    return t, solution[:, : len(t)], solution[:, len(t) :]


@lru_cache(maxsize=32)
def _gauss_legendre(count: int, end: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes and weights on (0, end)."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return end * (nodes + 1) / 2, end * weights / 2


def _on(values: NDArray[np.float64], like: Tensor) -> Tensor:
    return torch.as_tensor(values, dtype=like.dtype, device=like.device)


def _surface(r2: Tensor, h: Tensor, t: Tensor, phi: Tensor, chi: Tensor) -> tuple[Tensor, Tensor]:
    """Displacement up, and outward divided by the distance r, both (S, P).

    With z = h - i t and R = sqrt(r^2 + z^2), the integrals over k of e^-kh, sin kt or cos kt and J0 or J1 are
    imaginary or real parts of 1 / R, z / R^3, r / R^3, r / (R (R + z)) and r / (R + z).
    """
    up, outward = torch.zeros_like(r2), torch.zeros_like(r2)
    for node, w, s in zip(t.tolist(), phi.T[:, :, None], chi.T[:, :, None], strict=True):
        z = torch.complex(h, torch.full_like(h, -node))
        root = torch.sqrt(r2 + z * z)
        inverse, near = 1 / root, 1 / (root + z)
        cubed = inverse * inverse * inverse
        deep, flank = z * cubed, inverse * near
        up = up + w * (inverse.imag + h * deep.imag) - s * h * (inverse.imag / node - deep.real)
        slid = (near.imag - h * flank.imag) / node - flank.real + h * cubed.real
        outward = outward + w * h * cubed.imag + s * slid
    return up, outward
