"""The network as it is shipped, as a method of the benchmark."""

from __future__ import annotations

from functools import cache

from slipscan.denoise import pretrained
from slipscan.denoise.apply import denoise
from slipscan.denoise.baselines import peak
from slipscan.denoise.baselines.method import Estimate, Observation
from slipscan.denoise.baselines.prepare import prepare
from slipscan.denoise.pretrained import Weights
from slipscan.settings import DenoiseSettings


def estimate(observation: Observation) -> Estimate:
    """The shipped network, as the stage `denoise` runs it; the strongest event of its transient field."""
    parts = denoise(observation.displacement, observation.time, observation.height, None, _shipped())
    return peak.detect(parts.transient.astype(float), prepare(observation))


@cache
def _shipped() -> Weights:
    return pretrained.load(DenoiseSettings().weights)
