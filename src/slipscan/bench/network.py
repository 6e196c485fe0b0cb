"""The network as it is shipped, as a method of the benchmark."""

from __future__ import annotations

from functools import cache

import numpy as np

from slipscan.denoise import pretrained
from slipscan.denoise.apply import denoise
from slipscan.denoise.baselines.method import Estimate, Observation
from slipscan.denoise.pretrained import Weights
from slipscan.settings import DenoiseSettings


def estimate(observation: Observation, weights: Weights | None = None) -> Estimate:
    """The network, as the stage `denoise` runs it.

    The score is the root of the largest evidence; half of the event has happened when the pixel that moved most has
    moved half of its way.
    """
    parts = denoise(
        observation.displacement,
        observation.time,
        observation.height,
        None,
        weights or _shipped(),
        pixel_m=observation.pixel_m,
        background_known=observation.background_known,
    )
    transient = np.nan_to_num(parts.transient)
    total = transient[-1] - transient[0]
    return Estimate(
        map=total,
        transient=transient,
        score=float(np.sqrt(max(0.0, float(parts.evidence.max())))),
        t50_d=_half_time(transient, observation),
    )


@cache
def _shipped() -> Weights:
    return pretrained.load(DenoiseSettings().weights)


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
