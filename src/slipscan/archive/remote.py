"""Archives that are fetched over HTTP: granule by granule to the part that a region needs, kept in the cache.

A granule of a hundred megabytes and more gives a crop of a few. The crop stays in the content-addressed cache with what
was received (name, bytes, SHA-256); the granule itself is deleted unless `download.keep_granules` is set. So an
increment fetches new granules only, and a pinned manifest is replayed without a network.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import pandas as pd
import xarray as xr

from slipscan import cache
from slipscan.archive.extent import crop_bounds
from slipscan.archive.granules import Received, RemoteArchive, RemoteFile
from slipscan.archive.http.download import download
from slipscan.archive.http.locks import locked
from slipscan.archive.manifest import COLUMNS
from slipscan.atomic import write_text
from slipscan.errors import SlipscanError
from slipscan.outputs import sha256_file
from slipscan.regions import Region, Track
from slipscan.settings import ArchiveSettings
from slipscan.store import open_zarr, write_zarr
from slipscan.vocabulary import annotate, check

log = logging.getLogger(__name__)

MODULES = ("aria", "opera", "hyp3", "licsar")
"""Archives that are fetched over HTTP, each a module beside this one."""
KIND = "crops"
_CROP, _RECEIVED = "granule.zarr", "received.json"


def module(name: str) -> RemoteArchive:
    """Return the module of an archive that is fetched over HTTP."""
    # Heavy libraries come later, in them.
    from slipscan.archive import aria, hyp3, licsar, opera

    return cast(RemoteArchive, {"aria": aria, "hyp3": hyp3, "licsar": licsar, "opera": opera}[name])


def fetch(
    manifest: pd.DataFrame, region: Region, track: Track, settings: ArchiveSettings, cache_dir: Path
) -> list[Received]:
    """Make the crop of every granule of a manifest present; those that are in the cache are not fetched again.

    Parameters
    ----------
    manifest
        columns manifest.COLUMNS
    cache_dir
        the content-addressed cache

    Returns
    -------
    received
        the files that the crops were made of, as they came, sorted by name

    Raises
    ------
    SlipscanError
        a granule that the archive no longer has, a file that stays corrupt when it is fetched again, credentials, disk
        space, or what the archive's module refuses
    """
    archive = module(region.archive)
    entries = {row["granule"]: _entry(row, region, track, settings) for _, row in manifest.iterrows()}
    missing = [granule for granule, entry in entries.items() if cache.find(cache_dir, KIND, entry) is None]
    if missing:
        log.info(
            "%d of %d granules are in the cache, %d to fetch", len(entries) - len(missing), len(entries), len(missing)
        )
        rows = manifest[manifest["granule"].isin(missing)]
        files = archive.locate(rows, region, track, settings, cache_dir)
        owners = {file.name: granule for granule in missing for file in files[granule]}
        fetcher = _Fetcher(archive, region, track, settings, cache_dir, rows, owners)
        for number, batch in enumerate(_batches(rows, settings.download.parallel)):
            done = number * settings.download.parallel
            log.info("granules %d to %d of %d", done + 1, done + len(batch), len(rows))
            wanted = [(cache.path(cache_dir, KIND, entries[row["granule"]]), row) for row in batch]
            with _held([entry for entry, _ in wanted]):
                waiting = [(entry, row) for entry, row in wanted if not entry.exists()]
                fetcher.download([file for _, row in waiting for file in files[row["granule"]]])
                for entry, row in waiting:
                    fetcher.crop_into(entry, row, files[row["granule"]])
        fetcher.evict([file for granule in files.values() for file in granule])
    return _received(cache.path(cache_dir, KIND, entry) / _RECEIVED for entry in entries.values())


def crops(
    manifest: pd.DataFrame, region: Region, track: Track, settings: ArchiveSettings, cache_dir: Path
) -> list[tuple[pd.Series, xr.Dataset]]:
    """Open the crops of a manifest's granules lazily; granules without data in the region are left out.

    Raises
    ------
    SlipscanError
        a crop is not in the cache (pruned since `fetch`)
    """
    out = []
    for _, row in manifest.iterrows():
        found = cache.find(cache_dir, KIND, _entry(row, region, track, settings))
        if found is None:
            raise SlipscanError(f"the granule {row['granule']} has left the cache {cache_dir}: run the fetch again")
        if (found / _CROP).is_dir():
            out.append((row, open_zarr(found / _CROP)))
    return out


def in_cache(
    manifest: pd.DataFrame, region: Region, track: Track, settings: ArchiveSettings, cache_dir: Path
) -> list[str]:
    """List the granules of a manifest whose crop is in the cache."""
    return [
        row["granule"]
        for _, row in manifest.iterrows()
        if cache.path(cache_dir, KIND, _entry(row, region, track, settings)).exists()
    ]


def _entry(row: pd.Series, region: Region, track: Track, settings: ArchiveSettings) -> str:
    """Key of a granule's crop: the granule as the manifest pins it, the window, and the code that reads it."""
    return cache.key(
        "crop",
        region.archive,
        str(module(region.archive).STAGE_VERSION),
        *(str(row[name]) for name in COLUMNS),
        repr(crop_bounds(region)),
        track.model_dump_json(),
        # Only the granules of licsar come with delays, of GACOS: another choice makes no other crop.
        str(region.archive == "licsar" and settings.corrections.troposphere == "gacos"),
        _dem_sha256(settings.dem) if settings.dem and region.archive == "aria" else "",
    )


