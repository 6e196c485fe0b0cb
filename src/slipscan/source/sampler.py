"""Sequential Monte Carlo from the prior to the posterior of a source, all particles in one batch.

The global search is the first step: thousands of shapes of the prior. The likelihood is then raised in small powers,
particles are drawn anew by their weights, and moved (del Moral, Doucet & Jasra 2006); the moves are differences of
other particles (ter Braak 2006), which find scales and correlations of every mode by themselves. The product of the
mean weights is the evidence.

A weak event has several modes, each a tiny share of the prior: many particles must climb for all to be met. They climb
the likelihood of a share of the data, which is cheap; from there few go on to that of all (multilevel sequential Monte
Carlo, Beskos et al. 2017, doi 10.1016/j.spa.2016.08.004).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from scipy.stats import qmc
from torch import Tensor

from slipscan.source.posterior import Posterior, Problem

KEPT: Final = 0.5
"""Effective share of the particles that a step leaves."""
CLIMBING: Final = 4
"""Particles that climb the likelihood of a share of the data, over those that go on."""
BATCH: Final = 1024
MOVES: Final = (3, 10, 1.5)
LAST_MOVES: Final = (8, 30, 5.0)
"""Rounds of a step, and of the last one: at least, at most, and the moves a particle took on average by then."""
JUMP: Final = 0.1
"""Share of the moves that go the whole way from one particle to another: from mode to mode."""
JITTER: Final = 1e-3
"""Of the particles' standard deviation, added to every move: equal particles part."""
HOPELESS: Final = 25.0
"""Log evidence by which a kind must be behind another one, at the likelihood of its best particle, to be given up."""

Likelihoods = Callable[[Tensor], Tensor]
"""Shapes (source, dimension) to log likelihoods (source, level), over no source."""


@dataclass(frozen=True)
class _Particles:
    """Shapes (source, dimension), standard normal in the prior, and their log likelihoods (source, level)."""

    z: Tensor
    likelihood: Tensor

    def at(self, rows: Tensor) -> _Particles:
        return _Particles(self.z[rows], self.likelihood[rows])


def sample(problem: Problem, particles: int, searched: int, seed: int, rival: float = -math.inf) -> Posterior:
    """Sample the posterior of a kind of source.

    Parameters
    ----------
    problem
        the kind and the data
    particles
        that are returned
    searched
        shapes of the prior that the search begins with, at least as many
    seed
        of random numbers: equal seeds give equal posteriors
    rival
        log evidence of another kind: this one is given up where it cannot come near
    """
    generator = torch.Generator().manual_seed(seed)
    coarse = problem.coarse

    def first(z: Tensor) -> Tensor:
        return torch.cat([coarse.log_likelihood(part)[0] for part in torch.split(z, BATCH)])[:, None]

    def both(z: Tensor) -> Tensor:
        own = torch.cat([problem.log_likelihood(part)[0] for part in torch.split(z, BATCH)])
        return torch.cat([first(z), own[:, None]], 1)

    z = _prior(problem.kind.dimensions, max(searched, particles), seed)
    start, complete = _Particles(z, first(z)), True
    if coarse is problem:
        found, log_evidence = _raised(start, first, (0.0,), (1.0,), particles, LAST_MOVES, generator)
    else:
        climbing = min(CLIMBING * particles, len(z))
        found, log_evidence = _raised(start, first, (0.0,), (1.0,), climbing, MOVES, generator)
        found = _Particles(found.z, both(found.z))
        reachable = log_evidence + float((found.likelihood[:, 1] - found.likelihood[:, 0]).max())
        complete = reachable + HOPELESS >= rival
        if complete:
            found, more = _raised(found, both, (1.0, 0.0), (-1.0, 1.0), particles, LAST_MOVES, generator)
        else:
            found, more = found.at(torch.arange(particles)), reachable - log_evidence
        log_evidence += more
    quantile = torch.rand(len(found.z), generator=generator, dtype=torch.float64)
    return problem.posterior(found.z, quantile, log_evidence, complete)


