"""The denoise stage: a stack in, a stack with its denoised parts out."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from slipscan import vocabulary
from slipscan.denoise import pretrained
from slipscan.denoise.apply import denoise
from slipscan.denoise.pretrained import Weights
from slipscan.errors import SlipscanError
from slipscan.geometry import pixel_area_km2, read_grid
from slipscan.settings import DenoiseSettings, to_options
from slipscan.stack import add_history, heights, open_stack, segments
from slipscan.store import write_zarr

log = logging.getLogger(__name__)


def run(stack: Path, out: Path, settings: DenoiseSettings) -> None:
    """Denoise the stack at `stack` and write the denoised product to `out`."""
    dataset = open_stack(stack)
    weights = load_weights(settings)
    result = denoise_stack(dataset, settings, weights)
    log.info("denoised %d epochs of %d x %d pixels by %s", *dataset["displacement"].shape, label(weights))
    write_zarr(result, out)


def load_weights(settings: DenoiseSettings) -> Weights | None:
    """The weights that the settings name, on their device; None for the classical method."""
    if settings.method == "classical":
        return None
    device = settings.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise SlipscanError("denoise.device is 'cuda', but torch sees no CUDA device: set it to 'auto' or 'cpu'")
    return pretrained.load(settings.weights, device)


def label(weights: Weights | None) -> str:
    """What stands in attributes and tables for the method."""
    return "classical" if weights is None else weights.label


def denoise_stack(dataset: xr.Dataset, settings: DenoiseSettings, weights: Weights | None) -> xr.Dataset:
    """The denoised product of a stack, in memory."""
    displacement = dataset["displacement"].values
    parts = denoise(
        displacement,
        dataset["time"].values,
        heights(dataset),
        segments(dataset),
        weights,
        pixel_m=math.sqrt(pixel_area_km2(read_grid(dataset)) * 1e6),
        filter_d=settings.filter_d,
    )
    out = dataset.copy()
    for name in ("denoised", "denoised_std", "transient"):
        out[name] = (("time", "y", "x"), getattr(parts, name))
    for name in ("rate", "seasonal_amplitude", "seasonal_phase"):
        out[name] = (("y", "x"), getattr(parts, name))
    out["removed"] = (("time", "y", "x"), np.float32(displacement - parts.denoised))
    out = vocabulary.annotate(out, "denoised")
    out.attrs["weights"] = label(weights)
    out.attrs["denoise_settings"] = json.dumps(to_options(settings))
    add_history(out, f"denoise: method {settings.method}, weights {label(weights)}")
    vocabulary.check(out, "denoised")
    return out
