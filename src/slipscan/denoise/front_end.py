"""What the network is given of a window of a stack: all that has a closed form, in float32 and on any device.

Per epoch a robust fit of offset, ramp and height; per pixel a least-squares fit of the background (offset, rate,
season) that respects gaps; per epoch a noise level. Everything is divided by one number, the noise of the best step
estimate in the window, and multiplied by it in the end: that makes the network equivariant to amplitude. What the
fit of an epoch removed is kept (`Window.removed`): a plane may be the far end of a deep source.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slipscan.denoise.least_squares import Delay, fit_delay, fitted_background, projected
from slipscan.errors import SlipscanError

BINS: Final = 12
"""Candidate histories of a window: linear ramps over as many bins of equal numbers of epochs."""
MAX_SAMPLED: Final = 1600
"""Offset, ramp and slope with height of an epoch are four numbers: more pixels make no better ones."""
MIN_SHARE: Final = 1e-2
"""Of the information in all epochs: a pixel with less of it says nothing."""


@dataclass(frozen=True)
class Survey:
    """A stack over one footprint, with the delay of every epoch: what windows in time are cut from.

    Attributes
    ----------
    cleaned
        (time, pixel) displacement less delay, relative to `mean`, m; 0 where there is no data
    mean
        (pixel,) over time, m
    valid
        (time, pixel) bool
    columns
        (column, y, x) spatial columns of the delay
    delay
        of every epoch
    height
        (y, x) m, relative to the footprint's mean; 0 where unknown
    days
        (time,)
    pixel_m
        side of a cell
    """

    cleaned: Tensor
    mean: Tensor
    valid: Tensor
    columns: Tensor
    delay: Delay
    height: Tensor
    days: NDArray[np.float64]
    pixel_m: float

    @property
    def weight(self) -> Tensor:
        """(time,) inverse variance of an epoch, 1/m2."""
        return self.delay.std**-2


@dataclass(frozen=True)
class Window:
    """A window of a stack, ready for the network; a unit is `unit_m` metres.

    Attributes
    ----------
    residual
        (time, y, x) displacement less delay and background, units; 0 where there is no data
    valid
        (time, y, x) bool
    removed
        (time, column) coefficients of the delay without their own background, units
    columns
        (column, y, x) spatial columns of the delay
    weight
        (time,) inverse variance of an epoch, 1/unit^2
    design
        (time, k) background columns
    days
        (time,) since the first epoch
    height
        (y, x) m, relative to the scene's mean; 0 where unknown
    pixel_m, unit_m
        side of a cell, and what one unit is, m
    """

    residual: Tensor
    valid: Tensor
    removed: Tensor
    columns: Tensor
    weight: Tensor
    design: Tensor
    days: Tensor
    height: Tensor
    pixel_m: float
    unit_m: float

    def to(self, device: torch.device) -> Window:
        """The same window on a device."""
        moved: dict[str, Any] = {name: part.to(device) for name, part in vars(self).items() if isinstance(part, Tensor)}
        return dataclasses.replace(self, **moved)

    def negative(self) -> Window:
        """The same window of a stack of the other sign."""
        return dataclasses.replace(self, residual=-self.residual, removed=-self.removed)


def spatial_columns(height: Tensor) -> Tensor:
    """Columns of an epoch's delay, (column, y, x): 1, x, y and, where heights vary by more than 1 m, height."""
    rows, columns = height.shape
    y, x = (torch.linspace(-1, 1, n, device=height.device) if n > 1 else torch.zeros(1) for n in (rows, columns))
    out = [torch.ones_like(height), x.expand(rows, columns), y[:, None].expand(rows, columns)]
    known = torch.isfinite(height)
    if known.any() and (spread := float(height[known].std(correction=0))) > 1.0:
        out.append(torch.where(known, (height - height[known].mean()) / spread, 0.0))
    return torch.stack(out)


def survey(
    displacement: NDArray[np.floating],
    days: NDArray[np.floating],
    height: NDArray[np.floating] | None,
    design: NDArray[np.floating],
    pixel_m: float,
    device: torch.device | str = "cpu",
) -> Survey:
    """Fit the delay of every epoch.

    Parameters
    ----------
    displacement
        (time, y, x) m, NaN = no data, about any reference epoch
    days
        (time,) ascending
    height
        (y, x) m, NaN = unknown; or None
    design
        (time, k) background columns, taken out for the fit of the delay only
    pixel_m
        side of a cell

    Raises
    ------
    SlipscanError
        no valid pixel
    """
    data = torch.as_tensor(displacement, dtype=torch.float32, device=device)
    rows, cols = data.shape[1:]
    valid = torch.isfinite(data).flatten(1)
    if not valid.any():
        raise SlipscanError("the stack holds no data: every pixel of every epoch is missing")
    matrix = torch.as_tensor(design, dtype=torch.float32, device=device)
    relief = torch.full((rows, cols), math.nan) if height is None else torch.as_tensor(height, dtype=torch.float32)
    relief = relief.to(device)
    columns = spatial_columns(relief)
    flat = torch.nan_to_num(data.flatten(1), nan=0.0)
    # Relative to the temporal mean: the reference epoch means nothing.
    mean = flat.sum(0) / valid.sum(0).clamp(min=1)
    flat = (flat - mean) * valid
    sampled = _sample(valid, rows, cols)
    few, mask = flat[:, sampled], valid[:, sampled]
    delay = _delay_beside_background(few, mask, columns.flatten(1)[:, sampled], matrix)
    known = torch.isfinite(relief)
    return Survey(
        cleaned=(flat - delay.coefficients @ columns.flatten(1)) * valid,
        mean=mean,
        valid=valid,
        columns=columns,
        delay=delay,
        height=torch.where(known, relief - relief[known].mean(), 0.0) if known.any() else torch.zeros_like(relief),
        days=np.asarray(days, float),
        pixel_m=float(pixel_m),
    )


