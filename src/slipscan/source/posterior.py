"""The posterior of a source of one kind: sequential Monte Carlo from the prior, all particles in one batch.

The global search is the first step: thousands of shapes of the prior. The likelihood is then raised in small powers,
particles are drawn anew by their weights, and moved (del Moral, Doucet & Jasra 2006); the moves are differences of
other particles (ter Braak 2006), which find scales and correlations of every mode by themselves. The product of the
mean weights is the evidence.

The size of a source is integrated out along a line for every shape, and so is the level of the noise: the covariance is
known up to a factor whose prior is inverse gamma (Student's likelihood), so that a bad fit widens the posterior.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import qmc
from torch import Tensor

from slipscan.source.data import Data
from slipscan.source.models import Area, Kind, Shape

Float = NDArray[np.float64]

LEVEL_DEGREES: Final = 20.0
"""Degrees of freedom of the prior of the noise's level: 0.8 to 1.3 times the standard deviation that is given."""
KEPT: Final = 0.5
"""Effective share of the particles that a step leaves."""
SIZES: Final = 32
"""Nodes of the integral over the size."""
SPAN: Final = 6.0
"""Standard deviations that it reaches over."""
MOVES: Final = (3, 10, 1.5)
LAST_MOVES: Final = (8, 30, 5.0)
"""Rounds of a step, and of the last one: at least, at most, and the moves a particle took on average by then."""
JUMP: Final = 0.1
"""Share of the moves that go the whole way from one particle to another: from mode to mode."""
JITTER: Final = 1e-3
"""Of the particles' standard deviation, added to every move: equal particles part."""
LN10: Final = math.log(10.0)
HOPELESS: Final = 25.0
"""Log evidence by which a kind must be behind another one, at the likelihood of its best particle, to be given up."""


@dataclass(frozen=True)
class Posterior:
    """Equally likely sources of one kind.

    Attributes
    ----------
    kind
        of the sources
    shape
        (particle,) each: metres and degrees, see `models.Shape`
    size
        (particle,) metres of slip, or m3
    log_likelihood
        (particle,) of shapes, sizes integrated out, in `log_evidence`'s units
    chi_square
        (particle,) of the whitened residual
    log_evidence
        of the kind, over that of no source; of one that was given up, about what it could have reached
    complete
        False: given up, its particles are no posterior
    """

    kind: Kind
    shape: dict[str, Float]
    size: Float
    log_likelihood: Float
    chi_square: Float
    log_evidence: float
    complete: bool = True


