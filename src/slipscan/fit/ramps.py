"""Ramps in time: candidate histories, and what rate, season and other events leave of them."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

ABSORBED: Final = 1e-6
"""Share of a history's energy that must be left beside the background for it to be estimable."""
ALIKE: Final = 1e-6
"""Singular values of a basis over the largest that are rounding: of single precision, too."""
SHORTEST_D: Final = 1e-3
"""A shorter ramp is a step."""


def ramps(days: Tensor, middles: Tensor, duration_d: float) -> Tensor:
    """Linear ramps from 0 to 1, (time, middle).

    Parameters
    ----------
    days
        (time,)
    middles
        (middle,) day at which half has happened
    duration_d
        0 is a step
    """
    return ((days[:, None] - middles) / max(duration_d, SHORTEST_D) + 0.5).clamp(0, 1)


def middles(days: Tensor, at_most: int | None = None) -> Tensor:
    """Middles of the intervals between epochs (interval,), evenly thinned out where there are more than `at_most`."""
    between = (days[1:] + days[:-1]) / 2
    if at_most is None or len(between) <= at_most:
        return between
    number = torch.linspace(0, len(between) - 1, at_most, device=days.device).round().long()
    return between[torch.unique_consecutive(number)]


def projected(columns: Tensor, design: Tensor, weight: Tensor) -> Tensor:
    """What of histories (time, n) is orthogonal to the design (time, k) under the weights (time,); 0 if nothing is."""
    root = (weight / weight.mean()).sqrt()[:, None].double()
    scaled, basis = columns.double() * root, design.double() * root
    rest = scaled - basis @ (torch.linalg.pinv(basis) @ scaled)
    kept = rest.square().sum(0) > ABSORBED * scaled.square().sum(0)
    # An epoch without weight is left out.
    return torch.where(kept & (root > 0), rest / root.clamp(min=1e-300), 0.0).to(columns.dtype)


def filters(columns: Tensor, design: Tensor, weight: Tensor) -> Tensor:
    """Filters (n, time) that give the amplitude of a history over its standard deviation, epochs being independent.

    0 for a history that the design absorbs.
    """
    root = weight.sqrt()[:, None].to(columns.dtype)
    rest = projected(columns, design, weight) * root
    size = rest.square().sum(0).sqrt()
    return (torch.where(size > 0, rest / size.clamp(min=1e-30), 0.0) * root).T


def without(columns: Tensor, basis: Tensor) -> Tensor:
    """What of columns (..., time, n) is orthogonal to a whitened basis (..., time, k), whose columns may be alike."""
    scaled = basis / torch.linalg.vector_norm(basis, dim=-2, keepdim=True).clamp(min=1e-30)
    directions, sizes, _ = torch.linalg.svd(scaled, full_matrices=False)
    directions = directions * (sizes > ALIKE * sizes[..., :1])[..., None, :]
    return columns - directions @ (directions.transpose(-1, -2) @ columns)
