"""Null stacks: what a track's own noise looks like when nothing slips.

The residual of a stack (rate, season and significant events taken out) is put in another order in time.
Single epochs permuted, in series of some years within their month of the year (delay, whose strength follows the
season); and blocks of 90 days or more, or whole years, in another order, which keeps what is red: interannual residue
of the seasonal delay, soil moisture, phase bias, persistent unwrapping steps. What is slower
than a block is not cut but taken to another time as it is: its blocks would begin and end with steps that no ground and
no air makes. A third kind holds the random walk in time that the noise product tells of (`detect.walks`,
`detect.simulated`): neither kind of shuffle leaves one whole.
The stated false-alarm rate is that of the worst kind.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from slipscan.fit.model import DAYS_PER_YEAR, days_since_2014

Float = NDArray[np.float64]

BLOCKS = "blocks"
KINDS = ("permutation", BLOCKS)
SIMULATED = "simulated"
FIRST_PASS_NULLS = 32
"""Of each kind, in the pass that judges what is taken out: fewer leave an event of p near the limit to chance."""
BLOCK_D = 90.0
SLOW_D = 2 * BLOCK_D
"""Periods from which on a series is not cut into blocks."""
UNKNOWN = 0.01
"""Weight that the shortest of these periods is taken to be 0 with, over that of all epochs: gaps tell nothing of it."""
MONTHS_FROM_YR = 3.0
"""Series that are as long are permuted within the month, and every other time by whole years: of shorter ones the same
epochs would come back."""


def null_order(kind: str, time: NDArray[np.datetime64], seed: int, index: int) -> NDArray[np.intp]:
    """The epochs of one null stack, as indices into the real one.

    Masks travel with their epochs. Depends on (seed, kind, index) alone.

    Parameters
    ----------
    kind
        one of KINDS, or SIMULATED: permutations, others than those of that kind
    time
        (time,)
    """
    generator = np.random.default_rng([seed, (*KINDS, SIMULATED).index(kind), index])
    days = days_since_2014(time)
    is_long = np.ptp(days) >= MONTHS_FROM_YR * DAYS_PER_YEAR
    if kind != BLOCKS:
        month = time.astype("datetime64[M]").astype(int) % 12 if is_long else np.zeros(len(time), int)
        order = np.arange(len(time))
        for own in np.unique(month):
            order[month == own] = generator.permutation(order[month == own])
        return order
    length = DAYS_PER_YEAR if is_long and index % 2 else BLOCK_D
    shift = generator.uniform(0, BLOCK_D) if length == BLOCK_D else 0.0
    block = np.floor((days - days[0] + shift) / length).astype(int)
    # The first and last block may be short: each joins its neighbour, so that no block is under 90 days.
    block = np.clip(block, 1, max(1, block.max() - 1))
    order = generator.permutation(np.unique(block))
    return np.concatenate([np.flatnonzero(block == b) for b in order])


def with_slow_shifted(days: Float, weight: Float, order: NDArray[np.intp], seed: int, index: int) -> Float:
    """The matrix (time, time) that a series is multiplied by before its blocks are put in an order.

    It takes what is slow in the series, which a block cannot hold, to another time: the weighted fit of cosines, whose
    even continuation has no step, shifted. White noise stays white. Depends on (seed, index) alone.

    Parameters
    ----------
    days
        (time,) ascending
    weight
        (time,) inverse variance of the epochs
    order
        of the blocks, from `null_order`
    """
    shift = np.random.default_rng([seed, KINDS.index(BLOCKS), index, 1]).uniform(0, 2 * np.pi)
    span = days[-1] - days[0]
    waves = np.arange(int(2 * span / SLOW_D) + 1)
    phase = np.pi * (days - days[0]) / span
    here, there = (np.cos(np.outer(angle, waves)) for angle in (phase, phase + shift))
    fit = _fit_of(here, waves, weight)
    taken, given = here @ fit, there @ fit
    blocks = (np.eye(len(days)) - taken)[order]
    # Blocks in another order are slow in part, too: all that is slow in the null stack is what was so in the series.
    blocks -= here @ (_fit_of(here, waves, weight[order]) @ blocks)
    return _white((blocks + given)[np.argsort(order)], weight)


def _fit_of(cosines: Float, waves: NDArray[np.integer], weight: Float) -> Float:
    """The matrix (wave, time) of the weighted fit of cosines (time, wave)."""
    scaled = cosines * weight[:, None]
    prior = UNKNOWN * weight.sum() * np.diag((waves / max(waves[-1], 1)) ** 2)
    return np.asarray(np.linalg.solve(scaled.T @ cosines + prior, scaled.T))


def _white(matrix: Float, weight: Float) -> Float:
    """The nearest matrix (time, time) that leaves white noise of these weights as it is (polar decomposition)."""
    root = np.sqrt(np.maximum(weight, 1e-12 * weight.max()))
    left, _, right = np.linalg.svd(root[:, None] * matrix / root)
    return np.asarray((left @ right) * root / root[:, None])
