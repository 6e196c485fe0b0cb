"""Archives by name, each imported when a region is of it: one that lacks a library does not stop the others."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

from slipscan.regions import Region

if TYPE_CHECKING:
    from slipscan.archive.protocol import Archive

ARCHIVES: Final = {
    "aria": "Aria",
    "hyp3": "Hyp3",
    "licsar": "Licsar",
    "local": "Local",
    "opera": "Opera",
    "simulated": "Simulated",
}
"""The class of every archive, in {name}/archive.py beside this module."""
WITH_TRUTH: Final = frozenset({"simulated"})
"""Archives whose attribute `has_truth` is set: the workflow asks at the start of every job and imports no archive."""


def archive_of(region: Region) -> Archive:
    """Return the archive of a region."""
    module = importlib.import_module(f"slipscan.archive.{region.archive}.archive")
    archive: Archive = getattr(module, ARCHIVES[region.archive])()
    return archive


def has_truth(region: Region) -> bool:
    """Whether the archive of a region knows what its data really hold."""
    return region.archive in WITH_TRUTH
