"""Archives that are fetched over HTTP: granule by granule to the part that a region needs, kept in the cache.

A granule of a hundred megabytes and more gives a crop of a few. The crop stays in the content-addressed cache with what
was received (name, bytes, SHA-256); the granule itself is deleted unless `download.keep_granules` is set. So an
increment fetches new granules only, and a pinned manifest is replayed without a network.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import pandas as pd
import xarray as xr

from slipscan import cache
from slipscan.archive.extent import Bounds
from slipscan.archive.granules import Received, RemoteFile
from slipscan.archive.http.download import download
from slipscan.archive.http.locks import locked
from slipscan.archive.job import Job
from slipscan.archive.joining.observations import assemble
from slipscan.archive.manifest import COLUMNS
from slipscan.archive.protocol import Archive
from slipscan.archive.troposphere import correction as troposphere
from slipscan.atomic import write_text
from slipscan.errors import SlipscanError
from slipscan.outofcore import Empty
from slipscan.outputs import sha256_file
from slipscan.store import open_zarr, write_zarr
from slipscan.vocabulary import annotate, check

log = logging.getLogger(__name__)

KIND = "crops"
_CROP, _RECEIVED = "granule.zarr", "received.json"


class RemoteArchive(Archive, Protocol):
    """An archive that is fetched over HTTP: it finds files and cuts granules, all else stands here."""

    dated: bool = True
    crop_version: int
    """Raised when `crop` gives something else for the same files: crops of an older version are not used again."""
    whole_cycles: bool = True
    """Whether frames of one pass differ by whole cycles only (see `joining.frames.join`)."""
    delays: str | None = None
    """Kind of the tropospheric delays that come with granules, where that is asked for."""
    heights_from_dem: bool = False
    """Whether crops are made at the heights of archive.dem, because granules hold none."""

    def locate(self, rows: pd.DataFrame, job: Job) -> dict[str, list[RemoteFile]]:
        """Find the files of manifest rows, by granule, with URLs that are valid now."""

    def crop(self, row: pd.Series, files: Sequence[Path], job: Job, bounds: Bounds) -> xr.Dataset | None:
        """Read the part of a granule within `bounds` (degrees) as product 'granule'; None where it has none.

        The dataset lies on the archive's own lattice and has attributes reference_date, secondary_date (ISO dates).
        """

    def fetch(self, manifest: pd.DataFrame, job: Job) -> list[Received]:
        """Make the crop of every granule of a manifest present; those that are in the cache are not fetched again.

        Returns
        -------
        received
            the files that the crops were made of, as they came, sorted by name

        Raises
        ------
        SlipscanError
            a granule that the archive no longer has, a file that stays corrupt when it is fetched again, credentials,
            disk space, or what `locate` and `crop` refuse
        """
        entries = {row["granule"]: self._entry(row, job) for _, row in manifest.iterrows()}
        missing = [granule for granule, entry in entries.items() if cache.find(job.cache_dir, KIND, entry) is None]
        if missing:
            there = len(entries) - len(missing)
            log.info("%d of %d granules are in the cache, %d to fetch", there, len(entries), len(missing))
            rows = manifest[manifest["granule"].isin(missing)]
            paths = {granule: cache.path(job.cache_dir, KIND, entries[granule]) for granule in missing}
            _Fetcher(self, job, rows, self.locate(rows, job)).fetch(paths)
        return _joined(cache.path(job.cache_dir, KIND, entry) / _RECEIVED for entry in entries.values())

    def read(self, manifest: pd.DataFrame, job: Job, empty: Empty) -> tuple[xr.Dataset, Sequence[Received]]:
        """Put the crops of a manifest together, corrected.

        Raises
        ------
        SlipscanError
            what `crops`, `troposphere.fetch` and `assemble` refuse
        """
        crops = self.crops(manifest, job)
        delays = troposphere.fetch(crops, job)
        return assemble(crops, job, empty, self.whole_cycles, delays), () if delays is None else delays.received

    def crops(self, manifest: pd.DataFrame, job: Job) -> list[tuple[pd.Series, xr.Dataset]]:
        """Open the crops of a manifest's granules lazily; granules without data in the region are left out.

        Raises
        ------
        SlipscanError
            a crop is not in the cache (pruned since `fetch`)
        """
        out = []
        for _, row in manifest.iterrows():
            found = cache.find(job.cache_dir, KIND, self._entry(row, job))
            if found is None:
                raise SlipscanError(
                    f"the granule {row['granule']} has left the cache {job.cache_dir}: run the fetch again"
                )
            if (found / _CROP).is_dir():
                out.append((row, open_zarr(found / _CROP)))
        return out

    def in_cache(self, manifest: pd.DataFrame, job: Job) -> list[str]:
        """List the granules of a manifest whose crop is in the cache."""
        return [
            row["granule"]
            for _, row in manifest.iterrows()
            if cache.path(job.cache_dir, KIND, self._entry(row, job)).exists()
        ]

    def _entry(self, row: pd.Series, job: Job) -> str:
        """Key of a granule's crop: the granule as the manifest pins it, the window, and the code that reads it."""
        return cache.key(
            "crop",
            self.name,
            str(self.crop_version),
            *(str(row[name]) for name in COLUMNS),
            repr(job.bounds),
            job.track.model_dump_json(),
            # Where granules come without delays another choice makes no other crop.
            str(self.delays is not None and job.settings.corrections.troposphere == self.delays),
            _dem_sha256(job.settings.dem) if job.settings.dem and self.heights_from_dem else "",
        )


