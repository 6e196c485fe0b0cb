"""A displacement field in, its rate, season and events with sigma out: arrays to arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from slipscan import seriesmodel
from slipscan.denoise import background
from slipscan.denoise.features import Features
from slipscan.denoise.network import CONTRAST_EPOCHS, odd_prediction
from slipscan.denoise.nuisance import temporal_noise
from slipscan.denoise.pretrained import Weights

Float32 = NDArray[np.float32]
Float = NDArray[np.float64]

PIXEL_NOISE_RANGE = (0.5, 3.0)
"""A pixel's noise over the epoch's: clipped, since a robust scale of few epochs is itself noisy."""


@dataclass(frozen=True)
class Denoised:
    """The parts of a displacement field, all float32, metres, positive toward the satellite.

    Attributes
    ----------
    denoised, denoised_std, transient
        (time, y, x); `denoised` is offset + rate + season + transient
    rate
        (y, x) m/yr
    seasonal_amplitude, seasonal_phase
        (y, x) m and rad; NaN for a series shorter than a year
    """

    denoised: Float32
    denoised_std: Float32
    transient: Float32
    rate: Float32
    seasonal_amplitude: Float32
    seasonal_phase: Float32


def denoise(
    displacement: Float32,
    time: NDArray[np.datetime64],
    height: NDArray[np.floating] | None,
    segment: NDArray[np.integer] | None,
    weights: Weights | None,
    *,
    filter_d: float = 48.0,
    batch: int = 8,
) -> Denoised:
    """Denoise a stack.

    Parameters
    ----------
    displacement
        (time, y, x) m, NaN = no data
    time
        (time,) datetime64[ns]
    height
        (y, x) m or None
    segment
        (time,) connected part of the network or None
    weights
        of the network; None runs the classical method
    filter_d
        standard deviation x 2 of the classical method's Gaussian filter in time, days
    batch
        intervals in one pass of the network

    Returns
    -------
    Denoised
        NaN where the valid epochs of a pixel do not determine rate and season
    """
    n, *grid = displacement.shape
    shape = (grid[0], grid[1])
    series = displacement.reshape(n, -1).astype(float)
    closed = background.estimate(series, time, height, shape, segment)
    if weights is None:
        transient, variance = _temporal_filter(closed, time, filter_d)
    else:
        transient, variance = _network_transient(closed, time, height, shape, weights, batch)
    cleaned = series - closed.nuisance - transient
    parameters = seriesmodel.fit(closed.matrix, cleaned, 1 / closed.epoch_std**2)
    undetermined = ~np.isfinite(parameters).all(axis=0)
    transient[:, undetermined] = np.nan
    pixel_noise = np.clip(temporal_noise(closed.residual / closed.epoch_std[:, None]), *PIXEL_NOISE_RANGE)
    formal = background.formal_std(closed.matrix, closed.epoch_std)
    factor = weights.std_factor if weights else 1.0
    std = factor * np.sqrt((formal[:, None] * pixel_noise) ** 2 + variance)
    std[:, undetermined] = np.nan
    amplitude, phase = _season(closed.names, parameters)
    rate = parameters[closed.names.index("rate")]
    return Denoised(
        *(
            part.reshape(-1, *shape).astype(np.float32)
            for part in (closed.matrix @ parameters + transient, std, transient)
        ),
        *(part.reshape(shape).astype(np.float32) for part in (rate, amplitude, phase)),
    )


def _season(names: list[str], parameters: Float) -> tuple[Float, Float]:
    """Amplitude (m) and phase (rad) of the annual part, (pixel,)."""
    if "annual_cos" not in names:
        unknown = np.full(parameters.shape[1], np.nan)
        return unknown, unknown
    cos, sin = parameters[names.index("annual_cos")], parameters[names.index("annual_sin")]
    return np.hypot(cos, sin), np.arctan2(sin, cos)


def _temporal_filter(
    closed: background.Background, time: NDArray[np.datetime64], filter_d: float
) -> tuple[Float, Float]:
    """The classical transient: residuals smoothed in time by a mask-aware Gaussian, and its variance."""
    days = seriesmodel.days_since_2014(time)
    sigma_epochs = filter_d / 2 / max(float(np.median(np.diff(days))), 1e-9)
    valid = np.isfinite(closed.residual)
    weight = valid / closed.epoch_std[:, None] ** 2

    def smooth(values: Float) -> Float:
        return np.asarray(gaussian_filter1d(values, sigma_epochs, axis=0, mode="constant"))

    total = smooth(weight)
    enough = total > 1e-6 * total.max()
    safe = np.where(enough, total, 1.0)
    transient = np.where(enough, smooth(weight * np.where(valid, closed.residual, 0.0)) / safe, 0.0)
    # The filter averages about 2 sqrt(pi) sigma epochs of equal noise.
    variance = np.where(enough, 1 / safe, 0.0) / max(1.0, 2 * np.sqrt(np.pi) * sigma_epochs)
    return transient, variance


def _network_transient(
    closed: background.Background,
    time: NDArray[np.datetime64],
    height: NDArray[np.floating] | None,
    shape: tuple[int, int],
    weights: Weights,
    batch: int,
) -> tuple[Float, Float]:
    """The network's transient and its variance, each (time, pixel)."""
    features = Features(closed, time, height, shape)
    steps, variances = predict_contrasts(features, weights, batch)
    n = len(time)
    transient = np.concatenate([np.zeros((1, steps.shape[1])), np.cumsum(steps, axis=0)]) / CONTRAST_EPOCHS
    # Relative to the temporal mean, an interval's error enters epoch t with this factor. Neighbouring
    # contrasts share their epochs: errors of CONTRAST_EPOCHS of them add up in amplitude, not in power.
    after = np.arange(n)[:, None] > np.arange(n - 1)[None, :]
    factor = after - (n - 1 - np.arange(n - 1)) / n
    return transient, factor**2 @ variances / CONTRAST_EPOCHS


def predict_contrasts(features: Features, weights: Weights, batch: int) -> tuple[Float, Float]:
    """Mean (m) and variance (m2) of the contrast at every interval, each (interval, pixel)."""
    rows, columns = features.shape
    mean = np.zeros((len(features), rows * columns))
    variance = np.zeros_like(mean)
    device = next(weights.network.parameters()).device
    with torch.inference_mode():
        for start in range(0, len(features), batch):
            chosen = list(range(start, min(start + batch, len(features))))
            stacked = features.of(chosen).to(device, memory_format=torch.channels_last)
            prediction = odd_prediction(weights.network, stacked)
            unit = features.unit[chosen].reshape(len(chosen), -1)
            crop = (slice(None), slice(rows), slice(columns))
            mean[chosen] = prediction.mean[crop].reshape(len(chosen), -1).cpu().numpy() * unit
            std = prediction.log_std[crop].exp().reshape(len(chosen), -1).cpu().numpy() * unit
            variance[chosen] = std.astype(float) ** 2
    return mean, variance
