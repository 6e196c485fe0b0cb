"""The terms of Okada (1985) that depend on the medium: I1 to I5, equations 28 and 29, summed over the corners.

Okada divides by the cosine of the dip and has a case of its own for 90 degrees; for steep faults an
algebraically equal form without that division is used here, so that single precision holds at every dip.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
from torch import Tensor

STEEP_COSINE: Final = {torch.float32: 0.25, torch.float64: 0.02}
"""Below this cosine of the dip the form without division by it is used; the general one loses 1 / cos^2."""
_TERMS: Final = {torch.float32: 13, torch.float64: 10}
"""Of the series in the steep form, whose argument is below 1.2 times the cosine."""


class Dip(NamedTuple):
    """Sine and cosine of the dip, each (S, 1)."""

    sin: Tensor
    cos: Tensor


@dataclass(frozen=True)
class Corners:
    """The corners of the rectangles seen from the points: two xi, two eta, S sources, P points.

    Okada's xi (2, 1, S, P), eta and y~ (2, S, P), d~ (2, S, 1), q (S, P), R, R + eta and R + d~ (2, 2, S, P),
    xi^2, q^2 and `off_xi`, their sum (2, 1, S, P), kept from zero. Index 0 is the one with the positive sign:
    the larger xi, the lower edge.
    """

    xi: Tensor
    eta: Tensor
    q: Tensor
    y: Tensor
    d: Tensor
    r: Tensor
    r_eta: Tensor
    deep: Tensor
    xi2: Tensor
    q2: Tensor
    off_xi: Tensor


def is_steep(dip_deg: Tensor) -> Tensor:
    """Which dips take the form for steep faults."""
    return torch.sin(torch.deg2rad(90.0 - dip_deg)) < STEEP_COSINE[dip_deg.dtype]


def alternating(corner: Tensor) -> Tensor:
    """Okada's sum over the corners (2, 2, S, P) or over one of their pairs (2, S, P), equation 24."""
    first, second = corner.unbind(0)
    return first - second if corner.ndim == 3 else alternating(first - second)


def linear(*terms: tuple[Tensor, Tensor]) -> Tensor:
    """The sum of coefficients (S, 1) times terms (S, P)."""
    (coefficient, term), *others = terms
    total = coefficient * term
    for coefficient, term in others:
        total = torch.addcmul(total, coefficient, term)
    return total


def medium_terms(c: Corners, dip: Dip, k: float, steep: bool) -> tuple[Tensor, ...]:
    """I1 to I5, each (S, P), summed over the corners; k is mu / (lambda + mu)."""
    log_r_eta = _log_of_corners(c.r_eta)
    # W, of which I5 = -2 k atan(cos W) / cos, up to a constant that the sum over corners removes. Okada's own
    # argument is the cotangent of the same angle plus that constant; this denominator, at least R sin, has
    # neither a pole nor a branch.
    across = (1 + dip.sin) * c.r_eta - dip.cos * c.q
    return (_steep if steep else _general)(c, dip, k, log_r_eta, across)


def _log_of_corners(value: Tensor) -> Tensor:
    (a, b), (c, d) = value.unbind(0)
    return torch.log((a * d) / (b * c))


def _general(c: Corners, dip: Dip, k: float, log_r_eta: Tensor, across: Tensor) -> tuple[Tensor, ...]:
    """Okada's equation 28."""
    s, co = dip
    # atan(a) - atan(b) of the two xi, both in a quarter turn: no branch is crossed
    (xi0, xi1), (across0, across1) = (c.xi * co).unbind(0), across.unbind(0)
    turn = alternating(torch.atan2(xi0 * across1 - xi1 * across0, torch.addcmul(across0 * across1, xi0, xi1)))
    by_deep = 1 / c.deep
    xi_deep, y_deep = alternating(c.xi * by_deep), alternating(c.y * (by_deep[0] - by_deep[1]))
    i5 = (-2 * k / co) * turn
    i4 = linear((k / co, _log_of_corners(c.deep)), (-k * s / co, log_r_eta))
    i3 = linear((k / co, y_deep), (s / co, i4)) - k * log_r_eta
    i2 = -k * log_r_eta - i3
    i1 = linear((-k / co, xi_deep), (-s / co, i5))
    return i1, i2, i3, i4, i5


def _steep(c: Corners, dip: Dip, k: float, log_r_eta: Tensor, across: Tensor) -> tuple[Tensor, ...]:
    """Equation 28 with the divisions by the cosine carried out; at 90 degrees it is Okada's equation 29.

    With A = (q + eta cos / (1 + sin)) / (R + eta): ln((R + d~) / (R + eta)) = ln(1 - cos A), and cos A and
    cos W are small here, so that short series take the place of small differences.
    """
    s, co = dip
    terms = _TERMS[c.r.dtype]
    a = (c.q + c.eta * (co / (1 + s))) / c.r_eta
    remainder = a * a * _series(-co * a, [(-1.0) ** (n + 1) / (n + 2) for n in range(terms)])  # (ln(1+z)-z)/cos^2
    rest = alternating(remainder)
    i4 = k * (co * rest - alternating(a) + co / (1 + s) * log_r_eta)
    # (q / (R + d~) + I4 / k) / cos, its logarithm apart
    quotient = alternating((s * (a * a) * c.r_eta + c.eta / (1 + s)) / c.deep) + s * rest
    i3 = k * (quotient - log_r_eta / (1 + s))
    i2 = -k * log_r_eta - i3
    w = c.xi / across
    bend = w**3 * _series((co * w) ** 2, [(-1.0) ** (n + 1) / (2 * n + 3) for n in range(terms // 2 + 1)])
    bends = alternating(bend)  # (atan u - u) / cos^3
    i5 = -2 * k * (alternating(w) + co**2 * bends)
    # (2 sin W - xi / (R + d~)) / cos
    slope = w / c.deep * (c.q * (1 - 2 * s) - co / (1 + s) * (c.r + c.eta * (2 * s + 1)))
    i1 = k * (alternating(slope) + 2 * s * co * bends)
    return i1, i2, i3, i4, i5


def _series(x: Tensor, coefficients: list[float]) -> Tensor:
    """A polynomial by Horner's rule, the constant first."""
    total = coefficients[-1] * x + coefficients[-2]
    for coefficient in reversed(coefficients[:-2]):
        total = total * x + coefficient
    return total
