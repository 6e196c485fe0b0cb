"""The change that an event made in each track, as blocks of data: points of its map with their noise's covariance."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Sequence
from typing import Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, distance_transform_edt, label

from slipscan.fit.scatter import MAD_TO_STD
from slipscan.geometry import from_lonlat, to_lonlat
from slipscan.source.covariance import FEWEST, MapNoise, Pixels, noise_of_map, noise_of_product
from slipscan.source.data import Block
from slipscan.source.join import TrackTransient
from slipscan.source.maps import TrackMaps, diameter_km
from slipscan.source.sources import Float, local_crs
from slipscan.vocabulary import CYCLE_M

log = logging.getLogger(__name__)

STD_FLOOR_M: Final = 1e-4
"""No map of a change is known better."""
SHARES: Final = (0.65, 0.2, 0.15)
"""Of the points, at most: in the footprint and on its edge, within a diameter of it, beyond. What breaks the surface
jumps within a pixel: of a scene with creep, 250 points kept a signal-to-noise ratio of 4, 1000 one of 12 (measured)."""
BROAD: Final = 0.25
"""Of the points, in a footprint that is wider than its points would lie close in: what is broad is smooth."""
WIDE: Final = 6.0
"""Pixels a point from which a footprint is wide."""
EDGE: Final = 0.15
"""Of a diameter, and two pixels at least: what counts as the edge."""
FAR_LIMIT_KM: Final = 100.0
SPIKE: Final = 5.0
"""Standard deviations by which a pixel must differ from the median of those around it to be no part of a source."""
ERROR_LENGTH: Final = 0.25
"""Distance over which what a source predicts wrongly stays alike, over the footprint's diameter."""
UNKNOWN_M: Final = (0.05, 0.05, 0.02)
"""Prior standard deviation of offset, of a ramp over half the map, and of the slope with height over its deviation."""
LAW_ANCHORS: Final = 60
LAW_OFFSETS: Final = ((0, 0), (0, 1), (1, 0), (2, 3))
"""Pixels beside each anchor: near pairs tell the short waves, far ones the long."""
RELIEF_M: Final = 50.0
"""Flatter ground tells no slope with height."""


def blocks_of(
    tracks: Sequence[TrackMaps],
    members: Sequence[TrackTransient],
    origin: tuple[float, float],
    max_points: int,
    noises: Sequence[xr.Dataset | None],
) -> dict[int, Block]:
    """Blocks of the tracks that have a transient of an event, in the local frame about `origin`, by number of track.

    Parameters
    ----------
    tracks, members
        of the region; the event's transients
    origin
        longitude, latitude
    max_points
        of a track, about
    noises
        noise product of every track; None: the map itself tells
    """
    out = {}
    for number, track in enumerate(tracks):
        numbers = [member.number for member in members if member.track == number]
        if numbers and track.los is not None:
            found = track_block(track, numbers, origin, max_points, noises[number])
            if found is not None:
                out[number] = found
    return out


