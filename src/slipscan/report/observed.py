"""What a track's stores hold about an event: its transient, the lobes of its map, and their series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
import xarray as xr
from numpy.typing import NDArray

from slipscan.geometry import Grid

MIN_LOBE = 0.25
"""A lobe whose peak is below this share of the event's largest displacement is not drawn."""
LOBE_LEVEL = 0.5
"""A lobe's series is the median over pixels above this share of the lobe's own peak."""
MM = 1000.0


@dataclass(frozen=True)
class TrackStores:
    """The stores of one region and track, opened lazily; `noise` may be missing."""

    region: str
    track: str
    grid: Grid
    denoised: xr.Dataset
    transients: xr.Dataset
    noise: xr.Dataset | None


@dataclass(frozen=True)
class Lobe:
    """Median series over one lobe of an event, zero at the last epoch before t05.

    Attributes
    ----------
    sign
        1 toward, -1 away from the satellite
    pixels
        number of them
    raw_mm, denoised_mm, std_mm
        (time,) line of sight, mm, positive toward the satellite; NaN = no data
    """

    sign: int
    pixels: int
    raw_mm: NDArray[np.float64]
    denoised_mm: NDArray[np.float64]
    std_mm: NDArray[np.float64]


@dataclass(frozen=True)
class Sighting:
    """An event as one track saw it.

    Attributes
    ----------
    map_mm, footprint
        (y, x), mm positive toward the satellite, and bool
    time, history
        (time,) epochs and the fraction of the event reached
    lobes
        one or two
    """

    map_mm: NDArray[np.float64]
    footprint: NDArray[np.bool_]
    time: NDArray[np.datetime64]
    history: NDArray[np.float64]
    lobes: list[Lobe]


def find_transient(transients: xr.Dataset, grid: Grid, event: dict[str, Any]) -> int | None:
    """Find the transient that is behind an event of the catalogue.

    Parameters
    ----------
    transients
        a track's transients product
    grid
        of that product
    event
        a row of the catalogue: t50, duration_d and geometry (longitude, latitude)

    Returns
    -------
    number
        the transient whose t50 is within max(24 d, duration) of the event's and which shares most pixels
        with its footprint; None where there is none, say because a newer scan has replaced the store
    """
    if transients.sizes["transient"] == 0:
        return None
    longitude, latitude = grid.lonlat()
    inside = shapely.contains_xy(event["geometry"], longitude, latitude)
    apart = np.abs(transients["t50"].values - np.datetime64(event["t50"][:10], "ns"))
    limit = np.timedelta64(round(86400 * max(24.0, float(event["duration_d"]))), "s")
    footprints = transients["footprint"].values > 0
    shared = np.where(apart <= limit, (footprints & inside).sum(axis=(1, 2)), 0)
    best = int(np.lexsort((apart, -shared))[0])
    return best if shared[best] > 0 else None


def sighting(stores: TrackStores, event: dict[str, Any]) -> Sighting | None:
    """Read what a track saw of an event; None where its store no longer holds the transient."""
    number = find_transient(stores.transients, stores.grid, event)
    if number is None:
        return None
    transient = stores.transients.isel(transient=number)
    field = transient["map"].values.astype(float) * MM
    footprint = transient["footprint"].values > 0
    masks = lobe_masks(field, footprint)
    series = [_lobe(stores.denoised, sign, mask, event["t05"]) for sign, mask in masks]
    return Sighting(field, footprint, stores.denoised["time"].values, transient["history"].values.astype(float), series)


def lobe_masks(field: NDArray[np.floating], footprint: NDArray[np.bool_]) -> list[tuple[int, NDArray[np.bool_]]]:
    """Return the sign and pixels of the lobes of a map (y, x), toward the satellite first.

    A footprint's mean says nothing of an antisymmetric event (docs/science.md section 10.6): its lobes do.
    """
    inside = np.where(footprint & np.isfinite(field), field, 0.0)
    largest = float(np.abs(inside).max(initial=0.0))
    masks = []
    for sign in (1, -1):
        peak = float((sign * inside).max(initial=0.0))
        if peak > 0 and peak >= MIN_LOBE * largest:
            masks.append((sign, sign * inside >= LOBE_LEVEL * peak))
    return masks


def _lobe(denoised: xr.Dataset, sign: int, mask: NDArray[np.bool_], t05: str) -> Lobe:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = {"y": slice(rows[0], rows[-1] + 1), "x": slice(columns[0], columns[-1] + 1)}
    within = mask[box["y"], box["x"]]
    raw, clean, std = (
        median_over_pixels(denoised[name].isel(box).values[:, within].astype(float)) * MM
        for name in ("displacement", "denoised", "denoised_std")
    )
    before = np.flatnonzero(denoised["time"].values <= np.datetime64(t05[:10], "ns"))
    zero = clean[before[-1] if before.size else 0]
    zero = zero if np.isfinite(zero) else 0.0
    return Lobe(sign, int(mask.sum()), raw - zero, clean - zero, std)


def median_over_pixels(series: NDArray[np.floating]) -> NDArray[np.float64]:
    """Median of (time, pixel) over valid pixels, (time,); NaN where an epoch has none."""
    out = np.full(len(series), np.nan)
    for epoch, values in enumerate(series):
        valid = values[np.isfinite(values)]
        if valid.size:
            out[epoch] = np.median(valid)
    return out


def interval(time: NDArray[np.datetime64], event: dict[str, Any] | None) -> tuple[int, int]:
    """Numbers of the two epochs around an event: the last before t05, the first after t95; without one, the ends."""
    if event is None:
        return 0, len(time) - 1
    before = np.flatnonzero(time <= np.datetime64(event["t05"][:10], "ns"))
    after = np.flatnonzero(time >= np.datetime64(event["t95"][:10], "ns"))
    first = int(before[-1]) if before.size else 0
    last = int(after[0]) if after.size else len(time) - 1
    return (first, last) if first < last else (max(first - 1, 0), min(last + 1, len(time) - 1))
