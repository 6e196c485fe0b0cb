"""The denoise stage: a stack in, what happened in it and its background out."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import dask
import dask.array
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from slipscan import vocabulary
from slipscan.configuration import to_options
from slipscan.denoise import registry
from slipscan.denoise.method import device_class
from slipscan.denoise.run import Denoised, denoise
from slipscan.field import Candidate, Denoiser
from slipscan.fit.model import design_matrix
from slipscan.outofcore import Empty, in_shards, scratch_arrays, sharded
from slipscan.outputs import check_outputs, store_kind
from slipscan.settings import DenoiseSettings
from slipscan.stack import add_history, observation_of, open_noise, open_stack, segments
from slipscan.store import write_zarr

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
    dataset = open_stack(stack, in_memory=False)
    region = None if noise is None else open_noise(noise, dataset)
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
    out.attrs["device_class"] = device_class(method)
    out.attrs["denoise_settings"] = json.dumps(to_options(settings))
    known = "white" if noise is None else "of the noise product"
    add_history(out, f"denoise: method {settings.method}, weights {method.label}, noise in time {known}")
    vocabulary.check(out, "denoised")
    return out


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
    out = _with_candidates(out, parts.candidates)
    return vocabulary.annotate(in_shards(out), "denoised")


@dataclass(frozen=True)
class _Maps:
    """Maps (candidate, y, x) of a whole scene, of which one is made where it is sliced: most of it is empty."""

    candidates: Sequence[Candidate]
    name: Literal["map", "std"]
    shape: tuple[int, int, int]
    dtype: np.dtype[np.float32] = field(default_factory=lambda: np.dtype(np.float32))
    ndim: int = 3

    def __getitem__(self, key: tuple[slice, slice, slice]) -> NDArray[np.float32]:
        chosen = self.candidates[key[0]]
        whole = np.zeros((len(chosen), *self.shape[1:]), np.float32)
        for number, one in enumerate(chosen):
            whole[(number, *(one.place or (slice(None), slice(None))))] = getattr(one, self.name)
        return whole[(slice(None), *key[1:])]


def _with_candidates(dataset: xr.Dataset, candidates: Sequence[Candidate]) -> xr.Dataset:
    """The product with maps, histories and evidence of candidates, none included."""
    shape = (len(candidates), dataset.sizes["y"], dataset.sizes["x"])
    maps = {}
    names: tuple[Literal["map", "std"], ...] = ("map", "std")
    for name in names:
        lazy = dask.array.from_array(_Maps(candidates, name, shape), chunks=(1, *shape[1:]), name=False)
        empty = np.zeros(shape, np.float32)
        maps[f"candidate_{name}"] = (("candidate", "y", "x"), lazy if candidates else empty)
    histories = np.array([one.history for one in candidates], float).reshape(-1, dataset.sizes["time"])
    evidence = np.array([one.evidence for one in candidates], float)
    out = dataset.assign(maps)
    out["candidate_history"] = (("candidate", "time"), histories)
    out["candidate_evidence"] = (("candidate",), evidence)
    return out.assign_coords(candidate=np.arange(len(candidates)))
