"""A posterior from several runs of the sampler, each with numbers of its own.

A weak event of one track has several modes (shallow and gentle, deep and steep), of which a run with few particles
keeps those that it met early. Runs that are weighed by their evidence are one sampler with more of a search (Chopin &
Papaspiliopoulos 2020, ch. 17); they go on until the last one says what those before said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from slipscan.source.posterior import Float, Posterior

MOST: Final = 4
"""Runs."""
AGREED: Final = 0.5
"""Of half the 68 % interval: medians of depth and size that differ by less are the same."""
SURE: Final = 3.0
"""Log evidence: runs that differ by less found the same."""


def repeated(sampled: Callable[[int], Posterior], first: Posterior, seed: int) -> Posterior:
    """The posterior of a run and of further ones, until they agree.

    Parameters
    ----------
    sampled
        makes the posterior of run 1, 2, ...
    first
        that of run 0
    seed
        of random numbers: which particles stand for the runs together
    """
    runs = [first]
    while len(runs) < MOST:
        runs.append(sampled(len(runs)))
        if _agree(merged(runs[:-1], seed), runs[-1]):
            break
    return merged(runs, seed)


def merged(runs: Sequence[Posterior], seed: int) -> Posterior:
    """Runs as one posterior of all their particles, drawn by the evidence of their runs."""
    if len(runs) == 1:
        return runs[0]
    evidence = np.array([run.log_evidence for run in runs])
    weight = np.exp(evidence - np.logaddexp.reduce(evidence))
    each = np.concatenate([np.full(len(run.size), w / len(run.size)) for run, w in zip(runs, weight, strict=True)])
    count = sum(len(run.size) for run in runs)
    at = (np.arange(count) + np.random.default_rng(seed).uniform()) / count
    rows = np.searchsorted(np.cumsum(each), at).clip(max=count - 1)
    return Posterior(
        runs[0].kind,
        {name: np.concatenate([run.shape[name] for run in runs])[rows] for name in runs[0].shape},
        np.concatenate([run.size for run in runs])[rows],
        np.concatenate([run.log_likelihood for run in runs])[rows],
        np.concatenate([run.chi_square for run in runs])[rows],
        float(np.logaddexp.reduce(evidence) - np.log(len(runs))),
        all(run.complete for run in runs),
    )


def _agree(before: Posterior, last: Posterior) -> bool:
    """Whether a run says of evidence, depth and size what those before said."""
    told = zip(_told(before), _told(last), strict=True)
    return abs(last.log_evidence - before.log_evidence) < SURE and all(_same(own, other) for own, other in told)


def _told(posterior: Posterior) -> tuple[Float, Float]:
    """Depth, and the logarithm of the potency (particle,)."""
    shape = posterior.shape
    return shape["depth"], np.log(np.abs(posterior.size * shape.get("length", 1.0) * shape.get("width", 1.0)))


def _same(before: Float, last: Float) -> bool:
    low, middle, high = np.quantile(np.concatenate([before, last]), (0.16, 0.5, 0.84))
    return bool(max(abs(np.median(before) - middle), abs(np.median(last) - middle)) <= AGREED * (high - low) / 2)
