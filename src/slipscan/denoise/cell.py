"""The events of one cell of a stack: windows in time through the network, put together to one series."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slipscan import seriesmodel
from slipscan.denoise import cells, front_end
from slipscan.denoise.front_end import Survey
from slipscan.denoise.predict import WindowEvents, window_events
from slipscan.denoise.pretrained import Weights
from slipscan.denoise.window_cache import WindowCache

Float32 = NDArray[np.float32]
Float = NDArray[np.float64]


@dataclass(frozen=True)
class Cell:
    """What was observed in a cell.

    Attributes
    ----------
    displacement
        (time, y, x) m, NaN = no data, about any reference epoch
    time, segment
        (time,) epochs, and connected part of the network that each belongs to, or None
    height
        (y, x) m or None
    pixel_m
        side of a pixel
    background_known
        rate and season have been taken out beforehand
    """

    displacement: Float32
    time: NDArray[np.datetime64]
    segment: NDArray[np.integer] | None
    height: NDArray[np.floating] | None
    pixel_m: float
    background_known: bool = False

    @property
    def design(self) -> Float:
        """Background columns (time, k): an offset a part, and rate and season unless they are known."""
        matrix, names = seriesmodel.design_matrix(self.time, self.segment)
        return matrix[:, : names.count("offset")] if self.background_known else matrix

    def epochs(self, piece: slice) -> Cell:
        """Some of the epochs."""
        segment = None if self.segment is None else self.segment[piece]
        return dataclasses.replace(self, displacement=self.displacement[piece], time=self.time[piece], segment=segment)

    def survey(self, device: torch.device | str) -> Survey:
        """The delay of every epoch; raises SlipscanError where there is no data."""
        days = seriesmodel.days_since_2014(self.time)
        return front_end.survey(self.displacement, days, self.height, self.design, self.pixel_m, device)

    def content(self) -> tuple[str | NDArray[np.generic], ...]:
        """All that a result depends on, as strings and arrays."""
        days = (self.time - self.time[0]).astype("timedelta64[ns]")
        series = (self.displacement.astype(np.float32, copy=False), days, self.design)
        return *series, "no height" if self.height is None else self.height, repr(self.pixel_m)


@dataclass(frozen=True)
class CellEvents:
    """Events of a cell.

    Attributes
    ----------
    transient, variance
        (time, y, x) displacement by events about its temporal mean, m, and its variance, m2
    evidence
        (by, bx) the largest of any window
    """

    transient: Tensor
    variance: Tensor
    evidence: Tensor


def cell_events(cell: Cell, stack: Survey, weights: Weights, windows: WindowCache) -> CellEvents:
    """The events of a series of any length.

    Windows are asked for the change from epoch to epoch; it is blended where they overlap, and summed up in the end.
    A window is made from its own epochs alone, so that new epochs leave the ones before as they are.

    Parameters
    ----------
    cell
        what was observed
    stack
        its survey
    weights
        of the network
    windows
        where finished ones are kept
    """
    n = len(cell.time)
    pieces = cells.windows(n)
    intervals = [slice(piece.start, piece.stop - 1) for piece in pieces]
    device = stack.cleaned.device
    change = torch.zeros(n, *stack.height.shape, device=device)
    variance = torch.zeros_like(change)
    evidence = []
    for piece, share in zip(pieces, cells.shares(intervals, n - 1), strict=True):
        part = cell.epochs(piece)
        if np.isfinite(part.displacement).any():
            alone = stack if len(pieces) == 1 else None
            found = windows.events(part.content(), weights, partial(_window_events, part, alone, weights, device))
        else:
            # Its noise is that of the other epochs: not its own content, so it is not kept.
            found = window_events(front_end.cut(stack, piece, part.design), weights)
        steps = found.change() * torch.from_numpy(share)[:, None, None].to(found.map)
        change[piece.start + 1 : piece.stop] += steps * found.map
        variance += (_about_mean(_summed(steps, piece, n)) * found.std).square()
        evidence.append(found.evidence)
    return CellEvents(_about_mean(change.cumsum(0)), variance, torch.stack(evidence).amax(0))


def _window_events(part: Cell, stack: Survey | None, weights: Weights, device: torch.device) -> WindowEvents:
    """The events of a window made from its own epochs, whose survey is given where it was made already."""
    return window_events(front_end.cut(stack or part.survey(device), slice(None), part.design), weights)


def _summed(steps: Tensor, piece: slice, n: int) -> Tensor:
    """Steps (time - 1, y, x) of a window as a course over all n epochs."""
    course = torch.zeros(n, *steps.shape[1:], device=steps.device)
    course[piece.start + 1 : piece.stop] = steps.cumsum(0)
    course[piece.stop :] = course[piece.stop - 1].clone()
    return course


def _about_mean(field: Tensor) -> Tensor:
    return field - field.mean(0, keepdim=True)
