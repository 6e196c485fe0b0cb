"""MIDAS: the velocity of a station from the median of pairs of positions a year apart, as a check."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from slipscan.fit.scatter import MAD_TO_STD

Float = NDArray[np.float64]

YEAR_D = 365.25
_INDEPENDENT = 4.0
"""So many slopes tell what one independent one tells."""
_SCALED = 3.0
_MAD_OF_MEDIAN = 1.2533


def midas_velocity(day: NDArray[np.integer], position: Float) -> tuple[Float, Float]:
    """Median rates of pairs of positions one year apart, insensitive to steps and seasons.

    Parameters
    ----------
    day
        (time,) numbers of days, ascending
    position
        (time, 3) metres

    Returns
    -------
    rate, std
        (3,) m/yr; NaN where no two positions lie a year apart. Blewitt, Kreemer, Hammond & Gazeaux (2016,
        J. Geophys. Res. 121, 2054): slopes beyond two robust deviations are left out once.
    """
    first, second = _pairs(np.asarray(day, np.int64))
    if len(first) < 2:
        return np.full(3, np.nan), np.full(3, np.nan)
    slope = (position[second] - position[first]) / ((day[second] - day[first]) / YEAR_D)[:, None]
    rate, std = np.empty(3), np.empty(3)
    for component, values in enumerate(slope.T):
        middle = np.median(values)
        near = values[np.abs(values - middle) <= 2.0 * MAD_TO_STD * np.median(np.abs(values - middle)) + 1e-15]
        rate[component] = np.median(near)
        scatter = MAD_TO_STD * np.median(np.abs(near - rate[component]))
        std[component] = _SCALED * _MAD_OF_MEDIAN * scatter / np.sqrt(max(1.0, len(values) / _INDEPENDENT))
    return rate, std


def _pairs(day: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs a year apart, forward and backward in time; where a day is missing the next one serves."""
    year = round(YEAR_D)
    at = np.searchsorted(day, day + year)
    first = np.flatnonzero(at < len(day))
    back = np.searchsorted(day, day - year, side="right") - 1
    last = np.flatnonzero(back >= 0)
    one = np.concatenate([first, back[last]])
    other = np.concatenate([at[first], last])
    pairs = np.unique(np.stack([one, other]), axis=1)
    return pairs[0], pairs[1]
