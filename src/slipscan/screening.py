"""What is read of a stack or of interferograms passes the table of plausible ranges, in memory or block by block."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from slipscan.conform import in_blocks
from slipscan.errors import SlipscanError
from slipscan.patches.find import find_patches
from slipscan.patches.patch import remove_cycles
from slipscan.plausible import Screen
from slipscan.store import CHUNK, first_line

log = logging.getLogger(__name__)

KINDS = {
    "displacement": "displacement", "interferogram": "interval", "inversion_std": "std", "height": "height",
    "temporal_coherence": "coherence", "coherence": "coherence",
    "los_east": "los", "los_north": "los", "los_up": "los",
}  # fmt: skip
"""The plausible range (a key of plausible.RANGES) of each variable."""
SERIES = ("displacement", "interferogram")
BLOCK = CHUNK
"""Layers, rows and columns that are read at once: 16 MB."""


def screened(dataset: xr.Dataset, in_memory: bool, where: str) -> xr.Dataset:
    """Mask what is implausible, with a line in the log.

    Parameters
    ----------
    dataset
        product 'stack', 'denoised' or 'interferograms', in the contract's types
    in_memory
        read all of it; else series are read once, block by block, and stay where they are
    where
        the file's path, for sentences

    Raises
    ------
    SlipscanError
        no valid pixel, another quantity, a file that cannot be read
    """
    out = dataset.copy()
    for name, array in dataset.data_vars.items():
        screen = Screen(KINDS[str(name)], f"'{name}' in {where}") if name in KINDS else None
        if in_memory or array.ndim < 3:
            values = _read(array, where)
            if array.ndim < 3:
                # Zarr's explicit byte order is no other one, but the NetCDF library warns of it.
                values = values.astype(np.dtype(values.dtype.name))
            values = np.require(values, requirements="W")
            any_valid = _pass(values, screen)
            out[name] = array.copy(data=values)
        elif screen is None:
            continue
        else:
            # Every block, not the blocks up to the first valid value.
            # Of a dataset that somebody else has in memory nothing is changed.
            any_valid = sum(_pass(_read(part, where).copy(), screen) for part in _parts(array)) > 0
        if screen is not None and screen.report() and not in_memory and array.ndim > 2:
            out[name] = _masked(array, screen.kind)
        if name in SERIES and not any_valid:
            raise SlipscanError(f"{where} has no valid pixel: every {name} is NaN, or was masked as implausible")
    return out


def _pass(values: NDArray[np.floating], screen: Screen | None) -> bool:
    """Mask values in place; whether any is left."""
    return bool(np.isfinite(values if screen is None else screen(values)).any())


def _parts(array: xr.DataArray) -> Iterator[xr.DataArray]:
    """A series in blocks; each keeps what was read of it, so that only one may be held."""
    starts = [range(0, size, BLOCK[str(dim)]) for dim, size in array.sizes.items()]
    for corner in itertools.product(*starts):
        block = zip(array.dims, corner, strict=True)
        yield array.isel({dim: slice(start, start + BLOCK[str(dim)]) for dim, start in block})


def _masked(array: xr.DataArray, kind: str) -> xr.DataArray:
    """The same, masked wherever it is read."""

    def mask(values: NDArray[np.floating]) -> NDArray[np.floating]:
        return Screen(kind, "")(values.copy())

    out = xr.apply_ufunc(mask, in_blocks(array), dask="parallelized", output_dtypes=[array.dtype], keep_attrs=True)
    assert isinstance(out, xr.DataArray)
    return out


def unwrapping_corrected(dataset: xr.Dataset, in_memory: bool, where: str) -> xr.Dataset:
    """A stack that the time-series stage has not looked at: its patches that are whole cycles off are shifted back.

    Parameters
    ----------
    dataset
        product 'stack' that was screened
    in_memory
        it is changed in place; else wherever it is read
    where
        the file's path, for sentences
    """
    series = dataset["displacement"]
    patches = find_patches(series)
    if not patches:
        return dataset
    log.warning(
        "%d patch(es) of displacement in %s have unwrapping errors and are corrected by whole cycles of 27.73 mm"
        " (docs/method.md)",
        len(patches),
        where,
    )
    if in_memory:
        remove_cycles(series.values, patches)
        return dataset

    def shifted(values: NDArray[np.float32], block_info: dict[int, dict[str, Any]]) -> NDArray[np.float32]:
        out = values.copy()
        epoch, row, column = (int(start) for start, _ in block_info[0]["array-location"])
        remove_cycles(out, patches, (epoch, row, column))
        return out

    blocks = in_blocks(series)
    return dataset.assign(displacement=blocks.copy(data=blocks.data.map_blocks(shifted, dtype=series.dtype)))


def _read(array: xr.DataArray, where: str) -> NDArray[np.floating]:
    try:
        with np.errstate(over="ignore"):  # a fill of double precision is infinite in single
            return np.asarray(array.values)
    except (OSError, RuntimeError, ValueError) as error:
        raise SlipscanError(
            f"the variable '{array.name}' in {where} cannot be read ({first_line(error)}): is the file whole?"
        ) from error
