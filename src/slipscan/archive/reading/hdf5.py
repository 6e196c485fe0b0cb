"""HDF5 (NetCDF-4): read in parts, scaled, without its fill values; what is broken is said in one sentence."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from slipscan.errors import SlipscanError

if TYPE_CHECKING:
    import h5py

AGAIN = "fetch it again, or make it again"

OTHER_FORMATS = {
    b"CDF": "a NetCDF-3 file",
    b"II*\0": "a TIFF",
    b"MM\0*": "a TIFF",
    b"II+\0": "a BigTIFF",
    b"PK": "a zip",
}
"""How files begin that were given the name of an HDF5 file."""


@contextlib.contextmanager
def reading(path: Path | str, name: str = "") -> Iterator[None]:
    """Say in one sentence which file, and what of it, h5py could not read: damaged, or of another kind than needed.

    Only what touches a file stands in the block: h5py reports a damaged file by several kinds of exception.
    """
    try:
        yield
    except PermissionError as error:
        raise SlipscanError(f"{path} may not be read (permission denied): allow it, or copy the file") from error
    except (OSError, LookupError, RuntimeError, ValueError, TypeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].strip("\"'. ")
        if name:
            raise SlipscanError(f"{name} of {path} cannot be read ({reason}): {AGAIN}") from error
        raise SlipscanError(f"{path} is truncated or no HDF5 file ({reason}{_looks_like(path)}): {AGAIN}") from error


def _looks_like(path: Path | str) -> str:
    """What a file seems to be instead, as a clause."""
    try:
        with Path(path).open("rb") as file:
            start = file.read(8)
    except OSError:
        return ""
    if not start:
        return "; it is empty"
    return next((f"; it looks like {kind}" for magic, kind in OTHER_FORMATS.items() if start.startswith(magic)), "")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open a file for reading.

    Raises
    ------
    SlipscanError
        there is none, it is no HDF5 file, is truncated, may not be read, or cannot be read to its end within the block
    """
    import h5py

    if not path.is_file():
        raise SlipscanError(f"there is no file {path}: {AGAIN}")
    with reading(path):
        file = h5py.File(path, "r")
    try:
        with file:
            yield file
    except (OSError, RuntimeError) as error:
        with reading(path):
            raise error


def variable(file: h5py.File, name: str) -> h5py.Dataset:
    """Return a variable by its path; raises SlipscanError where the file has none, or one whose data lie elsewhere."""
    import h5py

    with reading(file.filename, name):
        found = file.get(name)
        link = file.get(name, getlink=True) if found is None else None
    if isinstance(found, h5py.Dataset):
        with reading(file.filename, name):
            _ = found.dtype, found.shape  # a damaged description comes to light here
            _check_sources(found)
        return found
    if found is not None:
        raise SlipscanError(f"{name} of {file.filename} is a group, not a dataset: {AGAIN}")
    if isinstance(link, (h5py.SoftLink, h5py.ExternalLink)):
        raise SlipscanError(f"{name} of {file.filename} is a link to {link.path}, which is not there: {AGAIN}")
    raise SlipscanError(f"{file.filename} has no variable {name}: it is another product, or broken: {AGAIN}")


def _check_sources(dataset: h5py.Dataset) -> None:
    """Refuse a virtual dataset that lacks a source: HDF5 gives its fill value there and says nothing."""
    import h5py

    if not dataset.is_virtual:
        return
    for source in {(source.file_name, source.dset_name) for source in dataset.virtual_sources()}:
        places = [Path(dataset.file.filename).parent / source[0], Path(source[0])]
        file = Path(dataset.file.filename) if source[0] == "." else next((p for p in places if p.is_file()), None)
        if file is not None:
            with h5py.File(file, "r") as other:
                if source[1] in other:
                    continue
        raise SlipscanError(
            f"{place(dataset)} is virtual, and its source {source[1]} in {source[0]} is not"
            " there: copy it beside the file"
        )


