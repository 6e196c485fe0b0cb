"""What is known of a region's data: manifest, cache, products."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from slipscan.archive import manifest as manifests
from slipscan.archive import remote
from slipscan.regions import Region, Track
from slipscan.settings import Settings


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
        a manifest that cannot be read
    """
    return "\n".join(f"{region.id} {track.id}: {_track(region, track, settings)}" for track in region.tracks)


def _track(region: Region, track: Track, settings: Settings) -> str:
    """One track's state in a line."""
    directory = Path(settings.results_dir) / region.id / track.id
    if not (directory / "manifest.csv").is_file():
        return f"no manifest yet in {directory}: snakemake manifests, or slipscan archive search"
    table = manifests.read(directory / "manifest.csv")
    parts = [f"{len(table)} granules of '{region.archive}' from {table['reference_date'].min()} to {_last(table)}"]
    if region.archive in remote.MODULES:
        cached = remote.in_cache(table, region, track, settings.archive, Path(settings.cache_dir))
        parts.append(f"{len(cached)} in the cache")
    inventory = directory / "inventory.csv"
    if inventory.is_file():
        received = pd.read_csv(inventory)
        parts.append(f"{len(received)} files received ({received['bytes'].sum() / 1e9:.2f} GB)")
    else:
        parts.append("nothing received yet")
    return ", ".join(parts)


def _last(table: pd.DataFrame) -> str:
    return str(table["secondary_date"].max())
