"""Series that need not fit in memory: lazy arrays, a block a shard of a store, and scratch arrays in files."""

from __future__ import annotations

import contextlib
import errno
import itertools
import mmap
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask.array
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from slipscan.atomic import working_directory
from slipscan.outputs import resolved
from slipscan.store import SHARD

Empty = Callable[[tuple[int, ...], type[np.generic]], NDArray[Any]]
"""Makes an array of zeros of a shape and type."""


class _Slices:
    """An array of which dask takes slices when it needs them; one that it knows as an array it copies whole."""

    def __init__(self, array: NDArray[Any]) -> None:
        self._array = array
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim

    def __getitem__(self, key: tuple[slice, ...]) -> NDArray[Any]:
        part = np.array(self._array[key])
        release(self._array)
        return part


def sharded(array: NDArray[Any]) -> dask.array.Array:
    """A series (time or pair, y, x), lazily, a block a shard."""
    blocks = tuple(min(SHARD[dim], size) for dim, size in zip(("time", "y", "x"), array.shape, strict=True))
    return dask.array.from_array(_Slices(array), chunks=blocks, name=False)


def in_shards(dataset: xr.Dataset) -> xr.Dataset:
    """The same with its series lazy (dask), a block a shard: `store.write_zarr` holds few of them at a time."""
    out = dataset.copy()
    for name, variable in dataset.data_vars.items():
        if variable.ndim > 2:
            sizes = {dim: min(SHARD.get(str(dim), size), size) for dim, size in variable.sizes.items()}
            out[name] = variable.chunk(sizes)
    return out


@contextlib.contextmanager
def scratch_arrays(path: Path) -> Iterator[Empty]:
    """Yield a maker of arrays of zeros in files beside `path`, which are removed when the block ends."""
    number = itertools.count()
    with working_directory(resolved(path)) as beside:

        def empty(shape: tuple[int, ...], dtype: type[np.generic]) -> NDArray[Any]:
            array = np.memmap(beside / str(next(number)), dtype, "w+", shape=shape)
            _take_space(Path(str(array.filename)), array.nbytes)
            return array

        yield empty


def release(array: NDArray[Any]) -> None:
    """Give the memory that a scratch array takes back to the system; what it holds stays in its file.

    The system would take it when it runs short, but counts it to the process until then. Of another array: nothing.
    """
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)


def _take_space(file: Path, size: int) -> None:
    """Have the disk give a file its space now; raises OSError where it is full.

    A write through a memory map would find no space later, which ends the process by a signal (SIGBUS).
    """
    with file.open("r+b", buffering=0) as opened:
        try:
            if not _allocated(opened.fileno(), size):
                block, written = bytes(1 << 24), 0
                while written < size:
                    written += opened.write(block[: size - written])
                os.fsync(opened.fileno())
        except OSError as error:
            raise OSError(
                error.errno, f"{error.strerror} ({size / 1e9:.3g} GB are needed)", str(file.parent.parent)
            ) from error


def _allocated(descriptor: int, size: int) -> bool:
    """Whether the system could reserve the space without writing it (macOS, say, has no such call)."""
    if not hasattr(os, "posix_fallocate"):
        return False
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
            return False
        raise
    return True
