"""The transients of a track as the source and gnss stages read them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from slipscan import vocabulary
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid, read_grid
from slipscan.metric import pixel_area_km2
from slipscan.source.join import TrackTransient, footprint_polygons
from slipscan.source.sources import Float
from slipscan.store import open_zarr


@dataclass(frozen=True)
class TrackMaps:
    """The transients store of one track, open.

    Attributes
    ----------
    name
        id of the track
    dataset
        product 'transients'
    grid
        metric grid
    los
        (y, x, 3) unit vector ground to satellite, or None where the store has no line of sight
    transients
        one record each
    """

    name: str
    dataset: xr.Dataset
    grid: Grid
    los: NDArray[np.float32] | None
    transients: tuple[TrackTransient, ...]

    def total(self, numbers: Sequence[int]) -> tuple[Float, Float, NDArray[np.bool_]]:
        """Map, its standard deviation and footprint, each (y, x), of several transients taken together."""
        picked = self.dataset.isel(transient=list(numbers))
        std = np.sqrt((picked["map_std"].values.astype(float) ** 2).sum(axis=0))
        return picked["map"].values.astype(float).sum(axis=0), std, (picked["footprint"].values == 1).any(axis=0)

    def others(self, times: tuple[np.datetime64, np.datetime64], numbers: Sequence[int] = ()) -> NDArray[np.bool_]:
        """Where (y, x) transients other than `numbers` were at some time of an interval, in their footprints."""
        rest = [i for i in range(self.dataset.sizes["transient"]) if i not in numbers]
        inside = self.dataset["footprint"].values
        out = np.zeros(self.grid.shape, bool)
        for i in rest:
            if self.dataset["t05"].values[i] <= times[1] and times[0] <= self.dataset["t95"].values[i]:
                out |= inside[i] == 1
        return out


def open_track(path: Path, track: int) -> TrackMaps:
    """Open a transients store; `track` is its number among those joined.

    Raises
    ------
    SlipscanError
        no such store, a broken contract, no times, an empty footprint, a geographic grid
    """
    return track_maps(open_zarr(path), track, str(path))


def track_maps(dataset: xr.Dataset, track: int, path: str = "memory") -> TrackMaps:
    """A transients product that is open or in memory, of a track, as `open_track` reads it."""
    vocabulary.check(dataset, "transients", path)
    grid = read_grid(dataset, path)
    pixel_area_km2(grid)
    for name in ("t05", "t50", "t95"):
        if name not in dataset.coords:
            raise SlipscanError(f"the coordinate '{name}(transient)' in {path} is missing: run detect again")
    los = None
    if all(f"los_{c}" in dataset for c in ("east", "north", "up")):
        los = np.stack([dataset[f"los_{c}"].values for c in ("east", "north", "up")], axis=-1)
    records = []
    for number in range(dataset.sizes["transient"]):
        one = dataset.isel(transient=number)
        footprint = footprint_polygons(one["footprint"].values, grid)
        if footprint.is_empty:
            raise SlipscanError(f"transient {number} in {path} has an empty footprint: run detect again")
        t05, t50, t95 = (
            np.datetime64(int(one[name].values.astype("datetime64[ns]").astype("int64")), "ns")
            for name in ("t05", "t50", "t95")
        )
        error = float(one["t50_error"]) if "t50_error" in one else math.nan
        records.append(TrackTransient(track, number, t05, t50, t95, float(one["statistic"]), footprint, error))
    return TrackMaps(str(dataset.attrs.get("track", path)), dataset, grid, los, tuple(records))


def diameter_km(footprint: NDArray[np.bool_], grid: Grid) -> float:
    """Diameter of the circle that has the footprint's area."""
    return 2.0 * math.sqrt(float(footprint.sum()) * pixel_area_km2(grid) / math.pi)
