"""Sills and dikes: sheets that open, as rectangles of Okada (1985). Volume change = opening x area."""

from __future__ import annotations

import torch
from torch import Tensor

from slipscan.forward.batches import columns
from slipscan.forward.okada import okada_surface


def sill_surface(
    east: Tensor,
    north: Tensor,
    *,
    east0: Tensor | float,
    north0: Tensor | float,
    depth: Tensor | float,
    strike_deg: Tensor | float,
    length: Tensor | float,
    width: Tensor | float,
    opening: Tensor | float,
) -> Tensor:
    """Displacement of the surface by horizontal rectangular sills that open by the same amount everywhere.

    It does not depend on Poisson's ratio.

    Parameters
    ----------
    east, north
        (P,) points, metres, of the dtype (float32 or float64) and device of the result
    east0, north0, depth
        (S,) CENTRE of the sills, metres
    strike_deg
        (S,) azimuth of their length, clockwise from north
    length, width
        (S,) along the azimuth and across it, metres
    opening
        (S,) metres; positive for inflation (uplift), volume change = opening x length x width

    Returns
    -------
    displacement
        (S, P, 3): east, north, up, metres

    Raises
    ------
    SlipscanError
        a negative depth, a length or width that is not positive
    """
    e0, n0, strike, wide = columns(east, (east0, north0, strike_deg, width))
    # The "top" edge of a flat rectangle lies half a width to the left of its centre.
    azimuth = torch.deg2rad(strike)
    return okada_surface(
        east, north, east0=e0 - wide / 2 * torch.cos(azimuth), north0=n0 + wide / 2 * torch.sin(azimuth),
        depth_top=depth, strike_deg=strike_deg, dip_deg=0.0, length=length, width=width, rake_deg=0.0, slip=0.0,
        opening=opening,
    )  # fmt: skip


def dike_surface(
    east: Tensor,
    north: Tensor,
    *,
    east0: Tensor | float,
    north0: Tensor | float,
    depth_top: Tensor | float,
    strike_deg: Tensor | float,
    length: Tensor | float,
    height: Tensor | float,
    opening: Tensor | float,
    dip_deg: Tensor | float = 90.0,
    poisson_ratio: float = 0.25,
) -> Tensor:
    """Displacement of the surface by rectangular dikes that open by the same amount everywhere.

    Parameters
    ----------
    east, north
        (P,) points, metres, of the dtype (float32 or float64) and device of the result
    east0, north0, depth_top
        (S,) centre of the top edge, metres
    strike_deg, dip_deg
        (S,) Aki & Richards: the dike dips to the right of the strike
    length, height
        (S,) along strike and down dip, metres
    opening
        (S,) metres; volume change = opening x length x height
    poisson_ratio
        of the half space

    Returns
    -------
    displacement
        (S, P, 3): east, north, up, metres

    Raises
    ------
    SlipscanError
        a dip outside 0 to 90, a top above the surface, a length or height that is not positive
    """
    return okada_surface(
        east, north, east0=east0, north0=north0, depth_top=depth_top, strike_deg=strike_deg, dip_deg=dip_deg,
        length=length, width=height, rake_deg=0.0, slip=0.0, opening=opening, poisson_ratio=poisson_ratio,
    )  # fmt: skip
