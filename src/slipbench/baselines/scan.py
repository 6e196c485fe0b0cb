"""Whitened multi-scale scan over step time: the classical detector that knows no source."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from slipbench.baselines.coarse import coarsened, refined
from slipbench.baselines.gls import torus_shape
from slipbench.baselines.prepare import prepare
from slipbench.baselines.search import Bank, make_bank, strongest
from slipbench.baselines.whitening import Told
from slipbench.estimate import Estimate
from slipscan.field import Observation

SCALES_M = (750.0, 1500.0, 3000.0, 6000.0, 12000.0)
"""Sigma of the Gaussian kernels."""


def scan_bumps(observation: Observation, told: Told | None = None) -> Estimate:
    """Largest signal-to-noise ratio of a Gaussian bump of any place, scale and history.

    Steps and ramps are estimated beside offset, rate and season, the noise spectrum is the scene's own, or `told`. The
    map is the bump. Scenes of more than 256 pixels a side are searched on a coarser grid.

    Raises
    ------
    SlipscanError
        a stack without data or of fewer than 5 epochs
    """
    coarse, factor = coarsened(observation)
    estimated = strongest(prepare(coarse), bank(coarse.shape, float(coarse.pixel_m)), told)
    return refined(estimated, factor, observation.shape)


@lru_cache(maxsize=4)
def bank(shape: tuple[int, int], pixel_m: float) -> Bank:
    """Gaussian bumps for a grid."""
    rows, columns = torus_shape(shape)
    dy, dx = (np.fft.fftfreq(n, 1 / n) * pixel_m for n in (rows, columns))
    distance = np.hypot(dy[:, None], dx[None, :])
    bumps = np.stack([np.exp(-((distance / scale) ** 2) / 2) for scale in SCALES_M])
    return make_bank(
        torch.from_numpy(bumps.astype(np.float32)), tuple(max(1, int(0.9 * s / pixel_m)) for s in SCALES_M)
    )