@dataclass(frozen=True)
class Problem:
    """What is sampled: a kind of source that is to explain data in an area."""

    kind: Kind
    data: Data
    area: Area
    poisson_ratio: float

    def log_likelihood(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of shapes (source, dimension) over that of no source, prior factors included; and b, A (source,).

        b and A are the products of a unit source with the data and with itself.
        """
        shape = self.kind.shape(z, self.area)
        moved = self.kind.moved(self.data.east, self.data.north, shape, self.poisson_ratio)
        b, a = self.data.products(moved)
        _, log_weight = self._sizes(shape, b, a)
        out = torch.logsumexp(log_weight, dim=1)
        if self.kind.more is not None:
            out = out + self.kind.more(shape, self.area).double()
        return torch.nan_to_num(out, nan=-1e30, neginf=-1e30), b, a

    def draw_size(self, shape: Shape, b: Tensor, a: Tensor, quantile: Tensor) -> Tensor:
        """Sizes (source,) drawn from their distribution given the shapes."""
        sizes, log_weight = self._sizes(shape, b, a)
        share = torch.softmax(log_weight, dim=1).cumsum(dim=1)
        node = (share < quantile[:, None]).sum(dim=1).clamp(max=sizes.shape[1] - 1)[:, None]
        before = torch.where(node > 0, share.gather(1, (node - 1).clamp(min=0)), torch.zeros_like(quantile[:, None]))
        part = ((quantile[:, None] - before) / (share.gather(1, node) - before).clamp(min=1e-12)).clamp(0, 1)
        middle = sizes.gather(1, node)
        # Within a cell of the integral, evenly in the logarithm.
        step = torch.log(sizes[:, 1:2] / sizes[:, :1]).abs()
        return (middle * torch.exp((part - 0.5) * step))[:, 0]

    def _sizes(self, shape: Shape, b: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
        """Sizes (source, node), and log of likelihood x prior x width of each (source, node), over no source."""
        mean, spread = self.kind.log_reference(shape).double(), self.kind.strength[1]
        best, sigma = b / a.clamp(min=1e-300), a.clamp(min=1e-300).rsqrt()
        size = best.abs() if self.kind.signed else best
        # The prior reaches so far; the likelihood's own reach is wider where the noise turns out larger.
        scale = math.sqrt(max(1.0, self.data.energy / self.data.degrees))
        low_prior, high_prior = (torch.pow(10.0, mean + s * 4 * spread) for s in (-1, 1))
        low = torch.maximum(size - SPAN * scale * sigma, low_prior)
        high = torch.minimum((size + SPAN * scale * sigma).clamp(min=1e-300), high_prior)
        high = torch.maximum(high, low * 1.02)
        step = torch.log(high / low) / SIZES
        nodes = (torch.arange(SIZES, dtype=torch.float64) + 0.5)[None] * step[:, None] + torch.log(low)[:, None]
        sizes = torch.exp(nodes)
        log_prior = (
            -0.5 * ((nodes / LN10 - mean[:, None]) / spread) ** 2
            - math.log(math.sqrt(2 * math.pi) * spread * LN10) + torch.log(step)[:, None]
        )  # fmt: skip
        if self.kind.signed:
            sizes, log_prior = torch.cat([-sizes, sizes], 1), torch.cat([log_prior, log_prior], 1) - math.log(2)
        chi_square = self.data.energy - 2 * sizes * b[:, None] + sizes.square() * a[:, None]
        power = 0.5 * (LEVEL_DEGREES + self.data.degrees)
        level = torch.log((LEVEL_DEGREES + chi_square.clamp(min=0)) / (LEVEL_DEGREES + self.data.energy))
        return sizes, log_prior - power * level


def sample(problem: Problem, particles: int, searched: int, seed: int, rival: float = -math.inf) -> Posterior:
    """Sample the posterior of a kind of source.

    Parameters
    ----------
    problem
        the kind and the data
    particles
        that are moved and returned
    searched
        shapes of the prior that the search begins with, at least as many
    seed
        of random numbers: equal seeds give equal posteriors
    rival
        log evidence of another kind: this one is given up where it cannot come near
    """
    generator = torch.Generator().manual_seed(seed)
    z = _prior(problem.kind.dimensions, max(searched, particles), seed)
    likelihood, b, a = (
        torch.cat(part) for part in zip(*[problem.log_likelihood(s) for s in torch.split(z, 1024)], strict=True)
    )
    log_evidence, power = 0.0, 0.0
    while power < 1.0:
        step = _step(likelihood, 1.0 - power, KEPT * particles if len(z) > particles else KEPT * len(z))
        weight = step * likelihood
        log_evidence += float(torch.logsumexp(weight, 0)) - math.log(len(weight))
        rows = _resampled(weight, particles, generator)
        z, likelihood, b, a = z[rows], likelihood[rows], b[rows], a[rows]
        power = min(1.0, power + step)
        reachable = log_evidence + (1.0 - power) * float(likelihood.max())
        if power > 0.1 and reachable + HOPELESS < rival:
            log_evidence = reachable
            break
        least, most, wanted = MOVES if power < 1.0 else LAST_MOVES
        taken = 0.0
        for turn in range(most):
            z, likelihood, b, a, share = _move(problem, z, likelihood, b, a, power, generator)
            taken += share
            if turn + 1 >= least and taken >= wanted:
                break
    shape = problem.kind.shape(z, problem.area)
    size = problem.draw_size(shape, b, a, torch.rand(len(z), generator=generator, dtype=torch.float64))
    chi_square = problem.data.energy - 2 * size * b + size.square() * a
    numbers = {name: np.asarray(value.double().numpy()) for name, value in shape.items()}
    return Posterior(
        problem.kind, numbers, np.asarray(size.numpy()), np.asarray(likelihood.numpy()),
        np.asarray(chi_square.numpy()), log_evidence, power >= 1.0,
    )  # fmt: skip


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


def _move(
    problem: Problem, z: Tensor, likelihood: Tensor, b: Tensor, a: Tensor, power: float, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor, float]:
    """Offer each half of the particles a place made of differences of the other half; and the share that took it."""
    moved = 0
    z, likelihood, b, a = z.clone(), likelihood.clone(), b.clone(), a.clone()
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
        found, new_b, new_a = problem.log_likelihood(new)
        ratio = power * (found - likelihood[own]) + 0.5 * (z[own].square().sum(1) - new.square().sum(1)).double()
        taken = torch.log(torch.rand(len(own), generator=generator, dtype=torch.float64)) < ratio
        rows = own[taken]
        moved += len(rows)
        z[rows], likelihood[rows], b[rows], a[rows] = new[taken], found[taken], new_b[taken], new_a[taken]
    return z, likelihood, b, a, moved / len(z)
