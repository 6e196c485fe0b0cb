"""Increments whose bytes are whole but whose content is none: a date that is none, a magnitude of 99, half a polygon.

Slipscan writes no such file. They are looked for only where a fold fails, so that it costs nothing where all are sound.
"""

from __future__ import annotations

from collections.abc import Sequence

from shapely.errors import ShapelyError

from slipscan.catalogue import geopackage
from slipscan.catalogue.checks import BrokenSchemaError
from slipscan.catalogue.fold import fold
from slipscan.catalogue.increment import Increment
from slipscan.settings import CatalogueSettings

FAILURES = (BrokenSchemaError, ValueError, TypeError, KeyError, AttributeError, ShapelyError)
"""What a fold or a write ends in where an increment holds what it must not (Arrow's errors are among them)."""


def unsound(increments: Sequence[Increment], settings: CatalogueSettings) -> list[tuple[str, str, str]]:
    """Region and name of increments that no catalogue can hold, each folded alone, and why."""
    found = []
    for one in increments:
        try:
            geopackage.check_layers(fold([one], settings))
        except FAILURES as error:
            reason = " ".join(str(error).split())
            found.append((
                one.region, one.name, f"the increment {one.name} of region {one.region} holds what no catalogue can"
                f" ({reason}): move it away, and run the region again",
            ))  # fmt: skip
    return found
