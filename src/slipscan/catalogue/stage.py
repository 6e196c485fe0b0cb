"""The catalogue's two rules: append a region's increment, and fold all increments to the GeoPackage."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd

from slipscan.atomic import write_text
from slipscan.catalogue import consolidated, geopackage, increment, users_work
from slipscan.catalogue.append import append, with_verdicts
from slipscan.catalogue.fold import Catalogue, fold
from slipscan.catalogue.increment import Increment, NewerIncrementError
from slipscan.catalogue.schema import ACTIVE, RETRACTED
from slipscan.catalogue.unsound import FAILURES, unsound
from slipscan.completeness import product
from slipscan.errors import SlipscanError
from slipscan.events import GNSS_COLUMNS, Column, read_events, read_table
from slipscan.outputs import NEW, check_outputs, json_kind, resolved, sha256_file
from slipscan.regions import Region, read_regions
from slipscan.settings import CatalogueSettings

log = logging.getLogger(__name__)

POINTER = json_kind("a pointer to an increment", "region", "increment", "sha256")
CATALOGUE_POINTER = json_kind("a pointer to the catalogue", "catalogue", "sha256")
EVENT_NUMBER = Column("event", "int64", "row of the event in the event table")
READERS = 2
"""Threads that read increments: Arrow works without Python's lock."""

Refused = tuple[str, str, str]
"""Region, name and reason of a file that was not read."""


def write_increment(
    events: Path,
    gnss: Path,
    directory: Path,
    out: Path,
    regions: Path | None = None,
    completeness: Path | None = None,
) -> None:
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
    regions
        GeoJSON of regions: name, setting and outline go into the increment
    completeness
        completeness.parquet of the region: every event gets the magnitude of completeness at its place

    Raises
    ------
    SlipscanError
        a file is missing or holds something else, or the newest increment is damaged
    """
    inputs = [events, gnss, *([completeness] if completeness else [])]
    check_outputs([(out, POINTER), (Path(directory) / "increment", NEW)], inputs)
    found, scans = read_events(events)
    verdicts, _ = read_table(gnss, "GNSS table", (EVENT_NUMBER, *GNSS_COLUMNS))
    held = with_verdicts(found, verdicts)
    name = str(scans[0]["region"]) if scans else ""
    region = read_regions(regions).get(name) if regions else None
    told = _told(region) if region else {}
    grid = None
    if completeness is not None:
        grid = _grid_of(completeness, name)
        held["mc_local"] = product.local_mc(grid, held)
        told["mc"] = product.region_mc(grid)
    path = append(held, scans, Path(directory), verdicts, told, grid)
    pointer = {"region": name, "increment": path.name, "sha256": sha256_file(path)}
    write_text(out, json.dumps(pointer, indent=1) + "\n", POINTER)
    log.info("increment %s of region %s: %d events", path.name, name, len(found))


def _grid_of(completeness: Path, region: str) -> pd.DataFrame:
    """A region's grid of magnitudes; raises SlipscanError where it is another region's."""
    grid, _ = product.read(completeness)
    if others := sorted(set(grid["region"]) - {region}):
        raise SlipscanError(f"{completeness} is of region {others[0]}, the events are of {region}: give its own")
    return grid


def _told(region: Region) -> dict[str, Any]:
    """What an increment tells of its region."""
    return {
        "name": region.name,
        "tectonic_setting": region.tectonic_setting,
        "polygon": [list(vertex) for vertex in region.polygon],
    }


def write_catalogue(results_dir: Path, out: Path, settings: CatalogueSettings, pointer: Path | None = None) -> None:
    """Fold every increment below `results_dir` to the catalogue, a GeoPackage.

    Processes that fold the same results take turns where the file system has locks. Where it has none, each looks
    once more when its catalogue is in place, and folds again if an increment was added meanwhile: the last one to
    write has seen them all.

    Parameters
    ----------
    results_dir
        holds {region}/increments/*.parquet
    out
        the GeoPackage (`schema.LAYERS`); one that a user edited is kept beside
    settings
        the rules of matching
    pointer
        JSON that names the catalogue, for Snakemake: catalogue, sha256

    Raises
    ------
    SlipscanError
        there is no such directory, an increment is of a later version, or another program has the catalogue open; the
        catalogue before stays
    """
    results_dir = Path(results_dir)
    if not results_dir.is_dir():
        raise SlipscanError(f"there is no results directory {results_dir}: run the regions before, or check the path")
    pointers = [] if pointer is None else [(pointer, CATALOGUE_POINTER)]
    check_outputs([(out, geopackage.KIND), *pointers], [results_dir])
    users_work.close(resolved(out))
    with _turn(results_dir):
        paths = increments_below(results_dir)
        while True:
            if not paths:
                log.warning("no increment below %s: the catalogue is empty because nothing was scanned", results_dir)
            read, refused = read_increments(paths)
            refused += _foreign(results_dir)
            catalogue = _written(out, read, refused, settings)
            before, paths = paths, increments_below(results_dir)
            if paths == before:
                break
        if pointer is not None:
            content = {"catalogue": Path(out).name, "sha256": sha256_file(out)}
            write_text(pointer, json.dumps(content, indent=1) + "\n", CATALOGUE_POINTER)
    _say(catalogue, len(read), len(refused))


def _written(out: Path, read: list[Increment], refused: list[Refused], settings: CatalogueSettings) -> Catalogue:
    """Fold and write; increments whose content breaks that go from `read` to `refused`, and the rest is folded."""
    try:
        catalogue = fold(read, settings, refused)
        geopackage.write(out, catalogue)
    except FAILURES:
        bad = unsound(read, settings)
        if not bad:
            raise
        refused += bad
        names = {(region, name) for region, name, _ in bad}
        read[:] = [one for one in read if (one.region, one.name) not in names]
        catalogue = fold(read, settings, refused)
        geopackage.write(out, catalogue)
    for _, _, reason in refused:
        log.warning("refused, the rest is folded: %s", reason)
    return catalogue


def _say(catalogue: Catalogue, increments: int, refused: int) -> None:
    status = catalogue.events["status"]
    log.info(
        "%d increments: %d events, %d retracted%s",
        increments, int((status == ACTIVE).sum()), int((status == RETRACTED).sum()),
        f"; {refused} file(s) refused, named above" if refused else "",
    )  # fmt: skip


def increments_below(results_dir: Path) -> list[Path]:
    """Every increment of every region, sorted."""
    return [path for d in sorted(Path(results_dir).glob("*/increments")) for path in increment.find(d)]


