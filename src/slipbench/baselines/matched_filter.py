"""Bank of matched filters in space and time with the scene's own noise spectrum: the strong classical competitor."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slipbench.baselines.coarse import coarsened, refined
from slipbench.baselines.gls import torus_shape
from slipbench.baselines.prepare import prepare
from slipbench.baselines.search import Bank, make_bank, strongest
from slipbench.baselines.whitening import Told
from slipbench.estimate import Estimate
from slipscan.field import Observation
from slipscan.forward.mogi import mogi_surface
from slipscan.forward.okada import okada_surface

_TAPERED_FROM = 0.8
"""Part of the way to the seam of the torus from which a pattern fades, so that it has no jump there."""


@dataclass(frozen=True)
class FaultFamily:
    """Rectangular sources of one size at several strikes.

    Attributes
    ----------
    dip_deg, rake_deg
        of the slip
    depth_m, length_m, width_m
        of the top edge, along strike, down dip
    strikes_deg
        tried
    """

    dip_deg: float
    rake_deg: float
    depth_m: float
    length_m: float
    width_m: float
    strikes_deg: tuple[float, ...]


_HALF_TURN = tuple(float(s) for s in range(0, 180, 30))
"""A vertical strike-slip fault is the same after half a turn."""
_FULL_TURN = tuple(float(s) for s in range(0, 360, 60))
MOGI_DEPTHS_M = (2e3, 4e3, 8e3)
FAULTS = (
    FaultFamily(90.0, 0.0, 0.0, 6e3, 3e3, _HALF_TURN),
    FaultFamily(90.0, 0.0, 0.0, 15e3, 4e3, _HALF_TURN),
    FaultFamily(90.0, 0.0, 4e3, 10e3, 5e3, _HALF_TURN),
    FaultFamily(90.0, 0.0, 8e3, 18e3, 9e3, _HALF_TURN),
    FaultFamily(90.0, 0.0, 15e3, 30e3, 15e3, _HALF_TURN),
    FaultFamily(30.0, 90.0, 4e3, 10e3, 6e3, _FULL_TURN),
    FaultFamily(30.0, 90.0, 8e3, 18e3, 10e3, _FULL_TURN),
    FaultFamily(30.0, 90.0, 15e3, 30e3, 18e3, _FULL_TURN),
)


def match_sources(observation: Observation, told: Told | None = None) -> Estimate:
    """The source, place and history of the largest signal-to-noise ratio; the map is that source's.

    The noise spectrum is the scene's own, or `told`.
    Scenes of more than 256 pixels a side are searched on a coarser grid.

    Raises
    ------
    SlipscanError
        a stack without data or of fewer than 5 epochs
    """
    coarse, factor = coarsened(observation)
    assert observation.los is not None, "a scene has a line of sight"
    los = tuple(round(float(component), 2) for component in observation.los)
    estimated = strongest(prepare(coarse), bank(coarse.shape, float(coarse.pixel_m), los), told)
    return refined(estimated, factor, observation.shape)


@lru_cache(maxsize=2)
def bank(shape: tuple[int, int], pixel_m: float, los: tuple[float, ...]) -> Bank:
    """Line-of-sight patterns of all sources for a grid; a degree in the look direction changes them little."""
    vectors, depths = ground_displacement(shape, pixel_m)
    patterns = torch.einsum("spc,c->sp", vectors, torch.tensor(los, dtype=torch.float32))
    # exp(-2 pi k depth) is e^-6 at the highest wavenumber that a coarser grid of positions holds.
    step = tuple(max(1, int(0.52 * depth / pixel_m)) for depth in depths)
    return make_bank(patterns.reshape(-1, *torus_shape(shape)), step)


@lru_cache(maxsize=2)
def ground_displacement(shape: tuple[int, int], pixel_m: float) -> tuple[Tensor, tuple[float, ...]]:
    """Displacement of all sources on the torus of a grid, (source, pixel, 3) east, north, up, and their depths, m."""
    rows, columns = torus_shape(shape)
    dy, dx = (np.fft.fftfreq(n, 1 / n) for n in (rows, columns))
    fade = (_fade(dy / shape[0])[:, None] * _fade(dx / shape[1])[None, :]).ravel()
    grid = np.meshgrid(-dy * pixel_m, dx * pixel_m, indexing="ij")
    north, east = (torch.from_numpy(axis.ravel().astype(np.float32)) for axis in grid)
    parts = [mogi_surface(east, north, east0=0.0, north0=0.0, depth=torch.tensor(MOGI_DEPTHS_M), volume_change=1e6)]
    depths = list(MOGI_DEPTHS_M)
    for family, strike in itertools.chain.from_iterable(((f, s) for s in f.strikes_deg) for f in FAULTS):
        # The fault's middle, not its top edge, lies under the position that is tried.
        away = family.width_m / 2 * np.cos(np.deg2rad(family.dip_deg))
        angle = np.deg2rad(strike)
        parts.append(
            okada_surface(
                east, north, east0=-away * np.cos(angle), north0=away * np.sin(angle), depth_top=family.depth_m,
                strike_deg=strike, dip_deg=family.dip_deg, length=family.length_m, width=family.width_m,
                rake_deg=family.rake_deg, slip=1.0,
            )
        )  # fmt: skip
        depths.append(family.depth_m)
    return torch.cat(parts) * torch.from_numpy(fade.astype(np.float32))[None, :, None], tuple(depths)


def _fade(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 near the source, falling to 0 at the seam (distance 1)."""
    beyond = np.clip((np.abs(distance) - _TAPERED_FROM) / (1 - _TAPERED_FROM), 0.0, 1.0)
    return np.cos(np.pi / 2 * beyond) ** 2
