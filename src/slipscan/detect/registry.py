"""Detectors by name."""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Final

from slipscan.errors import SlipscanError

if TYPE_CHECKING:
    from slipscan.detect.method import Detector

GROUP: Final = "slipscan.detectors"
METHODS: Final[dict[str, str]] = {
    "scan": "slipscan.detect.methods.scan:Scan",
    "field": "slipscan.detect.methods.field:FieldCandidates",
}


def build(name: str) -> Detector:
    """The detector of a name: one that comes with slipscan, or of another package (entry points `slipscan.detectors`).

    Raises
    ------
    SlipscanError
        there is no such detector
    """
    if name in METHODS:
        module, _, attribute = METHODS[name].partition(":")
        return getattr(importlib.import_module(module), attribute)()
    entries = importlib.metadata.entry_points(group=GROUP)
    for entry in entries.select(name=name):
        return entry.load()()
    known = ", ".join([*METHODS, *entries.names])
    raise SlipscanError(f"there is no detector {name!r}: slipscan knows {known}")


def reads_field(name: str) -> bool:
    """Whether a detector asks a denoiser."""
    return build(name).needs_field
