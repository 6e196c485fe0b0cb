"""Noise in time per spatial band: the white variance of every epoch, and a random walk beside it.

White for months, red beyond is what real series are (docs/real_series.md). Of the forms that were tried on one, by
restricted likelihood, a random walk was at most a few percent of the gain over white noise from the best in every
band, and far better than a stationary red part of a memory of less than three years.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from slipscan.errors import SlipscanError
from slipscan.fit.model import DAYS_PER_YEAR
from slipscan.fit.temporal import TemporalCovariance
from slipscan.noise.estimate_bands import band_widths
from slipscan.noise.estimate_residual import completed, left_over
from slipscan.noise.estimate_scales import HeightPart
from slipscan.noise.sample import Sample
from slipscan.noise.temporal_places import Places, band_places, joined
from slipscan.noise.temporal_reml import RedFit, fit_red

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]
Bool = NDArray[np.bool_]

PRIOR: Final = 0.2
"""Red part that is assumed where a series is too short to show it, 1/yr."""
PRIOR_ERROR: Final = 0.2
MOST: Final = 3.0
"""Largest red part, 1/yr, and its error there: what seems redder was filtered in time, which is no random walk."""
SHORTEST_YR: Final = 2.5
"""A shorter series does not tell a random walk from rate and season."""
LEAST_PLACES: Final = 4
MOST_PARTS: Final = 4
"""Windows of which a part is looked at for scales below a block."""
PART: Final = 64
"""Pixels of a side of such a part."""
TOLD: Final = 2.0
"""Standard errors from which a random walk is told,"""
SMALL_ERROR: Final = 0.1
"""or so small an error, 1/yr."""
LEAST_ERROR: Final = 1e-3
"""1/yr."""


@dataclass(frozen=True)
class TemporalNoise:
    """Noise in time of every band.

    Attributes
    ----------
    white_std
        (time, band) standard deviation of the white part of an epoch in a typical place, m; NaN = unknown
    red, red_error
        (band,) variance that the random walk gains in a year over the median white variance of the epochs, and its
        standard error, 1/yr; NaN where the scene has no place for a band
    averaging_d
        (band,) means over more days than this before and after are not better than shorter ones; inf without a walk
    assumed
        (band,) the red part is `PRIOR`: a series of less than 2.5 years, or fewer than four places; or it is `MOST`
    """

    white_std: Float
    red: Float
    red_error: Float
    averaging_d: Float
    assumed: Bool


def measure_temporal(
    sample: Sample,
    broad: Float32,
    matrix: Float,
    used: Bool,
    pixel_m: tuple[float, float],
    follows: HeightPart,
) -> TemporalNoise:
    """Measure the noise in time of a sample, band by band from fine to broad.

    Parameters
    ----------
    broad
        (time, y, x) residual of the sample's block means, gaps cared for (`estimate_residual.completed`), m
    matrix
        (time, column) of the background
    used
        (time,) epochs that count
    pixel_m
        height and width of a cell
    follows
        what is taken out first
    """
    days, design = sample.seen.days[used], matrix[used]
    bands = _fine(sample, matrix, used, follows) if sample.factor > 1 else []
    widths = band_widths((broad.shape[1], broad.shape[2]), pixel_m, sample.factor)
    octaves = len(widths) - (len(bands) or 1)
    bands += band_places(follows.without(broad, used, follows.height), octaves, finest=sample.factor == 1)
    white_std = np.full((len(used), len(bands)), np.nan)
    red, error = np.full((2, len(bands)), np.nan)
    assumed = np.zeros(len(bands), bool)
    shape = None
    for band, places in enumerate(bands):
        if not places.count:
            continue
        found, assumed[band] = _fit_band(places, days, design, shape)
        white_std[used, band], red[band], error[band] = np.sqrt(found.white), found.red, found.error
        known = np.isfinite(found.white)
        shape = np.where(known, found.white, 1.0) / np.median(found.white[known]) if known.any() else shape
    return TemporalNoise(white_std, red, error, averaging(red, sample.seen.days), assumed)


def _fit_band(places: Places, days: Float, design: Float, shape: Float | None) -> tuple[RedFit, bool]:
    """The fit of a band, and whether its red part was assumed."""
    if float(np.ptp(days)) < SHORTEST_YR * DAYS_PER_YEAR or places.count < LEAST_PLACES:
        return dataclasses.replace(fit_red(places, days, design, shape, PRIOR), error=PRIOR_ERROR), True
    found = fit_red(places, days, design, shape)
    if found.red > MOST:
        return dataclasses.replace(fit_red(places, days, design, shape, MOST), error=MOST), True
    return found, False


def covariance_of(
    noise: xr.Dataset, band: int, *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
) -> TemporalCovariance:
    """Covariance in time of one band, from the noise product; epochs that it does not know are left out.

    Raises
    ------
    SlipscanError
        the product does not hold it
    """
    if "red_variance" not in noise or not np.isfinite(noise["band_white_std"].values[:, band]).any():
        raise SlipscanError("the noise product does not tell the noise in time: estimate the noise anew")
    std = torch.as_tensor(noise["band_white_std"].values[:, band], dtype=dtype, device=device)
    white = torch.where(torch.isfinite(std), std.square(), torch.inf)
    return TemporalCovariance.relative(white, float(noise["red_variance"][band]))


def told_red(noise: xr.Dataset) -> Float:
    """Variance of the random walk (band,) of a noise product, 1/yr; NaN of a band that does not tell it.

    Of a series of less than 2.5 years the product holds a guess.
    """
    red, error = (noise[name].values.astype(float) for name in ("red_variance", "red_variance_error"))
    told = np.isfinite(red) & ((red > TOLD * error) | (error < SMALL_ERROR))
    return np.where(told, red, np.nan)


def red_at(noise: xr.Dataset | None, width_km: float) -> float:
    """Variance that the random walk gains in a year at a scale, over that of the white part of a typical epoch, 1/yr.

    Linear in the logarithm of the scale between the bands of the noise product; 0 where there is none.

    Parameters
    ----------
    noise
        product 'noise'; None: not measured
    width_km
        larger width of the two Gaussians between which the scale lies
    """
    if noise is None or "red_variance" not in noise:
        return 0.0
    red = with_shrunk_red(noise)["red_variance"].values
    known = np.isfinite(red)
    return float(np.interp(np.log(width_km), np.log(noise["band"].values[known]), red[known])) if known.any() else 0.0


def with_shrunk_red(noise: xr.Dataset) -> xr.Dataset:
    """The noise product with the random walks of its bands shrunk towards their mean, as far as it has their errors."""
    if not {"red_variance", "red_variance_error"} <= set(noise):
        return noise
    red, error = (noise[name].values.astype(float) for name in ("red_variance", "red_variance_error"))
    known = np.isfinite(red) & np.isfinite(error)
    out = np.full(len(red), np.nan)
    if known.any():
        out[known] = shrunk(red[known], error[known])
    return noise.assign(red_variance=("band", out))


def shrunk(values: Float, errors: Float) -> Float:
    """Estimates (band,) shrunk towards their mean, the more the larger their error beside the scatter of the true ones.

    Random effects, the scatter by moments (DerSimonian & Laird 1986, Controlled Clinical Trials 7): a broad band of a
    small scene has few places, and what moves in them passes as noise that walks.
    """
    weight = np.maximum(errors, LEAST_ERROR) ** -2
    fixed = np.average(values, weights=weight)
    excess = np.sum(weight * (values - fixed) ** 2) - (len(values) - 1)
    scatter = max(0.0, excess / max(weight.sum() - np.sum(weight**2) / weight.sum(), 1e-30))
    mean = np.average(values, weights=1 / (scatter + 1 / weight))
    return np.asarray(mean + scatter / (scatter + 1 / weight) * (values - mean))


def averaging(red: Float, days: Float) -> Float:
    """Days before and after over which means are best (band,), for epochs at the days (time,) and a walk of 1/yr.

    Means of L epochs differ by 2 v / L of white noise and by (2/3) r v L dt of the walk, which is least where both
    are equal.
    """
    interval = float(np.median(np.diff(days)))
    with np.errstate(divide="ignore"):
        return np.sqrt(3 * interval * DAYS_PER_YEAR / red)


def _fine(sample: Sample, matrix: Float, used: Bool, follows: HeightPart) -> list[Places]:
    """Places of the bands below a block, from the middles of some windows of single pixels."""
    every = []
    step = -(-len(sample.windows) // MOST_PARTS)
    for window in sample.windows[::step]:
        seen = sample.seen.tile(*(_middle(side) for side in window))
        residual = completed(left_over(seen.values, matrix)[0], matrix, used)
        fields = follows.without(residual, used, seen.height)
        every.append(band_places(fields, sample.factor.bit_length() - 1, finest=True))
    return [joined(list(parts)) for parts in zip(*every, strict=True)]


def _middle(side: slice) -> slice:
    size = min(PART, side.stop - side.start)
    first = side.start + (side.stop - side.start - size) // 2
    return slice(first, first + size)
