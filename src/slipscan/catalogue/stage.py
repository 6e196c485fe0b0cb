"""The catalogue's two rules: append a region's increment, and fold all increments to the GeoPackage."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from slipscan.atomic import write_text
from slipscan.catalogue import geopackage, increment, users_work
from slipscan.catalogue.fold import ACTIVE, fold, newest_scans
from slipscan.errors import SlipscanError
from slipscan.events import GNSS_COLUMNS, Column, read_events, read_table
from slipscan.outputs import NEW, check_outputs, json_kind, resolved, sha256_file
from slipscan.settings import CatalogueSettings

log = logging.getLogger(__name__)

POINTER = json_kind("a pointer to an increment", "region", "increment", "sha256")
CATALOGUE_POINTER = json_kind("a pointer to the catalogue", "catalogue", "sha256")
EVENT_NUMBER = Column("event", "int64", "row of the event in the event table")


def write_increment(events: Path, gnss: Path, directory: Path, out: Path) -> None:
    """Append a region's scan, with its GNSS verdicts, to its increments.

    Parameters
    ----------
    events
        events.parquet of the region, from source
    gnss
        gnss.parquet of the region, one row per event, station and track
    directory
        of the region's increments; nothing new is written when its newest one has the same content
    out
        JSON that names the increment: region, increment, sha256

    Raises
    ------
    SlipscanError
        a file is missing or holds something else, or the newest increment is damaged
    """
    check_outputs([(out, POINTER), (Path(directory) / "increment", NEW)], [events, gnss])
    found, scans = read_events(events)
    verdicts, _ = read_table(gnss, "GNSS table", (EVENT_NUMBER, *GNSS_COLUMNS))
    path = increment.append(increment.with_verdicts(found, verdicts), scans, Path(directory))
    pointer = {"region": str(scans[0]["region"]), "increment": path.name, "sha256": sha256_file(path)}
    write_text(out, json.dumps(pointer, indent=1) + "\n", POINTER)
    log.info("increment %s of region %s: %d events", path.name, pointer["region"], len(found))


def write_catalogue(results_dir: Path, out: Path, settings: CatalogueSettings, pointer: Path | None = None) -> None:
    """Fold every increment below `results_dir` to the catalogue, a GeoPackage.

    Parameters
    ----------
    results_dir
        holds {region}/increments/*.parquet
    out
        the GeoPackage: layers events, retracted, scans; one that a user edited is kept beside
    settings
        the rule of matching
    pointer
        JSON that names the catalogue, for Snakemake: catalogue, sha256

    Raises
    ------
    SlipscanError
        there is no such directory, an increment is damaged (named in the sentence), or another program has the
        catalogue open
    """
    results_dir = Path(results_dir)
    if not results_dir.is_dir():
        raise SlipscanError(f"there is no results directory {results_dir}: run the regions before, or check the path")
    pointers = [] if pointer is None else [(pointer, CATALOGUE_POINTER)]
    check_outputs([(out, geopackage.KIND), *pointers], [results_dir])
    users_work.close(resolved(out))
    paths = [path for d in sorted(results_dir.glob("*/increments")) for path in increment.find(d)]
    if not paths:
        log.warning("no increment below %s: the catalogue is empty because nothing was scanned", results_dir)
    increments = [increment.read(path) for path in paths]
    catalogue = fold(increments, settings.match_gap_d)
    geopackage.write(out, catalogue, newest_scans(increments))
    if pointer is not None:
        content = {"catalogue": Path(out).name, "sha256": sha256_file(out)}
        write_text(pointer, json.dumps(content, indent=1) + "\n", CATALOGUE_POINTER)
    active = int((catalogue["status"] == ACTIVE).sum())
    log.info("%d increments: %d events, %d retracted", len(paths), active, len(catalogue) - active)
