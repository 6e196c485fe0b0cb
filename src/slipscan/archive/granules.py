"""What the archives that are fetched over HTTP have in common: files, what was received, and the shape of a module."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pandas as pd
import xarray as xr

from slipscan.archive.extent import Bounds
from slipscan.regions import Region, Track
from slipscan.settings import ArchiveSettings


@dataclass(frozen=True)
class RemoteFile:
    """A file that can be fetched.

    Attributes
    ----------
    name
        file name, unique in an archive
    url
        where it lies now; may expire
    bytes, checksum
        as the archive tells them: None, and 'md5:...', 'sha256:...' or an empty string
    shared
        whether several granules need it (the geometry of a frame): it is kept until all are cropped
    """

    name: str
    url: str
    bytes: int | None = None
    checksum: str = ""
    shared: bool = False


@dataclass(frozen=True)
class Received:
    """A file as it was received: a row of the inventory."""

    name: str
    bytes: int
    sha256: str


class RemoteArchive(Protocol):
    """What the module of an archive that is fetched over HTTP offers; `archive.remote` does the rest."""

    STAGE_VERSION: int
    """Raised when `crop` gives something else for the same files: crops of an older version are not used again."""

    def search(self, region: Region, track: Track, settings: ArchiveSettings, as_of: str) -> pd.DataFrame:
        """List the granules up to `as_of`: columns manifest.COLUMNS, duplicates and superseded versions resolved."""

    def query(self, region: Region, track: Track, settings: ArchiveSettings, as_of: str) -> str:
        """Say what `search` would ask, without asking."""

    def locate(
        self, rows: pd.DataFrame, region: Region, track: Track, settings: ArchiveSettings, cache_dir: Path
    ) -> dict[str, list[RemoteFile]]:
        """Find the files of manifest rows, by granule, with URLs that are valid now."""

    def crop(
        self,
        row: pd.Series,
        files: Sequence[Path],
        region: Region,
        track: Track,
        bounds: Bounds,
        dem: Path | None = None,
    ) -> xr.Dataset | None:
        """Read the part of a granule within `bounds` (degrees) as product 'granule'; None where it has none.

        `dem` is a GeoTIFF of heights, for archives whose products carry none. The dataset lies on the archive's own
        lattice and has attributes reference_date, secondary_date (ISO dates).
        """
