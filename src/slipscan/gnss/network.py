"""How the noise of GNSS stations hangs together: one antenna's error is its own, orbits and frame are everybody's.

Stations that are taken for independent confirm an event that is not there when all of them step together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from slipscan.gnss.tenv3 import Station

Float = NDArray[np.float64]

BLOCK_D = 16
"""Changes between the means of neighbouring blocks of so many days are correlated: the time scale of an event."""
FULL = 0.5
CLIP = 3.0
MIN_CHANGES, TRUSTED_CHANGES = 10, 20
"""Pairs of stations with fewer changes in common follow the model alone; with this many, model and own weigh alike."""
LENGTH_M = 100e3
MAX_MODEL = 0.95
COMMON_STEP_M = (4e-3, 4e-3, 8e-3)
"""Standard deviation of a step of the whole network (a new frame, a satellite's antenna) at the time of an event."""
_MAD = 1.4826


def correlation(residual: Float, distance_m: Float) -> Float:
    """Correlation of the noise of stations, for each component.

    Parameters
    ----------
    residual
        (station * 3, day) metres, NaN where there is none
    distance_m
        (station, station)

    Returns
    -------
    correlation
        (3, station, station) positive definite: a + b exp(-distance / 100 km), fitted to all pairs, and towards the
        pair's own correlation the more changes the two have in common
    """
    count = len(distance_m)
    return (
        np.stack([_of_component(_changes(residual[c::3]), distance_m) for c in range(3)])
        if count
        else np.empty((3, 0, 0))
    )


def _changes(residual: Float) -> Float:
    """Changes (station, block) between block means, in units of their robust scale, clipped; NaN where unknown."""
    blocks = residual.shape[1] // BLOCK_D
    cut = residual[:, : blocks * BLOCK_D].reshape(len(residual), blocks, BLOCK_D)
    present = np.isfinite(cut)
    numbers = present.sum(axis=2)
    means = np.where(
        numbers >= FULL * BLOCK_D, np.where(present, cut, 0.0).sum(axis=2) / np.maximum(numbers, 1), np.nan
    )
    changes = np.diff(means, axis=1)
    out = np.full_like(changes, np.nan)
    for row, values in zip(out, changes, strict=True):
        known = values[np.isfinite(values)]
        if len(known) >= MIN_CHANGES:
            row[:] = np.clip(values / max(_MAD * float(np.median(np.abs(known))), 1e-9), -CLIP, CLIP)
    return out


def _of_component(changes: Float, distance_m: Float) -> Float:
    """Correlation (station, station) of one component."""
    count = len(changes)
    present = np.isfinite(changes)
    filled = np.where(present, changes, 0.0)
    common = (present[:, None] & present[None]).sum(axis=2)
    power = np.einsum("it,jt->ij", filled**2, present.astype(float))
    own = (filled @ filled.T) / np.sqrt(np.maximum(power * power.T, 1e-12))
    i, j = np.triu_indices(count, 1)
    used = common[i, j] >= MIN_CHANGES
    model = np.zeros((count, count))
    if used.any():
        weight = np.sqrt(common[i, j][used])
        matrix = np.stack([np.ones(used.sum()), np.exp(-distance_m[i, j][used] / LENGTH_M)], axis=1)
        share = nnls(matrix * weight[:, None], np.maximum(own[i, j][used], 0.0) * weight)[0]
        share *= min(1.0, MAX_MODEL / max(float(share.sum()), 1e-9))
        model = share[0] + share[1] * np.exp(-distance_m / LENGTH_M)
    trust = np.where(common >= MIN_CHANGES, common / (common + TRUSTED_CHANGES), 0.0)
    total = trust * own + (1 - trust) * model
    np.fill_diagonal(total, 1.0)
    return _positive(total)


def _positive(matrix: Float) -> Float:
    """The matrix with eigenvalues of 0.02 at least, and a diagonal of one."""
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
    raised = (vectors * np.maximum(values, 0.02)) @ vectors.T
    scale = np.sqrt(np.diag(raised))
    return np.asarray(raised / np.outer(scale, scale))


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
