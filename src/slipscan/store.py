"""The only place that opens and writes Zarr stores, and the atomic writes of every other file.

Everything is written beside its final name and renamed, so that a file under its final name is whole
whatever happened (an exception, a full disk, kill -9).
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from slipscan.errors import SlipscanError

log = logging.getLogger(__name__)

CHUNK = {"time": 64, "pair": 64, "y": 256, "x": 256}
SHARD = {"time": 64, "pair": 64, "y": 2048, "x": 2048}
SNAKEMAKE_TIMESTAMP = ".snakemake_timestamp"


@contextlib.contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block ends without an error.

    Works for files and directories. On an error, and for leftovers of a killed process, the temporary is
    removed. An existing directory is moved aside first and removed last.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path)
    beside = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        yield beside
        _sync(beside)
        if path.is_dir():
            old = path.with_name(f".{path.name}.old-{os.getpid()}")
            path.rename(old)
            beside.rename(path)
            shutil.rmtree(old)
        else:
            beside.replace(path)
    finally:
        _remove(beside)


def _sync(path: Path) -> None:
    """Flush a file, or every file below a directory, to the disk before it gets its final name."""
    for file in [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _remove_leftovers(path: Path) -> None:
    """Remove the temporaries of processes that no longer run (killed in the middle of a write)."""
    for leftover in path.parent.glob(f".{path.name}.*-*"):
        pid = leftover.name.rsplit("-", 1)[-1]
        if not (pid.isdigit() and Path(f"/proc/{pid}").exists()):
            if leftover.name.startswith(f".{path.name}.old-") and not path.exists():
                leftover.rename(path)  # killed between the two renames: the old store is the whole one
            else:
                _remove(leftover)


def write_text(path: Path, text: str) -> None:
    """Write a text file (UTF-8) atomically."""
    with written_beside(Path(path)) as beside:
        beside.write_text(text, encoding="utf-8")


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV atomically, without its index."""
    write_text(path, table.to_csv(index=False, lineterminator="\n"))


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_zarr(dataset: xr.Dataset, path: Path) -> None:
    """Write a dataset as a Zarr v3 store, atomically.

    Chunks of 64 x 256 x 256 in shards of 2048 x 2048; time is cast to nanoseconds (pandas 3 makes us);
    byte-identical for identical datasets.
    """
    out = dataset.copy()
    for name, coordinate in out.coords.items():
        if np.issubdtype(coordinate.dtype, np.datetime64):
            out = out.assign_coords({name: coordinate.astype("datetime64[ns]")})
    encoding: dict[str, dict[str, object]] = {}
    for name, variable in out.variables.items():
        variable.encoding = {}
        if np.issubdtype(variable.dtype, np.datetime64):
            encoding[str(name)] = {"units": "seconds since 2014-01-01", "dtype": "int64"}
        if variable.ndim >= 2 and name in out.data_vars and 0 not in variable.shape:
            encoding[str(name)] = _chunking(variable)
    with written_beside(Path(path)) as beside, _known_zarr_warnings():
        out.to_zarr(beside, mode="w", encoding=encoding, zarr_format=3, consolidated=True)


def _chunking(variable: xr.Variable) -> dict[str, object]:
    """Chunk and shard shapes of one variable; a shard is a whole number of chunks."""
    chunks, shards = [], []
    for dim, size in zip(variable.dims, variable.shape, strict=True):
        chunk = min(CHUNK.get(str(dim), size), size)
        whole = -(-size // chunk) * chunk
        chunks.append(chunk)
        shards.append(min(SHARD.get(str(dim), whole) // chunk * chunk, whole))
    return {"chunks": tuple(chunks), "shards": tuple(shards)}


@contextlib.contextmanager
def _known_zarr_warnings() -> Iterator[None]:
    """Silence the one warning that consolidated metadata are not yet part of the Zarr v3 specification."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        yield


def open_zarr(path: Path) -> xr.Dataset:
    """Open a Zarr store lazily (no dask); raises SlipscanError where there is no readable store."""
    path = Path(path)
    if not path.is_dir():
        raise SlipscanError(f"there is no Zarr store at {path}: run the stage before, or check the path")
    with _warnings_to_log(path):
        try:
            dataset = xr.open_zarr(path, chunks=None, decode_timedelta=False)
        except Exception as error:
            raise SlipscanError(f"{path} cannot be read as a Zarr store ({first_line(error)})") from error
    return _in_nanoseconds(dataset)


def open_dataset(path: Path) -> xr.Dataset:
    """Open a Zarr store (a directory) or a NetCDF file lazily, whatever its name; raises SlipscanError."""
    path = Path(path)
    if path.is_dir() or path.suffix == ".zarr":
        return open_zarr(path)
    if not path.is_file():
        raise SlipscanError(f"there is no file {path}: check the path")
    with _warnings_to_log(path):
        try:
            dataset = xr.open_dataset(path, engine="netcdf4", decode_timedelta=False)
        except Exception as error:
            raise SlipscanError(f"{path} cannot be read as NetCDF ({first_line(error)})") from error
    return _in_nanoseconds(dataset)


@contextlib.contextmanager
def _warnings_to_log(path: Path) -> Iterator[None]:
    """Turn what libraries warn of while they open a file into lines of the log."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        log.debug("%s: %s", path, str(warning.message).splitlines()[0])


def _in_nanoseconds(dataset: xr.Dataset) -> xr.Dataset:
    """Dates among the coordinates in nanoseconds, where these can hold them."""
    for name, coordinate in dataset.coords.items():
        if np.issubdtype(coordinate.dtype, np.datetime64) and coordinate.dtype != "datetime64[ns]":
            years = coordinate.values.astype("datetime64[Y]")
            if not ((years < np.datetime64("1678")) | (years > np.datetime64("2261"))).any():
                dataset = dataset.assign_coords({name: coordinate.astype("datetime64[ns]")})
    return dataset


def first_line(error: Exception) -> str:
    """What a library says of an error, in a line."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def same_store(one: Path, other: Path) -> bool:
    """Whether two Zarr stores hold the same files with the same bytes, Snakemake's time stamp apart."""
    return _contents(Path(one)) == _contents(Path(other))


def _contents(path: Path) -> dict[str, str]:
    files = (p for p in path.rglob("*") if p.is_file() and p.name != SNAKEMAKE_TIMESTAMP)
    return {str(p.relative_to(path)): sha256_file(p) for p in files}