def track_block(
    track: TrackMaps,
    transients: Sequence[int],
    origin: tuple[float, float],
    max_points: int,
    noise: xr.Dataset | None = None,
) -> Block | None:
    """The block of one track; None where it has too few valid points."""
    assert track.los is not None, "asked for before"
    value, std, footprint = track.total(transients)
    spacing = track.grid.spacing
    distance_km = distance_transform_edt(~footprint, sampling=(spacing[1] / 1e3, spacing[0] / 1e3))
    own = track.dataset.isel(transient=list(transients))
    # What else moved meanwhile is another event's: beside this one it was taken out where this one is, no further.
    others = track.others((own["t05"].values.min(), own["t95"].values.max()), transients) & ~footprint
    valid = np.isfinite(value) & np.isfinite(std) & np.isfinite(track.los).all(axis=-1) & ~others
    size = diameter_km(footprint, track.grid)
    reaches = (max(EDGE * size, 2e-3 * max(spacing)), size, max(size, FAR_LIMIT_KM))
    rows, columns = np.nonzero(_rings(valid, distance_km, reaches, max_points))
    if len(rows) < 10:
        return None
    lon, lat = to_lonlat(track.grid.x[columns], track.grid.y[rows], track.grid.crs)
    east, north = from_lonlat(lon, lat, local_crs(*origin))
    deviation = np.maximum(std[rows, columns], STD_FLOOR_M)
    far = valid & (distance_km > 0.5 * size)
    noise_model = map_noise(track, transients, value, std, far, noise)
    covariance = noise_model.covariance(rows, columns, (spacing[1], spacing[0]), deviation)
    covariance[np.diag_indices(len(rows))] += spikes(value, valid, rows, columns, far[rows, columns]) ** 2
    return Block(
        np.asarray(east), np.asarray(north), track.los[rows, columns].astype(float), value[rows, columns],
        covariance,
        nuisance(track, rows, columns),
        distance_km[rows, columns] <= max(size / 4, 2 * max(spacing) / 1e3),
        cycle_pattern(value, valid, footprint)[rows, columns], (spacing[1], spacing[0]), 1e3 * ERROR_LENGTH * size,
        _size_error(track, transients),
    )  # fmt: skip


def _size_error(track: TrackMaps, transients: Sequence[int]) -> float:
    """What the size of the map of transients may be wrong by because their histories are not known, over the size."""
    if "change_error" not in track.dataset:
        return 0.0
    some = track.dataset.isel(transient=list(transients))
    peak = np.maximum((some["peak_positive"] - some["peak_negative"]).values.astype(float), STD_FLOOR_M)
    return float(np.sqrt(((peak * some["change_error"].values) ** 2).sum()) / peak.sum())


