"""What the network is given of a series: all that has a closed form, in float32 and on any device.

Per epoch a robust fit of offset, ramp and height; per pixel a least-squares fit of the background (offset, rate,
season) that respects gaps; per epoch a noise level. Everything is divided by one number, the noise of the best step
estimate, and multiplied by it in the end: that makes the network equivariant to amplitude. What the fit of an epoch
removed is kept (`Prepared.removed`): a plane may be the far end of a deep source.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from slipscan.denoise.methods.slipnet.scales import BAND_SIGMAS, COARSE
from slipscan.fit.background import fitted
from slipscan.fit.clean import Cleaned
from slipscan.fit.masks import any_valid
from slipscan.fit.ramps import projected
from slipscan.noise.temporal import told_red

BINS: Final = 12
"""Candidate histories of the scan: linear ramps over as many bins of equal numbers of epochs."""


MIN_EPOCH: Final = 0.05
"""Of the pixels that have any data: an epoch that has fewer is left out."""
LEAST_EPOCHS: Final = 5


@dataclass(frozen=True)
class Prepared:
    """A series over one footprint, ready for the network; a unit is `unit_m` metres.

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
    red
        (band,) variance that noise gains in a year as a random walk, over that of its white part, 1/yr; detail first
    los
        (3,) unit vector from the ground to the satellite: east, north, up; None: unknown
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
    red: Tensor
    los: Tensor | None = None

    @cached_property
    def seen(self) -> Tensor:
        """(y, x) bool, where there is any data."""
        return any_valid(self.valid)

    def to(self, device: torch.device) -> Prepared:
        """The same on a device."""
        parts = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        moved: dict[str, Any] = {name: part.to(device) for name, part in parts.items() if isinstance(part, Tensor)}
        return dataclasses.replace(self, **moved)

    def negative(self) -> Prepared:
        """The same of a series of the other sign."""
        return dataclasses.replace(self, residual=-self.residual, removed=-self.removed)


def prepare(
    cleaned: Cleaned,
    days: NDArray[np.floating],
    pixel_m: float,
    noise: xr.Dataset | None = None,
    los: NDArray[np.floating] | None = None,
) -> Prepared:
    """Take the background out of a cleaned series and bring it into units of its noise.

    Parameters
    ----------
    cleaned
        the series; the first column of its design is constant
    days
        (time,) ascending
    pixel_m
        side of a cell
    noise
        product 'noise' of the region; None: white in time
    los
        unit vector from the ground to the satellite, (3,) or (3, y, x); None: unknown
    """
    shape = (-1, *cleaned.height.shape)
    weight = cleaned.weight
    coefficients = cleaned.delay.coefficients
    everywhere = torch.ones_like(coefficients, dtype=torch.bool)
    removed = coefficients - fitted(coefficients, everywhere, cleaned.design, weight)
    unit = best_step_std(cleaned.design, weight)
    return Prepared(
        residual=(cleaned.residual() / unit).reshape(shape),
        valid=cleaned.valid.reshape(shape),
        removed=removed / unit,
        columns=cleaned.columns,
        weight=weight * unit**2,
        design=cleaned.design,
        days=torch.as_tensor(days - days[0], dtype=torch.float32, device=weight.device),
        height=cleaned.height,
        pixel_m=float(pixel_m),
        unit_m=unit,
        red=torch.as_tensor(red_of(noise, pixel_m), dtype=torch.float32, device=weight.device),
        los=_mean_los(los, weight.device),
    )


def _mean_los(los: NDArray[np.floating] | None, device: torch.device) -> Tensor | None:
    """(3,) that of the tile; None where it is known nowhere."""
    if los is None:
        return None
    every = los.reshape(3, -1)
    known = np.isfinite(every).all(0)
    if not known.any():
        return None
    mean = every[:, known].mean(1)
    return torch.as_tensor(mean / np.linalg.norm(mean), dtype=torch.float32, device=device)


def red_of(noise: xr.Dataset | None, pixel_m: float) -> NDArray[np.float64]:
    """Variance of the random walk over that of the white part (band,), 1/yr, of detail and bands of a tile.

    Between the bands of the product that tell it, linear in the logarithm of the width; 0 if none does, as in a series
    of less than 2.5 years, of which the product holds a guess.
    """
    width_km = COARSE * pixel_m / 1e3 * np.array([0.5, *BAND_SIGMAS, 2 * BAND_SIGMAS[-1]])
    nothing = np.zeros(len(width_km))
    if noise is None or "red_variance" not in noise:
        return nothing
    red = told_red(noise)
    told = np.isfinite(red)
    return np.interp(np.log(width_km), np.log(noise["band"].values[told]), red[told]) if told.any() else nothing


def without_empty(prepared: Prepared) -> Prepared:
    """The same without epochs that hardly any pixel has data of.

    What fills their holes is no observation; a series of nothing else is kept as it is.
    """
    share = prepared.valid[:, prepared.seen].float().mean(1)
    kept = share > MIN_EPOCH
    if bool(kept.all()) or int(kept.sum()) < LEAST_EPOCHS:
        return prepared
    over_time = ("residual", "valid", "removed", "weight", "design", "days")
    return dataclasses.replace(prepared, **{name: getattr(prepared, name)[kept] for name in over_time})


def padded(prepared: Prepared, multiple: int) -> Prepared:
    """The same with rows and columns without data added, so that its sides are multiples of a number."""
    rows, cols = prepared.height.shape
    extra = (0, -cols % multiple, 0, -rows % multiple)
    if not any(extra):
        return prepared
    return dataclasses.replace(
        prepared,
        residual=pad(prepared.residual, extra),
        valid=pad(prepared.valid, extra),
        columns=pad(prepared.columns, extra),
        height=pad(prepared.height, extra),
    )


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
