"""Least squares of the front end, batched in float32 on any device: delay of epochs, background of pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

MIN_STD_M: Final = 1e-4
"""A tenth of a millimetre: an epoch quieter than this (a stack of constants) still has finite weights."""
HUBER_K: Final = 1.345
IRLS_ITERATIONS: Final = 3
MAD_TO_STD: Final = 1.4826
ABSORBED: Final = 1e-6
"""Share of a history's energy that must be left beside the background for it to be estimable."""
MIN_EIGENVALUE: Final = 1e-5
"""Smallest over largest eigenvalue of the normal matrix, below which a pixel is undetermined."""


@dataclass(frozen=True)
class Delay:
    """Offset, ramp and height delay of every epoch, and the noise that they leave.

    Attributes
    ----------
    coefficients
        (time, column) m; columns: 1, x and y from -1 to 1 over the scene, height in standard deviations
    std
        (time,) m, robust, over the scene; an epoch without data has a large one
    """

    coefficients: Tensor
    std: Tensor


def fitted_background(series: Tensor, mask: Tensor, design: Tensor, weight: Tensor) -> Tensor:
    """Weighted least-squares fit of the design to every series, over its own valid epochs, (time, pixel)."""
    return design @ background_parameters(series, mask, design, weight)


def background_parameters(series: Tensor, mask: Tensor, design: Tensor, weight: Tensor) -> Tensor:
    """Parameters of the weighted least-squares fit of a design to every series, over its own valid epochs.

    Parameters
    ----------
    series, mask
        (time, pixel) 0 where not valid; valid
    design
        (time, k)
    weight
        (time,)

    Returns
    -------
    parameters
        (k, pixel); where the epochs do not determine the design, what a faint ridge makes of them
    """
    scale = design.square().mean(0).sqrt().clamp(min=1e-12)
    columns = design / scale
    w = (weight / weight.mean())[:, None]
    normal = columns.T @ (w * columns)
    solve = torch.linalg.pinv(normal.double(), hermitian=True).float() @ (w * columns).T
    parameters = solve @ series
    gappy = torch.nonzero(~mask.all(0) & mask.any(0))[:, 0]
    if len(gappy):
        n, k = columns.shape
        products = (columns[:, :, None] * columns[:, None, :]).reshape(n, k * k) * w
        own = (mask[:, gappy].float().T @ products).reshape(-1, k, k)
        right = (series[:, gappy].T @ (columns * w))[:, :, None]
        ridge = 1e-5 * own.diagonal(dim1=-2, dim2=-1).sum(-1)[:, None, None].clamp(min=1e-12)
        eye = torch.eye(k, device=series.device)
        parameters[:, gappy] = torch.linalg.solve(own + ridge * eye, right)[:, :, 0].T
    return parameters / scale[:, None]


def undetermined(mask: Tensor, design: Tensor) -> Tensor:
    """(pixel,) whether the valid epochs of a pixel leave parameters of the design open."""
    columns = design / design.square().mean(0).sqrt().clamp(min=1e-12)
    out = mask.sum(0) <= design.shape[1]
    gappy = torch.nonzero(~mask.all(0) & ~out)[:, 0]
    if len(gappy):
        n, k = columns.shape
        products = (columns[:, :, None] * columns[:, None, :]).reshape(n, k * k)
        values = torch.linalg.eigvalsh((mask[:, gappy].float().T @ products).reshape(-1, k, k))
        out[gappy] = values[:, 0] <= MIN_EIGENVALUE * values[:, -1]
    return out


def fit_delay(series: Tensor, mask: Tensor, columns: Tensor) -> Delay:
    """Robust (Huber) fit of offset, ramp and height to every epoch, and the scatter that is left.

    Parameters
    ----------
    series, mask
        (time, pixel) m, 0 where not valid; valid
    columns
        (column, pixel)
    """
    k = len(columns)
    weight = mask.float()
    products = (columns[:, None, :] * columns[None, :, :]).reshape(k * k, -1)
    enough = mask.sum(1) >= 3 * k
    eye = torch.eye(k, device=series.device)
    missing = torch.where(mask, 0.0, math.nan)
    coefficients = torch.zeros(len(series), k, device=series.device)
    size = torch.zeros_like(series)
    scale = torch.ones(len(series), 1, device=series.device)
    for iteration in range(IRLS_ITERATIONS + 1):
        normal = (weight @ products.T).reshape(-1, k, k)
        ridge = 1e-5 * normal.diagonal(dim1=-2, dim2=-1).sum(-1)[:, None, None].clamp(min=1e-6)
        right = ((weight * series) @ columns.T)[:, :, None]
        coefficients = torch.where(enough[:, None], torch.linalg.solve(normal + ridge * eye, right)[:, :, 0], 0.0)
        size = (series - coefficients @ columns).abs()
        scale = MAD_TO_STD * (size + missing).nanmedian(1, keepdim=True).values
        scale = torch.where(torch.isfinite(scale), scale, 0.0).clamp(min=MIN_STD_M)
        if iteration < IRLS_ITERATIONS:
            weight = mask * (HUBER_K * scale / size.clamp(min=1e-12)).clamp(max=1.0)
    std = scale[:, 0]
    empty = ~mask.any(1)
    if empty.any():
        std = torch.where(empty, 1e3 * std[~empty].max(), std)
    return Delay(coefficients, std)


def projected(columns: Tensor, design: Tensor, weight: Tensor) -> Tensor:
    """What of histories (time, n) is orthogonal to the design (time, k) under the weights (time,); 0 if nothing is."""
    root = (weight / weight.mean()).sqrt()[:, None].double()
    scaled, basis = columns.double() * root, design.double() * root
    rest = scaled - basis @ (torch.linalg.pinv(basis) @ scaled)
    kept = rest.square().sum(0) > ABSORBED * scaled.square().sum(0)
    return torch.where(kept, rest / root, 0.0).float()
