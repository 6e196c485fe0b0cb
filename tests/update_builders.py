"""Interferograms of a series that grows, and what an update of its inversion is tested with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

import network_scene as scenes
from slipscan.geometry import to_lonlat

EPOCHS, ADDED, REACH = 60, 5, 3
SHAPE = (12, 13)
SETTINGS = scenes.SETTINGS.model_copy(update={"min_pair_fraction": 0.7, "max_phase_bias_mm_yr": 20.0})


def everything(seed: int = 0) -> xr.Dataset:
    """All interferograms that there will be, with gaps, incoherent pixels and unwrapping errors."""
    generator = np.random.default_rng(seed)
    truth = scenes.displacement(EPOCHS + ADDED, *SHAPE, seed)
    made = scenes.dataset(truth, scenes.neighbours(EPOCHS + ADDED, REACH), noise=2e-3, seed=seed)
    values = made["interferogram"].values
    wrong = generator.random(values.shape) < 6e-4
    values[wrong] += scenes.HALF
    values[generator.random(values.shape) < 0.01] = np.nan
    dates = [made[name].values for name in ("reference_date", "secondary_date")]
    for gap, column in ((20, 9), (57, 10)):  # nothing crosses it in these pixels
        across = (dates[0] <= scenes.dates(gap + 1)[-1]) & (dates[1] > scenes.dates(gap + 1)[-1])
        values[np.ix_(across, range(4, 12), [column])] = np.nan
    values[:, 11, 12] = np.where(generator.random(len(values)) < 0.29, np.nan, values[:, 11, 12])
    coherence = generator.uniform(0.3, 0.9, len(values)).astype(np.float32)
    made["coherence"] = made["interferogram"].dims, np.broadcast_to(coherence[:, None, None], values.shape).copy()
    where = scenes.grid(*SHAPE)
    lon, lat = to_lonlat(where.x[[0, -1, -1, 0, 0]], where.y[[0, 0, -1, -1, 0]], where.crs)
    made.attrs["region_polygon"] = f"POLYGON (({', '.join(f'{x} {y}' for x, y in zip(lon, lat, strict=True))}))"
    return made.assign_attrs(slipscan_version="0", product="interferograms")


def replaced(made: xr.Dataset, cache_dir: Path) -> xr.Dataset:
    out = made.copy(deep=True)
    out["interferogram"].values[40] += 1e-3 * np.arange(SHAPE[1])
    return out
