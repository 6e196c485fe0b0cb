"""From the statistics of null stacks to a threshold for a stated false-alarm rate."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slipscan.atomic import write_text
from slipscan.detect.nulls import SIMULATED
from slipscan.detect.tail import Tail, fit_tail
from slipscan.detect.transient import FAULT
from slipscan.errors import SlipscanError
from slipscan.outputs import json_kind
from slipscan.texts import read_json

Float = NDArray[np.float64]

BOOTSTRAP_DRAWS = 100
REACH = 10.0
"""The fitted tail is believed to one false alarm in so many times the nulls' exposure."""
KIND = json_kind("a calibration", "id", "tails", "threshold")


@dataclass(frozen=True)
class Calibration:
    """A track's false-alarm calibration.

    Attributes
    ----------
    tails
        per kind of null
    false_alarms_per_1e4km2_yr, threshold
        the stated rate, and the largest of the kinds' thresholds for it
    threshold_low, threshold_high
        16th and 84th percentile of the threshold when the nulls are drawn again (bootstrap)
    redness
        threshold of the blocks over that of the permutations
    exposure
        null data behind each tail, in 10,000 km2 x years
    edge_tails, edge_threshold
        of what lies in the first or last epochs or in a gap
    faults
        of the search along mapped faults; None: there is none
    """

    tails: dict[str, Tail]
    false_alarms_per_1e4km2_yr: float
    threshold: float
    threshold_low: float
    threshold_high: float
    redness: float
    exposure: float
    nulls: int
    seed: int
    data_until: str
    edge_tails: dict[str, Tail] = field(default_factory=dict)
    edge_threshold: float = 0.0
    faults: Calibration | None = None

    @property
    def stated_rate(self) -> float:
        """False alarms per 10,000 km2 and year above the thresholds of all searches."""
        return self.false_alarms_per_1e4km2_yr + (0.0 if self.faults is None else self.faults.stated_rate)

    @property
    def searches(self) -> int:
        """How many there are: each may raise a false alarm."""
        return 1 if self.faults is None else 2

    def of(self, origin: str) -> Calibration:
        """Of the search that found a transient (`Transient.origin`).

        Raises
        ------
        SlipscanError
            the calibration knows of no search along faults
        """
        if origin != FAULT:
            return self
        if self.faults is None:
            raise SlipscanError("the calibration knows no mapped faults (detect.faults): calibrate again with them")
        return self.faults

    @property
    def id(self) -> str:
        """Content-addressed identifier."""
        return "cal-" + hashlib.sha256(json.dumps(self.content(), sort_keys=True).encode()).hexdigest()[:12]

    def content(self) -> dict[str, Any]:
        """All of it, as JSON holds it."""
        out = asdict(self)
        del out["faults"]
        return out if self.faults is None else {**out, "faults": self.faults.content()}

    def threshold_of(self, at_edge: bool) -> float:
        """Of a transient with a baseline on both sides, or of one without."""
        return max(self.threshold, self.edge_threshold) if at_edge else self.threshold

    def rate_above(self, statistic: Float | float, at_edge: bool = False) -> Float:
        """False alarms per 10,000 km2 and year that are as strong, not below what the nulls can tell."""
        tails = self.edge_tails if at_edge and self.edge_tails else self.tails
        rates = np.max([tail.rate_above(statistic) for tail in tails.values()], axis=0)
        return np.maximum(rates, self.least_rate)

    def tail_p_value(self, statistic: float, exposure: float) -> float:
        """The same by the fitted tail alone, however far it reaches."""
        return float(-np.expm1(-max(tail.rate_above(statistic) for tail in self.tails.values()) * exposure))

    def check_noise(self, given: bool, where: str) -> None:
        """SlipscanError where a calibration knew how the noise walks in time and a search does not."""
        if SIMULATED in self.tails and not given:
            raise SlipscanError(f"{where} was calibrated with its noise product: give it here, too (--noise)")

    @property
    def least_rate(self) -> float:
        """A smaller rate is not told by the nulls, whatever the fitted tail says."""
        return 1 / (REACH * self.exposure)

    def is_bound(self, statistic: float, at_edge: bool = False) -> bool:
        """Whether the p-value of a statistic is an upper bound."""
        return float(self.rate_above(statistic, at_edge)) <= self.least_rate * (1 + 1e-9)

    def p_value(self, statistic: Float | float, exposure: float, at_edge: bool = False) -> Float:
        """Probability of at least one false alarm this strong in a scan of `exposure` (10,000 km2 x years)."""
        return np.asarray(-np.expm1(-self.rate_above(statistic, at_edge) * exposure))


