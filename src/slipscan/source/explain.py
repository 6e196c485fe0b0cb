"""What made one event: the posterior of every kind of source, and what they say together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from slipscan.earthquakes import moment_magnitude
from slipscan.settings import SourceSettings
from slipscan.source.data import Block, Data
from slipscan.source.models import FAULT, KINDS, POINT, Area, Kind
from slipscan.source.posterior import LEVEL_DEGREES, Posterior, Problem
from slipscan.source.repeated import repeated
from slipscan.source.sampler import sample

Float = NDArray[np.float64]

FAMILIES: Final[Mapping[str, tuple[str, ...]]] = {
    "slip": ("fault",), "volumetric": ("mogi", "sill", "dike"), "hydrological": ("aquifer",)
}  # fmt: skip
"""Kinds of source of a family: a family's posterior is theirs, weighed by their evidence."""
SHARES: Final = (0.16, 0.5, 0.84)
OTHERS: Final = 0.4
"""Particles of kinds that are no fault, over those of a fault: they have fewer dimensions. All are searched alike."""


@dataclass(frozen=True)
class Explained:
    """Posteriors of one event.

    Attributes
    ----------
    data
        that they were held against, with the covariance of what a source predicts wrongly
    bare
        the same without: what is no source predicts nothing wrongly
    area
        that they were looked for in
    posteriors
        by name of the kind
    poisson_ratio
        of the half space
    """

    data: Data
    bare: Data
    area: Area
    posteriors: Mapping[str, Posterior]
    poisson_ratio: float

    @property
    def evidence(self) -> dict[str, float]:
        """Log evidence over that of no source: of every family, and of a `cycle` that was unwrapped wrongly."""
        gain = null_log_likelihood(self.data) - null_log_likelihood(self.bare)
        out = {
            family: float(np.logaddexp.reduce([self.posteriors[k].log_evidence for k in kinds]))
            - math.log(len(kinds))
            + gain
            for family, kinds in FAMILIES.items()
        }
        return out | {"cycle": likelihood_ratio(self.bare, self.bare.cycle_energy())}

    def best_kind(self, family: str) -> str:
        """The kind of a family that has most evidence."""
        return max(FAMILIES[family], key=lambda name: self.posteriors[name].log_evidence)


FITS: Final = 1.15
"""Level of the noise above which a source does not fit."""
UNDECIDED: Final = 20.0
"""Log evidence by which a kind that is behind the best may be what happened: evidence of one run is known to some."""
WEAK: Final = 40.0
"""Log evidence of a fault over no source, above which one run finds its depth and size."""
AGAIN: Final = 100
"""Seeds from one run of the sampler to the next."""


def explain_data(blocks: Sequence[Block], area: Area, settings: SourceSettings) -> Explained:
    """Sample the posterior of every kind of source.

    Parameters
    ----------
    blocks
        of all tracks, and of whatever else saw the event (GNSS)
    area
        where its middle is about
    settings
        of the source stage
    """
    data = Data([block.with_errors() for block in blocks])
    found: dict[str, Posterior] = {}
    # The point first: it takes next to nothing, and what is far behind it or the fault is given up early.
    for number, kind in enumerate((POINT, *(k for k in KINDS.values() if k is not POINT))):
        rival = max((p.log_evidence for p in found.values()), default=-math.inf)
        found[kind.name] = _sampled(Problem(kind, data, area, settings.poisson_ratio), settings, number, rival)
    _repeat(data, area, found, settings)
    return Explained(data, Data(blocks), area, found, settings.poisson_ratio)


