"""A denoiser of slipscan as a method of the benchmark, as the stage `denoise` runs it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import xarray as xr

from slipbench.estimate import Estimate
from slipscan.denoise.run import denoise
from slipscan.field import Denoiser, Observation
from slipscan.fit.model import DAYS_PER_YEAR
from slipscan.noise.estimate import measure
from slipscan.noise.temporal import SHORTEST_YR


def answer_of_denoiser(observation: Observation, method: Denoiser) -> Estimate:
    """What a denoiser says of a scene.

    The score is the root of the largest evidence; half of the event has happened when the pixel that moved most has
    moved half of its way.
    """
    found = denoise(with_measured_noise(observation), method)
    transient = np.nan_to_num(found.transient)
    return Estimate(
        map=transient[-1] - transient[0],
        transient=transient,
        score=float(np.sqrt(max(0.0, float(found.evidence.max())))),
        t50_d=_half_time(transient, observation),
    )


def with_measured_noise(observation: Observation) -> Observation:
    """An observation with its noise in time, as the noise stage measures it; a short series does not tell it."""
    if np.ptp(observation.days) < SHORTEST_YR * DAYS_PER_YEAR:
        return observation
    found = measure(observation)
    if found.temporal is None:
        return observation
    noise = xr.Dataset(
        {"red_variance": ("band", found.temporal.red), "red_variance_error": ("band", found.temporal.red_error)},
        {"band": ("band", found.band_m / 1e3)},
    )
    return replace(observation, noise=noise)


def _half_time(transient: np.ndarray, observation: Observation) -> float:
    """Day at which the pixel that moved most has moved half of its way; NaN where nothing moved."""
    total = transient[-1] - transient[0]
    row, column = np.unravel_index(int(np.abs(total).argmax()), total.shape)
    if total[row, column] == 0:
        return float("nan")
    share = (transient[:, row, column] - transient[0, row, column]) / total[row, column]
    after = max(1, int(np.argmax(share >= 0.5)))
    part = (0.5 - share[after - 1]) / (share[after] - share[after - 1])
    days = observation.days
    return float(days[after - 1] + part * (days[after] - days[after - 1]))
