"""What is scanned of a stack: its field, area, window and exposure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from slipscan import seriesmodel
from slipscan.denoise import background
from slipscan.denoise.background import epoch_noise
from slipscan.detect.bands import band
from slipscan.detect.scan import MAX_TRANSIENTS, Scan, scan
from slipscan.detect.statistic import Candidate, Field, amplitudes, field_of, model_matrix, projected_out, ramps
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid, read_grid
from slipscan.metric import pixel_area_km2
from slipscan.settings import DetectSettings
from slipscan.stack import heights, open_stack, segments
from slipscan.store import open_dataset

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Track:
    """A stack with what every step of detection needs of it.

    Attributes
    ----------
    dataset
        product 'stack' or 'denoised'
    time, segment, height, grid
        of the stack; height (y, x) m or None
    residual
        (time, y, x) m: displacement less offset, rate and season, and less every epoch's ramp and slope with height;
        events still in it
    epoch_std
        (time,) noise of the residual, m
    parameters
        fitted to the series of every pixel
    """

    dataset: xr.Dataset
    time: NDArray[np.datetime64]
    segment: NDArray[np.integer] | None
    height: NDArray[np.floating] | None
    grid: Grid
    residual: Float
    epoch_std: Float
    parameters: int


def open_track(path: Path) -> Track:
    """Open a denoised product or a stack, whichever the file is."""
    with open_dataset(path) as dataset:
        product = "denoised" if "denoised" in dataset else "stack"
    return track_of(open_stack(path, product))


def track_of(dataset: xr.Dataset) -> Track:
    """Take the background model and the nuisance out of a stack."""
    time, segment, height, grid = dataset["time"].values, segments(dataset), heights(dataset), read_grid(dataset)
    closed = background.estimate(flat(dataset["displacement"].values), time, height, grid.shape, segment)
    residual = closed.residual.reshape(-1, *grid.shape)
    return Track(dataset, time, segment, height, grid, residual, closed.epoch_std, closed.matrix.shape[1])


def find(track: Track, settings: DetectSettings, floor: float, at_most: int = MAX_TRANSIENTS) -> Scan:
    """Scan a track for transients above a statistic."""
    return scan(bands_of(track, settings), track.time, track.segment, track.grid, settings, floor, at_most)


def bands_of(track: Track, settings: DetectSettings) -> list[Field]:
    """The bands of a track's residual that are scanned; scales under a pixel are left out."""
    pixel_km = float(np.mean(track.grid.spacing)) / 1e3
    scales = [scale for scale in settings.scales_km if scale >= 0.99 * pixel_km]
    if not scales:
        raise SlipscanError(f"detect.scales_km are all below the pixel of {pixel_km:g} km: add larger ones")
    fields = []
    for scale in scales:
        values = flat(band(track.residual, scale / pixel_km))
        fields.append(field_of(values, epoch_noise(values), 4 * np.pi * scale**2, track.parameters))
    return fields


def amplitude_map(track: Track, candidate: Candidate) -> tuple[Float, Float]:
    """Total displacement of a transient and its standard deviation, each (pixel,) m, NaN = no data.

    At full resolution and jointly with rate and season, so it is not shrunk toward zero, and holds the turbulence.
    """
    field = field_of(flat(track.residual), track.epoch_std, 1.0, track.parameters)
    matrix = model_matrix(track.time, track.segment, [])
    shapes = projected_out(ramps(track.time, [candidate]), matrix, field.weight)
    amplitude, statistic = (values[0].astype(float) for values in amplitudes(field, shapes))
    known = np.isfinite(field.std) & (statistic != 0)
    std = np.where(known, np.abs(amplitude) / np.where(known, np.abs(statistic), 1.0), np.nan)
    return np.where(known, amplitude, np.nan), std


def flat(array: NDArray[np.floating]) -> Float:
    """(time, y, x) to (time, pixel), float64."""
    return array.reshape(len(array), -1).astype(float)


def window(time: NDArray[np.datetime64], edge_epochs: int) -> tuple[np.datetime64, np.datetime64]:
    """First and last day on which the middle of a transient can be found."""
    inner = time[edge_epochs - 1 : len(time) - edge_epochs + 1]
    if len(inner) < 2:
        raise SlipscanError(
            f"a series of {len(time)} epochs has no interval between edges of {edge_epochs} epochs: lower "
            "detect.edge_epochs or add epochs"
        )
    return inner[0].astype("datetime64[D]"), inner[-1].astype("datetime64[D]")


def area_of(track: Track) -> float:
    """Area with data, km2."""
    seen = np.isfinite(track.dataset["displacement"].values).any(axis=0)
    return float(seen.sum()) * pixel_area_km2(track.grid)


def exposure_of(track: Track, settings: DetectSettings) -> float:
    """What is scanned, in 10,000 km2 x years."""
    start, end = window(track.time, settings.edge_epochs)
    return area_of(track) / 1e4 * float((end - start) / np.timedelta64(1, "D")) / seriesmodel.DAYS_PER_YEAR
