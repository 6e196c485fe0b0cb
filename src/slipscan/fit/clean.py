"""A series with the delay of every epoch taken out: what every method, detector and stage begins with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slipscan.errors import SlipscanError
from slipscan.fit.background import fitted
from slipscan.fit.delay import Delay, beside_background, sample, spatial_columns
from slipscan.fit.masks import any_valid, count_valid

NO_DATA: Final = "the stack holds no data: every pixel of every epoch is missing"

EPOCHS: Final = 32
PIXELS: Final = 1 << 16
"""That are taken at a time."""
EVERY: Final = slice(None)


@dataclass(frozen=True)
class Cleaned:
    """A series over one footprint, with the delay of every epoch apart.

    Attributes
    ----------
    series
        (time, pixel) displacement less delay, relative to `mean`, m; 0 where there is no data
    mean
        (pixel,) over time, m
    valid
        (time, pixel) bool
    columns
        (column, y, x) spatial columns of the delay
    delay
        of every epoch
    design
        (time, column) of the background
    height
        (y, x) m, relative to the footprint's mean; 0 where unknown
    """

    series: Tensor
    mean: Tensor
    valid: Tensor
    columns: Tensor
    delay: Delay
    design: Tensor
    height: Tensor

    @property
    def weight(self) -> Tensor:
        """(time,) inverse variance of an epoch, 1/m2."""
        return self.delay.std**-2

    def residual(self, pixels: Tensor | slice = EVERY) -> Tensor:
        """(time, pixel) what delay and background leave of some pixels, m; 0 where there is no data."""
        out, valid = self.series[:, pixels].clone(), self.valid[:, pixels]
        take_background(out, valid, self.design, self.weight)
        return out


def clean(
    displacement: NDArray[np.floating],
    height: NDArray[np.floating] | None,
    design: NDArray[np.floating],
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Cleaned:
    """Fit the delay of every epoch and take it out.

    Parameters
    ----------
    displacement
        (time, y, x) m, NaN = no data, about any reference epoch
    height
        (y, x) m, NaN = unknown; or None
    design
        (time, column) of the background, taken out for the fit of the delay only: rate, season and events stay in

    Raises
    ------
    SlipscanError
        no valid pixel
    """
    data = torch.as_tensor(displacement, dtype=dtype, device=device)
    rows, cols = data.shape[1:]
    valid = torch.isfinite(data).flatten(1)
    if not valid.any():
        raise SlipscanError(NO_DATA)
    matrix = torch.as_tensor(np.ascontiguousarray(design), dtype=dtype, device=device)
    relief = torch.full((rows, cols), math.nan, dtype=dtype) if height is None else torch.as_tensor(height, dtype=dtype)
    relief = relief.to(device)
    columns = spatial_columns(relief)
    flat = torch.nan_to_num(data.flatten(1), nan=0.0)
    mean = take_mean(flat, valid)
    chosen = sample(any_valid(valid).reshape(rows, cols))
    delay = beside_background(flat[:, chosen], valid[:, chosen], columns.flatten(1)[:, chosen], matrix)
    take_delay(flat, valid, delay, columns.flatten(1))
    known = torch.isfinite(relief)
    return Cleaned(
        series=flat,
        mean=mean,
        valid=valid,
        columns=columns,
        delay=delay,
        design=matrix,
        height=torch.where(known, relief - relief[known].mean(), 0.0) if known.any() else torch.zeros_like(relief),
    )


def take_mean(flat: Tensor, valid: Tensor) -> Tensor:
    """Take from series (time, pixel), where they stand, their temporal means, and return these (pixel,).

    The reference epoch means nothing. Means and differences are taken in double precision, some epochs at a time: a
    constant of a metre leaves no trace.
    """
    batches = list(zip(torch.split(flat, EPOCHS), torch.split(valid, EPOCHS), strict=True))
    total = torch.zeros(flat.shape[1], dtype=torch.float64, device=flat.device)
    count = torch.zeros_like(total)
    for some, seen in batches:
        total += some.sum(0, dtype=torch.float64)
        count += count_valid(seen)
    mean = total / count.clamp(min=1)
    for some, seen in batches:
        some.copy_((some.double() - mean) * seen)
    return mean.to(flat.dtype)


def take_delay(flat: Tensor, valid: Tensor, delay: Delay, columns: Tensor) -> None:
    """Take the delay of every epoch from series (time, pixel) where they stand; columns (column, pixel)."""
    for some, own, seen in zip(*(torch.split(one, EPOCHS) for one in (flat, delay.coefficients, valid)), strict=True):
        some -= own @ columns
        some *= seen


def take_background(flat: Tensor, valid: Tensor, design: Tensor, weight: Tensor) -> None:
    """Take offset, rate and season (time, column) of every pixel from series (time, pixel) where they stand."""
    for some, seen in zip(torch.split(flat, PIXELS, 1), torch.split(valid, PIXELS, 1), strict=True):
        some -= fitted(some, seen, design, weight)
        some *= seen
