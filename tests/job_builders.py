"""Jobs of the archive stage for tests: the first track of a region."""

from __future__ import annotations

from pathlib import Path

from slipscan.archive import stage
from slipscan.archive.job import Job
from slipscan.regions import Region, Track
from slipscan.settings import ArchiveSettings


def job_of(
    region: Region, settings: ArchiveSettings | None = None, cache: Path = Path(), track: Track | None = None
) -> Job:
    return Job(region, track or region.tracks[0], settings or ArchiveSettings(), cache)


def observed(job: Job, as_of: str, out: Path) -> Path:
    """Search, (order,) and fetch as the rules do, into a directory; the observations."""
    stage.write_manifest(job, as_of, out / "manifest.csv")
    for _ in range(4 if job.region.archive == "hyp3" else 0):  # HyP3 goes on with its jobs when it is looked at
        stage.order(job, out / "manifest.csv", submit=True)
    stage.write_observations(job, out / "manifest.csv", out / "observations.zarr", out / "inventory.csv")
    return out / "observations.zarr"
