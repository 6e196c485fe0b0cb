"""Faults and points for the tests of the forward models."""

from __future__ import annotations

import math

import numpy as np
import torch

FAULT = {
    "east0": 300.0, "north0": -200.0, "depth_top": 1500.0, "strike_deg": 40.0, "dip_deg": 60.0,
    "length": 9e3, "width": 5e3, "rake_deg": 30.0, "slip": 0.1,
}  # fmt: skip


def points(count: int = 200, spread: float = 20e3, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, ...]:
    xy = np.random.default_rng(3).uniform(-spread, spread, (2, count))
    return tuple(torch.tensor(v, dtype=dtype) for v in xy)


def random_faults(seed: int, count: int) -> dict[str, torch.Tensor]:
    """Faults of 1 to 100 km and any dip, the first at exactly 0 and 90 degrees, every third at the surface."""
    g = np.random.default_rng(seed)
    dip = g.uniform(0, 90, count)
    dip[:4] = (0.0, 90.0, 89.0, 1.0)
    faults = {
        "east0": g.uniform(-2e4, 2e4, count), "north0": g.uniform(-2e4, 2e4, count),
        "depth_top": np.where((np.arange(count) % 3 == 1) & (dip > 1), 0.0, g.uniform(500, 3e4, count)),
        "strike_deg": g.uniform(0, 360, count), "dip_deg": dip, "rake_deg": g.uniform(-180, 180, count),
        "length": np.exp(g.uniform(math.log(1e3), math.log(1e5), count)),
        "width": np.exp(g.uniform(math.log(1e3), math.log(5e4), count)),
        "slip": g.uniform(0.01, 3, count), "opening": g.uniform(-1, 1, count) * (g.random(count) < 0.3),
    }  # fmt: skip
    return {name: torch.from_numpy(np.asarray(value, dtype=float)) for name, value in faults.items()}
