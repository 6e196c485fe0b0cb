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
from slipscan.timeseries.series import stack_from_series
from slipscan.vocabulary import annotate, check

log = logging.getLogger(__name__)


def write_stack(observations: Path, out: Path, settings: TimeseriesSettings, threads: int = 1) -> None:
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
            dataset = _interferograms(dataset, str(observations))
            stack = stack_from_interferograms(dataset, settings, empty, threads)
            line = f"{dataset.sizes['pair']} interferograms, weights {settings.weights}, norm {settings.norm}"
        else:
            stack = stack_from_series(open_stack(observations, in_memory=False, metric=False), settings, empty)
            line = "ready series"
        if title := stack.attrs.get("title"):
            stack.attrs["title"] = str(title).replace("Interferograms of", "Displacement of")
        stack = annotate(add_history(stack, f"slipscan timeseries: {line}, {stack.sizes['time']} epochs"), "stack")
        check(stack, "stack", str(out))
        write_zarr(stack, out)


def _interferograms(dataset: xr.Dataset, where: str) -> xr.Dataset:
    """Interferograms, ours or someone else's, in the contract, with dates of two different passes each."""
    dataset = conform(dataset, "interferograms", where)
    check(dataset, "interferograms", where)
    dates = []
    for name in ("reference_date", "secondary_date"):
        if name not in dataset.coords or dataset[name].dims != ("pair",):
            raise SlipscanError(f"the interferograms in {where} have no coordinate '{name}' (pair) of dates")
        dates.append(dataset[name].values)
    check_epochs(np.unique(np.concatenate(dates)), f"the network of interferograms in {where}")
    return screened(dataset, in_memory=False, where=where)
