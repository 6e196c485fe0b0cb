"""Robust scales: standard deviations from medians, which neither an event nor an unwrapping error inflates."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import torch
from torch import Tensor

from slipscan.fit.scatter import MAD_TO_STD

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
        centre = _medians(step, both)
        spreads.append(_medians((step - centre[:, None]).abs(), both))
    return MAD_TO_STD / math.sqrt(2) * torch.nan_to_num(torch.cat(spreads), nan=0.0)


def _medians(values: Tensor, mask: Tensor) -> Tensor:
    """Lower median of the masked values of every row, (row,); NaN where there is none."""
    if values.device.type != "cpu":
        return masked_median(values, mask, 1)[:, 0]
    # Of rows without gaps by numpy, whose selection is four times as fast.
    whole, middle = mask.all(1), (values.shape[1] - 1) // 2
    out = torch.empty(len(values), dtype=values.dtype)
    out[whole] = torch.from_numpy(np.partition(values[whole].numpy(), middle, axis=1)[:, middle])
    out[~whole] = masked_median(values[~whole], mask[~whole], 1)[:, 0]
    return out
