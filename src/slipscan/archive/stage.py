"""Files of the archive stage: manifest, observations with their inventory, stations, truth."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Protocol, cast

import dask
import pandas as pd
import xarray as xr

import slipscan
from slipscan.archive import local, remote
from slipscan.archive import manifest as manifests
from slipscan.archive.granules import Received
from slipscan.archive.observations import assemble
from slipscan.archive.stations import copy_stations
from slipscan.archive.troposphere import correction as troposphere
from slipscan.atomic import write_text, written_beside
from slipscan.errors import SlipscanError
from slipscan.outofcore import Empty, in_shards, scratch_arrays
from slipscan.outputs import check_outputs, csv_kind, json_kind, listed_kind, sha256_file, store_kind, write_listing
from slipscan.regions import Region, Track
from slipscan.settings import ArchiveSettings
from slipscan.store import write_zarr
from slipscan.vocabulary import annotate, check

log = logging.getLogger(__name__)

OBSERVATIONS = store_kind("interferograms", "stack")
INVENTORY = csv_kind("an inventory", "name", "bytes", "sha256")
TRUTH = json_kind("a truth", "region", "scenario", "events")


class Archive(Protocol):
    """What an archive on this machine offers; one that is fetched over HTTP is a `granules.RemoteArchive`."""

    def search(self, region: Region, track: Track, settings: ArchiveSettings, as_of: str) -> pd.DataFrame:
        """List the granules up to `as_of`: columns manifest.COLUMNS."""

    def fetch(
        self, manifest: pd.DataFrame, region: Region, track: Track, settings: ArchiveSettings, cache_dir: Path
    ) -> list[Path]:
        """Make every file of a manifest present; return all files, sorted."""

    def read(
        self, manifest: pd.DataFrame, region: Region, track: Track, settings: ArchiveSettings, cache_dir: Path
    ) -> xr.Dataset:
        """Read fetched files as product 'interferograms' or 'stack'."""


def archive_of(region: Region) -> Archive:
    """Return the module of a region's archive on this machine."""
    if region.archive == "simulated":
        # Imported where it is needed: the simulator brings torch, which a real archive does without.
        from slipscan.archive import simulated

        return cast(Archive, simulated)
    return cast(Archive, local)


def write_manifest(region: Region, track: Track, settings: ArchiveSettings, as_of: str, out: Path) -> None:
    """Search the region's archive (or replay a pinned manifest) and write the manifest.

    Parameters
    ----------
    region, track
        what to look for
    settings
        where; with `manifests`, {manifests}/{region}_{track}.csv is replayed instead of a search
    as_of
        latest end of an acquisition, ISO date
    out
        the CSV file

    Raises
    ------
    SlipscanError
        `as_of` is no date, nothing found up to it, or what the archive refuses
    """
    _check_date(as_of)
    pins = [] if settings.manifests is None else [Path(settings.manifests) / f"{region.id}_{track.id}.csv"]
    check_outputs([(out, manifests.KIND)], pins)
    if settings.manifests is not None:
        pinned = Path(settings.manifests) / f"{region.id}_{track.id}.csv"
        table = manifests.read_of(pinned, region, track)
        table = table[table["secondary_date"] <= as_of]
        where = str(pinned)
    else:
        archive = remote.module(region.archive) if region.archive in remote.MODULES else archive_of(region)
        table = archive.search(region, track, settings, as_of)
        where = f"archive '{region.archive}'"
    if table.empty:
        raise SlipscanError(
            f"region {region.id} track {track.id} has no interferogram up to as_of {as_of} in {where}: move as_of"
        )
    manifests.write(out, table)
    log.info("%s %s: %d granules up to %s", region.id, track.id, len(table), table["secondary_date"].max())


def query_text(region: Region, track: Track, settings: ArchiveSettings, as_of: str) -> str:
    """Say what `write_manifest` would ask, without asking; raises SlipscanError where `as_of` is no date."""
    _check_date(as_of)
    if region.archive in remote.MODULES:
        return remote.module(region.archive).query(region, track, settings, as_of)
    return f"archive '{region.archive}' asks no server: it looks at files on this machine"


def _check_date(as_of: str) -> None:
    if not manifests.is_iso_date(as_of):
        raise SlipscanError(f"as_of is {as_of!r}, which is no date: write it YYYY-MM-DD")


def order(
    region: Region,
    track: Track,
    settings: ArchiveSettings,
    manifest: Path,
    cache_dir: Path,
    submit: bool,
    again: bool = False,
) -> str:
    """Price the interferograms of a manifest and, with `submit`, order those that were not ordered yet.

    With `again` also those whose order failed, or whose product expired before it was fetched.

    Raises
    ------
    SlipscanError
        an archive that takes no orders, too few credits, no credentials, a server that cannot be reached
    """
    if region.archive != "hyp3":
        raise SlipscanError(f"region {region.id} is of archive '{region.archive}': only 'hyp3' takes orders")
    from slipscan.archive import hyp3

    table = manifests.read_of(manifest, region, track)
    fetched = remote.in_cache(table, region, track, settings, cache_dir)
    return hyp3.order(region, track, settings, table, cache_dir, submit, again, fetched)


