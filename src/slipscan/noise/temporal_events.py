"""Places in which something seems to have happened, by a scan of few ramps: they say little about noise."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from slipscan.fit.ramps import middles, ramps

Float = NDArray[np.float64]

DURATIONS_D: Final = (0.0, 48.0, 96.0, 192.0, 384.0, 768.0, 1095.0)
MOST_MIDDLES: Final = 60
SIGNIFICANT: Final = 4.5
"""Standard deviations of the best ramp of a place in which something happened; of noise, one place in a thousand."""
MIN_ENERGY: Final = 0.05
"""Share of a ramp's energy that the background leaves."""
MIN_EPOCHS: Final = 10.0
"""That carry a ramp: one that few epochs carry is a bad epoch rather than an event."""


def histories(days: Float, white: Float, design: Float) -> Float:
    """Ramps that are tried, (time, ramp): those that the background leaves and many epochs carry.

    Parameters
    ----------
    days, white
        (time,) and about what variance the epochs have, m2
    design
        (time, column) of the background
    """
    t = torch.from_numpy(days)
    between = middles(t, MOST_MIDDLES)
    tried = np.concatenate([ramps(t, between, duration).numpy() for duration in DURATIONS_D], axis=1)
    root = np.sqrt(white)[:, None]
    whitened, background = tried / root, np.linalg.qr(design / root)[0]
    rest = whitened - background @ (background.T @ whitened)
    energy = np.square(rest).sum(axis=0)
    unit = rest / np.sqrt(np.maximum(energy, 1e-300))
    left = energy > MIN_ENERGY * np.square(whitened).sum(axis=0)
    return tried[:, left & (np.square(np.square(unit)).sum(axis=0) < 1 / MIN_EPOCHS)]


def strongest(tried: Float, projection: Float, z: Float) -> Float:
    """Largest amplitude of a ramp (time, ramp) over its standard deviation, (place,); 0 without ramps.

    Parameters
    ----------
    projection
        (time, time) P = C^-1 - C^-1 X (X' C^-1 X)^-1 X' C^-1
    z
        (time, place) P y
    """
    root = np.sqrt(np.diag(projection).mean())  # so that single precision holds all of it
    columns = tried.astype(np.float32)
    energy = (columns * ((projection / root**2).astype(np.float32) @ columns)).sum(axis=0)
    unit = columns / np.sqrt(np.maximum(energy, np.float32(1e-12)))
    return np.asarray(np.abs(unit.T @ (z / root).astype(np.float32)).max(axis=0, initial=0.0), float)
