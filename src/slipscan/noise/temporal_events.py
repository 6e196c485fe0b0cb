"""Places in which something seems to have happened, by a scan of few ramps: they say little about noise."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from slipscan.fit.ramps import middles, ramps

Float = NDArray[np.float64]

DURATIONS_D: Final = (0.0, 48.0, 96.0, 192.0, 384.0, 768.0, 1095.0)
MOST_MIDDLES: Final = 40
SIGNIFICANT: Final = 4.5
"""Standard deviations of the best ramp of a place in which something happened; of noise, one place in a thousand."""
MIN_ENERGY: Final = 0.05
"""Share of a ramp's energy that the background leaves."""
MIN_EPOCHS: Final = 10.0
"""That carry a ramp: one that few epochs carry is a bad epoch rather than an event."""


def histories(days: Float) -> Float:
    """Ramps that are tried, (time, ramp)."""
    t = torch.from_numpy(days)
    between = middles(t, MOST_MIDDLES)
    return np.concatenate([ramps(t, between, duration).numpy() for duration in DURATIONS_D], axis=1)


def strongest(whitened: Float, background: Float, series: Float) -> Float:
    """Largest amplitude of a ramp over its standard deviation, (place,).

    Parameters
    ----------
    whitened
        (time, ramp) ramps, whitened
    background
        (time, column) of an orthonormal basis of the background, whitened
    series
        (time, place), whitened, background out, of variance 1
    """
    rest = whitened - background @ (background.T @ whitened)
    energy = np.square(rest).sum(axis=0)
    unit = rest / np.sqrt(np.maximum(energy, 1e-300))
    counts = (energy > MIN_ENERGY * np.square(whitened).sum(axis=0)) & ((unit**4).sum(axis=0) < 1 / MIN_EPOCHS)
    if not counts.any():
        return np.zeros(series.shape[1])
    return np.asarray(np.abs(unit[:, counts].T @ series).max(axis=0))
