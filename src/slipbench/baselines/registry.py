"""All methods by name, in the order of the tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from slipbench.baselines import (
    common_scene,
    corrected_filter,
    ica,
    last_minus_first,
    matched_filter,
    oracle,
    parametric_fit,
    pca,
    scan,
    stack_difference,
    zero,
)
from slipbench.estimate import Estimate


@dataclass(frozen=True)
class Method:
    """A method of the benchmark.

    Attributes
    ----------
    name
        in tables and on the command line
    function
        from an Observation to an Estimate; what it is told is the second argument
    speed
        'slow' where a scene of 128 x 128 pixels and 24 epochs takes more than 50 ms on one core
    reference
        where it comes from
    told
        beside the observation: 'nothing', the law of the 'noise', or the 'truth'
    version
        raised when its answers change: rows of another version do not count
    called
        how the command line names it, where that is not its name
    """

    name: str
    function: Callable[..., Estimate]
    speed: Literal["fast", "slow"]
    reference: str
    told: Literal["nothing", "noise", "truth"] = "nothing"
    version: int = 1
    called: str = ""

    @property
    def is_bound(self) -> bool:
        """It is told the truth: no method, but what a method cannot exceed."""
        return self.told == "truth"


METHODS: Final[dict[str, Method]] = {
    method.name: method
    for method in (
        Method("zero", zero.find_nothing, "fast", "no displacement"),
        Method("last_minus_first", last_minus_first.subtract_first_epoch, "fast", "a single interferogram"),
        Method(
            "stack_difference",
            stack_difference.find_largest_difference,
            "fast",
            "Sandwell & Price 1998, doi 10.1029/1998JB900008",
        ),
        Method("corrected_filter", corrected_filter.correct_and_filter, "slow", "common practice"),
        Method("pca", pca.keep_principal_components, "slow", "Kositsky & Avouac 2010, doi 10.1029/2009JB006535"),
        Method("ica", ica.keep_independent_components, "slow", "Ebmeier 2016, doi 10.1002/2016JB013765"),
        Method("parametric_fit", parametric_fit.fit_step_or_ramp, "slow", "generalised least squares"),
        Method(
            "common_scene",
            common_scene.stack_common_scenes,
            "slow",
            "Tymofyeyeva & Fialko 2015, doi 10.1002/2015JB011886",
        ),
        Method("scan", scan.scan_bumps, "slow", "whitened multi-scale scan, generalised likelihood ratio"),
        Method("matched_filter", matched_filter.match_sources, "slow", "Neyrinck et al., doi 10.31223/x5k77r"),
        Method("oracle", oracle.match_truth, "fast", "the bound of any linear method", told="truth"),
    )
}
