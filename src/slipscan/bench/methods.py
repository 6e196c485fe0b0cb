"""Every method of the benchmark: the baselines, the network as it is shipped, and the bound."""

from __future__ import annotations

from slipscan.bench.bound import epoch_nuisance
from slipscan.bench.network import estimate as network
from slipscan.bench.scenes import Scene
from slipscan.denoise.baselines import rouet_leduc_2021
from slipscan.denoise.baselines.method import Estimate, Observation
from slipscan.denoise.baselines.oracle import Truth
from slipscan.denoise.baselines.registry import METHODS as BASELINES
from slipscan.denoise.baselines.registry import Method
from slipscan.errors import SlipscanError
from slipscan.settings import DenoiseSettings

METHODS: dict[str, Method] = {
    **{name: method for name, method in BASELINES.items() if not method.is_bound},
    "rouet_leduc_2021": Method(
        "rouet_leduc_2021", rouet_leduc_2021.estimate, "slow", "Rouet-Leduc et al. 2021, doi 10.1038/s41467-021-26254-3"
    ),
    "slipscan": Method("slipscan", network, "slow", f"this work, weights {DenoiseSettings().weights}"),
    **{name: method for name, method in BASELINES.items() if method.is_bound},
}
WEIGHTS: dict[str, str] = {"slipscan": DenoiseSettings().weights, "rouet_leduc_2021": "rouet-leduc-2021"}
"""Shipped weights of the methods that have some."""


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
