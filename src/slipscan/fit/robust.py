"""Robust scales: standard deviations from medians, which neither an event nor an unwrapping error inflates."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

MAD_TO_STD: Final = 1.4826
"""Standard deviation over median absolute deviation of Gaussian noise."""
PIXELS: Final = 1 << 14
"""Whose differences are in memory at once."""
HUBER_K: Final = 1.345
"""Standard deviations beyond which Huber's weight falls (95 % efficient for Gaussian noise)."""


def masked_median(values: Tensor, mask: Tensor, dim: int) -> Tensor:
    """Lower median of the masked values along a dimension, kept with size 1; NaN where there is none."""
    return torch.where(mask, values, math.nan).nanmedian(dim, keepdim=True).values


def huber_weight(size: Tensor, scale: Tensor) -> Tensor:
    """Huber's weight of residuals of some absolute size, 0 to 1."""
    return (HUBER_K * scale / size.clamp(min=1e-12)).clamp(max=1.0)


def temporal_std(series: Tensor, mask: Tensor, std: Tensor | None = None) -> Tensor:
    """Noise of every pixel from differences of consecutive epochs, (time, pixel) to (pixel,); 0 without any.

    White noise is assumed. Unlike the scatter about a mean, a step or a slow event does not inflate it (von Neumann's
    estimator, with a robust scale).

    Parameters
    ----------
    series, mask
        (time, pixel); valid
    std
        (time,) of the epochs, that the series are taken over; None: 1
    """
    spreads = []
    for some, seen in zip(torch.split(series, PIXELS, 1), torch.split(mask, PIXELS, 1), strict=True):
        # Time last: the median of what lies together in memory is several times as fast.
        relative = (some if std is None else some / std[:, None]).T.contiguous()
        both = (seen[1:] & seen[:-1]).T
        step = relative.diff(dim=1)
        centre = masked_median(step, both, 1)
        spreads.append(masked_median((step - centre).abs(), both, 1)[:, 0])
    return MAD_TO_STD / math.sqrt(2) * torch.nan_to_num(torch.cat(spreads), nan=0.0)
