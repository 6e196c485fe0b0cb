"""The files of a directory that GNSS stages read: one a station (.tenv3, .pos, .csv), and NGL's steps.txt."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from slipscan.errors import SlipscanError

log = logging.getLogger(__name__)

STEPS = "steps.txt"
SERIES = (".tenv3", ".pos", ".csv")


def series_files(directory: Path) -> list[Path]:
    """List the stations' files of a directory by name, in whatever case; hidden ones are left aside."""
    return [p for p in _entries(directory) if p.suffix.lower() in SERIES]


def steps_file(directory: Path) -> Path | None:
    """Find the table of steps of a directory, in whatever case its name is written."""
    found = [p for p in _entries(directory) if p.name.lower() == STEPS]
    return min(found, key=lambda p: p.name != STEPS, default=None)


def _entries(directory: Path) -> list[Path]:
    try:
        return sorted(p for p in directory.iterdir() if not p.name.startswith("."))
    except OSError as error:
        raise SlipscanError(f"{directory} is no directory that can be listed ({error.strerror})") from error


def copy_stations(source: Path, target: Path) -> None:
    """Copy what the comparison reads; a station that cannot be read is left out, and said in the log.

    Raises
    ------
    SlipscanError
        no .tenv3 file that can be read, or a table of steps that cannot: without it a new antenna passes for
        an event
    """
    files = series_files(source) if source.is_dir() else []
    copied = 0
    for file in files:
        try:
            shutil.copyfile(file, target / file.name)
            copied += 1
        except OSError as error:
            log.warning("station left out: %s cannot be read (%s)", file, error.strerror or error)
    if not copied:
        raise SlipscanError(
            f"{source} holds no .tenv3 file that can be read: correct the region's 'gnss' or gnss.directory"
        )
    steps = steps_file(source)
    if steps is None:
        log.info("%s holds no %s: new antennas and earthquakes at its stations are not known", source, STEPS)
    else:
        try:
            shutil.copyfile(steps, target / STEPS)
        except OSError as error:
            raise SlipscanError(f"{steps} cannot be read ({error.strerror or error}): mend it, or remove it") from error
    others = [p.name for p in _entries(source) if p != steps and p not in files]
    if others:
        log.info("%d other files of %s are left aside (%s)", len(others), source, ", ".join(others[:5]))
