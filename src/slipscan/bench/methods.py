"""Every method of the benchmark: the baselines, the network as it is shipped, and the bound."""

from __future__ import annotations

from functools import cache

from slipscan.bench.bound import epoch_nuisance
from slipscan.bench.scenes import Scene
from slipscan.denoise import pretrained
from slipscan.denoise.apply import denoise
from slipscan.denoise.baselines import peak
from slipscan.denoise.baselines.method import Estimate, Observation
from slipscan.denoise.baselines.oracle import Truth
from slipscan.denoise.baselines.prepare import prepare
from slipscan.denoise.baselines.registry import METHODS as BASELINES
from slipscan.denoise.baselines.registry import Method
from slipscan.denoise.pretrained import Weights
from slipscan.errors import SlipscanError
from slipscan.settings import DenoiseSettings


def network(observation: Observation) -> Estimate:
    """The shipped network, as the stage `denoise` runs it; the strongest event of its transient field."""
    parts = denoise(observation.displacement, observation.time, observation.height, None, _shipped())
    return peak.detect(parts.transient.astype(float), prepare(observation))


@cache
def _shipped() -> Weights:
    return pretrained.load(DenoiseSettings().weights)


METHODS: dict[str, Method] = {
    **BASELINES,
    "slipscan": Method("slipscan", network, "slow", f"this work, weights {DenoiseSettings().weights}"),
}


def chosen(names: str) -> list[Method]:
    """Methods by name, comma-separated, or 'all'; raises SlipscanError for an unknown one."""
    wanted = list(METHODS) if names == "all" else [name.strip() for name in names.split(",")]
    for name in wanted:
        if name not in METHODS:
            raise SlipscanError(f"there is no method {name!r}: slipbench knows all, {', '.join(METHODS)}")
    return [METHODS[name] for name in wanted]


def answer(method: Method, scene: Scene, observation: Observation) -> Estimate:
    """Run a method; only a bound is told the truth."""
    return method.function(observation, _truth(scene)) if method.is_bound else method.function(observation)


def _truth(scene: Scene) -> Truth:
    return Truth(
        template=scene.template.astype(float),
        history=scene.course,
        density=scene.noise.density,
        white_std=scene.noise.white_std_m,
        strength=scene.noise.strength,
        nuisance=epoch_nuisance(scene.height.astype(float)),
    )