def spikes(value: Float, valid: NDArray[np.bool_], rows: Pixels, columns: Pixels, far: NDArray[np.bool_]) -> Float:
    """What single pixels of a map (y, x) differ by from the median of those around them (point,), m; 0: as others do.

    A pixel unlike all its neighbours (fresh lava, a cycle lost) would else rule the fit: noise between neighbours is
    small. The rupture of a fault is no spike: half of the neighbours lie on the same side. How pixels differ is learnt
    `far` (point,) from the event.
    """
    known = np.pad(np.where(valid, value, np.nan), 1, constant_values=np.nan)
    around = np.stack([known[rows + i, columns + j] for i in range(3) for j in range(3) if (i, j) != (1, 1)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a pixel without neighbours
        apart = np.nan_to_num(value[rows, columns] - np.nanmedian(around, axis=0))
    usual = MAD_TO_STD * float(np.median(np.abs(apart[far if far.any() else slice(None)])))
    return np.where(np.abs(apart) > SPIKE * max(usual, STD_FLOOR_M), apart, 0.0)


def _rings(
    valid: NDArray[np.bool_], distance_km: Float, reaches: Sequence[float], max_points: int
) -> NDArray[np.bool_]:
    """Points (y, x) on a lattice of its own in each ring round the footprint."""
    chosen = np.zeros_like(valid)
    inner = -1.0
    for share, reach in zip(SHARES, reaches, strict=True):
        ring = valid & (distance_km > inner) & (distance_km <= reach)
        wanted = share * max_points
        if inner < 0 and ring.sum() > WIDE * wanted:
            wanted = BROAD * max_points
        taken = lattice(ring, round(wanted))
        chosen |= taken
        inner = reach
    return chosen


def cycle_pattern(value: Float, valid: NDArray[np.bool_], footprint: NDArray[np.bool_]) -> Float:
    """What an unwrapping error would look like in a map (y, x), m: patches about the footprint a whole cycle off."""
    around = valid & binary_dilation(footprint, iterations=3)
    outside = valid & ~around
    level = float(np.median(value[outside])) if outside.any() else 0.0
    out = np.zeros(value.shape)
    for sign in (-1.0, 1.0):
        labels, _ = label(around & (sign * (value - level) > CYCLE_M / 2))
        for number in np.unique(labels[footprint & (labels > 0)]):
            out[labels == number] = sign * CYCLE_M
    return out


def nuisance(track: TrackMaps, rows: NDArray[np.integer], columns: NDArray[np.integer]) -> Float:
    """Columns (point, 3 or 4) of what is unknown in a map: offset, ramp, and over relief a slope with height."""
    y, x = track.grid.shape
    offset, ramp, slope = UNKNOWN_M
    parts = [
        np.full(len(rows), offset),
        ramp * (2 * rows / max(1, y - 1) - 1), ramp * (2 * columns / max(1, x - 1) - 1),
    ]  # fmt: skip
    if "height" in track.dataset:
        height = track.dataset["height"].values
        spread = float(np.nanstd(height)) if np.isfinite(height).any() else 0.0
        if spread > RELIEF_M:
            relative = (height[rows, columns] - float(np.nanmean(height))) / spread
            parts.append(slope * np.nan_to_num(relative))
    return np.stack(parts, axis=1)


def map_noise(
    track: TrackMaps,
    transients: Sequence[int],
    value: Float,
    std: Float,
    quiet: NDArray[np.bool_],
    noise: xr.Dataset | None,
) -> MapNoise:
    """The noise of a map: by the noise product if there is one that knows it, else of the map where it is quiet.

    `quiet` (y, x) lies far from the event.
    """
    if noise is not None:
        history = track.dataset["history"].values[list(transients)].astype(float)
        # Several transients of one event: the sum of their histories is what its map multiplies.
        weight = None
        if "change_weight" in track.dataset:
            weight = track.dataset["change_weight"].values[list(transients)].astype(float).sum(axis=0)
        noise_model = noise_of_product(noise, track.dataset["time"].values, history.mean(axis=0), weight)
        if noise_model is not None:
            return noise_model.with_white_of(value, quiet, (track.grid.spacing[1], track.grid.spacing[0]))
        log.warning("the noise product of track %s knows too little: its noise is that of the map", track.name)
    if int(quiet.sum()) < FEWEST:
        level = np.maximum(std[np.isfinite(std)], STD_FLOOR_M)
        return noise_of_map(np.empty(0), level, np.empty(0, int), np.empty(0, int), (1.0, 1.0), np.empty((0, 3)))
    rows, columns = _clusters(quiet)
    spacing = track.grid.spacing
    unknown = nuisance(track, rows, columns)
    y, x = unknown[:, 1] / UNKNOWN_M[1], unknown[:, 2] / UNKNOWN_M[1]
    # What a large source does far away is smooth: it is no noise.
    bent = np.column_stack([unknown, x * x, x * y, y * y])
    return noise_of_map(
        value[rows, columns], np.maximum(std[rows, columns], STD_FLOOR_M), rows, columns, (spacing[1], spacing[0]), bent
    )


def _clusters(quiet: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of quiet pixels near and far from one another."""
    anchors = np.argwhere(lattice(quiet, LAW_ANCHORS))
    near = np.unique((anchors[:, None] + np.array(LAW_OFFSETS)[None]).reshape(-1, 2), axis=0)
    near = near[(near < np.array(quiet.shape)).all(axis=1)]
    near = near[quiet[near[:, 0], near[:, 1]]]
    return near[:, 0], near[:, 1]


def lattice(mask: NDArray[np.bool_], count: int) -> NDArray[np.bool_]:
    """The pixels of a mask on the finest lattice that holds no more than `count` of them."""
    step = max(1, math.floor(math.sqrt(mask.sum() / max(count, 1))))
    while True:
        taken = np.zeros_like(mask)
        taken[step // 2 :: step, step // 2 :: step] = mask[step // 2 :: step, step // 2 :: step]
        if taken.sum() <= count or step > max(mask.shape):
            return taken
        step += 1
