"""Every method of the benchmark: the baselines, slipscan's denoisers, and the bound."""

from __future__ import annotations

import hashlib
from functools import cache, partial
from pathlib import Path

from slipbench.baselines.matched_filter import match_sources
from slipbench.baselines.oracle import Truth
from slipbench.baselines.peak import detect
from slipbench.baselines.prepare import prepare
from slipbench.baselines.registry import METHODS as BASELINES
from slipbench.baselines.registry import Method
from slipbench.baselines.scan import scan_bumps
from slipbench.baselines.whitening import Told
from slipbench.bound import epoch_nuisance
from slipbench.estimate import Estimate
from slipbench.network import answer_of_denoiser
from slipbench.product import answer_of_detector
from slipbench.scenes import Scene
from slipscan.denoise import registry
from slipscan.denoise.method import Method as Denoiser
from slipscan.denoise.registry import build
from slipscan.errors import SlipscanError
from slipscan.field import Observation
from slipscan.settings import DenoiseSettings
from slipscan.versions import version_of


@cache
def denoiser(name: str) -> Denoiser:
    """A denoiser with its shipped weights."""
    return build(DenoiseSettings(method=name, device="cpu"))


def with_own_evidence(observation: Observation, name: str) -> Estimate:
    """A denoiser of slipscan; the score is the evidence that it states itself."""
    return answer_of_denoiser(observation, denoiser(name))


def with_peak(observation: Observation, name: str) -> Estimate:
    """A denoiser of slipscan that states no evidence, and the detector that the baselines share."""
    (found,) = denoiser(name).fields([observation])
    return detect(found.transient.astype(float), prepare(observation))


@cache
def named_denoiser(called: str) -> Denoiser:
    """A denoiser by its name or file, with `@weights` where it is trained."""
    name, _, weights = called.partition("@")
    return build(DenoiseSettings(method=name, weights=weights or None, device="cpu"))


def with_any_score(observation: Observation, called: str) -> Estimate:
    """A denoiser by its name or file; see `scored`."""
    return scored(observation, named_denoiser(called))


def scored(observation: Observation, denoiser: Denoiser) -> Estimate:
    """A denoiser; the score is its own evidence where it states one, else that of the detector of the baselines."""
    found = answer_of_denoiser(observation, denoiser)
    return found if found.score > 0 else detect(found.transient.astype(float), prepare(observation))


def with_detector(observation: Observation, name: str | None, detector: str) -> Estimate:
    """A denoiser (or none) and a detector of slipscan, as the stages run them."""
    return answer_of_detector(observation, denoiser(name) if name else None, detector)


METHODS: dict[str, Method] = {
    **{name: method for name, method in BASELINES.items() if not method.is_bound},
    "scan_told": Method(
        "scan_told", scan_bumps, "slow", "scan, told the noise's covariance in space and time", "noise"
    ),
    "matched_filter_told": Method(
        "matched_filter_told", match_sources, "slow", "matched_filter, told the same", "noise"
    ),
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
        "detect_field",
        partial(with_detector, name="slipnet", detector="field"),
        "slow",
        "this work, detector 'field'",
        version=11,
    ),
    "slipscan": Method(
        "slipscan", partial(with_own_evidence, name="slipnet"), "slow", "this work, weights slipscan-1", version=11
    ),
    **{name: method for name, method in BASELINES.items() if method.is_bound},
}


_own: dict[str, Method] = {}
"""Denoisers that were named beside METHODS, by the name of their tables."""


def chosen(names: str) -> list[Method]:
    """Methods by name, comma-separated, or 'all'; raises SlipscanError for an unknown one.

    Beside METHODS every denoiser of slipscan, another package or a file stands by its name (`denoise.registry`), with
    its weights where it is trained: `classical`, `path/to/file.py:Class@weights.safetensors`.
    """
    return [find(name.strip()) for name in (list(METHODS) if names == "all" else names.split(","))]


@cache
def find(called: str) -> Method:
    """A method by what the command line calls it; raises SlipscanError."""
    if called in METHODS:
        return METHODS[called]
    source = called.partition("@")[0]
    if source not in registry.names() and ".py:" not in source:
        raise SlipscanError(
            f"there is no method {called!r}: slipbench knows all, {', '.join(METHODS)}, the denoisers of slipscan and"
            " path/to/file.py:Class, with @weights.safetensors where they are trained"
        )
    own = named_denoiser(called)
    path = Path(source.rpartition(":")[0])
    # Rows of another file or other weights do not count.
    code = path.read_bytes() if path.is_file() else str(version_of("denoise")).encode()
    digest = hashlib.sha256(code + own.label.encode()).hexdigest()[:12]
    method = Method(f"{own.name}-{digest}", partial(with_any_score, called=called), "slow", called, called=called)
    return _own.setdefault(method.name, method)


def of_table(name: str) -> Method:
    """The method whose table has a name."""
    return (METHODS | _own)[name]


def order(name: str) -> int:
    """Its place among all methods."""
    return list(METHODS | _own).index(name)


def answer(method: Method, scene: Scene, observation: Observation) -> Estimate:
    """Run a method; only a bound is told the truth."""
    if method.told == "nothing":
        return method.function(observation)
    return method.function(observation, _truth(scene) if method.is_bound else _told(scene))


def _told(scene: Scene) -> Told:
    return Told(scene.noise.density, scene.noise.white_std_m, scene.noise.covariance)


def _truth(scene: Scene) -> Truth:
    return Truth(
        template=scene.template.astype(float),
        history=scene.course,
        density=scene.noise.density,
        white_std=scene.noise.white_std_m,
        covariance=scene.noise.covariance,
        nuisance=epoch_nuisance(scene.height.astype(float)),
    )