def _repeat(data: Data, area: Area, found: dict[str, Posterior], settings: SourceSettings) -> None:
    """Sample kinds again that one run does not tell apart, or that it may have looked for in a wrong place.

    All that may be what happened, where they are of several families or even the best does not fit; a weak fault, which
    may have several modes, in any case.
    """
    best = max(found.values(), key=lambda p: p.log_evidence)
    rivals = {n: p for n, p in found.items() if p.complete and p.log_evidence > best.log_evidence - UNDECIDED}
    several = sum(any(name in rivals for name in kinds) for kinds in FAMILIES.values()) > 1
    doubtful = several or level_of(best, data, representative(best)) > FITS
    for name, first in rivals.items():
        if doubtful or (name == FAULT.name and first.log_evidence < WEAK):
            problem = Problem(first.kind, data, area, settings.poisson_ratio)
            number = list(found).index(name)
            again = partial(_again, problem, settings, number)
            found[name] = repeated(again, first, settings.seed)


def _again(problem: Problem, settings: SourceSettings, number: int, run: int) -> Posterior:
    return _sampled(problem, settings, number + AGAIN * run, -math.inf)


def _sampled(problem: Problem, settings: SourceSettings, number: int, rival: float) -> Posterior:
    """Sample a kind with its own seed, `number`."""
    share = 1.0 if problem.kind is FAULT else OTHERS
    particles = max(50, round(share * settings.particles))
    return sample(problem, particles, max(64, settings.searched), settings.seed + number, rival)


def level_of(posterior: Posterior, data: Data, row: int) -> float:
    """Root of the reduced chi-square of a particle: 1 where source and noise are right."""
    return math.sqrt(float(posterior.chi_square[row]) / data.degrees)


def null_log_likelihood(data: Data) -> float:
    """Log likelihood of no source, the noise's level being free, but for what depends on the number of data alone."""
    power = 0.5 * (LEVEL_DEGREES + data.degrees)
    return -power * math.log(LEVEL_DEGREES + data.energy) - data.log_root


def likelihood_ratio(data: Data, energy: float) -> float:
    """Log likelihood of a chi-square over that of no source, the noise's level being free; -1000: no such thing."""
    if not math.isfinite(energy):
        return -1000.0
    power = 0.5 * (LEVEL_DEGREES + data.degrees)
    return -power * math.log((LEVEL_DEGREES + energy) / (LEVEL_DEGREES + data.energy))


def quantities(posterior: Posterior) -> dict[str, Float]:
    """Columns of the event table (particle,) of a posterior; those that a kind has not are missing."""
    shape, size = posterior.shape, posterior.size
    out = {"depth_km": shape["depth"] / 1e3}
    if "length" in shape:
        out |= {"length_km": shape["length"] / 1e3, "width_km": shape["width"] / 1e3, "strike_deg": shape["strike"]}
        out["dip_deg"] = shape["dip"]
    if posterior.kind.name != "fault":
        return out | {"volume_change_m3": size}
    potency = size * shape["length"] * shape["width"]
    magnitude = np.array([moment_magnitude(p) for p in potency])
    rake = (shape["rake"] + 180.0) % 360.0 - 180.0
    return out | {"rake_deg": rake, "slip_mm": 1e3 * size, "potency_m3": potency, "mw": magnitude}


def representative(posterior: Posterior) -> int:
    """The particle nearest to the medians among the more likely half: one source that goes together."""
    columns = quantities(posterior)
    names = [n for n in ("mw", "volume_change_m3", "depth_km", "length_km") if n in columns]
    parts = [posterior.shape["east"], posterior.shape["north"], *(columns[name] for name in names)]
    if "strike" in posterior.shape:
        double = np.deg2rad(2 * posterior.shape["strike"])
        parts += [np.cos(double), np.sin(double)]
    if "rake" in posterior.shape:
        parts += [np.cos(np.deg2rad(posterior.shape["rake"])), np.sin(np.deg2rad(posterior.shape["rake"]))]
    away = sum(((p - np.median(p)) / (np.std(p) + 1e-9 * (1 + np.abs(np.median(p))))) ** 2 for p in parts)
    likely = posterior.log_likelihood >= np.median(posterior.log_likelihood)
    return int(np.where(likely, away, np.inf).argmin())


