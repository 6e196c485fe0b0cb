"""Strength of a residual per epoch: overall, per spatial band, and per wavenumber; freed of what the fit took."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]

MIN_TAPERED_SHARE = 0.5
"""Epochs with fewer valid pixels do not enter the spectrum: too many gaps for a taper."""
MIN_TAPERED_SIDE = 4
MIN_WEIGHT = 0.3
"""Part of a smoothing kernel's weight that must lie on valid pixels."""
SMALLEST_SIDE = 8
"""Bands end where the scene is this many of their widths wide."""
FILL_CELLS, FILL_PASSES = 1.5, 4
"""Width of the mean that fills gaps, and how often it is taken."""
MIN_FILL_WEIGHT = 0.02
CHUNK = 16
_MOST_LEVERAGE = 0.6


def epoch_rms(residual: Float) -> Float:
    """RMS over space of every epoch about its mean, (time,), m; NaN for an empty epoch.

    Parameters
    ----------
    residual
        (time, pixel) m, NaN = no data
    """
    valid = np.isfinite(residual)
    count = valid.sum(axis=1)
    safe = np.maximum(count, 1)
    filled = np.where(valid, residual, 0.0)
    mean = filled.sum(axis=1) / safe
    rms = np.sqrt(np.where(valid, (filled - mean[:, None]) ** 2, 0.0).sum(axis=1) / safe)
    return np.where(count > 0, rms, np.nan)


def fill_gaps(residual: Float, matrix: Float) -> Float:
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
    if (valid.all(axis=0) | ~valid.any(axis=0)).all():
        return residual
    hat = matrix @ np.linalg.pinv(matrix)
    gappy = np.flatnonzero((~valid & valid.any(axis=0)).any(axis=(1, 2)))
    weight = ndimage.gaussian_filter(valid[gappy].astype(float), (0, FILL_CELLS, FILL_CELLS), mode="constant")
    near = weight > MIN_FILL_WEIGHT
    filled = np.where(valid, residual, 0.0)
    for _ in range(FILL_PASSES):
        known = np.where(valid[gappy], filled[gappy], 0.0)
        mean = ndimage.gaussian_filter(known, (0, FILL_CELLS, FILL_CELLS), mode="constant")
        mean = np.divide(mean, weight, out=np.zeros_like(mean), where=near)
        filled[gappy] = np.where(valid[gappy], known, np.where(near, mean, filled[gappy]))
        filled -= np.tensordot(hat, filled, axes=1)
    return np.where(valid, filled, np.nan)


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


def band_power(residual: Float, pixel_m: tuple[float, float]) -> tuple[Float, Float]:
    """Mean square of a residual in spatial bands: differences of Gaussians of width s/2 and s.

    Parameters
    ----------
    residual
        (time, y, x) m, NaN = no data
    pixel_m
        height and width of a cell

    Returns
    -------
    scale_m, power
        (band,) width s: a pixel (whose band holds all that is finer), two pixels, four, ...;
        (time, band) m2, NaN for an empty epoch. The bands add up to the residual less its smoothest part
    """
    parts = [_band_power(residual[first : first + CHUNK], pixel_m) for first in range(0, max(len(residual), 1), CHUNK)]
    return parts[0][0], np.concatenate([power for _, power in parts])


def _band_power(residual: Float, pixel_m: tuple[float, float]) -> tuple[Float, Float]:
    """`band_power` of a few epochs: the copies are many times as large as the residual."""
    scales: list[float] = []
    power: list[Float] = []
    field, weight = np.where(np.isfinite(residual), residual, 0.0), np.isfinite(residual).astype(float)
    scale = float(np.sqrt(pixel_m[0] * pixel_m[1]))
    while min(field.shape[1:]) >= SMALLEST_SIDE or not scales:
        one, solid = _smooth(field, weight, 1.0)
        two, broad = _smooth(field, weight, 2.0)
        fine = np.divide(field, weight, out=np.zeros_like(field), where=weight > 0)
        if not scales:
            scales.append(scale)
            power.append(_mean_square(fine - one, (weight > 0) & solid))
        scales.append(2 * scale)
        power.append(_mean_square(one - two, (weight > 0) & solid & broad))
        field, weight, scale = _halve(field), _halve(weight), 2 * scale
    return np.array(scales), np.stack(power, axis=1)


def _smooth(field: Float, weight: Float, width: float) -> tuple[Float, Bool]:
    """Weighted Gaussian mean (time, y, x) of width `width` cells, and where its kernel is on data."""
    options = {"sigma": (0.0, width, width), "mode": "constant", "truncate": 3.0}
    below = ndimage.gaussian_filter(weight, **options)
    above = ndimage.gaussian_filter(field, **options)
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0), below > MIN_WEIGHT


def _mean_square(band: Float, where: Bool) -> Float:
    """Mean of the square over the pixels that count (time,)."""
    count = where.sum(axis=(1, 2))
    total = np.where(where, band**2, 0.0).sum(axis=(1, 2))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _halve(field: Float) -> Float:
    """Means of blocks of 2 x 2 cells (time, y/2, x/2)."""
    rows, columns = (n - n % 2 for n in field.shape[1:])
    return np.asarray(field[:, :rows, :columns].reshape(len(field), rows // 2, 2, columns // 2, 2).mean(axis=(2, 4)))


def spectrum(residual: Float, pixel_m: tuple[float, float], bins: int) -> tuple[Float, Float]:
    """Isotropic power spectrum, the mean over epochs.

    Parameters
    ----------
    residual
        (time, y, x) m; gaps are set to the epoch's mean under a Hann taper and the power is rescaled by
        the share of valid pixels
    pixel_m
        height and width of a cell, m
    bins
        logarithmic bins of wavenumber

    Returns
    -------
    wavenumber, power
        (wavenumber,) cycles per km, bin centres; (wavenumber,) m2 per 2-D Fourier cell: summed over the
        plane of the cells it is the variance. Empty for a scene of fewer than 4 rows or columns
    """
    _, rows, columns = residual.shape
    if min(rows, columns) < MIN_TAPERED_SIDE:
        return np.empty(0), np.empty(0)
    taper = np.hanning(rows)[:, None] * np.hanning(columns)[None, :]
    power = np.zeros((rows, columns))
    used = 0
    for epoch in residual:
        valid = np.isfinite(epoch)
        weight = float(((taper * valid) ** 2).sum())
        if valid.mean() < MIN_TAPERED_SHARE or weight == 0:
            continue
        centred = np.where(valid, epoch - epoch[valid].mean(), 0.0)
        power += np.abs(np.fft.fft2(centred * taper)) ** 2 / weight
        used += 1
    power /= max(used, 1) * rows * columns
    ky, kx = (np.fft.fftfreq(n, pixel / 1e3) for n, pixel in zip((rows, columns), pixel_m, strict=True))
    k = np.hypot(ky[:, None], kx[None, :])
    edges = np.geomspace(k[k > 0].min(), 0.5e3 / max(pixel_m), bins + 1)
    which = np.digitize(k.ravel(), edges) - 1
    inside = (which >= 0) & (which < bins)
    count = np.bincount(which[inside], minlength=bins)
    mean = np.bincount(which[inside], power.ravel()[inside], minlength=bins) / np.maximum(count, 1)
    filled = (count > 0) & (mean > 0)
    return np.sqrt(edges[1:] * edges[:-1])[filled], mean[filled]
