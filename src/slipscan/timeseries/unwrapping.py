"""Unwrapping errors of single pixels, found by the integer ambiguity of their triplets (Biggs et al. 2007).

An interferogram that is wrong by n cycles misclosed every triplet it is part of by n half wavelengths; its neighbours
share only one of them each. So the pair that explains more misclosed triplets than any other pair of each of them
is the wrong one. Where two explain as much, nothing tells which is wrong. An error that all pairs of one date share
closes, and no closure shows it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from slipscan.timeseries.closure import closures
from slipscan.timeseries.network import Index

log = logging.getLogger(__name__)

ROUNDS = 12
"""Corrections by one cycle of one pair that a pixel is followed through."""
Counts = NDArray[np.int16]


@dataclass
class UnwrappingSummary:
    """Sums over blocks of pixels.

    Attributes
    ----------
    pixels, misclosed
        pixels with a valid triplet, and those in which one misclosed by whole cycles
    values
        valid interferogram pixels of the former
    corrected, masked
        interferogram pixels that were changed by whole half wavelengths, and that were made NaN
    """

    pixels: int = 0
    misclosed: int = 0
    values: int = 0
    corrected: int = 0
    masked: int = 0

    def merge(self, other: UnwrappingSummary) -> None:
        """Add the sums of another block."""
        for name in vars(self):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def attributes(self) -> dict[str, float]:
        """Return the summary as attributes and say it in the log; empty without a triplet."""
        if not self.pixels:
            return {}
        shares = {
            "unwrapping_error_pixel_share": self.misclosed / self.pixels,
            "unwrapping_masked_share": self.masked / self.values,
            "unwrapping_corrected_share": self.corrected / self.values,
        }
        log.info(
            "unwrapping errors: a triplet misclosed by whole cycles in %.2f %% of the pixels; %.3f %% of the"
            " interferogram pixels were masked, %.3f %% corrected",
            *(100 * share for share in shares.values()),
        )
        return shares


def screen(
    observed: NDArray[np.floating],
    closure: NDArray[np.floating],
    triangles: Index,
    half_wavelength_m: float,
    tolerance_m: float,
    action: Literal["report", "mask", "correct"],
) -> tuple[NDArray[np.float32], UnwrappingSummary]:
    """Find unwrapping errors and mask or correct them in place.

    Parameters
    ----------
    observed
        (pair, pixel) m, NaN = no data; changed
    closure
        (triangle, pixel) m, its closures
    triangles
        (triangle, 3) positions of the pairs a-b, b-c, a-c
    half_wavelength_m
        displacement of one cycle
    tolerance_m
        a pair is corrected only where every triplet of it then closes to within it
    action
        'report' changes nothing; 'mask' makes the wrong pairs NaN; 'correct' takes whole cycles from them. Both
        make NaN what cannot be told apart

    Returns
    -------
    share
        (pixel,) of the valid triplets that misclosed by whole cycles; NaN without a triplet
    summary
        counts
    """
    valid = np.isfinite(closure)
    cycles = np.rint(np.where(valid, closure, 0.0) / half_wavelength_m)
    count = valid.sum(axis=0)
    wrong = (cycles != 0).sum(axis=0)
    share = np.full(len(count), np.nan, np.float32)
    np.divide(wrong, count, out=share, where=count > 0, casting="unsafe")
    looked_at = count > 0
    bad = np.flatnonzero(wrong)
    summary = UnwrappingSummary(int(looked_at.sum()), len(bad), int(np.isfinite(observed[:, looked_at]).sum()))
    if len(bad) and action != "report":
        part = observed[:, bad]
        turns, unclear = wrong_pairs(cycles[:, bad].astype(np.int16), valid[:, bad], triangles, len(observed))
        masked = unclear if action == "correct" else unclear | (turns != 0)
        turns[masked] = 0
        part += turns * np.asarray(half_wavelength_m, part.dtype)
        if action == "correct":
            masked |= (turns != 0) & _open(part, triangles, tolerance_m)
        masked &= np.isfinite(part)
        part[masked] = np.nan
        observed[:, bad] = part
        summary.masked, summary.corrected = int(masked.sum()), int(((turns != 0) & ~masked).sum())
    return share, summary


def wrong_pairs(
    cycles: Counts, valid: NDArray[np.bool_], triangles: Index, pairs: int
) -> tuple[Counts, NDArray[np.bool_]]:
    """Find the pairs that explain misclosed triplets.

    Parameters
    ----------
    cycles, valid
        (triangle, pixel) misclosure in cycles, and whether there is one
    triangles
        (triangle, 3)
    pairs
        number of interferograms

    Returns
    -------
    turns
        (pair, pixel) cycles to be added
    unclear
        (pair, pixel) pairs of triplets that are still misclosed, between which nothing decides
    """
    count = len(triangles)
    sign = np.array([1, 1, -1], np.int16)
    of_pair = [
        sparse.csr_array((np.ones(count, np.int16), (triangles[:, i], np.arange(count))), shape=(pairs, count))
        for i in range(3)
    ]
    turns = np.zeros((pairs, cycles.shape[1]), np.int16)
    cycles = cycles.copy()
    for _ in range(ROUNDS):
        gains = _gains(cycles, valid, of_pair)
        wins, losses = _contest(cycles, triangles, gains, of_pair)
        step = np.zeros_like(turns)
        for direction, gain in gains.items():
            # A pair that would have to go up for one triplet and down for another has a loss in either direction.
            accepted = (wins[direction] > 0) & (losses == 0) & (wins[-direction] == 0) & (gain > 0)
            step[accepted] = direction
        if not step.any():
            break
        turns += step
        for i in range(3):
            cycles += valid * sign[i] * step[triangles[:, i]]
    return turns, _undecided(cycles, valid, triangles, of_pair)


def _gains(cycles: Counts, valid: NDArray[np.bool_], of_pair: list[sparse.csr_array]) -> dict[int, Counts]:
    """By how much the sum of |cycles| falls when a pair goes up (1) or down (-1) by a cycle, (pair, pixel)."""
    up = 2 * (cycles < 0).astype(np.int16) - valid
    down = 2 * (cycles > 0).astype(np.int16) - valid
    return {
        1: of_pair[0] @ up + of_pair[1] @ up + of_pair[2] @ down,
        -1: of_pair[0] @ down + of_pair[1] @ down + of_pair[2] @ up,
    }


def _rivals(cycles: Counts, triangles: Index, gains: dict[int, Counts]) -> tuple[Counts, ...]:
    """Gains of a triplet's three pairs in the direction that closes it, (triangle, pixel) each."""
    ab, bc, ac = triangles.T
    over = cycles > 0
    return (
        np.where(over, gains[-1][ab], gains[1][ab]),
        np.where(over, gains[-1][bc], gains[1][bc]),
        np.where(over, gains[1][ac], gains[-1][ac]),
    )


