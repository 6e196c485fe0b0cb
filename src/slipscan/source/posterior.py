"""The posterior of a source of one kind: what is sampled, and what comes out (`sampler`).

The size of a source is integrated out along a line for every shape, and so is the level of the noise: the covariance is
known up to a factor whose prior is inverse gamma (Student's likelihood), so that a bad fit widens the posterior.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slipscan.source.data import Data
from slipscan.source.models import Area, Kind, Shape

Float = NDArray[np.float64]

LEVEL_DEGREES: Final = 20.0
"""Degrees of freedom of the prior of the noise's level: 0.8 to 1.3 times the standard deviation that is given."""
SIZES: Final = 32
"""Nodes of the integral over the size."""
SPAN: Final = 6.0
"""Standard deviations that it reaches over."""
LN10: Final = math.log(10.0)


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

    @property
    def coarse(self) -> Problem:
        """The same of a share of the data, which takes a tenth of the time; itself where there are few."""
        data = self.data.thinned()
        return self if data is self.data else replace(self, data=data)

    def posterior(self, z: Tensor, quantile: Tensor, log_evidence: float, complete: bool) -> Posterior:
        """Shapes (source, dimension) as equally likely sources, each with a size drawn at its `quantile` (source,)."""
        likelihood, b, a = self.log_likelihood(z)
        shape = self.kind.shape(z, self.area)
        size = self.draw_size(shape, b, a, quantile)
        chi_square = self.data.misfit(size[:, None], b, a)[0][:, 0]
        numbers = {name: np.asarray(value.double().numpy()) for name, value in shape.items()}
        return Posterior(
            self.kind, numbers, np.asarray(size.numpy()), np.asarray(likelihood.numpy()),
            np.asarray(chi_square.numpy()), log_evidence, complete,
        )  # fmt: skip

    def log_likelihood(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of shapes (source, dimension) over that of no source, prior factors included; and b, A (source, block).

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
        energy = a.sum(1).clamp(min=1e-300)
        best = b.sum(1) / energy
        size = best.abs() if self.kind.signed else best
        # The prior reaches so far; the likelihood's own reach is wider where the noise turns out larger.
        scale = math.sqrt(max(1.0, self.data.energy / self.data.degrees))
        sigma = torch.hypot(scale * energy.rsqrt(), float(self.data.size_error.max()) * size)
        low_prior, high_prior = (torch.pow(10.0, mean + s * 4 * spread) for s in (-1, 1))
        low = torch.maximum(size - SPAN * sigma, low_prior)
        high = torch.minimum((size + SPAN * sigma).clamp(min=1e-300), high_prior)
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
        chi_square, log_errors = self.data.misfit(sizes, b, a)
        power = 0.5 * (LEVEL_DEGREES + self.data.degrees)
        level = torch.log((LEVEL_DEGREES + chi_square.clamp(min=0)) / (LEVEL_DEGREES + self.data.energy))
        return sizes, log_prior - power * level - 0.5 * log_errors
