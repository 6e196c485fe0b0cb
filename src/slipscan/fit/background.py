"""Offset, rate and season of every pixel: weighted least squares over its own valid epochs, batched, any device."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slipscan.fit.masks import all_valid, any_valid, count_valid

Float = NDArray[np.float64]

RIDGE: Final = {torch.float32: 1e-5, torch.float64: 1e-13}
"""Over the trace of the normal matrix of a pixel with gaps: keeps what its epochs leave open finite."""
ROUNDING: Final = {torch.float32: 1e-6, torch.float64: 1e-14}
"""Eigenvalues of a normal matrix over the largest that are rounding: columns that are the same are fitted as one."""
MIN_EIGENVALUE: Final = 1e-5
"""Smallest over largest eigenvalue of the normal matrix, below which a pixel is undetermined."""
CHUNK: Final = 1 << 16
"""Pixels with gaps of their own whose normal matrices are in memory at once."""


def parameters(series: Tensor, mask: Tensor, design: Tensor, weight: Tensor) -> Tensor:
    """Parameters of the weighted least-squares fit of a design to every series, over its own valid epochs.

    Parameters
    ----------
    series, mask
        (time, pixel) 0 where not valid; valid
    design
        (time, column)
    weight
        (time,)

    Returns
    -------
    parameters
        (column, pixel), in the type of the series; where the epochs do not determine the design, what a faint ridge
        makes of them (see `undetermined`)
    """
    scale = _size(design)
    columns = design / scale
    w = (weight / weight.mean())[:, None]
    normal = columns.T @ (w * columns)
    solve = (
        torch.linalg.pinv(normal.double(), hermitian=True, rtol=ROUNDING[series.dtype]).to(series.dtype)
        @ (w * columns).T
    )
    out = solve @ series
    gappy = torch.nonzero(~all_valid(mask) & any_valid(mask))[:, 0]
    products = _products(columns) * w
    eye = torch.eye(columns.shape[1], dtype=series.dtype, device=series.device)
    for pixels in torch.split(gappy, CHUNK):
        own = _normals(mask[:, pixels], products)
        right = (series[:, pixels].T @ (columns * w))[:, :, None]
        ridge = RIDGE[series.dtype] * own.diagonal(dim1=-2, dim2=-1).sum(-1)[:, None, None].clamp(min=1e-12)
        out[:, pixels] = torch.linalg.solve(own + ridge * eye, right)[:, :, 0].T
    return out / scale[:, None]


def fitted(series: Tensor, mask: Tensor, design: Tensor, weight: Tensor) -> Tensor:
    """Weighted least-squares fit of the design to every series, over its own valid epochs, (time, pixel)."""
    return design @ parameters(series, mask, design, weight)


def undetermined(mask: Tensor, design: Tensor) -> Tensor:
    """(pixel,) whether the valid epochs (time, pixel) leave parameters of the design (time, column) open."""
    columns = design / _size(design)
    out = count_valid(mask) <= design.shape[1]
    gappy = torch.nonzero(~all_valid(mask) & ~out)[:, 0]
    products = _products(columns)
    for pixels in torch.split(gappy, CHUNK):
        values = torch.linalg.eigvalsh(_normals(mask[:, pixels], products))
        out[pixels] = values[:, 0] <= MIN_EIGENVALUE * values[:, -1]
    return out


def fit_series(design: Float, series: NDArray[np.floating], weight: NDArray[np.floating] | None = None) -> Float:
    """Weighted least-squares parameters of many series at once, in double precision, NaN-aware.

    Parameters
    ----------
    design
        (time, column)
    series
        (time, pixel), NaN = no data
    weight
        (time,) weights, the inverse variance of an epoch; None = equal

    Returns
    -------
    parameters
        (column, pixel); NaN where the valid epochs do not determine the model
    """
    values = torch.from_numpy(np.asarray(series, float))
    mask = torch.isfinite(values)
    columns = torch.from_numpy(np.asarray(design, float))
    weights = torch.ones(len(columns), dtype=torch.float64) if weight is None else torch.as_tensor(weight).double()
    out = parameters(torch.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0), mask, columns, weights)
    out[:, undetermined(mask, columns)] = torch.nan
    return np.asarray(out.numpy())


def formal_std(design: Tensor, std: Tensor) -> Tensor:
    """Formal standard deviation of the fitted background at every epoch, (time,).

    Noise that is white in time with the standard deviation `std` (time,), and complete data, are assumed.
    """
    columns = (design / _size(design)).double()
    covariance = torch.linalg.pinv(columns.T @ (columns / std.double()[:, None].square()), hermitian=True)
    return torch.einsum("tk,kl,tl->t", columns, covariance, columns).clamp(min=0).sqrt().to(std.dtype)


def _size(design: Tensor) -> Tensor:
    """Root mean square of every column, which columns are divided by."""
    return design.square().mean(0).sqrt().clamp(min=1e-12)


def _products(columns: Tensor) -> Tensor:
    """Products of all pairs of columns at every epoch, (time, column^2)."""
    return (columns[:, :, None] * columns[:, None, :]).reshape(len(columns), -1)


def _normals(mask: Tensor, products: Tensor) -> Tensor:
    """Normal matrices (pixel, column, column) over the valid epochs (time, pixel)."""
    k = round(products.shape[1] ** 0.5)
    return (mask.to(products.dtype).T @ products).reshape(-1, k, k)
