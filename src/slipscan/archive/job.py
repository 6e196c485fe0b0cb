"""What the archive stage works on: a region's track, the settings, and where fetched granules are kept."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from slipscan.archive.extent import Bounds, crop_bounds
from slipscan.errors import SlipscanError
from slipscan.regions import Region, Track
from slipscan.settings import ArchiveSettings


@dataclass(frozen=True)
class Job:
    """A region's track to search, fetch or read.

    Attributes
    ----------
    region, track
        what for
    settings
        the configuration's section 'archive'
    cache_dir
        the content-addressed cache
    """

    region: Region
    track: Track
    settings: ArchiveSettings
    cache_dir: Path

    @property
    def where(self) -> str:
        """Region and track, for sentences."""
        return f"region {self.region.id} track {self.track.id}"

    @property
    def bounds(self) -> Bounds:
        """The box of the data that the region needs: west, south, east, north, degrees."""
        return crop_bounds(self.region)


def data_root(settings: ArchiveSettings) -> Path:
    """Return the directory that 'local' paths are below.

    Raises
    ------
    SlipscanError
        neither archive.data_root nor the environment variable SLIPSCAN_DATA is set, or there is no such directory
    """
    root = settings.data_root or os.environ.get("SLIPSCAN_DATA")
    if not root:
        raise SlipscanError(
            "archive 'local' needs archive.data_root in the config, or SLIPSCAN_DATA in the environment"
        )
    path = Path(root).expanduser()
    if not path.is_dir():
        raise SlipscanError(f"the data root {path} is no directory: correct archive.data_root or SLIPSCAN_DATA")
    return path
