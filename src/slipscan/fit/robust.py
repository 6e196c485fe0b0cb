"""Robust scales: standard deviations from medians, which neither an event nor an unwrapping error inflates."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

MAD_TO_STD: Final = 1.4826
"""Standard deviation over median absolute deviation of Gaussian noise."""
HUBER_K: Final = 1.345
"""Standard deviations beyond which Huber's weight falls (95 % efficient for Gaussian noise)."""


def masked_median(values: Tensor, mask: Tensor, dim: int) -> Tensor:
    """Lower median of the masked values along a dimension, kept with size 1; NaN where there is none."""
    return torch.where(mask, values, math.nan).nanmedian(dim, keepdim=True).values


def huber_weight(size: Tensor, scale: Tensor) -> Tensor:
    """Huber's weight of residuals of some absolute size, 0 to 1."""
    return (HUBER_K * scale / size.clamp(min=1e-12)).clamp(max=1.0)


def temporal_std(series: Tensor, mask: Tensor) -> Tensor:
    """Noise of every pixel from differences of consecutive epochs, (time, pixel) to (pixel,); 0 without any.

    White noise is assumed. Unlike the scatter about a mean, a step or a slow event does not inflate it (von Neumann's
    estimator, with a robust scale).
    """
    both = mask[1:] & mask[:-1]
    step = series.diff(dim=0)
    centre = masked_median(step, both, 0)
    spread = masked_median((step - centre).abs(), both, 0)[0]
    return MAD_TO_STD / math.sqrt(2) * torch.nan_to_num(spread, nan=0.0)
