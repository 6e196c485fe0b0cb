"""Reading a stack, ours or someone else's, and carrying its attributes along."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

import slipscan
from slipscan import vocabulary
from slipscan.conform import conform
from slipscan.errors import SlipscanError
from slipscan.field import Candidate, Observation
from slipscan.fit.model import check_length, design_matrix
from slipscan.geometry import check_los, read_grid
from slipscan.metric import check_metric, pixel_area_km2
from slipscan.screening import screened, unwrapping_corrected
from slipscan.store import open_dataset, open_zarr

log = logging.getLogger(__name__)

OPTIONAL_NOTES = {
    "height": "no correction that follows topography",
    "los_east": "no source inversion and no projection of GNSS",
    "temporal_coherence": "no mask of incoherent pixels",
}

LOS = ("los_east", "los_north", "los_up")


def open_stack(path: Path, product: str = "stack", in_memory: bool = True, metric: bool = True) -> xr.Dataset:
    """Open a displacement stack (Zarr or NetCDF), ours or someone else's.

    One of someone else needs only `displacement` with units, dates, x, y and a CRS, as xarray or rioxarray write them
    (`conform.conform`); what is absent is said in the log, and what cannot be a displacement, height, coherence or unit
    vector is masked and counted there.

    Parameters
    ----------
    path
        store or file
    product
        'stack' or 'denoised'
    in_memory
        read all of it; else series stay on the disk and are read where they are sliced
    metric
        whether the grid has to be metric and the series long enough for its background, as every stage but timeseries
        and export needs

    Raises
    ------
    SlipscanError
        what the contract needs is missing or wrong, there is no valid pixel, the grid is not metric, too few epochs
    """
    return as_stack(open_dataset(path), product, in_memory, metric, str(path))


def up_to(dataset: xr.Dataset, until: str) -> xr.Dataset:
    """The epochs of a stack up to the end of a day."""
    day_after = np.datetime64(until, "D") + np.timedelta64(1, "D")
    return dataset.isel(time=slice(None, int((dataset["time"].values < day_after).sum())))


def as_stack(
    dataset: xr.Dataset,
    product: str = "stack",
    in_memory: bool = False,
    metric: bool = True,
    where: str = "the stack",
) -> xr.Dataset:
    """A dataset that is open or in memory as `open_stack` gives it; `where` is for sentences. It is not changed."""
    dataset = conform(dataset, product, where)
    vocabulary.check(dataset, product, where)
    if metric:
        check_metric(read_grid(dataset, where), where)
        check_length(dataset["time"].values, segments(dataset), where)
    dataset = screened(dataset, in_memory, where)
    if metric and product == "stack" and "unwrapping_patches" not in dataset.attrs:
        dataset = unwrapping_corrected(dataset, in_memory, where)
    _check_los(dataset, where)
    for name, note in OPTIONAL_NOTES.items():
        if name not in dataset:
            log.info("%s has no %s: %s", where, name, note)
    return dataset


def _check_los(dataset: xr.Dataset, where: str) -> None:
    """Refuse a line of sight that is none; raises SlipscanError."""
    held = [name for name in LOS if name in dataset]
    if not held:
        return
    if len(held) < len(LOS):
        raise SlipscanError(f"{where} has {' and '.join(held)} but not all of {', '.join(LOS)}: add or drop them")
    east, north, up = (dataset[name].values for name in LOS)
    check_los(east, north, up, dataset.attrs.get("orbit_direction"), where)


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
    return checked_denoised(open_dataset(path), stack, str(path))


def checked_denoised(dataset: xr.Dataset, stack: xr.Dataset, where: str = "(in memory)") -> xr.Dataset:
    """A denoised product that is one of the stack; raises SlipscanError as `open_denoised` does."""
    vocabulary.check(dataset, "denoised", where)
    for axis in ("time", "y", "x"):
        if not np.array_equal(dataset[axis].values, stack[axis].values):
            raise SlipscanError(f"the denoised product {where} is of another stack (other '{axis}'): run denoise again")
    return dataset


def open_noise(path: Path, stack: xr.Dataset) -> xr.Dataset:
    """Read the noise product of a stack.

    Raises
    ------
    SlipscanError
        it breaks its contract, or is of another stack: other dates or another track
    """
    noise = open_zarr(path).load()
    vocabulary.check(noise, "noise", str(path))
    names = [name for name in ("region", "track") if name in noise.attrs and name in stack.attrs]
    same = all(noise.attrs[name] == stack.attrs[name] for name in names)
    if not same or not np.array_equal(noise["time"].values, stack["time"].values):
        raise SlipscanError(f"the noise product {path} is of another stack (other dates or track): run noise again")
    return noise


def candidates_of(denoised: xr.Dataset) -> tuple[Candidate, ...]:
    """What a denoised product says happened, strongest first, each over the rows and columns where it is not 0."""
    if "candidate_map" not in denoised:
        return ()
    out = []
    for number in range(denoised.sizes["candidate"]):
        one = denoised.isel(candidate=number)
        whole, std = (one[f"candidate_{name}"].values for name in ("map", "std"))
        known = (whole != 0) | (std != 0)
        if not known.any():
            continue
        rows, columns = (np.flatnonzero(known.any(axis=axis)) for axis in (1, 0))
        place = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
        history = np.asarray(one["candidate_history"].values, float)
        out.append(Candidate(whole[place], std[place], history, float(one["candidate_evidence"]), place))
    return tuple(out)


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


def add_history(dataset: xr.Dataset, line: str) -> xr.Dataset:
    """Append a line to the history attribute (no wall clock: equal inputs give equal bytes)."""
    before = dataset.attrs.get("history", "")
    dataset.attrs["history"] = f"{before}\n{line}".strip()
    dataset.attrs["slipscan_version"] = slipscan.__version__
    return dataset


def since_first_epoch(values: NDArray[np.float32]) -> bool:
    """Count displacement (time, y, x) from each pixel's first valid epoch, in place; leave it where that is 0.

    Other tools count from an epoch in the middle, from one before the first, or from the origin of a linear fit.

    Returns
    -------
    changed
        whether the first epoch was not zero
    """
    first = np.array(values[0])
    if not np.any(np.isfinite(first) & (first != 0)):
        return False
    for layer in values[1:]:
        fill = np.isnan(first) & np.isfinite(layer)
        first[fill] = layer[fill]
    for layer in values:
        layer -= first
    return True
