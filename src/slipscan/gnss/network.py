"""How the noise of GNSS stations hangs together: one antenna's error is its own, orbits and frame are everybody's.

Stations that are taken for independent confirm an event that is not there when all of them step together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from slipscan.gnss.tenv3 import Station

Float = NDArray[np.float64]

COMMON_STEP_M = (4e-3, 4e-3, 8e-3)
"""Standard deviation of a step of the whole network (a new frame, a satellite's antenna) at the time of an event."""


def covariance(std: Float, between: Float, formal: Float, common_step_m: Sequence[float] = COMMON_STEP_M) -> Float:
    """Covariance of offsets of a network.

    Parameters
    ----------
    std
        (station, 3) of each offset, metres
    between
        (3, station, station) correlation of the noise of stations
    formal
        (3, 3) correlation of east, north and up of one station
    common_step_m
        (3,) standard deviation of a step that all stations make together

    Returns
    -------
    covariance
        (station * 3, station * 3), station by station; positive definite
    """
    count = len(std)
    factors = np.linalg.cholesky(between)
    total = np.zeros((count, 3, count, 3))
    for a in range(3):
        for b in range(3):
            total[:, a, :, b] = formal[a, b] * factors[a] @ factors[b].T
    total *= std[:, :, None, None] * std[None, None]
    for c, step in enumerate(common_step_m):
        total[:, c, :, c] += step**2
    return total.reshape(3 * count, 3 * count)


def formal_correlation(stations: Sequence[Station]) -> Float:
    """Mean correlation (3, 3) of east, north and up that the processing states, over stations."""
    means = np.stack([station.correlation.mean(axis=0) for station in stations])
    en, eu, nu = means.mean(axis=0)
    return np.array([[1.0, en, eu], [en, 1.0, nu], [eu, nu, 1.0]])