def _contest(
    cycles: Counts, triangles: Index, gains: dict[int, Counts], of_pair: list[sparse.csr_array]
) -> tuple[dict[int, Counts], Counts]:
    """How often a pair is a misclosed triplet's best, by direction, and how often it is not, (pair, pixel)."""
    rivals = _rivals(cycles, triangles, gains)
    wins = {1: np.zeros_like(gains[1]), -1: np.zeros_like(gains[1])}
    losses = np.zeros_like(gains[1])
    for i in range(3):
        others = np.maximum(rivals[i - 1], rivals[i - 2])
        best = (cycles != 0) & (rivals[i] > others)
        losses += of_pair[i] @ ((cycles != 0) & ~best).astype(np.int16)
        rises = (cycles < 0) == (i < 2)
        wins[1] += of_pair[i] @ (best & rises).astype(np.int16)
        wins[-1] += of_pair[i] @ (best & ~rises).astype(np.int16)
    return wins, losses


def _undecided(
    cycles: Counts, valid: NDArray[np.bool_], triangles: Index, of_pair: list[sparse.csr_array]
) -> NDArray[np.bool_]:
    """Mark the likeliest pairs of every triplet that is still misclosed, (pair, pixel)."""
    rivals = _rivals(cycles, triangles, _gains(cycles, valid, of_pair))
    most = np.maximum(np.maximum(rivals[0], rivals[1]), rivals[2])
    marked = [of_pair[i] @ ((cycles != 0) & (rivals[i] == most)).astype(np.int16) for i in range(3)]
    return np.asarray(sum(marked) > 0)


def _open(observed: NDArray[np.floating], triangles: Index, tolerance_m: float) -> NDArray[np.bool_]:
    """Mark the pairs that have a triplet that misclosed by more than a tolerance, (pair, pixel)."""
    opened = np.zeros(observed.shape, bool)
    misclosed = np.abs(closures(observed, triangles)) > tolerance_m
    for triangle, pixels in zip(triangles, misclosed, strict=True):
        opened[triangle] |= pixels
    return opened
