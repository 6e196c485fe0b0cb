"""What is scanned of a stack: its field, area, window and exposure."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from slipscan import seriesmodel
from slipscan.detect.scan import MAX_TRANSIENTS, Transient, scan
from slipscan.detect.statistic import Field, denoised_field, raw_field
from slipscan.errors import SlipscanError
from slipscan.geometry import pixel_area_km2, read_grid
from slipscan.settings import DetectSettings
from slipscan.stack import open_stack, segments
from slipscan.store import open_dataset

log = logging.getLogger(__name__)

Float = NDArray[np.float64]

RAW = "none"
"""What stands for the weights of a stack that was never denoised."""


def open_field(path: Path) -> xr.Dataset:
    """A denoised product or a raw stack, whichever the file is."""
    product = "denoised" if "denoised" in open_dataset(path) else "stack"
    if product == "stack":
        log.info("%s is not denoised: the raw displacement is scanned", path)
    return open_stack(path, product)


def find(dataset: xr.Dataset, settings: DetectSettings, floor: float, at_most: int = MAX_TRANSIENTS) -> list[Transient]:
    """Transients of a stack above a statistic, strongest first."""
    time, segment = dataset["time"].values, segments(dataset)
    return scan(field_of(dataset), time, segment, read_grid(dataset), settings, floor, at_most)


def field_of(dataset: xr.Dataset) -> Field:
    """The field that is scanned: the denoised transient where there is one."""
    if "denoised" in dataset:
        std = dataset["transient_std"].values.ravel().astype(float)
        return denoised_field(flat(dataset["transient"].values), std)
    return raw_field(flat(dataset["displacement"].values), dataset["time"].values, segments(dataset))


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


def area_of(dataset: xr.Dataset) -> float:
    """Area with data, km2."""
    seen = np.isfinite(dataset["displacement"].values).any(axis=0)
    return float(seen.sum()) * pixel_area_km2(read_grid(dataset))


def exposure_of(dataset: xr.Dataset, settings: DetectSettings) -> float:
    """What is scanned, in 10,000 km2 x years."""
    start, end = window(dataset["time"].values, settings.edge_epochs)
    return area_of(dataset) / 1e4 * float((end - start) / np.timedelta64(1, "D")) / seriesmodel.DAYS_PER_YEAR
