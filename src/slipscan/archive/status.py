"""What is known of a region's data: manifest, cache, products."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd

from slipscan.archive import manifest as manifests
from slipscan.archive.job import Job
from slipscan.archive.registry import archive_of
from slipscan.errors import SlipscanError
from slipscan.regions import Region, Track
from slipscan.settings import Settings
from slipscan.texts import read_text


def describe(region: Region, settings: Settings) -> str:
    """Say, per track, what the manifest lists, what of it is in the cache, and what was written.

    Parameters
    ----------
    region
        whose tracks are listed
    settings
        results_dir, cache_dir and the archive's section are used; nothing is asked over the network

    Returns
    -------
    text
        a line a track

    Raises
    ------
    SlipscanError
        a manifest or an inventory that cannot be read
    """
    return "\n".join(f"{region.id} {track.id}: {_track(region, track, settings)}" for track in region.tracks)


def _track(region: Region, track: Track, settings: Settings) -> str:
    """One track's state in a line."""
    directory = Path(settings.results_dir) / region.id / track.id
    if not (directory / "manifest.csv").is_file():
        return f"no manifest yet in {directory}: snakemake manifests, or slipscan archive search"
    table = manifests.read(directory / "manifest.csv")
    parts = [f"{len(table)} granules of '{region.archive}' from {table['reference_date'].min()} to {_last(table)}"]
    job = Job(region, track, settings.archive, Path(settings.cache_dir))
    if (cached := archive_of(region).in_cache(table, job)) is not None:
        parts.append(f"{len(cached)} in the cache")
    inventory = directory / "inventory.csv"
    if inventory.is_file():
        received = _bytes_of(inventory)
        parts.append(f"{len(received)} files received ({sum(received) / 1e9:.2f} GB)")
    else:
        parts.append("nothing received yet")
    return ", ".join(parts)


def _bytes_of(inventory: Path) -> list[int]:
    """Sizes of the files of an inventory; raises SlipscanError where it is none."""
    try:
        return [int(size) for size in pd.read_csv(io.StringIO(read_text(inventory, "inventory")))["bytes"]]
    except (pd.errors.ParserError, pd.errors.EmptyDataError, KeyError, ValueError) as error:
        raise SlipscanError(f"{inventory} is no inventory (CSV of name, bytes, sha256): fetch again") from error


def _last(table: pd.DataFrame) -> str:
    return str(table["secondary_date"].max())
