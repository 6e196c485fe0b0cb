"""The denoise stage: a stack in, what happened in it and its background out."""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path

import dask
import numpy as np
import xarray as xr

from slipscan import vocabulary
from slipscan.configuration import to_options
from slipscan.denoise import registry
from slipscan.denoise.run import Denoised, denoise
from slipscan.field import Denoiser
from slipscan.fit.model import design_matrix
from slipscan.outofcore import Empty, in_shards, scratch_arrays, sharded
from slipscan.outputs import check_outputs, store_kind
from slipscan.settings import DenoiseSettings
from slipscan.stack import add_history, observation_of, open_stack, segments
from slipscan.store import open_zarr, write_zarr

log = logging.getLogger(__name__)


def write_denoised(
    stack: Path, out: Path, settings: DenoiseSettings, threads: int = 1, noise: Path | None = None
) -> None:
    """Denoise the stack at `stack` and write the denoised product to `out`.

    A stack of any size is read tile by tile, here or on a dask cluster (see `workers`); what is finished waits in
    files beside `out`. `noise` is the noise product of the same stack: how noise is correlated in time; without it,
    noise is taken to be white.
    """
    check_outputs([(out, store_kind("denoised"))], [stack, *([noise] if noise else [])])
    method = registry.build(settings)
    region = None if noise is None else _open_noise(noise)
    dataset = open_stack(stack, in_memory=False)
    # One shard after the other.
    with scratch_arrays(out) as empty, dask.config.set(scheduler="synchronous"):
        write_zarr(denoise_stack(dataset, settings, method, threads, empty, region), out)
    log.info("denoised %d epochs of %d x %d pixels by %s", *dataset["displacement"].shape, method.label)


def denoise_stack(
    dataset: xr.Dataset,
    settings: DenoiseSettings,
    method: Denoiser,
    threads: int = 1,
    empty: Empty = np.zeros,
    noise: xr.Dataset | None = None,
) -> xr.Dataset:
    """The denoised product of a stack, which need not be in memory.

    Parameters
    ----------
    dataset
        the stack
    settings
        recorded in the product
    method
        the denoiser
    threads
        groups of tiles that are worked on at once
    empty
        makes the arrays that hold the results
    noise
        product 'noise' of the stack; None: noise is white in time
    """
    _, names = design_matrix(dataset["time"].values, segments(dataset))
    seen = dataclasses.replace(observation_of(dataset), noise=noise)
    parts = denoise(seen, method, threads=threads, empty=empty, description="denoise tiles")
    out = product_of(dataset, parts, names)
    out.attrs["weights"] = method.label
    out.attrs["denoise_settings"] = json.dumps(to_options(settings))
    known = "white" if noise is None else "of the noise product"
    add_history(out, f"denoise: method {settings.method}, weights {method.label}, noise in time {known}")
    vocabulary.check(out, "denoised")
    return out


def _open_noise(path: Path) -> xr.Dataset:
    noise = open_zarr(path).load()
    vocabulary.check(noise, "noise", str(path))
    return noise


def product_of(dataset: xr.Dataset, parts: Denoised, names: list[str]) -> xr.Dataset:
    """The denoised product: what cannot be derived from the stack."""
    out = dataset.drop_vars(list(dataset.data_vars))
    for name, values in (("transient", parts.transient), ("denoised_std", parts.std)):
        out[name] = (("time", "y", "x"), sharded(values))
    offsets = names.count("offset")
    out["offset"] = (("part", "y", "x"), parts.parameters[:offsets] + parts.mean)
    for number, name in enumerate(names[offsets:], offsets):
        out[name] = (("y", "x"), np.asarray(parts.parameters[number]))
    out["evidence"] = (("y", "x"), np.asarray(parts.evidence))
    return vocabulary.annotate(in_shards(out), "denoised")