def read_increments(paths: Sequence[Path]) -> tuple[list[Increment], list[Refused]]:
    """Read increments; those that are damaged or none are named, and the rest is read.

    Parameters
    ----------
    paths
        those of one directory after each other

    Raises
    ------
    NewerIncrementError
        one was written by a later version: a catalogue without it would be one of the past
    """
    by_directory = [(directory, list(group)) for directory, group in itertools.groupby(paths, lambda path: path.parent)]
    with ThreadPoolExecutor(READERS) as pool:
        results = [result for part in pool.map(_read_region, *zip(*by_directory, strict=True)) for result in part]
    refused = [
        (path.parent.parent.name, path.name, str(result))
        for path, result in zip(paths, results, strict=True)
        if isinstance(result, SlipscanError)
    ]
    newer = [result for result in results if isinstance(result, NewerIncrementError)]
    if newer:
        raise newer[0]
    return [result for result in results if isinstance(result, Increment)], refused


def _read_region(directory: Path, paths: Sequence[Path]) -> list[Increment | SlipscanError]:
    """The increments of a directory; what many new ones hold is kept for the next fold."""
    kept = consolidated.load(directory)
    results = [_read(path, kept) for path in paths]
    consolidated.save(directory, [result for result in results if isinstance(result, Increment)], kept)
    return results


def _read(path: Path, kept: Mapping[str, Increment]) -> Increment | SlipscanError:
    """One increment: the kept one, where the file is as it was."""
    if path.name in kept and consolidated.is_whole(path):
        return kept[path.name]
    try:
        return increment.read(path)
    except SlipscanError as error:
        return error
    except OSError as error:
        return SlipscanError(f"the increment {path} cannot be read ({error.strerror}): restore it, or its permissions")


def _foreign(results_dir: Path) -> list[Refused]:
    return [
        (d.parent.name, path.name, f"{path} is no increment (its name is not {{seq}}-{{sha}}.parquet): move it away")
        for d in sorted(results_dir.glob("*/increments"))
        for path in increment.foreign(d)
    ]


@contextlib.contextmanager
def _turn(results_dir: Path) -> Iterator[None]:
    """Hold the lock of the results directory, where there are locks."""
    descriptor = os.open(results_dir, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("another process folds %s: waiting for it", results_dir)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:  # a file system without locks: `write_catalogue` looks once more
            pass
        yield
    finally:
        os.close(descriptor)