def _raised(
    particles: _Particles,
    likelihoods: Likelihoods,
    start: tuple[float, ...],
    direction: tuple[float, ...],
    count: int,
    last: tuple[int, int, float],
    generator: torch.Generator,
) -> tuple[_Particles, float]:
    """`count` particles of the prior times exp(likelihoods . (start + direction)), from those of start; log evidence.

    `last` are the rounds of the last step.
    """
    begin, along = (torch.tensor(part, dtype=torch.float64) for part in (start, direction))
    log_evidence, power = 0.0, 0.0
    while power < 1.0:
        rise = particles.likelihood @ along
        step = _step(rise, 1.0 - power, KEPT * min(count, len(rise)))
        weight = step * rise
        log_evidence += float(torch.logsumexp(weight, 0)) - math.log(len(weight))
        particles = particles.at(_resampled(weight, count, generator))
        power = min(1.0, power + step)
        least, most, wanted = MOVES if power < 1.0 else last
        taken = 0.0
        for turn in range(most):
            particles, share = _moved(particles, likelihoods, begin + power * along, generator)
            taken += share
            if turn + 1 >= least and taken >= wanted:
                break
    return particles, log_evidence


def _prior(dimensions: int, count: int, seed: int) -> Tensor:
    """Standard normal numbers (count, dimension), spread evenly (Sobol)."""
    engine = qmc.Sobol(dimensions, rng=np.random.default_rng(seed))
    points = engine.random_base2(max(1, math.ceil(math.log2(count))))
    return torch.special.ndtri(torch.from_numpy(points.clip(1e-7, 1 - 1e-7))).float()


def _step(likelihood: Tensor, most: float, kept: float) -> float:
    """The largest rise of the power, up to `most`, that leaves so many effective particles."""

    def effective(step: float) -> float:
        weight = torch.softmax(step * likelihood, 0)
        return float(1.0 / weight.square().sum())

    if effective(most) >= kept:
        return most
    low, high = 0.0, most
    for _ in range(40):
        middle = 0.5 * (low + high) if low > 0 else high * 0.25
        low, high = (middle, high) if effective(middle) >= kept else (low, middle)
        if low > 0 and high < 1.05 * low:
            break
    return max(low, 1e-9)


def _resampled(log_weight: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Rows drawn by their weights (systematic), in random order."""
    share = torch.softmax(log_weight, 0).cumsum(0)
    at = (torch.arange(count, dtype=torch.float64) + torch.rand(1, generator=generator, dtype=torch.float64)) / count
    rows = torch.searchsorted(share, at).clamp(max=len(log_weight) - 1)
    return rows[torch.randperm(count, generator=generator)]


def _moved(
    particles: _Particles, likelihoods: Likelihoods, power: Tensor, generator: torch.Generator
) -> tuple[_Particles, float]:
    """Offer each half of the particles a place made of differences of the other half; and the share that took it.

    `power` (level,) of the likelihoods.
    """
    moved = 0
    z, likelihood = particles.z.clone(), particles.likelihood.clone()
    order = torch.randperm(len(z), generator=generator)
    spread = z.std(dim=0)
    half = len(z) // 2
    for own, other in ((order[:half], order[half:]), (order[half:], order[:half])):
        one = other[torch.randint(len(other), (len(own),), generator=generator)]
        two = other[torch.randint(len(other), (len(own),), generator=generator)]
        scale = 2.38 / math.sqrt(2 * z.shape[1]) * torch.exp(0.7 * torch.randn(len(own), 1, generator=generator))
        scale = torch.where(torch.rand(len(own), 1, generator=generator) < JUMP, torch.ones_like(scale), scale)
        step = scale * (z[one] - z[two])
        # Some coordinates at a time: where few matter, larger steps are taken.
        chosen = torch.rand(step.shape, generator=generator) < 0.3 + 0.7 * torch.rand(len(own), 1, generator=generator)
        # A trace of noise alone: at a high signal-to-noise ratio a posterior is a hundred times as narrow as its prior.
        new = z[own] + step * chosen + JITTER * spread * torch.randn(step.shape, generator=generator)
        found = likelihoods(new)
        gain = (found - likelihood[own]) @ power
        ratio = gain + 0.5 * (z[own].square().sum(1) - new.square().sum(1)).double()
        taken = torch.log(torch.rand(len(own), generator=generator, dtype=torch.float64)) < ratio
        rows = own[taken]
        moved += len(rows)
        z[rows], likelihood[rows] = new[taken], found[taken]
    return _Particles(z, likelihood), moved / len(z)
