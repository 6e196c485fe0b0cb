"""Fill missing pixels from their surroundings, for methods that need whole images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]

_PASSES = 3
"""A tenth of the data missing: three passes leave a thousandth of the first one's error in a pixel's mean."""


def fill_gaps(fields: Float, valid: Mask) -> Float:
    """Replace missing pixels by the mean of ever larger blocks around them (a pyramid).

    Parameters
    ----------
    fields
        (n, y, x) finite numbers; those outside `valid` are not used
    valid
        (n, y, x)

    Returns
    -------
    filled
        (n, y, x); a field without data is 0
    """
    if valid.all():
        return fields
    n, rows, columns = fields.shape
    if rows == columns == 1:
        return np.where(valid, fields, 0.0)
    padded = np.zeros((2, n, rows + rows % 2, columns + columns % 2))
    padded[0, :, :rows, :columns] = np.where(valid, fields, 0.0)
    padded[1, :, :rows, :columns] = valid
    total, count = padded[:, :, ::2, ::2] + padded[:, :, 1::2, ::2] + padded[:, :, ::2, 1::2] + padded[:, :, 1::2, 1::2]
    coarse = fill_gaps(total / np.maximum(count, 1.0), count > 0)
    return np.where(valid, fields, coarse.repeat(2, axis=1).repeat(2, axis=2)[:, :rows, :columns])


def without_mean_or_gaps(displacement: Float, valid: Mask) -> Float:
    """Series relative to their own temporal mean, gaps filled from the surroundings.

    A pixel that misses epochs has another mean than its neighbours, so mean and filled values are
    determined in turn. The reference epoch does not matter: a constant of a pixel is in its mean.

    Parameters
    ----------
    displacement
        (time, y, x) m
    valid
        (time, y, x) where there is data

    Returns
    -------
    series
        (time, y, x) m, finite, temporal mean 0
    """
    data = np.where(valid, displacement, 0.0)
    count = valid.sum(axis=0)
    mean = data.sum(axis=0) / np.maximum(count, 1)
    series = np.where(valid, data - mean, 0.0)
    gaps = ~valid
    affected = gaps.any(axis=(1, 2))
    for _ in range(_PASSES if affected.any() else 0):
        series[affected] = fill_gaps(series[affected], valid[affected])
        mean = (data + np.where(gaps, series, 0.0)).sum(axis=0) / np.maximum(count, 1)
        series = np.where(valid, data - mean, series)
    return series - series.mean(axis=0)
