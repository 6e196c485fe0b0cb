"""What an update needs of the settled part of a track, in the content-addressed cache.

An entry's label is made of the bytes of the first groups of 64 interferograms in their store, as they lie on the disk,
of their grid, dates, region and settings, and of this package's code: another interferogram, one that is gone, another
setting or another code has another label, and finds nothing. An entry is written whole or not at all, by a run of all
interferograms, and never by an update, so that nothing adds up. Its files are checked before they are used.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache as once
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from slipscan import cache
from slipscan.atomic import discard
from slipscan.errors import SlipscanError
from slipscan.outofcore import release
from slipscan.outputs import files_below, sha256_file
from slipscan.settings import TimeseriesSettings
from slipscan.store import SHARD

log = logging.getLogger(__name__)

KIND: Final = "settled"
GROUP: Final = SHARD["pair"]
VARIABLES: Final = ("interferogram", "coherence", "component")
ATTRIBUTES: Final = ("radar_wavelength_m", "region_polygon", "reference_lon", "reference_lat", "slipscan_version")
KEYS: Final = {"name": "default", "configuration": {"separator": "/"}}
"""How a store names the files of its chunks: c/group/row/column."""
LIBRARIES: Final = ("numpy", "scipy", "pyproj", "shapely")
LAYERS: Final = 16
"""Layers of an array that are written at once."""
LOOKED_FOR: Final = 8
"""Groups of interferograms that may have come since the entry was written."""
_META, _DIGESTS = "settled.json", "digests.json"
ARRAYS: Final = ("displacement", "deviation", "sums", "bias", "boundary", "decisions")


@dataclass(frozen=True)
class Entry:
    """An entry as it was when it was checked: another run may put its own in the place of it.

    Attributes
    ----------
    path
        its directory
    digests
        the text of its file of digests
    """

    path: Path
    digests: str

    def tile(self, tile: tuple[slice, slice]) -> dict[str, NDArray[Any]]:
        """Arrays (row, y, x) of a tile; raises SlipscanError where they cannot be read, or are no longer the same."""
        try:
            arrays = {name: np.load(self.path / f"{name}.npy", mmap_mode="r") for name in ARRAYS}
            # Only now: what was opened before is of the same entry.
            replaced = (self.path / _DIGESTS).read_text(encoding="utf-8") != self.digests
        except (OSError, ValueError, RuntimeError) as error:
            raise SlipscanError(f"{self.path} cannot be read ({error})") from error
        if replaced:
            raise SlipscanError(f"{self.path} was replaced")
        return {name: array[(slice(None), *tile)] for name, array in arrays.items()}


@dataclass(frozen=True)
class Found:
    """An entry that fits.

    Attributes
    ----------
    entry
        checked
    groups
        the groups of interferograms that its label is made of
    meta
        what was saved with it
    """

    entry: Entry
    groups: int
    meta: dict[str, Any]

    @property
    def pairs(self) -> int:
        """The first interferograms, which are those that it was made of."""
        return self.groups * GROUP

    def numbers(self, name: str) -> NDArray[np.float64]:
        """A list of what was saved with it."""
        return np.array(self.meta[name], np.float64)


@dataclass(frozen=True)
class Memory:
    """Labels of the first 0, 1, ... groups of interferograms of a store, and where entries lie.

    Attributes
    ----------
    again
        makes the labels anew: a store that was replaced while it was read is not kept under the labels of the old one
    """

    cache_dir: Path
    labels: tuple[str, ...]
    again: Callable[[], tuple[str, ...] | None]

    def find(self) -> Found | None:
        """The newest entry that fits, checked."""
        latest = len(self.labels) - 1
        for groups in range(latest, max(0, latest - LOOKED_FOR), -1):
            path = cache.find(self.cache_dir, KIND, self.labels[groups])
            if path is None:
                continue
            try:
                return _checked(path, groups)
            except (OSError, ValueError, AttributeError):
                log.warning("%s is damaged: it is removed, and all interferograms are inverted", path)
            with contextlib.suppress(OSError):  # a cache may be shared read-only
                discard(path)
        return None

    def save(self, groups: int, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> None:
        """Write an entry: arrays (row, y, x), and what JSON can hold; a cache that takes none is said in the log."""
        try:
            if self.again() == self.labels:
                self._save(groups, arrays, meta)
            else:
                log.warning("the interferograms were replaced while they were read: nothing is kept of them")
        except (SlipscanError, OSError) as error:
            log.warning("what an update needs is not kept, so that the next run inverts everything again: %s", error)

    def _save(self, groups: int, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> None:
        entry = cache.path(self.cache_dir, KIND, self.labels[groups])
        if entry.exists():  # one that did not fit the interferograms behind its own
            discard(entry)
        with cache.written(entry) as beside:
            beside.mkdir()
            for name in ARRAYS:
                _write_npy(beside / f"{name}.npy", arrays[name])
            (beside / _META).write_text(json.dumps(meta), encoding="utf-8")
            digests = {path.relative_to(beside).as_posix(): sha256_file(path) for path in files_below(beside)}
            (beside / _DIGESTS).write_text(json.dumps(digests, sort_keys=True), encoding="utf-8")


def _write_npy(path: Path, array: NDArray[Any]) -> None:
    """Write an array, which may lie in a file, some layers at a time."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        for start in range(0, len(array), LAYERS):
            file.write(np.ascontiguousarray(array[start : start + LAYERS]).data)
            release(array)


