"""The parts of an epoch's delay that a closed form removes: offset, ramp and a slope with height."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

HUBER_K = 1.345
IRLS_ITERATIONS = 4
MAD_TO_STD = 1.4826


def robust_std(values: Float, axis: int) -> Float:
    """Standard deviation from the median absolute deviation, NaN-aware; 0 where there is no data."""
    centre = np.expand_dims(nanmedian_or_zero(values, axis), axis)
    return MAD_TO_STD * nanmedian_or_zero(np.abs(values - centre), axis)


def temporal_noise(series: Float) -> Float:
    """Noise of every pixel from the differences of consecutive epochs, (time, pixel) to (pixel,).

    White noise is assumed; unlike the scatter about a mean, a step or a slow event does not inflate it
    (von Neumann's estimator with a robust scale).
    """
    return robust_std(np.diff(series, axis=0), axis=0) / np.sqrt(2)


def nanmedian_or_zero(values: Float, axis: int) -> Float:
    """Median without NaN along an axis; 0 (not NaN with a warning) where every value is missing."""
    empty = ~np.isfinite(values).any(axis=axis, keepdims=True)
    return np.asarray(np.nanmedian(np.where(empty, 0.0, values), axis=axis))


def spatial_design(height: NDArray[np.floating] | None, shape: tuple[int, int]) -> Float:
    """Columns 1, x, y and, where heights are known and vary, height; each of order one.

    Parameters
    ----------
    height
        (y, x) metres or None
    shape
        (y, x)

    Returns
    -------
    design
        (pixel, column)
    """
    y, x = np.meshgrid(np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]), indexing="ij")
    columns = [np.ones(shape), x, y]
    if height is not None and np.isfinite(height).any() and np.nanstd(height) > 1.0:
        columns.append(np.where(np.isfinite(height), height - np.nanmean(height), 0.0) / np.nanstd(height))
    return np.stack([column.ravel() for column in columns], axis=1)


def fit_nuisance(residual: Float, design: Float) -> Float:
    """Robust (Huber) fit of the spatial design to every epoch.

    Parameters
    ----------
    residual
        (time, pixel) what the background model leaves, metres, NaN = no data
    design
        (pixel, column) from `spatial_design`

    Returns
    -------
    nuisance
        (time, pixel) the fitted delay; 0 for an epoch without enough data

    Notes
    -----
    A broad signal of deep slip looks like a ramp over a small scene and is removed with it: the network
    with a finite prior on ramps is the answer to that, not this closed form.
    """
    valid = np.isfinite(residual)
    filled = np.where(valid, residual, 0.0)
    weight = valid.astype(float)
    k = design.shape[1]
    products = (design[:, :, None] * design[:, None, :]).reshape(len(design), k * k)
    fitted = np.zeros_like(filled)
    for _ in range(IRLS_ITERATIONS):
        normal = (weight @ products).reshape(-1, k, k)
        right = (weight * filled) @ design
        enough = valid.sum(axis=1) >= 3 * k
        # A tiny ridge keeps an epoch whose valid pixels lie on one line solvable.
        ridge = 1e-9 * np.trace(normal, axis1=1, axis2=2)[:, None, None] * np.eye(k)
        parameters = np.zeros((len(filled), k))
        if enough.any():
            parameters[enough] = np.linalg.solve((normal + ridge)[enough], right[enough][:, :, None])[:, :, 0]
        fitted = parameters @ design.T
        misfit = np.where(valid, filled - fitted, np.nan)
        scale = np.maximum(robust_std(misfit, axis=1), 1e-9)[:, None]
        size = np.abs(np.where(valid, filled - fitted, 0.0)) / scale
        weight = valid * np.minimum(1.0, HUBER_K / np.maximum(size, 1e-12))
    return fitted