@functools.cache
def _dem_sha256(path: str) -> str:
    """SHA-256 of the heights that crops are made with; raises SlipscanError where there is no file."""
    if not Path(path).is_file():
        raise SlipscanError(f"archive.dem names {path}, which is no file: correct it, or leave the key out")
    return sha256_file(Path(path))


@contextlib.contextmanager
def _held(entries: Sequence[Path]) -> Iterator[None]:
    """Hold the locks of some entries of the cache: runs that share it make each crop once."""
    with contextlib.ExitStack() as stack:
        for entry in sorted(entries):  # in one order everywhere, so that two runs never wait for each other
            entry.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(entry.with_name(f".{entry.name}.lock")))
        yield


def _joined(files: Iterator[Path]) -> list[Received]:
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
    job: Job
    rows: pd.DataFrame
    files: Mapping[str, list[RemoteFile]]

    @property
    def directory(self) -> Path:
        """Where whole granules lie."""
        return Path(self.job.cache_dir) / "downloads" / self.archive.name

    def fetch(self, entries: Mapping[str, Path]) -> None:
        """Make entries of the cache, by granule; in batches, so that what is on the disk at one time stays bounded."""
        rows, size = [row for _, row in self.rows.iterrows()], self.job.settings.download.parallel
        for start in range(0, len(rows), size):
            batch = rows[start : start + size]
            log.info("granules %d to %d of %d", start + 1, start + len(batch), len(rows))
            with _held([entries[row["granule"]] for row in batch]):
                waiting = [row for row in batch if not entries[row["granule"]].exists()]
                self._download([file for row in waiting for file in self.files[row["granule"]]])
                for row in waiting:
                    self._crop_into(entries[row["granule"]], row)
        self._evict([file for granule in self.files.values() for file in granule])

    def _download(self, files: Sequence[RemoteFile]) -> None:
        """Download files, each once, checked."""
        unique = list({file.name: file for file in files}.values())
        download(unique, self.directory, self.job.settings.download, renew=self._renew)

    def _crop_into(self, entry: Path, row: pd.Series) -> None:
        """Write the crop of a granule, whose files are there, into the cache, and delete the granule's own files.

        Files without a checksum that cannot be read are fetched once more; one that has it is as the archive has it.
        """
        files = self.files[row["granule"]]
        paths = [self.directory / file.name for file in files]
        if not all(path.is_file() for path in paths):
            self._download(files)  # another run, which needed the same frame's files, has deleted them since
        try:
            crop = self._crop(row, paths)
        except SlipscanError as error:
            if all(file.checksum for file in files):
                raise
            log.warning("%s: %s; fetched once more", row["granule"], error)
            for path in paths:
                path.unlink(missing_ok=True)
            self._download(files)
            crop = self._crop(row, paths)
        with cache.written(entry) as beside:
            beside.mkdir()
            if crop is not None:
                write_zarr(crop, beside / _CROP)
            write_text(beside / _RECEIVED, json.dumps([dataclasses.asdict(Received.of(path)) for path in paths]))
        self._evict([file for file in files if not file.shared])

    def _evict(self, files: Sequence[RemoteFile]) -> None:
        """Delete files whose content is in the cache as crops."""
        if not self.job.settings.download.keep_granules:
            for name in {file.name for file in files}:
                (self.directory / name).unlink(missing_ok=True)

    def _crop(self, row: pd.Series, paths: Sequence[Path]) -> xr.Dataset | None:
        """Read the region's part of a granule as product 'granule', checked."""
        crop = self.archive.crop(row, paths, self.job, self.job.bounds)
        if crop is None:
            log.info("%s has no data in region %s", row["granule"], self.job.region.id)
            return None
        crop = annotate(crop, "granule")
        check(crop, "granule", row["granule"])
        return crop

    def _renew(self, file: RemoteFile) -> RemoteFile:
        """Ask the archive again where a file lies: its URL has expired."""
        owners = {file.name: granule for granule, files in self.files.items() for file in files}
        rows = self.rows[self.rows["granule"] == owners[file.name]]
        located = self.archive.locate(rows, self.job)[owners[file.name]]
        return next((found for found in located if found.name == file.name), file)
