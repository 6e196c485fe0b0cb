"""The transients of a track as the source and gnss stages read them, and points out of their maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from slipscan import vocabulary
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid, from_lonlat, read_grid, to_lonlat
from slipscan.metric import pixel_area_km2
from slipscan.source.join import TrackTransient, footprint_polygons
from slipscan.source.sources import Float, local_crs
from slipscan.store import open_zarr

if TYPE_CHECKING:  # brings torch
    from slipscan.source.projection import Observations

STD_FLOOR_M = 5e-4
"""No map of a transient is known better."""
DENSE_SHARE = 0.8
"""Share of the points that lie within a footprint diameter of the footprint; the others are spread beyond."""
FAR_LIMIT_KM = 100.0


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
        records.append(TrackTransient(track, number, t05, t50, t95, float(one["statistic"]), footprint))
    return TrackMaps(str(dataset.attrs.get("track", path)), dataset, grid, los, tuple(records))


def diameter_km(footprint: NDArray[np.bool_], grid: Grid) -> float:
    """Diameter of the circle that has the footprint's area."""
    return 2.0 * math.sqrt(float(footprint.sum()) * pixel_area_km2(grid) / math.pi)


def observations(
    tracks: Sequence[TrackMaps], members: Sequence[TrackTransient], origin: tuple[float, float], max_points: int
) -> Observations | None:
    """Points of an event's maps in the local frame about `origin` (longitude, latitude).

    Dense within a footprint diameter of the footprint, sparse beyond, at most about `max_points` a track,
    on a lattice: the same points every time. None where no track has a line of sight.
    """
    from slipscan.source.projection import Observations

    parts = []
    for number, track in enumerate(tracks):
        numbers = [member.number for member in members if member.track == number]
        if numbers and track.los is not None:
            parts.append(_track_points(track, number, numbers, origin, max_points))
    if not parts:
        return None
    return Observations(*[np.concatenate(columns) for columns in zip(*parts, strict=True)])


def _track_points(
    track: TrackMaps, number: int, transients: Sequence[int], origin: tuple[float, float], max_points: int
) -> tuple[NDArray[np.generic], ...]:
    """The fields of Observations for one track."""
    assert track.los is not None
    value, std, footprint = track.total(transients)
    spacing = track.grid.spacing
    distance_km = distance_transform_edt(~footprint, sampling=(spacing[1] / 1e3, spacing[0] / 1e3))
    valid = np.isfinite(value) & np.isfinite(std) & np.isfinite(track.los).all(axis=-1)
    size = diameter_km(footprint, track.grid)
    dense = valid & (distance_km <= size)
    sparse = valid & ~dense & (distance_km <= FAR_LIMIT_KM)
    rows, columns = np.nonzero(
        _lattice(dense, round(DENSE_SHARE * max_points)) | _lattice(sparse, round((1 - DENSE_SHARE) * max_points))
    )
    lon, lat = to_lonlat(track.grid.x[columns], track.grid.y[rows], track.grid.crs)
    east, north = from_lonlat(lon, lat, local_crs(*origin))
    near = distance_km[rows, columns] <= max(size / 4, 2 * max(spacing) / 1e3)
    return (
        east, north, value[rows, columns], np.maximum(std[rows, columns], STD_FLOOR_M),
        track.los[rows, columns].astype(float), np.full(len(rows), number), near,
    )  # fmt: skip


def _lattice(mask: NDArray[np.bool_], count: int) -> NDArray[np.bool_]:
    """The pixels of a mask on the finest lattice that holds no more than `count` of them."""
    step = max(1, math.floor(math.sqrt(mask.sum() / max(count, 1))))
    while True:
        taken = np.zeros_like(mask)
        taken[step // 2 :: step, step // 2 :: step] = mask[step // 2 :: step, step // 2 :: step]
        if taken.sum() <= count or step > max(mask.shape):
            return taken
        step += 1
