"""Common-scene stacking: the delay of an epoch from the interferograms that share it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from slipbench.baselines.histories import without_background
from slipbench.baselines.peak import detect
from slipbench.baselines.prepare import Prepared, prepare
from slipbench.estimate import Estimate
from slipscan.field import Observation

Float = NDArray[np.float64]

PAIRS = 4
"""Interferograms on either side that share the epoch."""
ITERATIONS = 3


def stack_common_scenes(observation: Observation) -> Estimate:
    """Series less the delay of every epoch after Tymofyeyeva & Fialko (2015), then the detector.

    Offset, ramp and height delay are taken out of the epochs first, as interferograms are flattened; rate and
    season are fitted beside the scene's strongest step.

    Raises
    ------
    SlipscanError
        a stack without data or of fewer than 5 epochs
    """
    prepared = prepare(observation)
    field = without_background(prepared)
    return detect(field - delays(field, prepared), prepared)


def delays(series: Float, prepared: Prepared) -> Float:
    """Delay of every epoch (time, y, x), m: Tymofyeyeva & Fialko (2015), J. Geophys. Res. 120, 5952.

    The epoch is the later scene of the interferograms that end with it and the earlier one of those that begin:
    its delay has opposite signs in the two, motion that is steady over the window has not. The mean of the ones
    less the mean of the others, halved, is the delay plus a share of the other epochs' delays. So the noisiest
    epoch (their atmospheric noise coefficient, the RMS of its delay) is done first, and what was found is taken
    off before the next. The first and the last epoch have partners on one side only: motion within their window
    is neglected there. Left raw instead, they doubled the error of the map (measured).
    """
    found = np.zeros_like(series)
    strength = prepared.epoch_std
    for _ in range(ITERATIONS):
        for t in np.argsort(-strength, kind="stable"):
            partners, weights = stencil(prepared.days, int(t))
            found[t] = series[t] - np.tensordot(weights, series[partners] - found[partners], 1)
        strength = found.reshape(len(found), -1).std(axis=1)
    return found


def stencil(days: Float, t: int) -> tuple[NDArray[np.intp], Float]:
    """Epochs whose weighted mean stands for the surface at epoch t, and their weights, which add up to 1.

    Where dates are uneven, an interferogram weighs by the length of its partner, which keeps steady motion out.
    """
    n = len(days)
    reach = min(PAIRS, t, n - 1 - t)
    if reach == 0:
        partners = np.arange(1, min(PAIRS, n - 1) + 1) if t == 0 else np.arange(max(0, n - 1 - PAIRS), n - 1)
        return partners, np.full(len(partners), 1 / len(partners))
    k = np.arange(1, reach + 1)
    before, after = days[t] - days[t - k], days[t + k] - days[t]
    weights = np.concatenate([after, before]) / np.tile(before + after, 2) / reach
    return np.concatenate([t - k, t + k]), weights
