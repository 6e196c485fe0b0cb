"""Histories that are tried: steps and ramps in time, and what rate, season and other events leave of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slipscan.errors import SlipscanError
from slipscan.fit.model import days_since_2014, design_matrix, transient_column

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Ramp:
    """A linear ramp from 0 to 1 around `middle_d` (days since 2014-01-01); duration 0 is a step."""

    middle_d: float
    duration_d: float

    @property
    def start_d(self) -> float:
        """When it starts."""
        return self.middle_d - self.duration_d / 2

    def reached(self, fraction: float) -> float:
        """The day at which it has reached a fraction of its total."""
        return self.start_d + fraction * self.duration_d


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

    def columns(self, tried: Sequence[Ramp]) -> Tensor:
        """The histories of ramps, (time, ramp), double precision."""
        if not tried:
            return torch.empty((len(self), 0), dtype=torch.float64)
        return torch.from_numpy(
            np.stack([transient_column(self.time, ramp.start_d, ramp.duration_d) for ramp in tried], axis=1)
        )

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
