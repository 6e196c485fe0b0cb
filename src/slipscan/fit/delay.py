"""Offset, ramp and height delay of every epoch: a robust fit over space, batched over epochs, any device."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from slipscan.fit.background import fitted
from slipscan.fit.masks import all_valid, any_valid
from slipscan.fit.robust import huber_weight, masked_median
from slipscan.fit.scatter import MAD_TO_STD

MIN_STD_M: Final = 1e-4
"""A tenth of a millimetre: an epoch quieter than this (a stack of constants) still has finite weights."""
RELIEF_M: Final = 1.0
"""Heights that vary by less make no column."""
IRLS_ITERATIONS: Final = 3
RIDGE: Final = {torch.float32: 1e-5, torch.float64: 1e-9}
"""Keeps an epoch solvable whose valid pixels lie on one line."""
EMPTY_EPOCH: Final = 1e3
"""An epoch without data is as good as one this much noisier than the others."""
MAX_SAMPLED: Final = 1600
"""Offset, ramp and slope with height of an epoch are four numbers: more pixels make no better ones."""
MIN_SAMPLED: Final = 32


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


def spatial_columns(height: Tensor) -> Tensor:
    """Columns of an epoch's delay, (column, y, x): 1, x, y and, where heights vary by more than 1 m, height.

    Parameters
    ----------
    height
        (y, x) m, NaN = unknown
    """
    rows, columns = height.shape
    y, x = (
        torch.linspace(-1, 1, n, device=height.device, dtype=height.dtype) if n > 1 else height.new_zeros(1)
        for n in (rows, columns)
    )
    out = [torch.ones_like(height), x.expand(rows, columns), y[:, None].expand(rows, columns)]
    known = torch.isfinite(height)
    if known.any() and (spread := float(height[known].std(correction=0))) > RELIEF_M:
        out.append(torch.where(known, (height - height[known].mean()) / spread, 0.0))
    return torch.stack(out)


def fit_delay(series: Tensor, mask: Tensor, columns: Tensor) -> Delay:
    """Robust (Huber) fit of offset, ramp and height to every epoch, and the scatter that is left.

    Parameters
    ----------
    series, mask
        (time, pixel) m, 0 where not valid; valid
    columns
        (column, pixel)

    Notes
    -----
    A broad signal of deep slip looks like a ramp over a small scene and is removed with it; what is removed is kept
    in `Delay.coefficients`, for methods that weigh it against a prior.
    """
    k = len(columns)
    weight = mask.to(series.dtype)
    products = (columns[:, None, :] * columns[None, :, :]).reshape(k * k, -1)
    enough = mask.sum(1) >= 3 * k
    eye = torch.eye(k, device=series.device, dtype=series.dtype)
    coefficients = series.new_zeros(len(series), k)
    scale = series.new_ones(len(series), 1)
    for iteration in range(IRLS_ITERATIONS + 1):
        normal = (weight @ products.T).reshape(-1, k, k)
        ridge = RIDGE[series.dtype] * normal.diagonal(dim1=-2, dim2=-1).sum(-1)[:, None, None].clamp(min=1e-6)
        right = ((weight * series) @ columns.T)[:, :, None]
        coefficients = torch.where(enough[:, None], torch.linalg.solve(normal + ridge * eye, right)[:, :, 0], 0.0)
        size = (series - coefficients @ columns).abs()
        scale = MAD_TO_STD * masked_median(size, mask, 1)
        scale = torch.nan_to_num(scale, nan=0.0).clamp(min=MIN_STD_M)
        if iteration < IRLS_ITERATIONS:
            weight = mask * huber_weight(size, scale)
    std = scale[:, 0]
    empty = ~mask.any(1)
    if empty.any() and not empty.all():
        std = torch.where(empty, EMPTY_EPOCH * std[~empty].max(), std)
    return Delay(coefficients, std)


def beside_background(series: Tensor, mask: Tensor, columns: Tensor, design: Tensor) -> Delay:
    """Delay of every epoch, the background being taken out for its fit only.

    Parameters
    ----------
    series, mask
        (time, pixel) m
    columns
        (column, pixel) of the delay
    design
        (time, column) of the background
    """
    equal = series.new_ones(len(series))
    delay = fit_delay((series - fitted(series, mask, design, equal)) * mask, mask, columns)
    if bool((all_valid(mask) | ~any_valid(mask)).all()):
        return delay
    # Delay of the epochs that a pixel lacks is in the others' mean: once more, with the background of what is cleaned.
    for _ in range(2):
        cleaned = (series - delay.coefficients @ columns) * mask
        delay = fit_delay((series - fitted(cleaned, mask, design, equal)) * mask, mask, columns)
    return delay


def sample(covered: Tensor, most: int = MAX_SAMPLED) -> Tensor:
    """Numbers of evenly spaced pixels that have data, of (y, x) bool: the same set whichever corner is the first."""
    rows, cols = covered.shape
    stride = max(1, int(math.sqrt(rows * cols / most)))
    chosen = torch.zeros_like(covered)
    chosen[_lattice(rows, stride)[:, None], _lattice(cols, stride)] = True
    numbers = torch.nonzero((chosen & covered).flatten())[:, 0]
    return numbers if len(numbers) >= MIN_SAMPLED else torch.nonzero(covered.flatten())[:, 0]


def _lattice(count: int, stride: int) -> Tensor:
    """Every stride-th number from both ends to the middle."""
    near = torch.arange(0, (count + 1) // 2, stride)
    return torch.cat([near, count - 1 - near])
