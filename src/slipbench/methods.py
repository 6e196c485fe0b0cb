"""Every method of the benchmark: the baselines, slipscan's denoisers, and the bound."""

from __future__ import annotations

from functools import cache, partial

from slipbench.baselines.oracle import Truth
from slipbench.baselines.peak import detect
from slipbench.baselines.prepare import prepare
from slipbench.baselines.registry import METHODS as BASELINES
from slipbench.baselines.registry import Method
from slipbench.bound import epoch_nuisance
from slipbench.estimate import Estimate
from slipbench.network import estimate as own_evidence
from slipbench.product import estimate as product
from slipbench.scenes import Scene
from slipscan.denoise.method import Method as Denoiser
from slipscan.denoise.registry import build
from slipscan.errors import SlipscanError
from slipscan.field import Observation
from slipscan.settings import DenoiseSettings


@cache
def denoiser(name: str) -> Denoiser:
    """A denoiser with its shipped weights."""
    return build(DenoiseSettings(method=name, device="cpu"))


def with_own_evidence(observation: Observation, name: str) -> Estimate:
    """A denoiser of slipscan; the score is the evidence that it states itself."""
    return own_evidence(observation, denoiser(name))


def with_peak(observation: Observation, name: str) -> Estimate:
    """A denoiser of slipscan that states no evidence, and the detector that the baselines share."""
    (found,) = denoiser(name).fields([observation])
    return detect(found.transient.astype(float), prepare(observation))


def with_detector(observation: Observation, name: str | None, detector: str) -> Estimate:
    """A denoiser (or none) and a detector of slipscan, as the stages run them."""
    return product(observation, denoiser(name) if name else None, detector)


METHODS: dict[str, Method] = {
    **{name: method for name, method in BASELINES.items() if not method.is_bound},
    "rouet_leduc_2021": Method(
        "rouet_leduc_2021",
        partial(with_peak, name="rouet_leduc_2021"),
        "slow",
        "Rouet-Leduc et al. 2021, doi 10.1038/s41467-021-26254-3",
    ),
    "detect_scan": Method(
        "detect_scan", partial(with_detector, name=None, detector="scan"), "slow", "this work, detector 'scan'"
    ),
    "detect_field": Method(
        "detect_field", partial(with_detector, name="slipnet", detector="field"), "slow", "this work, detector 'field'"
    ),
    "slipscan": Method("slipscan", partial(with_own_evidence, name="slipnet"), "slow", "this work, weights slipscan-1"),
    **{name: method for name, method in BASELINES.items() if method.is_bound},
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
