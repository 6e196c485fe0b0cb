"""What rate and season leave of a series, and what the fit took of its variance."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from slipscan.fit.background import fit_series
from slipscan.noise.estimate_blur import blurred

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]
Bool = NDArray[np.bool_]

MIN_VALID_SHARE: Final = 0.5
"""Epochs of fewer valid pixels, and pixels of fewer valid epochs, do not count."""
FILL_CELLS: Final = 1.5
"""Width of the mean that fills gaps."""
FILL_CUT: Final = 4
"""Widths at which it ends."""
FILL_PASSES: Final = 4
MIN_FILL_WEIGHT: Final = 0.02
BATCH: Final = 16
"""Epochs that are smoothed at a time."""
PIXELS: Final = 1 << 11
"""Pixels that are fitted at a time, in double precision: a few hundred epochs of them stay in the cache."""
_MOST_LEVERAGE = 0.6


def left_over(displacement: NDArray[np.floating], matrix: Float) -> tuple[Float32, Float]:
    """Residual of the background of every pixel over its own epochs, and the background's parameters.

    Parameters
    ----------
    displacement
        (time, y, x) m, NaN = no data
    matrix
        (time, column) of the background

    Returns
    -------
    residual, parameters
        (time, y, x) m, NaN = no data, or an undetermined background; (column, y, x)
    """
    epochs, rows, cols = displacement.shape
    series = displacement.reshape(epochs, -1)
    residual = np.empty(series.shape, np.float32)
    parameters = np.empty((matrix.shape[1], rows * cols))
    solve = np.linalg.pinv(matrix)
    for first in range(0, rows * cols, PIXELS):
        few = slice(first, first + PIXELS)
        values = series[:, few].astype(np.float64)
        complete = len(matrix) > matrix.shape[1] and bool(np.isfinite(values).all())
        parameters[:, few] = solve @ values if complete else fit_series(matrix, values)
        values -= matrix @ parameters[:, few]
        if not complete:
            values[~np.isfinite(values)] = np.nan
        residual[:, few] = values
    return residual.reshape(epochs, rows, cols), parameters.reshape(-1, rows, cols)


def used_epochs(residual: Float32) -> Bool:
    """(time,) epochs that are valid in more than half of the pixels that are ever valid."""
    known = np.isfinite(residual)
    return np.asarray(known.sum(axis=(1, 2)) > MIN_VALID_SHARE * known.any(axis=0).sum())


def completed(residual: Float32, matrix: Float, used: Bool) -> Float32:
    """The residual as of complete series: pixels of too few epochs left out, used epochs fitted anew (`fill_gaps`)."""
    if used.all() and np.isfinite(residual).all():
        return residual
    enough = np.maximum(MIN_VALID_SHARE * used.sum(), matrix.shape[1] + 1)
    out = np.where(np.isfinite(residual[used]).sum(axis=0) < enough, np.float32(np.nan), residual)
    out[used] = fill_gaps(out[used], matrix[used])
    return out


def fill_gaps(residual: Float32, matrix: Float) -> Float32:
    """Residual of one model for all pixels: gaps take the mean of their neighbours in the same epoch.

    A pixel that lacks an epoch errs in its rate by another combination of delays than its neighbour. Left
    alone, that looks like white noise. Filling and fitting anew, a few times, gives both the same combination.

    Parameters
    ----------
    residual
        (time, y, x) m of a fit pixel by pixel, NaN = no data
    matrix
        (time, column) that was fitted

    Returns
    -------
    residual
        of the same shape, NaN where it was
    """
    valid = np.isfinite(residual)
    gappy = np.flatnonzero((~valid & valid.any(axis=0)).any(axis=(1, 2)))
    if not gappy.size:
        return residual
    batches = [gappy[first : first + BATCH] for first in range(0, len(gappy), BATCH)]
    weights = [blurred(valid[few].astype(np.float32), FILL_CELLS, FILL_CUT) for few in batches]
    filled = np.where(valid, residual, np.float32(0.0))
    solve = np.linalg.pinv(matrix)
    for _ in range(FILL_PASSES):
        for few, weight in zip(batches, weights, strict=True):
            near = weight > MIN_FILL_WEIGHT
            mean = blurred(np.where(valid[few], filled[few], np.float32(0.0)), FILL_CELLS, FILL_CUT)
            np.divide(mean, weight, out=mean, where=near)
            filled[few] = np.where(valid[few] | ~near, filled[few], mean)
        parameters = np.tensordot(solve.astype(np.float32), filled, axes=1)
        for first in range(0, len(filled), BATCH):
            epochs = slice(first, first + BATCH)
            filled[epochs] -= np.tensordot(matrix[epochs].astype(np.float32), parameters, axes=1)
    return np.where(valid, filled, np.float32(np.nan))


def residual_gain(matrix: Float) -> Float:
    """How the noise variances of epochs turn into variances of residuals of the fit.

    The residual of epoch t is sum_s R_ts n_s with R = I - X (X'X)^-1 X', so that its variance is
    sum_s R_ts^2 var_s (Hartley, Rao & Kiefer 1969, Biometrika).

    Parameters
    ----------
    matrix
        (time, column) of the model that was fitted

    Returns
    -------
    gain
        (time, time): E residual variance = gain @ variance of the epochs
    """
    return np.asarray((np.eye(len(matrix)) - matrix @ np.linalg.pinv(matrix)) ** 2)


def epoch_variance(power: Float, gain: Float) -> Float:
    """Unbiased noise variance of every epoch from the mean squares of residuals.

    Parameters
    ----------
    power
        (time, ...) mean square of the residual, NaN = none
    gain
        (time, time) of `residual_gain`

    Returns
    -------
    variance
        of the same shape; single values may be negative, their mean is unbiased. Where the series is too
        short to tell its epochs apart, all of them are scaled by the same degrees of freedom
    """
    flat = power.reshape(len(power), -1)
    out = np.full(flat.shape, np.nan)
    known = np.isfinite(flat)
    patterns, which = np.unique(known, axis=1, return_inverse=True)
    for number, pattern in enumerate(patterns.T):
        rows, columns = np.flatnonzero(pattern), np.flatnonzero(which.ravel() == number)
        if not rows.size:
            continue
        part = gain[np.ix_(rows, rows)]
        target = flat[np.ix_(rows, columns)]
        # R_tt^2 of the diagonal is (1 - leverage)^2.
        if 1 - np.sqrt(part.diagonal().min()) < _MOST_LEVERAGE:
            out[np.ix_(rows, columns)] = np.linalg.solve(part, target)
        else:
            out[np.ix_(rows, columns)] = target / part.sum(axis=1).mean()
    return out.reshape(power.shape)
