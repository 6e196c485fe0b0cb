"""Noise in time: every epoch's own white variance and a random walk, and the whitening of series and design by both.

A generalized least-squares fit is an ordinary one of whitened columns: with W C W^T = 1, the fit of W x to W A is that
of x to A under the covariance C.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from slipscan.fit.model import DAYS_PER_YEAR


@dataclass(frozen=True)
class TemporalCovariance:
    """Covariance in time of the noise of one place at one spatial scale: white + random walk.

    Attributes
    ----------
    white
        (time,) variance of the white part of every epoch, m2; inf: the epoch is left out
    red
        variance that the random walk gains in a year, m2/yr; 0: white noise alone

    Raises
    ------
    ValueError
        a white variance that is not positive, a red part that is negative or not finite
    """

    white: Tensor
    red: float = 0.0

    def __post_init__(self) -> None:
        if not bool((self.white > 0).all()):
            raise ValueError("the white variance of an epoch must be above 0 (inf leaves an epoch out)")
        if not (0 <= self.red < math.inf):
            raise ValueError(f"the red part gains {self.red} m2 a year: give a finite number, 0 or more")

    @classmethod
    def relative(cls, white: Tensor, red: float) -> TemporalCovariance:
        """Of a red part over the white level (1/yr), as the noise product has it."""
        return cls(white, red * white_level(white))

    def matrix(self, days: Tensor) -> Tensor:
        """Covariance (time, time) at the days (time,), m2; the random walk is zero in the middle of them.

        Beside an offset that choice matters for the offset alone.
        """
        return torch.diag(self.white) + self._red(days)

    def whitener(self, days: Tensor, valid: Tensor | None = None) -> Tensor:
        """W (time, time), lower triangular, with W C W^T = 1: W @ series and W @ design are of ordinary least squares.

        Rows and columns of epochs that are left out are zero. Without a red part it is diag(1 / std), exactly.

        Parameters
        ----------
        days
            (time,) ascending
        valid
            (time,) bool, epochs that count; None: all
        """
        white = self.white if valid is None else torch.where(valid, self.white, math.inf)
        inverse = white.rsqrt()
        if self.red == 0:
            return torch.diag(inverse)
        # The scaled matrix is 1 + something positive: well conditioned, and 1 where an epoch is left out.
        scaled = torch.eye(len(white), dtype=torch.float64, device=white.device)
        scaled += inverse.double()[:, None] * self._red(days.double()) * inverse.double()
        return torch.linalg.solve_triangular(
            torch.linalg.cholesky(scaled), torch.diag(inverse.double()), upper=False
        ).to(white.dtype)

    def _red(self, days: Tensor) -> Tensor:
        return self.red * random_walk(days).to(self.white.dtype if days.dtype != torch.float64 else torch.float64)


def white_level(white: Tensor) -> float:
    """Level that the red part is stated over: the median of the white variances (time,) that are finite, m2."""
    return float(white[torch.isfinite(white)].median())


def random_walk(days: Tensor) -> Tensor:
    """Covariance (time, time) of a random walk of variance 1 a year that is zero in the middle of the days (time,).

    (|t| + |s| - |t - s|) / 2: Wiener's process, in both directions.
    """
    years = (days - (days[0] + days[-1]) / 2) / DAYS_PER_YEAR
    size = years.abs()
    return (size[:, None] + size - (years[:, None] - years).abs()) / 2
