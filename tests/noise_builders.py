"""What the tests of simulated noise share: a generator, days and heights."""

from __future__ import annotations

import numpy as np

DAYS = np.arange(12) * 12.0
HEIGHT = 500 + 300 * np.random.default_rng(0).normal(size=(40, 48))


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)