def calibrate(
    maxima: dict[str, Float],
    exposure_each: float,
    rate: float,
    seed: int,
    data_until: str,
    at_edges: dict[str, Float] | None = None,
) -> Calibration:
    """The calibration from the maxima of each kind of null (docs/science.md section 10, 7 and 8).

    `at_edges` are those that lie in the first or last epochs or in a gap; they have a threshold of their own.
    """
    tails = {kind: fit_tail(values, exposure_each) for kind, values in maxima.items()}
    edges = {kind: fit_tail(values, exposure_each) for kind, values in (at_edges or {}).items() if values.any()}
    low, high = np.quantile(_bootstrap(maxima, exposure_each, rate, seed), [0.16, 0.84])
    thresholds = {kind: tail.threshold(rate) for kind, tail in tails.items()}
    lowest = min(thresholds.values())
    nulls = min(len(values) for values in maxima.values())
    return Calibration(
        tails=tails,
        false_alarms_per_1e4km2_yr=rate,
        threshold=max(thresholds.values()),
        threshold_low=float(low),
        threshold_high=float(high),
        redness=thresholds["blocks"] / max(thresholds["permutation"], 1e-9) if lowest > 0 else 1.0,
        exposure=nulls * exposure_each,
        nulls=nulls,
        seed=seed,
        data_until=data_until,
        edge_tails=edges,
        edge_threshold=max((tail.threshold(rate) for tail in edges.values()), default=0.0),
    )


def _bootstrap(maxima: dict[str, Float], exposure_each: float, rate: float, seed: int) -> Float:
    """Thresholds from nulls drawn again with replacement, (draw,)."""
    generator = np.random.default_rng(seed)
    draws = [
        [fit_tail(generator.choice(values, len(values)), exposure_each).threshold(rate) for values in maxima.values()]
        for _ in range(BOOTSTRAP_DRAWS)
    ]
    return np.max(np.array(draws), axis=1)


def write(path: Path, calibration: Calibration) -> None:
    """Write a calibration as JSON, atomically."""
    content = {"id": calibration.id, **calibration.content()}
    write_text(path, json.dumps(content, indent=2, sort_keys=True) + "\n", KIND)


def read(path: Path) -> Calibration:
    """Read a calibration; raises SlipscanError where it is missing or damaged."""
    content = read_json(path, "calibration", "run slipscan calibrate first")
    try:
        stated = content.pop("id")
        calibration = _from_json(content)
        whole = bool(calibration.tails) and calibration.id == stated
    except (KeyError, TypeError, AttributeError) as error:
        raise SlipscanError(f"{path} is no calibration of slipscan ({error}): run slipscan calibrate again") from error
    if not whole:
        raise SlipscanError(f"{path} was changed after slipscan wrote it (its id is of other values): calibrate again")
    return calibration


def _from_json(content: dict[str, Any]) -> Calibration:
    tails, edges = (
        {kind: Tail(**tail) for kind, tail in content.pop(name).items()} for name in ("tails", "edge_tails")
    )
    faults = content.pop("faults", None)
    return Calibration(tails=tails, edge_tails=edges, faults=None if faults is None else _from_json(faults), **content)