def memory_of(
    observations: Path, dataset: xr.Dataset, settings: TimeseriesSettings, cache_dir: Path | None
) -> Memory | None:
    """The labels of a store of product 'interferograms' as `slipscan archive` writes it; None for anything else.

    None too where the whole network has to be seen at once: the L1 norm, no reference point.
    """
    if cache_dir is None or settings.norm != "l2" or not {*ATTRIBUTES} <= dataset.attrs.keys():
        return None
    again = partial(_labels, observations, dataset, settings)
    labels = again()
    return None if labels is None else Memory(Path(cache_dir), labels, again)


def _labels(observations: Path, dataset: xr.Dataset, settings: TimeseriesSettings) -> tuple[str, ...] | None:
    """Labels of the first 0, 1, ... groups of interferograms; None where they do not lie in groups as ours do."""
    digest = _identity(observations, dataset, settings)
    if digest is None:
        return None
    dates = np.stack([dataset[name].values.astype(np.int64) for name in ("reference_date", "secondary_date")])
    labels = [digest.hexdigest()]
    for group in range(dataset.sizes["pair"] // GROUP):
        digest.update(np.ascontiguousarray(dates[:, group * GROUP : (group + 1) * GROUP]).tobytes())
        for folder in (observations / name / "c" / str(group) for name in VARIABLES):
            for file in sorted(files_below(folder)) if folder.is_dir() else ():  # what is all fill has no file
                digest.update(f"{file.relative_to(observations).as_posix()} {sha256_file(file)}\n".encode())
        labels.append(digest.hexdigest())
    return tuple(labels)


def _identity(observations: Path, dataset: xr.Dataset, settings: TimeseriesSettings) -> Any:
    """A SHA-256 of all that is common to all interferograms; None where they do not lie in groups as ours do."""
    layout: dict[str, Any] = {}
    for name in VARIABLES:
        if name not in dataset:
            continue
        described = observations / name / "zarr.json"
        if not described.is_file():
            return None
        own = layout[name] = json.loads(described.read_text(encoding="utf-8"))
        chunks = own["chunk_grid"].get("configuration", {}).get("chunk_shape", [0])
        if own["dimension_names"][0] != "pair" or chunks[0] != GROUP or own["chunk_key_encoding"] != KEYS:
            return None
        own["shape"][0] = None
    if "interferogram" not in layout:
        return None
    common = {
        "code": _code(), "settings": settings.model_dump(), "layout": layout,
        "attributes": {name: dataset.attrs[name] for name in ATTRIBUTES},
        "crs": {name: str(value) for name, value in sorted(dataset["spatial_ref"].attrs.items())},
        "variables": sorted(map(str, dataset.data_vars)),
    }  # fmt: skip
    return hashlib.sha256(
        cache.key(json.dumps(common, sort_keys=True), dataset["x"].values, dataset["y"].values).encode()
    )


@once
def _code() -> str:
    """SHA-256 of this package's source and the versions of the libraries that its numbers depend on.

    The stage's VERSION says whether a run of all interferograms gives other results, not whether what is kept is made
    or understood otherwise.
    """
    sources = sorted(Path(__file__).parent.glob("*.py"))
    versions = (f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES)
    return cache.key(*(path.read_text(encoding="utf-8") for path in sources), *versions)


def _checked(path: Path, groups: int) -> Found:
    """An entry of which every file is there as it was written; raises ValueError, OSError or AttributeError if not."""
    text = (path / _DIGESTS).read_text(encoding="utf-8")
    digests, meta = json.loads(text), (path / _META).read_bytes()
    if digests.keys() != {_META, *(f"{name}.npy" for name in ARRAYS)}:
        raise ValueError("other files")
    if digests.pop(_META) != hashlib.sha256(meta).hexdigest():
        raise ValueError("another description")
    if any(sha256_file(path / name) != digest for name, digest in digests.items()):
        raise ValueError("other bytes")
    return Found(Entry(path, text), groups, json.loads(meta))