@functools.cache
def _dem_sha256(path: str) -> str:
    """SHA-256 of the heights that crops are made with; raises SlipscanError where there is no file."""
    if not Path(path).is_file():
        raise SlipscanError(f"archive.dem names {path}, which is no file: correct it, or leave the key out")
    return sha256_file(Path(path))


def _batches(rows: pd.DataFrame, size: int) -> Iterator[list[pd.Series]]:
    """Divide the rows of a manifest: what is on the disk at one time stays bounded."""
    iterator = (row for _, row in rows.iterrows())
    while batch := list(itertools.islice(iterator, size)):
        yield batch


@contextlib.contextmanager
def _held(entries: Sequence[Path]) -> Iterator[None]:
    """Hold the locks of some entries of the cache: runs that share it make each crop once."""
    with contextlib.ExitStack() as stack:
        for entry in sorted(entries):  # in one order everywhere, so that two runs never wait for each other
            entry.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(entry.with_name(f".{entry.name}.lock")))
        yield


def _received(files: Iterator[Path]) -> list[Received]:
    """Join the lists of what was received; a file that several granules share is listed once."""
    found = {}
    for file in files:
        for item in json.loads(file.read_text(encoding="utf-8")):
            found[item["name"]] = Received(**item)
    return [found[name] for name in sorted(found)]


@dataclasses.dataclass(frozen=True)
class _Fetcher:
    """Downloads the files of granules and cuts out what a region needs."""

    archive: RemoteArchive
    region: Region
    track: Track
    settings: ArchiveSettings
    cache_dir: Path
    rows: pd.DataFrame
    owners: Mapping[str, str]

    @property
    def directory(self) -> Path:
        """Where whole granules lie."""
        return Path(self.cache_dir) / "downloads" / self.region.archive

    def download(self, files: Sequence[RemoteFile]) -> None:
        """Download files, each once, checked."""
        unique = list({file.name: file for file in files}.values())
        download(unique, self.directory, self.settings.download, renew=self._renew)

    def crop_into(self, entry: Path, row: pd.Series, files: Sequence[RemoteFile]) -> None:
        """Write the crop of a granule, whose files are there, into the cache, and delete the granule's own files.

        Files without a checksum that cannot be read are fetched once more; one that has it is as the archive has it.
        """
        paths = [self.directory / file.name for file in files]
        if not all(path.is_file() for path in paths):
            self.download(files)  # another run, which needed the same frame's files, has deleted them since
        try:
            crop = self._crop(row, paths)
        except SlipscanError as error:
            if all(file.checksum for file in files):
                raise
            log.warning("%s: %s; fetched once more", row["granule"], error)
            for path in paths:
                path.unlink(missing_ok=True)
            self.download(files)
            crop = self._crop(row, paths)
        received = [Received(path.name, path.stat().st_size, sha256_file(path)) for path in paths]
        with cache.written(entry) as beside:
            beside.mkdir()
            if crop is not None:
                write_zarr(crop, beside / _CROP)
            write_text(beside / _RECEIVED, json.dumps([dataclasses.asdict(item) for item in received]))
        self.evict([file for file in files if not file.shared])

    def evict(self, files: Sequence[RemoteFile]) -> None:
        """Delete files whose content is in the cache as crops."""
        if not self.settings.download.keep_granules:
            for name in {file.name for file in files}:
                (self.directory / name).unlink(missing_ok=True)

    def _crop(self, row: pd.Series, paths: Sequence[Path]) -> xr.Dataset | None:
        """Read the region's part of a granule as product 'granule', checked."""
        dem = Path(self.settings.dem) if self.settings.dem else None
        crop = self.archive.crop(row, paths, self.region, self.track, crop_bounds(self.region), dem)
        if crop is None:
            log.info("%s has no data in region %s", row["granule"], self.region.id)
            return None
        crop = annotate(crop, "granule")
        check(crop, "granule", row["granule"])
        return crop

    def _renew(self, file: RemoteFile) -> RemoteFile:
        """Ask the archive again where a file lies: its URL has expired."""
        granule = self.owners[file.name]
        rows = self.rows[self.rows["granule"] == granule]
        located = self.archive.locate(rows, self.region, self.track, self.settings, self.cache_dir)[granule]
        return next((found for found in located if found.name == file.name), file)
