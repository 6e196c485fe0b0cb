"""Refuse what cannot be simulated, in one sentence."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from slipscan.errors import SlipscanError

Float = NDArray[np.float64]


def checked_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """(rows, columns) of a scene; SlipscanError unless both are positive."""
    if len(shape) != 2 or min(shape) < 1:
        raise SlipscanError(f"a scene of shape {tuple(shape)} has no pixels: give rows and columns of 1 or more")
    return int(shape[0]), int(shape[1])


def pixel_size(pixel_m: float | tuple[float, float]) -> tuple[float, float]:
    """Height and width of a cell, metres; SlipscanError unless both are positive."""
    height, width = pixel_m if isinstance(pixel_m, tuple) else (pixel_m, pixel_m)
    if not (0 < height < math.inf and 0 < width < math.inf):
        raise SlipscanError(f"the pixel size is {pixel_m}: give metres above 0")
    return float(height), float(width)


def checked_days(days: ArrayLike) -> Float:
    """Days (time,) as float64; SlipscanError unless there is one and they are strictly ascending."""
    t = np.atleast_1d(np.asarray(days, dtype=float))
    if t.ndim != 1 or len(t) == 0 or not np.isfinite(t).all():
        raise SlipscanError("noise needs the days of one or more epochs, all of them numbers: check the dates")
    steps = np.diff(t)
    if (steps <= 0).any():
        problem = "double" if (steps == 0).any() else "out of order"
        raise SlipscanError(f"the days of the epochs are {problem}: sort them and drop duplicates")
    return t


def checked_series(
    days: ArrayLike,
    height: NDArray[np.floating],
    pixel_m: float | tuple[float, float],
    fields: NDArray[np.floating] | None,
    coherence: NDArray[np.floating] | None,
) -> tuple[Float, tuple[int, int], tuple[float, float]]:
    """Days, (rows, columns) and pixel size of a series, or SlipscanError."""
    t, scene = checked_days(days), checked_shape(height.shape)
    if fields is not None and fields.shape != (len(t), *scene):
        raise SlipscanError(f"the turbulence fields have shape {fields.shape}: {(len(t), *scene)} is needed")
    if coherence is not None and coherence.shape != scene:
        raise SlipscanError(f"the coherence has shape {coherence.shape}, the heights {scene}: they must be equal")
    return t, scene, pixel_size(pixel_m)
