"""When a transient was: what a series that was projected on its map says of all histories, beside what else happened.

Times are medians of what the histories say by their evidence, not those of the likeliest: a weak event fits a step or a
ramp of years as well as its own history, and the likeliest is either of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slipscan.detect.histories import Histories, close_histories, closer_histories
from slipscan.detect.ramp import Epochs, Ramp
from slipscan.fit.ramps import without

SHARES: Final = (0.05, 0.5, 0.95)
QUANTILES: Final = (0.16, 0.5, 0.84)
ESTIMABLE: Final = 1e-3
"""Share of a history's information that background and other events must leave."""
DETERMINED: Final = 0.1
"""Of the largest information of a history: with more its amplitude says how large the event is."""
LARGEST: Final = 2.0
"""Standard deviation of amplitudes, over that one: long ramps that rate and season nearly hide would fit any noise."""
SPREAD: Final = 100.0
"""Histories that are as likely, fewer than which are too few to tell quantiles from."""
ALIKE: Final = 64
"""Histories that stand for a posterior."""
UNKNOWN: Final = 0.3
"""Probability that an end lies beyond the series, from which that is said."""


@dataclass(frozen=True)
class Timing:
    """How well the times of a transient are known.

    Attributes
    ----------
    errors_d
        half the width of the 68 % intervals of t05, t50 and t95, days
    ongoing, left_censored
        t95 may lie past the last epoch, t05 before the first
    alike
        equally likely histories
    """

    errors_d: tuple[float, float, float]
    ongoing: bool
    left_censored: bool
    alike: tuple[Ramp, ...] = ()


@dataclass(frozen=True)
class Posterior:
    """How likely each of some histories is.

    Attributes
    ----------
    tried
        histories
    weight
        (history,) probability
    evidence
        (history,) logarithm, before the prior
    likeliest
        the history of the largest evidence and prior
    """

    tried: Histories
    weight: NDArray[np.float64]
    evidence: NDArray[np.float64]
    likeliest: Ramp

    @property
    def reached(self) -> NDArray[np.float64]:
        """(history, share) the days at which each has reached 5, 50 and 95 %."""
        return np.array([[ramp.reached(share) for share in SHARES] for ramp in self.tried.ramps])

    @property
    def quantiles(self) -> NDArray[np.float64]:
        """(share, quantile) 16, 50 and 84 % of t05, t50 and t95, days since 2014-01-01."""
        out = []
        for days in self.reached.T:
            order = np.argsort(days, kind="stable")
            below = np.cumsum(self.weight[order]) - self.weight[order] / 2
            out.append(np.interp(QUANTILES, below, days[order]))
        return np.array(out)

    @property
    def typical(self) -> Ramp:
        """The history whose middle and length are the medians; it relaxes where that is more likely than not.

        Where it may have been a step, the likeliest whose times lie in their intervals: how large an event is goes with
        what an epoch beside a gap has seen of it, and the medians may have it half way there.
        """
        low, (first, middle, last), high = self.quantiles.T
        if high[0] >= low[2] and (near := ((self.reached >= low) & (self.reached <= high)).all(axis=1)).any():
            return self.tried.ramps[int(np.where(near, self.evidence, -np.inf).argmax())]
        relaxes = bool(self.weight @ [ramp.relaxes for ramp in self.tried.ramps] > 0.5)
        one = Ramp(0.0, 1.0, relaxes)
        return Ramp(float(middle), float(last - first) / (one.reached(SHARES[2]) - one.reached(SHARES[0])), relaxes)

    @property
    def timing(self) -> Timing:
        """How well the times are known."""
        days, quantiles = self.tried.epochs.days, self.quantiles
        # Anything lies anywhere between two epochs.
        number = int(np.clip(np.searchsorted(days, quantiles[1, 1]), 1, len(days) - 1))
        least = (days[number] - days[number - 1]) / np.sqrt(12)
        t05, t50, t95 = np.maximum((quantiles[:, 2] - quantiles[:, 0]) / 2, least)
        late = self.weight @ (self.reached[:, 2] > days[-1])
        early = self.weight @ (self.reached[:, 0] < days[0])
        drawn = np.searchsorted(np.cumsum(self.weight), (np.arange(ALIKE) + 0.5) / ALIKE).clip(max=len(self.weight) - 1)
        alike = tuple(self.tried.ramps[int(number)] for number in drawn)
        return Timing((float(t05), float(t50), float(t95)), bool(late > UNKNOWN), bool(early > UNKNOWN), alike)


@dataclass(frozen=True)
class Course:
    """A series that was projected on the map of a transient, which rises in it.

    Attributes
    ----------
    epochs
        dates
    series
        (time,)
    whitener
        (time, time) that makes its noise white and of variance 1
    design
        (time, column) of background and other events
    """

    epochs: Epochs
    series: Tensor
    whitener: Tensor
    design: Tensor

    def posterior(self, tried: Histories, like: Ramp | None = None) -> Posterior | None:
        """How likely histories are, each beside the design; None where that leaves nothing that rises of any.

        Evidence of a linear model whose amplitude is Gaussian: about zero, as large as what is determined well says, or
        about that of the history `like`, by half of it.
        """
        information, product = self._projected(tried.columns)
        usable = (information > 0) & (product > 0)
        if not usable.any():
            return None
        safe = information.clamp(min=1e-30)
        amplitude, signal = product / safe, product / safe.sqrt()
        if like is None:
            fair = usable & (information > DETERMINED * information.max())
            # What is determined best may fall: then all that rises counts.
            fair = fair if fair.any() else usable
            about, spread = 0.0, LARGEST * float(amplitude[fair][signal[fair].argmax()])
        else:
            known, rise = (float(part) for part in self._projected(self.epochs.columns([like])))
            about, spread = rise / max(known, 1e-30), 0.5 * rise / max(known, 1e-30)
        evidence = 0.5 * signal.square() - 0.5 * (amplitude - about).square() / (1 / safe + spread**2)
        evidence = torch.where(usable, evidence - 0.5 * torch.log1p(spread**2 * information), -torch.inf)
        believed = evidence + tried.log_prior
        best = int(believed.argmax())
        weight = torch.exp(believed - believed[best]).numpy()
        return Posterior(tried, weight / weight.sum(), evidence.numpy(), tried.ramps[best])

    def _projected(self, columns: Tensor) -> tuple[Tensor, Tensor]:
        """Information and product with the series (history,) of what the design leaves of columns; 0 if nothing."""
        scaled = self.whitener @ columns
        rest = without(scaled, self.whitener @ self.design)
        information, product = rest.square().sum(0), rest.T @ (self.whitener @ self.series.double())
        usable = information > ESTIMABLE * scaled.square().sum(0)
        return torch.where(usable, information, 0.0), torch.where(usable, product, 0.0)

    def close_posterior(self, near_d: float) -> Posterior | None:
        """That of histories in small steps about a day, and in smaller ones where few of them are possible."""
        out = self.posterior(close_histories(self.epochs, near_d))
        if out is None or 1 / np.square(out.weight).sum() > SPREAD:
            return out
        return self.posterior(closer_histories(out.tried, out.weight)) or out