def family_quantiles(explained: Explained, family: str) -> dict[str, tuple[float, float, float]]:
    """16, 50 and 84 % of every quantity of a family's posterior; kinds weigh by their evidence.

    Strike and rake are taken about those of the representative source, strike as an axis: from 16 to 84 % it turns
    clockwise, and may pass north.
    """
    kinds = [explained.posteriors[name] for name in FAMILIES[family]]
    evidence = np.array([p.log_evidence for p in kinds])
    share = np.exp(evidence - np.logaddexp.reduce(evidence))
    best = explained.posteriors[explained.best_kind(family)]
    middle = representative(best)
    out = {}
    each = [quantities(p) for p in kinds]
    for name in quantities(best):
        parts = [(q[name], s / len(q[name])) for q, s in zip(each, share, strict=True) if name in q]
        values = np.concatenate([v for v, _ in parts])
        weights = np.concatenate([np.full(len(v), w) for v, w in parts])
        if name in ("strike_deg", "rake_deg"):
            turn = 180.0 if name == "strike_deg" else 360.0
            at = float(quantities(best)[name][middle])
            off = (values - at + turn / 2) % turn - turn / 2
            found = [at + q for q in weighted_quantiles(off, weights, SHARES)]
            # As an axis a median may lie beyond a quarter turn: the circle is closed here.
            found = [f % 360.0 if name == "strike_deg" else (f + 180.0) % 360.0 - 180.0 for f in found]
        else:
            found = weighted_quantiles(values, weights, SHARES)
        out[name] = (found[0], found[1], found[2])
    return out


def weighted_quantiles(values: Float, weights: Float, shares: Sequence[float]) -> list[float]:
    """Quantiles of weighted values."""
    order = np.argsort(values, kind="stable")
    share = np.cumsum(weights[order])
    share = (share - 0.5 * weights[order]) / share[-1]
    return [float(np.interp(q, share, values[order])) for q in shares]


def moved_by(kind: Kind, shape: Mapping[str, float], size: float, east: Float, north: Float, nu: float) -> Float:
    """Displacement (point, 3) east, north, up, metres, of one source of a kind at points (point,) of its frame."""
    row = {name: torch.tensor([value], dtype=torch.float64) for name, value in shape.items()}
    points = torch.from_numpy(np.ascontiguousarray(east, float)), torch.from_numpy(np.ascontiguousarray(north, float))
    return size * np.asarray(kind.moved(*points, row, nu)[0].numpy())


def predicted_in(block: Block, kind: Kind, shape: Mapping[str, float], size: float, nu: float) -> Float:
    """What one source makes of the values (value,) of a block, metres."""
    east, north = np.moveaxis(block.places, -1, 0)
    moved = moved_by(kind, shape, size, east.ravel(), north.ravel(), nu).reshape(*east.shape, 3).mean(axis=1)
    return np.asarray((moved * block.direction).sum(axis=1))


def fitted(explained: Explained, kind: str) -> dict[str, Any]:
    """Of the representative source of a kind: signal-to-noise ratio, reduced chi-square, variance explained."""
    posterior = explained.posteriors[kind]
    row = representative(posterior)
    shape = {name: float(values[row]) for name, values in posterior.shape.items()}
    size = float(posterior.size[row])
    before = after = energy = 0.0
    for block in explained.data.blocks:
        near = slice(None) if block.near is None else block.near
        predicted = predicted_in(block, posterior.kind, shape, size, explained.poisson_ratio)
        seen, rest = (block.left_of(v)[near] for v in (block.value, block.value - predicted))
        energy += float((block.whitened(predicted) ** 2).sum())
        before, after = before + float(seen @ seen), after + float(rest @ rest)
    return {
        "snr": math.sqrt(energy),
        "reduced_chi2": float(posterior.chi_square[row]) / explained.data.degrees,
        "variance_explained": max(0.0, 1.0 - after / before) if before > 0 else 0.0,
    }
