"""A transient of several parts, a step and its relaxation say, as one: map, history and times of all together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from slipscan.detect.ramp import Ramp
from slipscan.detect.transient import Transient
from slipscan.vocabulary import CYCLE_M

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]

CYCLE_ERROR_M: Final = 2e-3
COMPACT_KM2: Final = 200.0
INCOHERENT: Final = 0.8
"""Coherence at the edge of a patch over that of most pixels, below which the edge is one of unwrapping."""


def shares_of(maps: Float32, footprint: NDArray[np.bool_]) -> Float:
    """Share (part,) of every part's map (part, y, x) in their sum, over a footprint; together 1."""
    inside = np.nan_to_num(maps[:, footprint]).astype(float)
    total = inside.sum(axis=0)
    size = float(total @ total)
    return inside @ total / size if size > 0 else np.full(len(maps), 1 / len(maps))


def reached_day(ramps: Sequence[Ramp], shares: Float, fraction: float) -> float:
    """The day at which parts together have first reached a fraction of their total."""
    if len(ramps) == 1:
        return ramps[0].reached(fraction)
    ends = [ramp.reached(1.0) for ramp in ramps]
    days = np.arange(min(ramp.start_d for ramp in ramps) - 1, max(ends) + 2)
    time = np.datetime64("2014-01-01", "ns") + (days * 86400e9).astype("timedelta64[ns]")
    course = sum(share * ramp.column(time) for ramp, share in zip(ramps, shares, strict=True))
    passed = np.flatnonzero(np.asarray(course) >= fraction * float(np.asarray(course)[-1]))
    return float(days[passed[0]]) if len(passed) else ends[0]


def errors_of(transient: Transient) -> tuple[float, float, float]:
    """Standard errors of t05, t50 and t95, days: of the first, the strongest and the last part; NaN: unknown."""
    parts = [(part, part.timing.errors_d) for part in transient.mapped if part.timing is not None]
    if not parts:
        return np.nan, np.nan, np.nan
    first = min(parts, key=lambda part: part[0].ramp.reached(0.05))
    last = max(parts, key=lambda part: part[0].ramp.reached(0.95))
    strongest = max(parts, key=lambda part: part[0].statistic)
    return first[1][0], strongest[1][1], last[1][2]


def may_be_step(transient: Transient, days: Float) -> bool:
    """Whether no epoch (time,) lies between its t05 and t95, less their errors."""
    t05, _, t95 = np.nan_to_num(errors_of(transient))
    within = days[(days > transient.ramp.reached(0.05) + t05) & (days < transient.ramp.reached(0.95) - t95)]
    return len(transient.mapped) == 1 and len(within) == 0


def is_residue(
    field: Float32, footprint: NDArray[np.bool_], coherence: Float32 | None, is_step: bool, pixel_km2: float
) -> bool:
    """Whether a transient looks like an unwrapping fault (docs/science.md 10.10).

    A compact patch that jumps by whole cycles, with an edge of low coherence where coherence is known.

    Parameters
    ----------
    field, footprint, coherence
        (y, x) m; where; temporal coherence, or None
    """
    values = np.abs(field[footprint & np.isfinite(field)])
    if not is_step or not len(values) or footprint.sum() * pixel_km2 > COMPACT_KM2:
        return False
    typical = float(np.median(values))
    cycles = max(1.0, round(typical / CYCLE_M))
    # A source fades out; a patch is as high everywhere.
    flat = float(np.quantile(values, 0.9) - np.quantile(values, 0.1)) < 0.3 * typical
    if abs(typical - cycles * CYCLE_M) > CYCLE_ERROR_M or not flat:
        return False
    if coherence is None:
        return True
    edge = _edge_of(footprint)
    return bool(np.nanmedian(coherence[edge]) < INCOHERENT * np.nanmedian(coherence)) if edge.any() else False


def _edge_of(footprint: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels on both sides of an outline."""
    wide = np.pad(footprint, 1, mode="edge")
    rows, columns = footprint.shape
    near = [wide[y : y + rows, x : x + columns] for y in range(3) for x in range(3)]
    return np.asarray(np.any(near, axis=0) & ~np.all(near, axis=0))
