"""Reading a stack, ours or someone else's, and carrying its attributes along."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import numpy as np
import xarray as xr

import slipscan
from slipscan import vocabulary
from slipscan.errors import SlipscanError
from slipscan.field import Observation
from slipscan.fit.model import design_matrix
from slipscan.geometry import pixel_area_km2, read_grid
from slipscan.store import open_dataset

log = logging.getLogger(__name__)

LOS = ("los_east", "los_north", "los_up")
OPTIONAL_NOTES = {
    "height": "no correction that follows topography",
    "los_east": "no source inversion and no projection of GNSS",
    "temporal_coherence": "no mask of incoherent pixels",
}


def open_stack(path: Path, product: str = "stack", in_memory: bool = True) -> xr.Dataset:
    """Open a displacement stack (Zarr or NetCDF) that follows the contract.

    Into memory, or, of a Zarr store in float32, only what has no time: the rest is read where it is sliced, and whether
    any of it is valid is left to the reader.

    A stack of someone else needs only `displacement(time, y, x)` with units, time, x, y and a CRS; what is
    absent is said in the log. Float64 is cast to float32 and an ascending y axis is turned.

    Raises
    ------
    SlipscanError
        what the contract needs is missing or wrong, there is no valid pixel, or the grid is not metric
    """
    dataset = open_dataset(path)
    if "y" in dataset.coords and dataset.sizes.get("y", 0) > 1 and dataset["y"][0] < dataset["y"][-1]:
        dataset = dataset.isel(y=slice(None, None, -1))
    table = vocabulary.variable_table(product)
    for name in set(table) & set(map(str, dataset.data_vars)):
        if dataset[name].dtype == np.float64 and table[name].dtype == "float32":
            dataset[name] = dataset[name].astype("float32").assign_attrs(dataset[name].attrs)
    vocabulary.check(dataset, product, str(path))
    read_grid(dataset, str(path))
    if not in_memory:
        for field in [variable for variable in dataset.data_vars.values() if "time" not in variable.dims]:
            field.load()
    elif not np.isfinite(dataset.load()["displacement"].values).any():
        raise SlipscanError(f"the stack {path} has no valid pixel: every displacement is NaN")
    for name, note in OPTIONAL_NOTES.items():
        if name not in dataset:
            log.info("%s has no %s: %s", path, name, note)
    return dataset


def observation_of(dataset: xr.Dataset) -> Observation:
    """What was observed in a stack, read from the disk where it is sliced if it is not in memory."""
    los = None
    if all(name in dataset for name in LOS):
        los = np.stack([dataset[name].values for name in LOS])
    return Observation(
        displacement=dataset["displacement"],
        time=dataset["time"].values,
        pixel_m=math.sqrt(pixel_area_km2(read_grid(dataset)) * 1e6),
        height=dataset["height"].values if "height" in dataset else None,
        los=los,
        segment=segments(dataset),
    )


def open_denoised(path: Path, stack: xr.Dataset) -> xr.Dataset:
    """Open the denoised product of a stack, lazily.

    Raises
    ------
    SlipscanError
        it breaks its contract, or is of another stack: other dates or another grid
    """
    dataset = open_dataset(path)
    vocabulary.check(dataset, "denoised", str(path))
    for axis in ("time", "y", "x"):
        if not np.array_equal(dataset[axis].values, stack[axis].values):
            raise SlipscanError(f"the denoised product {path} is of another stack (other '{axis}'): run denoise again")
    return dataset


def with_denoised(stack: xr.Dataset, denoised: xr.Dataset) -> xr.Dataset:
    """A stack with all parts of its denoised product, lazily (dask).

    Adds `transient`, `denoised_std`, `rate` and the other variables of the product, and what follows from them:
    `denoised` = offset + rate + season + transient, and `removed` = displacement - denoised, each (time, y, x) m.
    """
    matrix, names = design_matrix(stack["time"].values, segments(stack))
    parts = denoised.chunk({"y": 256, "x": 256})
    out = stack.chunk({"y": 256, "x": 256})
    columns = xr.DataArray(matrix.astype(np.float32), dims=("time", "column"), coords={"time": stack["time"]})
    offsets = names.count("offset")
    fitted = (columns[:, :offsets].rename(column="part") * parts["offset"]).sum("part")
    for number, name in enumerate(names[offsets:], offsets):
        fitted = fitted + columns[:, number] * parts[name]
    series = (fitted + parts["transient"]).transpose("time", "y", "x").astype(np.float32)
    out = out.assign({name: parts[name] for name in parts.data_vars if name not in out})
    out["denoised"] = series.assign_attrs(units="m", long_name="rate, season and events of displacement")
    removed = (out["displacement"] - series).astype(np.float32)
    out["removed"] = removed.assign_attrs(units="m", long_name="displacement - denoised")
    out.attrs.update({name: value for name, value in denoised.attrs.items() if name in ("weights", "denoise_settings")})
    return out


def segments(dataset: xr.Dataset) -> np.ndarray | None:
    """The `segment` coordinate of a stack whose network was split, or None."""
    if "segment" not in dataset.coords:
        return None
    return np.asarray(dataset["segment"].values)


def heights(dataset: xr.Dataset) -> np.ndarray | None:
    """The heights of a stack, (y, x) m, or None."""
    return dataset["height"].values.astype(float) if "height" in dataset else None


def add_history(dataset: xr.Dataset, line: str) -> xr.Dataset:
    """Append a line to the history attribute (no wall clock: equal inputs give equal bytes)."""
    before = dataset.attrs.get("history", "")
    dataset.attrs["history"] = f"{before}\n{line}".strip()
    dataset.attrs["slipscan_version"] = slipscan.__version__
    return dataset
