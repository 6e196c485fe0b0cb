"""Files of the time-series stage: observations in, displacement stack out."""

from __future__ import annotations

import logging
from pathlib import Path

import dask
import numpy as np
import xarray as xr

from slipscan.conform import conform
from slipscan.dates import check_epochs
from slipscan.errors import SlipscanError
from slipscan.outofcore import scratch_arrays
from slipscan.outputs import check_outputs, store_kind
from slipscan.screening import screened
from slipscan.settings import TimeseriesSettings
from slipscan.stack import add_history, open_stack
from slipscan.store import open_dataset, write_zarr
from slipscan.timeseries.interferograms import stack_from_interferograms
from slipscan.timeseries.memory import Found, Memory, memory_of
from slipscan.timeseries.series import stack_from_series
from slipscan.vocabulary import annotate, check

log = logging.getLogger(__name__)


def write_stack(
    observations: Path, out: Path, settings: TimeseriesSettings, threads: int = 1, cache_dir: Path | None = None
) -> None:
    """Turn a track's interferograms, or a ready series, into the displacement stack.

    Parameters
    ----------
    observations
        Zarr store or NetCDF file of product 'interferograms' or 'stack'; a store is read window by window
    out
        the Zarr store of product 'stack'
    settings
        of the stage
    threads
        tiles that are worked on at once; the store is the same to the byte
    cache_dir
        the content-addressed cache: what is kept of unchanged interferograms is taken from there, or put there, so that
        a few new epochs cost little; None: all interferograms are inverted

    Raises
    ------
    SlipscanError
        the input breaks its contract, the network is disconnected, too few valid reference pixels, no valid pixel
    """
    check_outputs([(out, store_kind("stack"))], [observations])
    dataset = open_dataset(observations)
    # The writer takes one shard after the other from the files that hold the results.
    with scratch_arrays(out) as empty, dask.config.set(scheduler="synchronous"):
        if "interferogram" in dataset:
            dataset, memory, found = _interferograms(dataset, observations, settings, cache_dir)
            stack = stack_from_interferograms(dataset, settings, empty, threads, memory, found)
            line = f"{dataset.sizes['pair']} interferograms, weights {settings.weights}, norm {settings.norm}"
        else:
            stack = stack_from_series(open_stack(observations, in_memory=False, metric=False), settings, empty)
            line = "ready series"
        if title := stack.attrs.get("title"):
            stack.attrs["title"] = str(title).replace("Interferograms of", "Displacement of")
        stack = annotate(add_history(stack, f"slipscan timeseries: {line}, {stack.sizes['time']} epochs"), "stack")
        check(stack, "stack", str(out))
        write_zarr(stack, out)


def _interferograms(
    dataset: xr.Dataset, path: Path, settings: TimeseriesSettings, cache_dir: Path | None
) -> tuple[xr.Dataset, Memory | None, Found | None]:
    """Interferograms, ours or someone else's, in the contract, with dates of two different passes each.

    With them where to keep what updates need, and what was kept of the first of them, which are not looked at again.
    """
    where = str(path)
    dataset = conform(dataset, "interferograms", where)
    check(dataset, "interferograms", where)
    dates = []
    for name in ("reference_date", "secondary_date"):
        if name not in dataset.coords or dataset[name].dims != ("pair",):
            raise SlipscanError(f"the interferograms in {where} have no coordinate '{name}' (pair) of dates")
        dates.append(dataset[name].values)
    check_epochs(np.unique(np.concatenate(dates)), f"the network of interferograms in {where}")
    memory = memory_of(path, dataset, settings, cache_dir)
    if memory is not None and (found := memory.find()) is not None:
        new = _plausible(dataset.isel(pair=slice(found.pairs, None)), where)
        if new is not None:
            maps = {name: array for name, array in new.data_vars.items() if "pair" not in array.dims}
            return dataset.assign(maps), memory, found
    passed = screened(dataset, in_memory=False, where=where)
    return passed, memory if _unchanged(passed) else None, None


def _plausible(dataset: xr.Dataset, where: str) -> xr.Dataset | None:
    """New interferograms where they hold something and nothing in them is masked as implausible; else None."""
    if not dataset.sizes["pair"]:
        return None
    try:
        passed = screened(dataset, in_memory=False, where=where)
    except SlipscanError:
        return None  # said of all interferograms, if it is true of them
    return passed if _unchanged(passed) else None


def _unchanged(passed: xr.Dataset) -> bool:
    """Whether screening left the interferograms as they are: what it masks is lazy."""
    return all(array.chunks is None for array in passed.data_vars.values() if "pair" in array.dims)
