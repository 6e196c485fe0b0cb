"""Histories that are tried: steps and ramps in time, and what rate, season and other events leave of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slipscan.errors import SlipscanError
from slipscan.fit.model import days_since_2014, design_matrix, transient_column

Float = NDArray[np.float64]

CENTRAL = 0.9
"""Share of a linear ramp between t05 and t95."""
GAP_D = 36.0
"""Between epochs: an event within has no baseline close by."""


@dataclass(frozen=True)
class Ramp:
    """A history from 0 to 1 that is half way at `middle_d` (days since 2014-01-01); duration 0 is a step.

    Linear over its duration; one that relaxes, 1 - exp(-t / tau), reaches 95 % in it.
    """

    middle_d: float
    duration_d: float
    relaxes: bool = False

    @classmethod
    def of_times(cls, t05: np.datetime64, t50: np.datetime64, t95: np.datetime64) -> Ramp:
        """One that is half way when it is told, its 5 and 95 % as long apart; it relaxes if its first half is short."""
        first, middle, last = (float(day) for day in days_since_2014(np.array([t05, t50, t95], "datetime64[ns]")))
        one = cls(0.0, 1.0, relaxes=True)
        length = one.reached(0.95) - one.reached(0.05)
        halves = (-one.reached(0.05) / length + 0.5) / 2
        relaxes = middle - first < halves * (last - first)
        return cls(middle, (last - first) / (length if relaxes else CENTRAL), relaxes)

    @property
    def start_d(self) -> float:
        """When it starts."""
        return self.middle_d - self.duration_d * (math.log(2) / math.log(20) if self.relaxes else 0.5)

    def reached(self, fraction: float) -> float:
        """The day at which it has reached a fraction of its total; one that relaxes has reached 1 at 95 %."""
        share = -math.log1p(-min(fraction, 0.95)) / math.log(20) if self.relaxes else fraction
        return self.start_d + share * self.duration_d

    def column(self, time: NDArray[np.datetime64]) -> Float:
        """(time,) what it has reached."""
        if not self.relaxes:
            return transient_column(time, self.start_d, self.duration_d)
        since = np.maximum(days_since_2014(time) - self.start_d, 0.0)
        return np.asarray(-np.expm1(-since * math.log(20) / self.duration_d))


@dataclass(frozen=True)
class Epochs:
    """The dates of a series, and the connected part of the network that each belongs to (or None), (time,).

    Where the background is known, rate and season were taken out beforehand.
    """

    time: NDArray[np.datetime64]
    segment: NDArray[np.integer] | None = None
    background_known: bool = False

    def __len__(self) -> int:
        return len(self.time)

    @property
    def days(self) -> Float:
        """(time,) days since 2014-01-01."""
        return days_since_2014(self.time)

    def at_edge(self, ramp: Ramp, edge_epochs: int) -> bool:
        """Whether a history lacks a baseline on both sides: in the first or last epochs, or in a gap."""
        days, middle = self.days, ramp.middle_d
        if middle < days[min(edge_epochs, len(days)) - 1] or middle > days[max(len(days) - edge_epochs, 0)]:
            return True
        number = int(np.clip(np.searchsorted(days, middle), 1, len(days) - 1))
        return bool(ramp.duration_d < GAP_D and days[number] - days[number - 1] > GAP_D)

    def columns(self, tried: Sequence[Ramp]) -> Tensor:
        """The histories of ramps, (time, ramp), double precision."""
        if not tried:
            return torch.empty((len(self), 0), dtype=torch.float64)
        return torch.from_numpy(np.stack([ramp.column(self.time) for ramp in tried], axis=1))

    def design(self, beside: Sequence[Ramp] = ()) -> Tensor:
        """Columns of the background and of the ramps that are estimated beside it, (time, column)."""
        columns, names = design_matrix(self.time, self.segment)
        matrix = torch.from_numpy(columns[:, : names.count("offset")] if self.background_known else columns)
        return torch.cat([matrix, self.columns(beside)], 1)


def candidates(epochs: Epochs, durations_d: Sequence[float], edge_epochs: int) -> list[Ramp]:
    """Middles half way between consecutive epochs, outside the edges, with every duration.

    Raises
    ------
    SlipscanError
        the series has no interval outside its edges
    """
    days = epochs.days
    middles = (days[1:] + days[:-1]) / 2
    inner = middles[edge_epochs - 1 : len(middles) - edge_epochs + 1]
    if not len(inner):
        raise SlipscanError(
            f"a series of {len(days)} epochs has no interval between edges of {edge_epochs} epochs: "
            "lower detect.edge_epochs or add epochs"
        )
    return [Ramp(float(middle), float(duration)) for duration in durations_d for middle in inner]