def write_observations(
    region: Region,
    track: Track,
    settings: ArchiveSettings,
    manifest: Path,
    cache_dir: Path,
    observations: Path,
    inventory: Path,
) -> None:
    """Fetch a manifest's granules; write what they hold and an inventory of the files as received.

    Parameters
    ----------
    manifest
        the CSV file of `write_manifest`
    cache_dir
        where fetched granules are kept
    observations
        the Zarr store: product 'interferograms', or 'stack' for a ready series
    inventory
        CSV of name, bytes, sha256, sorted by name: the pin of the data

    Raises
    ------
    SlipscanError
        what the archive refuses
    """
    check_outputs([(observations, OBSERVATIONS), (inventory, INVENTORY)], [manifest, cache_dir])
    table = manifests.read_of(manifest, region, track)
    with scratch_arrays(observations) as empty, dask.config.set(scheduler="synchronous"):
        received, dataset = _observe(table, region, track, settings, cache_dir, empty)
        text = inventory_text(received)
        product = "interferograms" if "interferogram" in dataset else "stack"
        dataset = dataset.assign_attrs(attributes(region, track, table, text, product))
        dataset = annotate(dataset, product)
        check(dataset, product, str(observations))
        write_zarr(in_shards(dataset), observations, OBSERVATIONS)
    write_text(inventory, text, INVENTORY)


def _observe(
    table: pd.DataFrame, region: Region, track: Track, settings: ArchiveSettings, cache_dir: Path, empty: Empty
) -> tuple[list[Received], xr.Dataset]:
    """Fetch and read a manifest's granules: what was received, and the dataset."""
    if region.archive not in remote.MODULES:
        archive = archive_of(region)
        found = received(archive.fetch(table, region, track, settings, cache_dir))
        dataset = archive.read(table, region, track, settings, cache_dir)
        if region.archive == "local":
            found += troposphere.correct(dataset, region, track, settings, cache_dir, empty)
        return found, dataset
    found = remote.fetch(table, region, track, settings, cache_dir)
    crops = remote.crops(table, region, track, settings, cache_dir)
    # OPERA's frames were inverted, and LiCSAR's unwrapped and referenced, one by one: they differ by any constant.
    whole_cycles = region.archive not in ("opera", "licsar")
    delays = troposphere.fetch(crops, region, track, settings, cache_dir)
    found += () if delays is None else delays.received
    return found, assemble(crops, region, track, settings.corrections, empty, whole_cycles, delays)


def received(files: list[Path]) -> list[Received]:
    """Describe files on this machine, named below their common directory."""
    root = Path(os.path.commonpath([file.parent for file in files]))
    return [Received(file.relative_to(root).as_posix(), file.stat().st_size, sha256_file(file)) for file in files]


def inventory_text(files: list[Received]) -> str:
    """Write the inventory of files as CSV text: name, bytes, SHA-256, sorted by name."""
    rows = sorted((file.name, file.bytes, file.sha256) for file in files)
    return pd.DataFrame(rows, columns=["name", "bytes", "sha256"]).to_csv(index=False, lineterminator="\n")


def attributes(
    region: Region, track: Track, manifest: pd.DataFrame, inventory: str, product: str
) -> dict[str, str | float]:
    """Return the attributes that every product of a region-track carries."""
    source = f"archive '{region.archive}'"
    if track.local is not None and region.archive == "local":
        source += f", convention {track.local.convention}"
    out: dict[str, str | float] = {
        "title": f"{'Interferograms' if product == 'interferograms' else 'Displacement'} of {region.name}, track"
        f" {track.id}",
        "source": f"Sentinel-1, {source}",
        "history": f"slipscan archive: {len(manifest)} granules, product {product}",
        "region": region.id,
        "region_name": region.name,
        "track": track.id,
        "relative_orbit": track.relative_orbit,
        "orbit_direction": track.orbit_direction,
        "radar_wavelength_m": track.radar_wavelength_m,
        "region_polygon": region.wkt(),
        "reference_lon": region.reference_point[0],
        "reference_lat": region.reference_point[1],
        "tectonic_setting": region.tectonic_setting,
        "archive": region.archive,
        "inventory_sha256": hashlib.sha256(inventory.encode()).hexdigest(),
        "data_until": str(manifest["secondary_date"].max()),
        "slipscan_version": slipscan.__version__,
    }
    if region.fault_strike_deg is not None:
        out["fault_strike_deg"] = region.fault_strike_deg
    return out


def write_stations(region: Region, settings: ArchiveSettings, gnss_directory: str | None, out: Path) -> None:
    """Write a region's GNSS series (NGL .tenv3), and steps.txt where it stands beside them, into one directory.

    Parameters
    ----------
    gnss_directory
        directory of .tenv3 files; None: the region's key 'gnss' below the data root, or the simulated stations
    out
        the directory; empty where the region has no GNSS (said in the log)

    Raises
    ------
    SlipscanError
        the directory is missing, or what `stations.copy_stations` refuses
    """
    source: Path | None = None
    if gnss_directory is not None:
        source = Path(gnss_directory).expanduser()
    elif region.gnss is not None:
        source = local.data_root(settings) / region.gnss
    kind = listed_kind("a directory of stations", source)
    check_outputs([(out, kind)], [] if source is None else [source])
    with written_beside(out, kind) as beside:
        beside.mkdir()
        if source is not None:
            copy_stations(source, beside)
        elif region.archive == "simulated":
            from slipscan.archive import simulated

            simulated.write_stations(region, settings, beside)
        else:
            log.info("region %s has no GNSS (key 'gnss'): no verdict on its events", region.id)
        write_listing(beside)


def write_truth(region: Region, settings: ArchiveSettings, out: Path) -> None:
    """Write the truth of a simulated region as JSON; raises SlipscanError for a real one."""
    if region.archive != "simulated":
        raise SlipscanError(f"region {region.id} is of archive '{region.archive}': only simulated regions have a truth")
    from slipscan.archive import simulated

    check_outputs([(out, TRUTH)])
    write_text(out, json.dumps(simulated.truth(region, settings), indent=1, sort_keys=True) + "\n", TRUTH)
