"""Files of the archive stage: manifest, observations with their inventory, stations, truth."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path

import dask
import pandas as pd

import slipscan
from slipscan.archive import manifest as manifests
from slipscan.archive.granules import Received
from slipscan.archive.job import Job, data_root
from slipscan.archive.registry import archive_of
from slipscan.archive.stations import copy_stations
from slipscan.atomic import write_text, written_beside
from slipscan.errors import SlipscanError
from slipscan.outofcore import in_shards, scratch_arrays
from slipscan.outputs import check_outputs, csv_kind, json_kind, listed_kind, store_kind, write_listing
from slipscan.regions import Region
from slipscan.settings import ArchiveSettings
from slipscan.store import write_zarr
from slipscan.vocabulary import annotate, check

log = logging.getLogger(__name__)

OBSERVATIONS = store_kind("interferograms", "stack")
INVENTORY = csv_kind("an inventory", "name", "bytes", "sha256")
TRUTH = json_kind("a truth", "region", "scenario", "events")


def write_manifest(job: Job, as_of: str, out: Path) -> None:
    """Search the region's archive (or replay a pinned manifest) and write the manifest.

    Parameters
    ----------
    job
        what to look for, and where; with setting `manifests`, {manifests}/{region}_{track}.csv is replayed instead of a
        search
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
    region, track, archive = job.region, job.track, archive_of(job.region)
    pins = job.settings.manifests
    pinned = None if pins is None else Path(pins) / f"{region.id}_{track.id}.csv"
    check_outputs([(out, manifests.KIND)], [] if pinned is None else [pinned])
    if pinned is not None:
        table = manifests.read_of(pinned, job, archive.dated)
        table = table[table["secondary_date"] <= as_of]
    else:
        table = archive.search(job, as_of)
    if table.empty:
        where = pinned or f"archive '{archive.name}'"
        raise SlipscanError(f"{job.where} has no interferogram up to as_of {as_of} in {where}: move as_of")
    manifests.write(out, table)
    log.info("%s %s: %d granules up to %s", region.id, track.id, len(table), table["secondary_date"].max())


def query_text(job: Job, as_of: str) -> str:
    """Say what `write_manifest` would ask, without asking; raises SlipscanError where `as_of` is no date."""
    _check_date(as_of)
    return archive_of(job.region).query(job, as_of)


def _check_date(as_of: str) -> None:
    if not manifests.is_iso_date(as_of):
        raise SlipscanError(f"as_of is {as_of!r}, which is no date: write it YYYY-MM-DD")


def order(job: Job, manifest: Path, submit: bool, again: bool = False) -> str:
    """Price the interferograms of a manifest and, with `submit`, order those that were not ordered yet.

    With `again` also those whose order failed, or whose product expired before it was fetched.

    Raises
    ------
    SlipscanError
        an archive that takes no orders, too few credits, no credentials, a server that cannot be reached
    """
    archive = archive_of(job.region)
    table = manifests.read_of(manifest, job, archive.dated)
    return archive.order(table, job, submit, again)


def write_observations(job: Job, manifest: Path, observations: Path, inventory: Path) -> None:
    """Fetch a manifest's granules; write what they hold and an inventory of the files as received.

    Parameters
    ----------
    manifest
        the CSV file of `write_manifest`
    observations
        the Zarr store: product 'interferograms', or 'stack' for a ready series
    inventory
        CSV of name, bytes, sha256, sorted by name: the pin of the data

    Raises
    ------
    SlipscanError
        what the archive refuses
    """
    check_outputs([(observations, OBSERVATIONS), (inventory, INVENTORY)], [manifest, job.cache_dir])
    archive = archive_of(job.region)
    table = manifests.read_of(manifest, job, archive.dated)
    with scratch_arrays(observations) as empty, dask.config.set(scheduler="synchronous"):
        received = archive.fetch(table, job)
        dataset, of_corrections = archive.read(table, job, empty)
        text = inventory_text([*received, *of_corrections])
        product = "interferograms" if "interferogram" in dataset else "stack"
        dataset = dataset.assign_attrs(attributes(job, archive.source(job.track), table, text, product))
        dataset = annotate(dataset, product)
        check(dataset, product, str(observations))
        write_zarr(in_shards(dataset), observations, OBSERVATIONS)
    write_text(inventory, text, INVENTORY)


def inventory_text(files: list[Received]) -> str:
    """Write the inventory of files as CSV text: name, bytes, SHA-256, sorted by name."""
    rows = sorted((file.name, file.bytes, file.sha256) for file in files)
    return pd.DataFrame(rows, columns=["name", "bytes", "sha256"]).to_csv(index=False, lineterminator="\n")


def attributes(job: Job, source: str, manifest: pd.DataFrame, inventory: str, product: str) -> dict[str, str | float]:
    """Return the attributes that every product of a region-track carries."""
    region, track = job.region, job.track
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
        source = data_root(settings) / region.gnss
    kind = listed_kind("a directory of stations", source)
    check_outputs([(out, kind)], [] if source is None else [source])
    with written_beside(out, kind) as beside:
        beside.mkdir()
        if source is not None:
            copy_stations(source, beside)
        elif not archive_of(region).write_stations(region, settings, beside):
            log.info("region %s has no GNSS (key 'gnss'): no verdict on its events", region.id)
        write_listing(beside)


def write_truth(region: Region, settings: ArchiveSettings, out: Path) -> None:
    """Write the truth of a simulated region as JSON; raises SlipscanError for a real one."""
    truth = archive_of(region).truth(region, settings)
    check_outputs([(out, TRUTH)])
    write_text(out, json.dumps(truth, indent=1, sort_keys=True) + "\n", TRUTH)
