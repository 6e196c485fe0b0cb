"""The only place that opens and writes Zarr stores."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from slipscan.atomic import write_text, written_beside
from slipscan.errors import SlipscanError
from slipscan.outputs import SNAKEMAKE_TIMESTAMP, Kind, sha256_file, store_kind

log = logging.getLogger(__name__)

CHUNK = {"time": 64, "pair": 64, "candidate": 1, "y": 256, "x": 256}
SHARD = {"time": 64, "pair": 64, "candidate": 1, "y": 2048, "x": 2048}


def write_csv(path: Path, table: pd.DataFrame, kind: Kind) -> None:
    """Write a table as CSV atomically, without its index, in place of nothing or of one of a kind."""
    write_text(path, table.to_csv(index=False, lineterminator="\n"), kind)


def write_zarr(dataset: xr.Dataset, path: Path, kind: Kind | None = None) -> None:
    """Write a dataset as a Zarr v3 store, atomically, in place of nothing or of one of a kind.

    Chunks of 64 x 256 x 256 in shards of 2048 x 2048; time is cast to nanoseconds (pandas 3 makes us);
    byte-identical for identical datasets. The kind is by default the dataset's own product.
    """
    kind = kind or store_kind(str(dataset.attrs.get("product", "")))
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
    with written_beside(path, kind, out.nbytes) as beside, _known_zarr_warnings():
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
