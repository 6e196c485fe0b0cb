"""Zenith delays of OPERA L4 TROPO-ZENITH: ECMWF's HRES model by RAiDER, global, every six hours, through asf_search.

A file holds `hydrostatic_delay` and `wet_delay` (m, one way) on (time, height, latitude, longitude): 0.07 degrees,
heights above the ellipsoid; about 2 GB (opera_tropo, pack_product.py and product_info.py). Only the region's window is
kept, in the content-addressed cache; what was received is in the inventory.
"""

from __future__ import annotations

import datetime
import io
import itertools
import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from slipscan import cache
from slipscan.archive.asf import catalogue
from slipscan.archive.asf.files import listed_files, locate_granules
from slipscan.archive.extent import Bounds, nodes_around
from slipscan.archive.granules import Received, RemoteFile
from slipscan.archive.http.download import download
from slipscan.archive.http.locks import locked
from slipscan.archive.job import Job
from slipscan.archive.names import listed
from slipscan.archive.reading import hdf5
from slipscan.archive.reading.cubes import Cube
from slipscan.archive.troposphere.delays import Zenith
from slipscan.archive.versions import version_number
from slipscan.atomic import write_text
from slipscan.errors import SlipscanError
from slipscan.geometry import Array
from slipscan.settings import ArchiveSettings

if TYPE_CHECKING:
    import h5py

log = logging.getLogger(__name__)

NEEDS_HEIGHT, OR_WITH_GRANULES = True, False
REMEDY = "fetch again"
WINDOW_VERSION = 1
"""Raised when the same file gives another window: windows of an older version are not used again."""
DATASET, LEVEL = "TROPO", "TROPO-ZENITH"
KIND = "troposphere"
HOURS = 6
MARGIN_DEG = 0.3
"""Beyond the region's box: two nodes and more on every side, also for a box that is skew in longitude and latitude."""
MAX_HEIGHT_M = 9500.0
UNLIKELY_M = 100.0
AT_ONCE = 2
"""Files on the disk at one time: those of one acquisition."""
LAYERS = ("hydrostatic_delay", "wet_delay")
AXES = ("height", "latitude", "longitude")
NAME = re.compile(
    r"OPERA_L4_TROPO-ZENITH_(?P<time>\d{8}T\d{6})Z_(?P<made>\d{8}T\d{6})Z_(?P<model>\w+?)"
    r"_v(?P<version>\d+(?:\.\d+)*)(?:\.nc)?"
)
_CUBE, _RECEIVED = "delay.npz", "received.json"

Moment = datetime.datetime


