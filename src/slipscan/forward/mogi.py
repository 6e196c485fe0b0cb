"""Surface displacement of a small spherical source of volume change (Mogi 1958)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from slipscan.errors import SlipscanError
from slipscan.forward.batches import columns


def mogi_surface(
    east: Tensor,
    north: Tensor,
    *,
    east0: Tensor | float,
    north0: Tensor | float,
    depth: Tensor | float,
    volume_change: Tensor | float,
    poisson_ratio: float = 0.25,
) -> Tensor:
    """Displacement of the surface by point sources of volume change in an elastic half space.

    Mogi (1958, Bull. Earthq. Res. Inst. 36, 99): u = (1 - nu) dV / pi * (x, y, d) / R^3.

    Parameters
    ----------
    east, north
        (P,) points, metres, of the dtype and device of the result
    east0, north0, depth
        (S,) position of the sources, metres, depth > 0
    volume_change
        (S,) of the chamber, m3, positive for inflation (uplift)
    poisson_ratio
        of the half space

    Returns
    -------
    displacement
        (S, P, 3): east, north, up, metres

    Raises
    ------
    SlipscanError
        a depth that is not positive
    """
    e0, n0, d, dv = columns(east, (east0, north0, depth, volume_change))
    if not (d > 0).all():
        raise SlipscanError("a volume source lies above the surface: its depth must be positive, in metres")
    # Lengths in units of the depth: R^3 of metres overflows nothing, but loses what dV / R^3 needs in float32
    x, y = (east[None] - e0) / d, (north[None] - n0) / d
    strength = (1 - poisson_ratio) / math.pi * dv / d**2 / (x**2 + y**2 + 1) ** 1.5
    return torch.stack((x * strength, y * strength, strength), dim=-1)
