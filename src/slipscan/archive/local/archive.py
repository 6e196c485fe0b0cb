"""Archive 'local': interferograms or a ready displacement series in a directory of the user."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import xarray as xr

from slipscan.archive import manifest as manifests
from slipscan.archive.extent import check_overlap, lonlat_bounds
from slipscan.archive.granules import Received
from slipscan.archive.job import Job, data_root
from slipscan.archive.local.finding import find_geometry, find_pairs, none_found, say_what_is_left_aside
from slipscan.archive.local.interferograms import pairs_of, read_interferograms
from slipscan.archive.local.ready import flatsim, licsbas, mintpy, series
from slipscan.archive.protocol import OnDisk
from slipscan.archive.reading.rasters import extent, read_header
from slipscan.archive.troposphere import correction as troposphere
from slipscan.errors import SlipscanError
from slipscan.outofcore import Empty
from slipscan.outputs import sha256_file
from slipscan.regions import LocalSource, Track

READY = {"displacement": series, "mintpy": mintpy, "licsbas": licsbas, "flatsim": flatsim}
"""Readers of ready displacement series by convention; every other convention is one of interferograms."""


class Local(OnDisk):
    """Archive 'local'."""

    name = "local"

    def source(self, track: Track) -> str:
        """Say where a track's data come from, and by which convention they are read."""
        return super().source(track) + (f", convention {track.local.convention}" if track.local is not None else "")

    def search(self, job: Job, as_of: str) -> pd.DataFrame:
        """List the track's interferograms (or its one ready series) up to `as_of`.

        Returns
        -------
        manifest
            columns manifest.COLUMNS, one row per pair with secondary_date <= as_of (ISO date); may be empty. A ready
            series has one row: its first epoch and its last one up to as_of.

        Raises
        ------
        SlipscanError
            no data root, directory or file, or what `find_pairs` refuses
        """
        source, path = _source(job)
        if source.convention in READY:
            rows = READY[source.convention].manifest_rows(path, as_of)
        else:
            pairs = find_pairs(path, source.convention)
            if pairs.empty:
                raise SlipscanError(f"{job.where}: {none_found(path, source.convention)}")
            say_what_is_left_aside(path, source.convention, pairs)
            rows = [
                {
                    "granule": pair["unwrapped"].relative_to(path).as_posix(),
                    "reference_date": pair["reference_date"],
                    "secondary_date": pair["secondary_date"],
                    "expected_bytes": str(pair["unwrapped"].stat().st_size),
                    "expected_checksum": f"sha256:{sha256_file(pair['unwrapped'])}",
                }
                for pair in pairs[pairs["secondary_date"] <= as_of].to_dict("records")
            ]
        return manifests.table(self.name, job.track, rows)

    def files(self, manifest: pd.DataFrame, job: Job) -> list[Path]:
        """Check that every file of the manifest is there and unchanged; nothing is copied.

        Returns
        -------
        files
            interferograms, coherence and geometry (or the files of a ready series), sorted

        Raises
        ------
        SlipscanError
            a file is missing, or its size or SHA-256 is not what the manifest expects
        """
        source, path = _source(job)
        if source.convention in READY:
            ready = READY[source.convention]
            files = ready.files(path)
            _check_file(ready.main_file(path), manifest.iloc[0])
            return files
        for _, row in manifest.iterrows():
            _check_file(path / row["granule"], row)
        pairs = pairs_of(find_pairs(path, source.convention), manifest, path)
        geometry = find_geometry(path, source.convention).values()
        return sorted({*pairs["unwrapped"], *pairs["coherence"].dropna(), *geometry})

    def read(self, manifest: pd.DataFrame, job: Job, empty: Empty) -> tuple[xr.Dataset, Sequence[Received]]:
        """Read a track's files around the region's polygon and reference point.

        Returns
        -------
        dataset, received
            product 'interferograms' (native grid), or 'stack' for a ready series; metres toward the satellite; the
            files of tropospheric delays that were taken out

        Raises
        ------
        SlipscanError
            the polygon lies outside the data, or what `read_interferograms`, the `read_series` of READY and
            `troposphere.correct` refuse
        """
        source, path = _source(job)
        if source.convention in READY:
            dataset = READY[source.convention].read_series(path, job, manifest)
            return dataset, troposphere.correct(dataset, job, empty)
        pairs = pairs_of(find_pairs(path, source.convention), manifest, path)
        check_overlap(job.region, job.track, lonlat_bounds(extent([read_header(file) for file in pairs["unwrapped"]])))
        dataset = read_interferograms(path, source, job.track, manifest, job.bounds)
        return dataset, troposphere.correct(dataset, job, empty)


def _source(job: Job) -> tuple[LocalSource, Path]:
    """What the track says of its files, and where they lie."""
    source = job.track.local
    if source is None:
        raise SlipscanError(
            f"track {job.track.id} has no key 'local' (convention and path): add it to the region's entry"
        )
    return source, data_root(job.settings) / source.path


def _check_file(path: Path, row: pd.Series) -> None:
    """Refuse a file that is missing or not the one of the manifest; a directory (Zarr) is not compared."""
    if not path.exists():
        raise SlipscanError(f"{path} of the manifest is missing: restore it, or make the manifest again")
    changed = path.is_file() and (
        row["expected_bytes"] not in ("", str(path.stat().st_size))
        or row["expected_checksum"] not in ("", f"sha256:{sha256_file(path)}")
    )
    if changed:
        raise SlipscanError(f"{path} is not the file of the manifest (size or SHA-256): make the manifest again")