def cut(stack: Survey, epochs: slice, design: NDArray[np.floating]) -> Window:
    """A window of some epochs of a stack, with background columns (time, k) of its own, the first constant."""
    shape = (-1, *stack.height.shape)
    matrix = torch.as_tensor(np.ascontiguousarray(design), dtype=torch.float32, device=stack.cleaned.device)
    weight = stack.weight[epochs]
    valid, cleaned = stack.valid[epochs], stack.cleaned[epochs]
    residual = (cleaned - fitted_background(cleaned, valid, matrix, weight)) * valid
    coefficients = stack.delay.coefficients[epochs]
    everywhere = torch.ones_like(coefficients, dtype=torch.bool)
    removed = coefficients - fitted_background(coefficients, everywhere, matrix, weight)
    unit = best_step_std(matrix, weight)
    days = stack.days[epochs]
    return Window(
        residual=(residual / unit).reshape(shape),
        valid=valid.reshape(shape),
        removed=removed / unit,
        columns=stack.columns,
        weight=weight * unit**2,
        design=matrix,
        days=torch.as_tensor(days - days[0], dtype=torch.float32, device=matrix.device),
        height=stack.height,
        pixel_m=stack.pixel_m,
        unit_m=unit,
    )


def _delay_beside_background(series: Tensor, mask: Tensor, columns: Tensor, design: Tensor) -> Delay:
    """Delay of every epoch, the background being taken out for its fit only; (time, pixel), (column, pixel)."""
    equal = torch.ones(len(series), device=series.device)
    delay = fit_delay((series - fitted_background(series, mask, design, equal)) * mask, mask, columns)
    if bool((mask.all(0) | ~mask.any(0)).all()):
        return delay
    # Delay of the epochs that a pixel lacks is in the others' mean: once more, with the background of what is cleaned.
    for _ in range(2):
        cleaned = (series - delay.coefficients @ columns) * mask
        delay = fit_delay((series - fitted_background(cleaned, mask, design, equal)) * mask, mask, columns)
    return delay


def _sample(mask: Tensor, rows: int, cols: int) -> Tensor:
    """Numbers of evenly spaced pixels that have data."""
    stride = max(1, int(math.sqrt(rows * cols / MAX_SAMPLED)))
    chosen = torch.zeros(rows, cols, dtype=torch.bool, device=mask.device)
    chosen[_lattice(rows, stride)[:, None], _lattice(cols, stride)] = True
    covered = mask.any(0)
    numbers = torch.nonzero(chosen.flatten() & covered)[:, 0]
    return numbers if len(numbers) >= 32 else torch.nonzero(covered)[:, 0]


def _lattice(count: int, stride: int) -> Tensor:
    """Every stride-th number from both ends to the middle: the same whichever end is the first."""
    near = torch.arange(0, (count + 1) // 2, stride)
    return torch.cat([near, count - 1 - near])


def bin_histories(epochs: int, device: torch.device | str = "cpu") -> Tensor:
    """The candidate histories, (time, BINS): ramps from 0 to 1, one after the other; their sum has any history."""
    edges = torch.linspace(0, epochs - 1, BINS + 1, device=device)
    number = torch.arange(epochs, device=device, dtype=torch.float32)
    return ((number[:, None] - edges[:-1]) / (edges[1:] - edges[:-1])).clamp(0, 1)


def best_step_std(design: Tensor, weight: Tensor) -> float:
    """Smallest standard deviation of the candidates' amplitudes, m."""
    rest = projected(bin_histories(len(weight), weight.device), design, weight)
    information = float((weight[:, None] * rest.square()).sum(0).max())
    if information <= 0:
        return float(weight.max() ** -0.5)
    return information**-0.5


def step_statistics(window: Window) -> Tensor:
    """Amplitude of every candidate over its standard deviation, (BINS, y, x); 0 where there is no data."""
    n, rows, cols = window.residual.shape
    rest = projected(bin_histories(n, window.weight.device), window.design, window.weight)
    filters = (rest * window.weight[:, None]).T
    energy = (rest.square() * window.weight[:, None]).T
    whole = energy.sum(1, keepdim=True)
    root = torch.where(whole > 0, whole.clamp(min=1e-12).rsqrt(), 0.0)
    statistic = root * (filters @ window.residual.flatten(1))
    if not bool(window.valid.all()):
        share = energy @ window.valid.flatten(1).float() / whole.clamp(min=1e-12)
        statistic = torch.where(share > MIN_SHARE, statistic / share.clamp(min=MIN_SHARE).sqrt(), 0.0)
    return statistic.reshape(-1, rows, cols)
