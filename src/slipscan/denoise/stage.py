"""The denoise stage: a stack in, a stack with its denoised parts out."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
from pathlib import Path

import dask
import numpy as np
import torch
import xarray as xr

from slipscan import vocabulary
from slipscan.configuration import to_options
from slipscan.denoise import pretrained
from slipscan.denoise.apply import Empty, denoise
from slipscan.denoise.pretrained import Weights
from slipscan.denoise.window_cache import WindowCache
from slipscan.errors import SlipscanError
from slipscan.geometry import read_grid
from slipscan.metric import pixel_area_km2
from slipscan.outofcore import in_shards, scratch_arrays, sharded
from slipscan.outputs import check_outputs, store_kind
from slipscan.settings import DenoiseSettings
from slipscan.stack import add_history, heights, open_stack, segments
from slipscan.store import write_zarr

log = logging.getLogger(__name__)


def run(stack: Path, out: Path, settings: DenoiseSettings, cache_dir: Path | None = None, code: str = "") -> None:
    """Denoise the stack at `stack` and write the denoised product to `out`.

    By the network a stack of any size is read cell by cell; what is finished waits in files beside `out`.

    Parameters
    ----------
    stack, out
        stores
    settings
        method, weights, device
    cache_dir, code
        where finished windows are kept, and the identity of the code that makes them
    """
    check_outputs([(out, store_kind("denoised"))], [stack, *([cache_dir] if cache_dir else [])])
    weights = load_weights(settings)
    dataset = open_stack(stack, in_memory=weights is None)
    windows = WindowCache(cache_dir, code)
    # One shard after the other.
    with scratch_arrays(out) as empty, dask.config.set(scheduler="synchronous"):
        result = denoise_stack(dataset, settings, weights, windows, empty)
        write_zarr(result, out)
    log.info("denoised %d epochs of %d x %d pixels by %s", *dataset["displacement"].shape, label(weights))
    if cache_dir is not None and weights is not None:
        log.info("%d windows from the cache, %d computed", windows.found, windows.made)


def load_weights(settings: DenoiseSettings) -> Weights | None:
    """The weights that the settings name, on their device; None for the classical method."""
    if settings.method == "classical":
        return None
    device = settings.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise SlipscanError("denoise.device is 'cuda', but torch sees no CUDA device: set it to 'auto' or 'cpu'")
    return dataclasses.replace(pretrained.load(settings.weights, device), orientations=settings.orientations)


def label(weights: Weights | None) -> str:
    """What stands in attributes and tables for the method."""
    return "classical" if weights is None else weights.label


def denoise_stack(
    dataset: xr.Dataset,
    settings: DenoiseSettings,
    weights: Weights | None,
    windows: WindowCache | None = None,
    empty: Empty = np.zeros,
) -> xr.Dataset:
    """The denoised product of a stack, which need not be in memory.

    Parameters
    ----------
    dataset
        the stack
    settings, weights
        method, and the network or None
    windows
        where finished windows are kept
    empty
        makes the arrays that hold the results
    """
    parts = denoise(
        dataset["displacement"],
        dataset["time"].values,
        heights(dataset),
        segments(dataset),
        weights,
        pixel_m=math.sqrt(pixel_area_km2(read_grid(dataset)) * 1e6),
        filter_d=settings.filter_d,
        windows=windows,
        empty=empty,
    )
    out = in_shards(dataset)
    for name in ("denoised", "denoised_std", "transient"):
        out[name] = (("time", "y", "x"), sharded(getattr(parts, name)))
    for name in ("rate", "seasonal_amplitude", "seasonal_phase"):
        out[name] = (("y", "x"), np.asarray(getattr(parts, name)))
    out["removed"] = (out["displacement"] - out["denoised"]).astype(np.float32)
    out = vocabulary.annotate(out, "denoised")
    out.attrs["weights"] = label(weights)
    out.attrs["denoise_settings"] = json.dumps(to_options(settings))
    add_history(out, f"denoise: method {settings.method}, weights {label(weights)}")
    vocabulary.check(out, "denoised")
    return out