def model_times(moment: Moment) -> tuple[Moment, Moment]:
    """The times of the files at or before, and at or after, a moment."""
    before = moment.replace(hour=moment.hour // HOURS * HOURS, minute=0, second=0, microsecond=0)
    return before, before if before == moment else before + datetime.timedelta(hours=HOURS)


def open_delays(moments: Sequence[Moment], job: Job) -> tuple[Zenith, list[Received]]:
    """Make the windows of the files around some moments (UTC) present; those in the cache are not asked for.

    Returns
    -------
    zenith, received
        the delay of a moment, linear in time between the two files around it; the files as they came

    Raises
    ------
    SlipscanError
        the catalogue has no file of a time: the dates; what search and download refuse
    """
    bounds, settings, cache_dir = job.bounds, job.settings, job.cache_dir
    times = sorted({time for moment in moments for time in model_times(moment)})
    entries = {time: cache.path(cache_dir, KIND, _key(time, bounds)) for time in times}
    missing = [time for time in times if cache.find(cache_dir, KIND, _key(time, bounds)) is None]
    if missing:
        files = _search(missing, settings)
        gone = sorted(
            {f"{moment:%Y-%m-%d}" for moment in moments if set(model_times(moment)) & (set(missing) - set(files))}
        )
        if gone:
            raise SlipscanError(
                f"the catalogue {settings.cmr_url} has no OPERA TROPO-ZENITH around {listed(gone)}: end"
                " as_of before them, or set archive.corrections.troposphere to another kind"
            )
        size = sum(file.bytes or 0 for file in files.values())
        log.info("%d files of OPERA TROPO-ZENITH to fetch, %.1f GB", len(missing), size / 1e9)
        for start in range(0, len(missing), AT_ONCE):
            _fetch_batch([(entries[time], files[time]) for time in missing[start : start + AT_ONCE]], job)
    received = [
        Received(**item)
        for entry in entries.values()
        for item in json.loads((entry / _RECEIVED).read_text(encoding="utf-8"))
    ]
    return lambda moment: _at(moment, entries), received


def _key(time: Moment, bounds: Bounds) -> str:
    """Key of a window: it holds no name, so that what is in the cache is used without a search."""
    return cache.key("opera_tropo", str(WINDOW_VERSION), f"{time:%Y%m%dT%H%M%S}", repr(bounds))


def _search(times: Sequence[Moment], settings: ArchiveSettings) -> dict[Moment, RemoteFile]:
    """The newest file of every time that has one; a query a year, which is a few pages."""
    best: dict[Moment, tuple[tuple[tuple[int, ...], str, str], RemoteFile]] = {}
    for _, group in itertools.groupby(times, key=lambda time: time.year):
        span = list(group)
        products = catalogue.search(
            settings,
            dataset=DATASET,
            processingLevel=LEVEL,
            start=f"{span[0]:%Y-%m-%dT%H:%M:%SZ}",
            end=f"{span[-1]:%Y-%m-%dT%H:%M:%SZ}",
        )
        for product in products:
            name = str(product.properties["fileID"])
            match, files = NAME.fullmatch(name), listed_files(product)
            if match is None or not files:
                log.warning("granule %s is left out: no name of TROPO-ZENITH, or no NetCDF file listed", name)
                continue
            time = datetime.datetime.strptime(match["time"], "%Y%m%dT%H%M%S").replace(tzinfo=datetime.UTC)
            rank = version_number(match["version"]), match["made"], name
            if time in times and (time not in best or rank > best[time][0]):
                best[time] = rank, files[0]
    return {time: file for time, (_, file) in best.items()}


def _fetch_batch(wanted: Sequence[tuple[Path, RemoteFile]], job: Job) -> None:
    """Download files, keep their windows, and delete them unless granules are kept."""
    settings, directory = job.settings, Path(job.cache_dir) / "downloads" / "opera_tropo"

    def get(files: Sequence[RemoteFile]) -> list[Path]:
        return download(files, directory, settings.download, renew=lambda file: _renew(file, settings))

    get([file for _, file in wanted])
    for entry, file in wanted:
        entry.parent.mkdir(parents=True, exist_ok=True)
        with locked(entry.with_name(f".{entry.name}.lock")):
            if entry.exists():  # another run made it meanwhile
                continue
            path = get([file])[0]
            try:
                cube = read_window(path, job.bounds)
            except SlipscanError as error:
                log.warning("%s; fetched once more", error)
                path.unlink(missing_ok=True)
                cube = read_window(path := get([file])[0], job.bounds)
            _write(entry, cube, Received.of(path))
        if not settings.download.keep_granules:
            path.unlink(missing_ok=True)


def _renew(file: RemoteFile, settings: ArchiveSettings) -> RemoteFile:
    """Ask the catalogue again where a file lies."""
    name = file.name.removesuffix(".nc")
    return next(found for found in locate_granules([name], settings)[name] if found.name == file.name)


def read_window(path: Path, bounds: Bounds) -> Cube:
    """Read the total zenith delay of a file around a box (degrees), up to about 9.5 km.

    Raises
    ------
    SlipscanError
        unreadable, another product, another unit, or it does not cover the box
    """
    with hdf5.opened(path) as file:
        height, latitude, longitude = (hdf5.array(file, f"/{name}") for name in AXES)
        rows, columns = nodes_around(latitude, longitude, bounds, MARGIN_DEG)
        parts = {"height": np.flatnonzero(height <= MAX_HEIGHT_M), "latitude": rows, "longitude": columns}
        if min(map(len, parts.values())) < 2:
            raise SlipscanError(f"{path} does not cover the region: it is not global, or broken; fetch it again")
        # Across 180 degrees the columns lie at both ends of the file.
        runs = np.split(columns, np.flatnonzero(np.diff(columns) != 1) + 1)
        windows = [
            {name: slice(int(part[0]), int(part[-1]) + 1) for name, part in {**parts, "longitude": run}.items()}
            for run in runs
        ]
        total = np.concatenate([sum(_layer(file, name, window) for name in LAYERS) for window in windows], axis=2)
    return Cube(np.asarray(total, np.float32), height[parts["height"]], latitude[rows], longitude[columns])


def _layer(file: h5py.File, name: str, window: Mapping[str, slice]) -> Array:
    """Read the window of a layer, (height, latitude, longitude) m, whatever the order of its axes in the file."""
    layer = hdf5.variable(file, f"/{name}")
    units = hdf5.attribute(layer, "units")
    if units not in ("m", "meter", "meters", "metres"):
        raise SlipscanError(f"{file.filename} has {name} in {units!r}, not in metres: fetch it again")
    axes = [scale[0].name.rsplit("/", 1)[-1] if len(scale) else "" for scale in layer.dims]
    if not set(AXES) <= set(axes):
        raise SlipscanError(
            f"{file.filename} has {name} on {', '.join(axes)}, not on {', '.join(AXES)}: fetch it again"
        )
    values = hdf5.values(layer, tuple(window.get(axis, 0) for axis in axes))
    values[~(np.abs(values) < UNLIKELY_M)] = np.nan  # whatever the fill value is
    kept = [axis for axis in axes if axis in window]
    return values.transpose([kept.index(axis) for axis in AXES])


def _write(entry: Path, cube: Cube, received: Received) -> None:
    """Put a window into the cache, whole or not at all."""
    buffer = io.BytesIO()
    np.savez(buffer, values=cube.values, **{name: getattr(cube, name) for name in AXES})
    with cache.written(entry) as beside:
        beside.mkdir()
        (beside / _CUBE).write_bytes(buffer.getvalue())
        write_text(beside / _RECEIVED, json.dumps([asdict(received)]))


def _read(entry: Path) -> Cube:
    with np.load(entry / _CUBE) as file:
        return Cube(file["values"].astype(float), *(file[name] for name in AXES))


def _at(moment: Moment, entries: dict[Moment, Path]) -> Cube:
    """The delay of a moment, linear in time."""
    before, after = model_times(moment)
    cube = _read(entries[before])
    if after == before:
        return cube
    other = _read(entries[after])
    if other.values.shape != cube.values.shape:
        raise SlipscanError(
            f"the OPERA TROPO-ZENITH files of {before:%Y-%m-%dT%H} and {after:%Y-%m-%dT%H} have different nodes: clear"
            " the cache of kind 'troposphere' and fetch again"
        )
    share = (moment - before) / (after - before)
    return cube.replaced((1 - share) * cube.values + share * other.values)
