"""What every archive offers. What one archive does otherwise than another is an attribute, never a branch on its name.

An archive is a folder beside this module; its class stands in `registry`. `remote.RemoteArchive` holds what those
that are fetched over HTTP share, `OnDisk` what those on this machine do.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import xarray as xr

from slipscan.archive.granules import Received, received
from slipscan.archive.job import Job
from slipscan.errors import SlipscanError
from slipscan.outofcore import Empty
from slipscan.regions import Region, Track
from slipscan.settings import ArchiveSettings


class Archive(Protocol):
    """An archive of interferograms, or of displacement series."""

    name: str
    """As in the key 'archive' of a region."""
    dated: bool = False
    """Whether the names of granules hold both of their dates (YYYYMMDD)."""
    has_truth: bool = False
    """Whether it knows what its data really hold (`truth`); `registry.has_truth` tells without importing it."""

    def search(self, job: Job, as_of: str) -> pd.DataFrame:
        """List the granules up to `as_of` (ISO date): columns manifest.COLUMNS, superseded versions resolved."""

    def query(self, job: Job, as_of: str) -> str:
        """Say what `search` would ask, without asking."""

    def fetch(self, manifest: pd.DataFrame, job: Job) -> list[Received]:
        """Make what a manifest lists present; return the files as they were received."""

    def read(self, manifest: pd.DataFrame, job: Job, empty: Empty) -> tuple[xr.Dataset, Sequence[Received]]:
        """Read what was fetched, corrections applied, and list the files of these.

        `empty` makes arrays for what need not fit in memory (`outofcore.scratch_arrays`). The dataset is product
        'interferograms' or 'stack', in metres toward the satellite.
        """

    def in_cache(self, manifest: pd.DataFrame, job: Job) -> list[str] | None:
        """List the granules of a manifest that are in the cache; None where the archive needs none."""
        return None

    def source(self, track: Track) -> str:
        """Say where a track's data come from, for the attribute 'source'."""
        return f"archive '{self.name}'"

    def order(self, manifest: pd.DataFrame, job: Job, submit: bool = False, again: bool = False) -> str:
        """Say what the interferograms of a manifest cost, and order them where `submit` is set."""
        raise SlipscanError(f"region {job.region.id} is of archive '{self.name}': only 'hyp3' takes orders")

    def write_stations(self, region: Region, settings: ArchiveSettings, directory: Path) -> bool:
        """Write the GNSS series (.tenv3) that the archive itself has of a region; whether it has any."""
        return False

    def truth(self, region: Region, settings: ArchiveSettings) -> dict[str, Any]:
        """Tell what the data of a region really hold: 'region', 'scenario' and 'events'."""
        raise SlipscanError(f"region {region.id} is of archive '{self.name}': only simulated regions have a truth")


class OnDisk(Archive, Protocol):
    """An archive of files on this machine."""

    def files(self, manifest: pd.DataFrame, job: Job) -> list[Path]:
        """Make every file of a manifest present; return all files, sorted."""

    def query(self, job: Job, as_of: str) -> str:
        """Say that `search` asks nobody."""
        return f"archive '{self.name}' asks no server: it looks at files on this machine"

    def fetch(self, manifest: pd.DataFrame, job: Job) -> list[Received]:
        """Make every file of a manifest present, and describe it."""
        return received(self.files(manifest, job))
