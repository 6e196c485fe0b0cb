"""Arrays that hold a stack while it is made: in memory, or in files from which it is written shard by shard."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from slipscan.outofcore import sharded


def as_variable(values: NDArray[np.float32]) -> tuple[tuple[str, ...], Any]:
    """Return a map (y, x) or a series (time, y, x) with its dimensions, lazily where it lies in a file."""
    lazy = isinstance(values, np.memmap) and values.ndim == 3
    return ("time", "y", "x")[-values.ndim :], sharded(values) if lazy else np.asarray(values)
