"""Null stacks: what a track's own noise looks like when nothing slips.

The residual of a stack (rate, season and significant events taken out) is put in another order in time.
Two kinds in this version: single epochs permuted (delay, which is white in time), and blocks of 90 days or
more in another order (which keeps what is red: interannual residue of the seasonal delay, soil moisture,
phase bias, persistent unwrapping steps). The stated false-alarm rate is that of the worse of the two.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from slipscan.fit.model import days_since_2014

KINDS = ("permutation", "blocks")
BLOCK_D = 90.0


def null_order(kind: str, time: NDArray[np.datetime64], seed: int, index: int) -> NDArray[np.intp]:
    """The epochs of one null stack, as indices into the real one.

    Masks travel with their epochs. Depends on (seed, kind, index) alone.

    Parameters
    ----------
    kind
        one of KINDS
    time
        (time,)
    """
    generator = np.random.default_rng([seed, KINDS.index(kind), index])
    if kind == "permutation":
        return generator.permutation(len(time))
    days = days_since_2014(time)
    shift = generator.uniform(0, BLOCK_D)
    block = np.floor((days - days[0] + shift) / BLOCK_D).astype(int)
    # The first and last block may be short: each joins its neighbour, so that no block is under 90 days.
    block = np.clip(block, 1, max(1, block.max() - 1))
    order = generator.permutation(np.unique(block))
    return np.concatenate([np.flatnonzero(block == b) for b in order])
