"""`slipscan init`: the files that a project begins with, for those who have no clone.

They are the repository's own: `files` holds links to them, which become copies in a wheel.
"""

from __future__ import annotations

import os
from pathlib import Path

from slipscan.errors import SlipscanError

SOURCE = Path(__file__).parent / "files"
STARTING_FILES = (
    "Snakefile",
    "workflow/rules/*.smk",
    "workflow/schemas/*.json",
    "profiles/*/config.yaml",
    "config/README.md",
    "config/config.yaml",
    "config/demo.yaml",
    "config/real.yaml",
    "config/regions.geojson",
    "config/known_events.csv",
    "config/faults/*.geojson",
)
"""Patterns below `SOURCE`; pyproject.toml puts the same files into the wheel."""


def starting_files() -> list[Path]:
    """What a project begins with, relative to its directory."""
    return sorted(path.relative_to(SOURCE) for pattern in STARTING_FILES for path in SOURCE.glob(pattern))


def start(directory: Path) -> list[Path]:
    """Write what a project begins with below `directory`, which is made where it does not exist.

    Returns
    -------
    list of Path
        the files written

    Raises
    ------
    SlipscanError
        one of the files exists, or something that is no directory is in the way: nothing is written
    """
    names = starting_files()
    for name in names:
        for path in (directory / name, *(directory / parent for parent in name.parents), *directory.parents):
            if os.path.lexists(path) and (path == directory / name or not path.is_dir()):
                raise SlipscanError(
                    f"{path} exists already: nothing was written, name a new directory or one without such a file"
                )
    for name in names:
        target = directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            file.write((SOURCE / name).read_bytes())
    return [directory / name for name in names]
