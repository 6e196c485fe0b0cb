"""Places of a band by which transients are near them, and the statistic there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slipscan.detect.bands import Band
from slipscan.detect.ramp import Ramp
from slipscan.detect.statistic import Filters, statistics

Group = tuple[Tensor | None, list[Ramp]]
"""Places (None: all of them), and the ramps that are estimated along there."""


def groups_of(taken: Sequence[tuple[Ramp, NDArray[np.bool_]]], band: Band) -> list[Group]:
    """Places of a band by which of the ramps found so far are near them."""
    if not taken:
        return [(None, [])]
    near = np.stack([band.touched(mask) for _, mask in taken], axis=1)
    combinations, inverse = np.unique(near, axis=0, return_inverse=True)
    return [
        (
            torch.from_numpy(np.flatnonzero(inverse.ravel() == number)),
            [ramp for (ramp, _), is_near in zip(taken, row, strict=True) if is_near],
        )
        for number, row in enumerate(combinations)
    ]


def at_places(
    band: Band, groups: list[Group], filters: list[Filters], alike: list[int], places: NDArray[np.integer]
) -> Tensor:
    """The statistic of some candidates at some places, (candidate, place)."""
    wanted = torch.from_numpy(places)
    out = torch.zeros(len(alike), len(wanted))
    for (group, _), own in zip(groups, filters, strict=True):
        here = torch.ones(len(wanted), dtype=torch.bool) if group is None else torch.isin(wanted, group)
        if here.any():
            out[:, here] = statistics(band, own.some(alike), wanted[here])
    return out
