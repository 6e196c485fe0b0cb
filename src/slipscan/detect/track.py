"""What is searched of a track: its series on a grid that fits in memory, its area, window and exposure."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from slipscan.coarse import coarsened
from slipscan.configuration import from_options
from slipscan.denoise.method import device_class
from slipscan.denoise.registry import build
from slipscan.detect.bands import Band, bands_of, coarse_factor
from slipscan.detect.faults.bank import Trace, traces_in
from slipscan.detect.ramp import Epochs
from slipscan.detect.registry import reads_field
from slipscan.errors import SlipscanError
from slipscan.faults import read_faults
from slipscan.field import Candidate, Denoiser, Observation
from slipscan.fit.clean import Cleaned
from slipscan.fit.masks import any_valid
from slipscan.fit.model import DAYS_PER_YEAR, MIN_EPOCHS
from slipscan.geometry import read_grid
from slipscan.noise.estimate import measure
from slipscan.noise.stage import dataset_of
from slipscan.noise.temporal import red_at
from slipscan.settings import DenoiseSettings, DetectSettings
from slipscan.stack import candidates_of, observation_of, open_denoised, open_noise, open_stack, up_to

ROUNDED: Final = 0.99
"""Of a pixel: a scale that is smaller is left out."""


@dataclass(frozen=True)
class Track:
    """What was observed, with what every step of detection needs of it.

    Attributes
    ----------
    seen
        at full resolution, read where it is sliced
    epochs
        of the series
    coarse, cleaned
        means over blocks of `factor` x `factor` pixels, and the same with the delay of every epoch taken out
    factor
        side of a block, pixels
    scales_km
        that are scanned
    denoiser
        that may be asked what happened; None where the detector asks none
    candidates
        of what it said of the whole series, at full resolution; None: not asked yet
    traces
        of the mapped faults along which slip is looked for
    """

    seen: Observation
    epochs: Epochs
    coarse: Observation
    cleaned: Cleaned
    factor: int
    scales_km: list[float]
    denoiser: Denoiser | None = None
    candidates: tuple[Candidate, ...] | None = None
    traces: tuple[Trace, ...] = ()

    def bands(self) -> list[Band]:
        """The bands of what delay, rate and season leave."""
        pixel_km = self.coarse.pixel_m / 1e3
        bands = bands_of(self.cleaned.residual(), self.cleaned.valid, self.coarse.shape, pixel_km, self.scales_km)
        return [
            dataclasses.replace(band, red=red_at(self.coarse.noise, 2 * scale))
            for band, scale in zip(bands, self.scales_km, strict=True)
        ]

    @property
    def label(self) -> str:
        """Of the denoiser."""
        return "none" if self.denoiser is None else self.denoiser.label

    @property
    def device_key(self) -> tuple[str, ...]:
        """What sets the products of a GPU apart in a cache; nothing of the CPU."""
        found = device_class(self.denoiser)
        return () if found == "cpu" else (found,)

    @property
    def area_km2(self) -> float:
        """Area with data."""
        covered = any_valid(self.cleaned.valid).sum()
        return float(covered) * (self.coarse.pixel_m / 1e3) ** 2


def open_track(
    stack: Path,
    settings: DetectSettings,
    denoised: Path | None = None,
    until: str | None = None,
    noise: Path | None = None,
) -> tuple[xr.Dataset, Track]:
    """Open a stack with epochs up to a date, and, where the detector reads it, the denoised product beside it."""
    dataset = open_stack(stack, in_memory=False)
    product = open_denoised(denoised, dataset) if denoised is not None and reads_field(settings.method) else None
    temporal = None if noise is None else open_noise(noise, dataset)
    return track_in(dataset, settings, product, until, str(stack), temporal)


def track_in(
    dataset: xr.Dataset,
    settings: DetectSettings,
    product: xr.Dataset | None = None,
    until: str | None = None,
    where: str = "the stack",
    noise: xr.Dataset | None = None,
) -> tuple[xr.Dataset, Track]:
    """The epochs of a stack up to a date, and the track made of them.

    `product` is the denoised one of the stack, `noise` its noise: how it is correlated in time.
    """
    denoiser: Denoiser | None = None
    candidates: tuple[Candidate, ...] | None = None
    if product is not None and reads_field(settings.method):
        denoiser = build(from_options(DenoiseSettings, json.loads(product.attrs["denoise_settings"])))
        candidates = candidates_of(product) if "candidate_map" in product else None
    count = dataset.sizes["time"]
    if until is not None:
        dataset = _up_to(dataset, until, where)
    seen = observation_of(dataset)
    if dataset.sizes["time"] < count:
        # What was said of the whole series was not said of this part, and would change with every new epoch.
        candidates = None
        if noise is not None:
            dx, dy = read_grid(dataset).spacing
            noise = dataset_of(measure(seen, (dy, dx)), seen.time)
    seen = dataclasses.replace(seen, noise=noise)
    track = track_of(seen, settings, denoiser, candidates)
    if settings.faults is not None:
        faults = read_faults(Path(settings.faults), "detect.faults")
        traces = traces_in(faults, read_grid(dataset), track.coarse.shape, track.coarse.pixel_m)
        track = dataclasses.replace(track, traces=traces)
    return dataset, track


def track_of(
    seen: Observation,
    settings: DetectSettings,
    denoiser: Denoiser | None = None,
    candidates: tuple[Candidate, ...] | None = None,
) -> Track:
    """Bring a series, which need not be in memory, on the grid that the smallest scale can be scanned on.

    Raises
    ------
    SlipscanError
        all scales are below a pixel, or there is no data
    """
    pixel_km = seen.pixel_m / 1e3
    scales = sorted(scale for scale in settings.scales_km if scale >= ROUNDED * pixel_km)
    if not scales:
        raise SlipscanError(f"detect.scales_km are all below the pixel of {pixel_km:g} km: add larger ones")
    factor = coarse_factor(pixel_km, scales)
    coarse = coarsened(seen, factor)
    epochs = Epochs(seen.time, seen.segment, seen.background_known)
    return Track(seen, epochs, coarse, coarse.cleaned(), factor, scales, denoiser, candidates)


def _up_to(dataset: xr.Dataset, until: str, where: str) -> xr.Dataset:
    """The epochs up to the end of a day; raises SlipscanError where there are too few."""
    kept = up_to(dataset, until)
    if kept.sizes["time"] < MIN_EPOCHS:
        first = str(dataset["time"].values[0])[:10]
        raise SlipscanError(
            f"{where} has {kept.sizes['time']} epochs up to {until} (it begins on {first}): a calibration needs"
            f" {MIN_EPOCHS}; give --until (calibration_as_of) a later date"
        )
    return kept


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