def values(
    dataset: h5py.Dataset,
    selection: Any = (),
    dtype: type[np.floating[Any]] = np.float64,
    fill: bool = True,
) -> NDArray[Any]:
    """Read a part of a variable as numbers: scale_factor and add_offset applied, NaN where it has its fill value.

    Parameters
    ----------
    selection
        as h5py takes it; only the chunks that it touches are read
    dtype
        of the result
    fill
        whether _FillValue and missing_value mean no data

    Raises
    ------
    SlipscanError
        text, complex or compound values; unreadable (damaged, or a filter that is not installed)
    """
    check_numbers(dataset)
    with reading(dataset.file.filename, dataset.name.lstrip("/")):
        raw = np.asarray(dataset[selection])
        tags = {
            key: np.asarray(dataset.attrs[key]).reshape(-1)[0]
            for key in ("_FillValue", "missing_value", "scale_factor", "add_offset")
            if key in dataset.attrs
        }
        scale, offset = (float(tags.pop(key, start)) for key, start in (("scale_factor", 1), ("add_offset", 0)))
        packed = (scale, offset) != (1, 0)
        with np.errstate(over="ignore", invalid="ignore"):  # a fill of double precision is infinite in single
            out = raw.astype(np.float64 if packed else dtype)
            if packed:
                out = (out * scale + offset).astype(dtype)
        for empty in tags.values() if fill else ():
            if empty.dtype.kind in "biuf":
                out[raw == empty] = np.nan
    return out


def place(dataset: h5py.Dataset) -> str:
    """Name a variable and its file for a sentence."""
    return f"{dataset.name.lstrip('/')} of {dataset.file.filename}"


def check_numbers(dataset: h5py.Dataset) -> None:
    """Refuse a variable that holds no real numbers, or nothing, or needs a filter that is not installed."""
    import h5py

    where = place(dataset)
    if dataset.shape is None or 0 in dataset.shape:
        raise SlipscanError(f"{where} is empty: {AGAIN}")
    if dataset.dtype.kind not in "biuf":
        kind = {"c": "complex numbers", "V": "compound values"}.get(dataset.dtype.kind, "text")
        raise SlipscanError(f"{where} holds {kind} ({dataset.dtype}), not real numbers: {AGAIN}")
    pipeline = dataset.id.get_create_plist()
    for code, *_, name in (pipeline.get_filter(index) for index in range(pipeline.get_nfilters())):
        if not h5py.h5z.filter_avail(code):
            raise SlipscanError(
                f"{where} is compressed by the HDF5 filter {code} {decoded(name)}, which is not installed: repack the"
                " file (h5repack -f GZIP=4 IN OUT, where the filter is)"
            )


def array(file: h5py.File, name: str, fill: bool = True) -> NDArray[np.float64]:
    """Read a whole variable of numbers by its path, float64; see `values`."""
    return values(variable(file, name), fill=fill)


def number(file: h5py.File, name: str) -> float:
    """Return a variable of one number; raises SlipscanError where it is none."""
    with reading(file.filename, name):
        found = float(np.asarray(variable(file, name)[()]).reshape(-1)[0])
    if not np.isfinite(found):
        raise SlipscanError(f"{name} of {file.filename} is {found:g}, not a number: {AGAIN}")
    return found


def text(file: h5py.File, name: str) -> str:
    """Return a variable of one string; raises SlipscanError where it cannot be read."""
    with reading(file.filename, name):
        return decoded(np.asarray(variable(file, name)[()]).reshape(-1)[0])


def decoded(value: object) -> str:
    """One value as text; what is no UTF-8 is replaced."""
    # h5py gives such bytes of a string of variable length as surrogates, which cannot be printed.
    data = value if isinstance(value, bytes) else str(value).encode(errors="surrogateescape")
    return data.decode(errors="replace")


def attribute(holder: h5py.File | h5py.Dataset, name: str) -> str | None:
    """Return an attribute of a file or variable as text; None where there is none, or it is empty."""
    with reading(holder.file.filename, f"the attribute {name}"):
        if name not in holder.attrs:
            return None
        found = np.asarray(holder.attrs[name]).reshape(-1)
    return decoded(found[0]).strip() or None if found.size and not _is_empty(found[0]) else None


def _is_empty(value: object) -> bool:
    import h5py

    return isinstance(value, h5py.Empty)


def check_wavelength(file: h5py.File, name: str, expected_m: float) -> float:
    """Return the radar wavelength of a file, m; raises SlipscanError where it is not the track's."""
    wavelength = number(file, name)
    if abs(wavelength - expected_m) > 0.01 * expected_m:
        raise SlipscanError(
            f"{file.filename} has a radar wavelength of {wavelength:g} m, the track of {expected_m:g} m: it is another"
            " satellite's, or radar_wavelength_m of the track is wrong"
        )
    return wavelength
