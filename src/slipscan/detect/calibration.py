"""From the statistics of null stacks to a threshold for a stated false-alarm rate."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from slipscan.atomic import write_text
from slipscan.detect.nulls import SIMULATED
from slipscan.detect.transient import FAULT
from slipscan.errors import SlipscanError
from slipscan.outputs import json_kind
from slipscan.texts import read_json

Float = NDArray[np.float64]

TAIL_FRACTION = 0.5
"""Share of the null stacks' maxima that the tail is fitted to."""
BOOTSTRAP_DRAWS = 100
MOST = 0.999
"""Share of the null stacks: what is nearer to all of them is not told from all."""
MIN_TAIL = 12
"""Exceedances below which the shape of the generalised Pareto tail is set to 0 (exponential)."""
RATIOS = (1e-4, 1e3)
"""Of shape over scale, that are looked at, over one by the mean excess."""
NO_GAIN = 1e-6
"""In the logarithm of the likelihood, a maximum: a shape of 0."""
REACH = 10.0
"""The fitted tail is believed to one false alarm in so many times the nulls' exposure."""
KIND = json_kind("a calibration", "id", "tails", "threshold")


@dataclass(frozen=True)
class Tail:
    """The false-alarm rate above `start`.

    A generalised Pareto tail (Coles 2001, ch. 4) of the strongest cluster of a null stack: a share
    `rate` x `exposure` x (1 + shape (s - start) / scale)^(-1 / shape) of all reaches s. False alarms come at random
    (Poisson), so that their mean number in a stack is -log(1 - share).

    Attributes
    ----------
    start, shape, scale
        of the tail
    rate
        share at `start`, over `exposure`
    exposure
        of one null stack, 10,000 km2 x years; 0: small beside one over the rate
    """

    start: float
    rate: float
    shape: float
    scale: float
    exposure: float = 0.0

    def rate_above(self, statistic: Float | float) -> Float:
        """False alarms per 10,000 km2 and year with a statistic at or above `statistic`."""
        excess = np.maximum(np.asarray(statistic, float) - self.start, 0.0)
        rate = np.asarray(self.rate * stats.genpareto.sf(excess, self.shape, scale=self.scale))
        return rate if self.exposure == 0 else -np.log1p(-np.minimum(rate * self.exposure, MOST)) / self.exposure

    def threshold(self, rate: float) -> float:
        """The statistic at which the tail reaches a rate; `start` where the rate is larger than the tail's."""
        share = rate if self.exposure == 0 else -math.expm1(-rate * self.exposure) / self.exposure
        if share >= self.rate:
            return self.start
        return self.start + float(stats.genpareto.isf(share / self.rate, self.shape, scale=self.scale))


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


def fit_tail(maxima: Float, exposure_each: float) -> Tail:
    """Fit the tail to the strongest cluster of every null stack.

    Parameters
    ----------
    maxima
        (null,) strongest statistic of each, 0 where it had no cluster
    exposure_each
        area x time of one null, 10,000 km2 x years

    Notes
    -----
    Maxima of independent stacks, not all clusters: at the rates that matter a stack holds at most one
    false alarm, and the clusters of one stack are not independent.
    """
    values = np.sort(np.asarray(maxima, float))
    positive = values[values > 0]
    if not len(positive):
        # No cluster at all in any null: the rate is below one in the whole exposure; the tail is unknown.
        return Tail(0.0, 1 / (len(values) * exposure_each), 0.0, 1.0, exposure_each)
    start = float(np.quantile(values, 1 - TAIL_FRACTION))
    start = max(start, float(positive[0]) * (1 - 1e-9))
    excess = values[values >= start] - start
    rate = len(excess) / (len(values) * exposure_each)
    scale = max(float(excess.mean()), 1e-3 * max(start, 1.0))
    if len(excess) < MIN_TAIL:
        return Tail(start, rate, 0.0, scale, exposure_each)
    return Tail(start, rate, *_pareto(excess, scale), exposure_each)


def _pareto(excess: Float, scale: float) -> tuple[float, float]:
    """Shape and scale of greatest likelihood, by its profile over their ratio (Grimshaw 1993).

    Shape 0, and the mean, where that is negative: a bounded tail would state probabilities of exactly zero from a
    handful of nulls.
    """

    def misfit(log_ratio: float) -> float:
        shape = float(np.log1p(np.exp(log_ratio) * excess).mean())
        return float(np.log(shape) - log_ratio) + shape

    found = optimize.minimize_scalar(misfit, bounds=np.log(np.array(RATIOS) / scale), method="bounded")
    if found.fun > np.log(scale) + excess.mean() / scale - NO_GAIN:
        return 0.0, scale
    ratio = float(np.exp(found.x))
    shape = float(np.log1p(ratio * excess).mean())
    return shape, shape / ratio


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
