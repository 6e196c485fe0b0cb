"""A track made ready for injections: its noise with what was found taken out, null orders, and its geometry."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from slipscan.coarse import block_means
from slipscan.detect.calibration import Calibration
from slipscan.detect.methods.scan import Scan
from slipscan.detect.nulls import KINDS, SIMULATED
from slipscan.detect.scan import Scanner
from slipscan.detect.track import Track
from slipscan.fit.delay import sample
from slipscan.fit.masks import any_valid
from slipscan.geometry import Grid, from_lonlat, read_grid
from slipscan.settings import CompletenessSettings, DetectSettings
from slipscan.source.frames import local_crs

log = logging.getLogger(__name__)

Float = NDArray[np.float64]

LEAST: Final = 1e-3
"""Of a threshold: that of a calibration without any cluster is 0."""
FIRST: Final = 1 << 20
"""Number of the first null stack: others than those of the calibration."""


@dataclass(frozen=True)
class Ground:
    """A track, ready for injections.

    Attributes
    ----------
    name
        of the track
    noise
        scanner of its series, less what was found
    threshold
        of the statistic
    grid
        the coarse one
    los
        (3, y, x) unit vector ground to satellite, east, north, up
    covered
        (y, x) has data in any epoch
    columns
        (column, y, x) of an epoch's delay
    sampled, fit
        pixels that the delay is fitted to, and the (column, sampled) matrix that makes its coefficients of them
    orders, nulls
        of the epochs of null stacks, and the scanners of these
    """

    name: str
    noise: Scanner
    threshold: float
    grid: Grid
    los: NDArray[np.float32]
    covered: NDArray[np.bool_]
    columns: Tensor
    sampled: Tensor
    fit: Tensor
    orders: Sequence[NDArray[np.intp]]
    nulls: Sequence[Scanner]

    def scanner(self, number: int | None) -> Scanner:
        """Of a null stack; None: of the real one."""
        return self.noise if number is None else self.nulls[number]

    def order(self, number: int | None) -> NDArray[np.intp]:
        """Of the epochs of a null stack; None: the real one."""
        return np.arange(len(self.noise.epochs)) if number is None else self.orders[number]

    @cached_property
    def design(self) -> Tensor:
        """(time, column) of the background."""
        return self.noise.epochs.design()

    @cached_property
    def fitting(self) -> Tensor:
        """(column, time) that makes its parameters of a series, every epoch alike."""
        return torch.linalg.pinv(self.design)

    @cached_property
    def window(self) -> tuple[float, float]:
        """First and last middle of a transient that the scan tries, days since 2014."""
        middles = [ramp.middle_d for ramp in self.noise.tried]
        return min(middles), max(middles)

    def metres(self, longitude: float, latitude: float) -> tuple[Float, Float]:
        """East and north (y, x) of the coarse grid, in the local frame of a place."""
        east, north = from_lonlat(*self.grid.lonlat(), local_crs(longitude, latitude))
        return np.asarray(east), np.asarray(north)

    def pixel_of(self, longitude: float, latitude: float) -> tuple[int, int]:
        """Row and column of the coarse grid that a place lies in; they may lie outside of it."""
        x, y = from_lonlat(np.array(longitude), np.array(latitude), self.grid.crs)
        (dx, dy), first_x, first_y = self.grid.spacing, self.grid.x[0], self.grid.y[0]
        return round(float(first_y - y) / dy), round(float(x - first_x) / dx)


def ground_of(
    dataset: xr.Dataset,
    track: Track,
    detection: DetectSettings,
    calibration: Calibration,
    settings: CompletenessSettings,
) -> Ground:
    """Take what reaches the threshold out of a track, which has a line of sight, and shuffle what is left."""
    assert track.seen.los is not None
    name, threshold = str(dataset.attrs.get("track", "unnamed")), calibration.threshold_of(False)
    search = Scan().search(track, detection)
    calibration.check_noise(track.coarse.noise is not None, f"track {name}")
    found = search.find(threshold)
    noise = search.without(found)
    log.info("track %s: %d transient(s) at or above the threshold are taken out", name, len(found))
    kinds = (*KINDS, SIMULATED) if noise.simulates else KINDS
    nulls = [noise.null_stack(kinds[i % len(kinds)], settings.seed, FIRST + i) for i in range(settings.injections)]
    columns = track.cleaned.columns
    covered = any_valid(track.cleaned.valid).reshape(track.coarse.shape)
    sampled = sample(covered)
    return Ground(
        name=name,
        noise=noise,
        threshold=max(threshold, LEAST),
        grid=_coarse_grid(read_grid(dataset), track),
        los=block_means(np.asarray(track.seen.los, np.float32), track.factor),
        covered=covered.numpy(),
        columns=columns,
        sampled=sampled,
        fit=torch.linalg.pinv(columns.flatten(1)[:, sampled].double().T),
        orders=[order for order, _ in nulls],
        nulls=[scanner for _, scanner in nulls],
    )


def _coarse_grid(grid: Grid, track: Track) -> Grid:
    """Centres of the blocks of pixels."""
    (dx, dy), (rows, cols), factor = grid.spacing, track.coarse.shape, track.factor
    x = grid.x[0] + ((np.arange(cols) + 0.5) * factor - 0.5) * dx
    y = grid.y[0] - ((np.arange(rows) + 0.5) * factor - 0.5) * dy
    return Grid(x, y, grid.crs)
