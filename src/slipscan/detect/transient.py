"""A transient that was found in one track, and which two of them are one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from slipscan.detect.ramp import Ramp
from slipscan.detect.timing import Timing

FAULT: Final = "fault"
"""Origin of what the search along mapped faults found."""
MERGE_GAP_D: Final = 24.0
"""Two transients are one when the gap is shorter than this or than half the shorter duration (docs/science.md
section 10), and their footprints lie within the joining distance."""


@dataclass(frozen=True)
class Transient:
    """One transient of one track.

    Attributes
    ----------
    ramp
        its history
    statistic
        signal-to-noise ratio of its cluster: sqrt(sum of squares of the statistic x area of a place / area of a noise
        cell), since so many places share one independent value of the noise
    footprint
        (y, x) bool, pixels of the coarse grid
    remainders
        what one ramp did not explain of it (an afterslip, a relaxation), found after it and no transient of its own
    timing
        errors of its times and whether they lie beyond the series; None: not known
    origin
        'field' or 'scan': who proposed it; FAULT: the search along mapped faults found it
    map
        (y, x) displacement, less what is likely noise, on the coarse grid, m; None: the scan found it, and makes none
    fit
        with its remainders what its series is explained by; None: `ramp`
    """

    ramp: Ramp
    statistic: float
    footprint: NDArray[np.bool_]
    remainders: tuple[Transient, ...] = ()
    timing: Timing | None = None
    origin: str = "scan"
    map: NDArray[np.float32] | None = None
    fit: Ramp | None = None

    @property
    def parts(self) -> tuple[Transient, ...]:
        """All of it: this and its remainders."""
        return (self, *self.remainders)

    @property
    def fits(self) -> list[tuple[Ramp, NDArray[np.bool_]]]:
        """Ramps that explain the series, and where, (y, x)."""
        return [(part.fit or part.ramp, part.footprint) for part in self.parts]

    @property
    def mapped(self) -> tuple[Transient, ...]:
        """What its map and history are made of: all parts where each has a map of its own, else this alone."""
        return (self,) if self.map is None else self.parts


def is_remainder(new: Transient, whole: Transient, around: NDArray[np.bool_]) -> bool:
    """Whether a new transient is what one ramp did not explain of another; `around` (y, x) lies near the new one."""
    a, b = new.ramp, whole.ramp
    gap = max(a.start_d, b.start_d) - min(a.reached(1), b.reached(1))
    allowed = max(MERGE_GAP_D, min(a.duration_d, b.duration_d) / 2)
    if new.map is not None and whole.map is not None and float((new.map * whole.map).sum()) <= 0:
        return False  # what turns back is another event
    return gap < allowed and bool((around & whole.footprint).any())


def joined_parts(found: Sequence[Transient], near: Callable[[NDArray[np.bool_]], NDArray[np.bool_]]) -> list[Transient]:
    """Transients, those that go on where and when another did taken as its remainders; the strongest first.

    Parameters
    ----------
    near
        (y, x) bool around a footprint
    """
    out: list[Transient] = []
    for new in sorted(found, key=lambda one: -one.statistic):
        around = near(new.footprint)
        whole = next((i for i, one in enumerate(out) if any(is_remainder(new, p, around) for p in one.parts)), None)
        if whole is None:
            out.append(new)
        else:
            out[whole] = replace(out[whole], remainders=(*out[whole].remainders, new))
    return out
