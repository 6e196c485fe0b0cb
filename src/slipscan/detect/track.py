"""What is searched of a track: its series on a grid that fits in memory, its area, window and exposure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from slipscan.detect.bands import Band, bands_of, coarse_factor
from slipscan.detect.coarse import coarsened
from slipscan.detect.ramp import Epochs
from slipscan.errors import SlipscanError
from slipscan.field import Observation
from slipscan.fit.clean import Cleaned
from slipscan.fit.model import DAYS_PER_YEAR
from slipscan.geometry import Grid, read_grid
from slipscan.settings import DetectSettings
from slipscan.stack import observation_of, open_denoised, open_stack, segments

ROUNDED: Final = 0.99
"""Of a pixel: a scale that is smaller is left out."""


@dataclass(frozen=True)
class Track:
    """A stack with what every step of detection needs of it.

    Attributes
    ----------
    dataset
        the stack
    seen
        the same, read where it is sliced
    denoised
        the denoised product of the same stack; None where nobody asked a denoiser
    epochs, grid
        of the stack
    coarse, cleaned
        means over blocks of `factor` x `factor` pixels, and the same with the delay of every epoch taken out
    factor
        side of a block, pixels
    scales_km
        that are scanned
    """

    dataset: xr.Dataset
    seen: Observation
    denoised: xr.Dataset | None
    epochs: Epochs
    grid: Grid
    coarse: Observation
    cleaned: Cleaned
    factor: int
    scales_km: list[float]

    def bands(self) -> list[Band]:
        """The bands of what delay, rate and season leave."""
        pixel_km = self.coarse.pixel_m / 1e3
        return bands_of(self.cleaned.residual(), self.cleaned.valid, self.coarse.shape, pixel_km, self.scales_km)

    @property
    def label(self) -> str:
        """Of the denoiser."""
        return "none" if self.denoised is None else str(self.denoised.attrs.get("weights", "none"))

    @property
    def area_km2(self) -> float:
        """Area with data."""
        covered = self.cleaned.valid.any(0).sum()
        return float(covered) * (self.coarse.pixel_m / 1e3) ** 2


def open_track(stack: Path, settings: DetectSettings, denoised: Path | None = None, until: str | None = None) -> Track:
    """Open a stack, and the denoised product beside it, with epochs up to a date."""
    dataset = open_stack(stack, in_memory=False)
    beside = None if denoised is None else open_denoised(denoised, dataset)
    if until is not None:
        dataset = dataset.sel(time=slice(None, np.datetime64(until)))
    return track_of(dataset, settings, beside)


def track_of(dataset: xr.Dataset, settings: DetectSettings, denoised: xr.Dataset | None = None) -> Track:
    """Bring a stack, which need not be in memory, on the grid that the smallest scale can be scanned on.

    Raises
    ------
    SlipscanError
        all scales are below a pixel, or there is no data
    """
    seen = observation_of(dataset)
    pixel_km = seen.pixel_m / 1e3
    scales = sorted(scale for scale in settings.scales_km if scale >= ROUNDED * pixel_km)
    if not scales:
        raise SlipscanError(f"detect.scales_km are all below the pixel of {pixel_km:g} km: add larger ones")
    factor = coarse_factor(pixel_km, scales)
    coarse = coarsened(seen, factor)
    epochs = Epochs(dataset["time"].values, segments(dataset))
    return Track(
        dataset, seen, denoised, epochs, read_grid(dataset), coarse, coarse.cleaned(), factor, scales
    )  # fmt: skip


def window(time: NDArray[np.datetime64], edge_epochs: int) -> tuple[np.datetime64, np.datetime64]:
    """First and last day on which the middle of a transient can be found."""
    inner = time[edge_epochs - 1 : len(time) - edge_epochs + 1]
    if len(inner) < 2:
        raise SlipscanError(
            f"a series of {len(time)} epochs has no interval between edges of {edge_epochs} epochs: lower "
            "detect.edge_epochs or add epochs"
        )
    return inner[0].astype("datetime64[D]"), inner[-1].astype("datetime64[D]")


def exposure_of(track: Track, settings: DetectSettings) -> float:
    """What is scanned, in 10,000 km2 x years."""
    start, end = window(track.epochs.time, settings.edge_epochs)
    return track.area_km2 / 1e4 * float((end - start) / np.timedelta64(1, "D")) / DAYS_PER_YEAR
