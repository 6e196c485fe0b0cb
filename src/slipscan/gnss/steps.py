"""Read NGL's table of steps: equipment changes, and earthquakes that may have moved a station."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from slipscan.errors import SlipscanError
from slipscan.gnss.ngl import parse_date, read_lines

log = logging.getLogger(__name__)

NAMED = 20
"""So many bad lines are named one by one; the rest is counted."""


@dataclass(frozen=True)
class Step:
    """A possible offset in a station's series.

    Attributes
    ----------
    time
        datetime64[ns], start of the day
    kind
        'equipment' or 'earthquake'
    text
        what changed, or the earthquake's identifier
    magnitude, distance_km
        of the earthquake; NaN for equipment
    """

    time: np.datetime64
    kind: str
    text: str
    magnitude: float
    distance_km: float


def read_steps(path: Path) -> dict[str, list[Step]]:
    """Read NGL's steps.txt: equipment changes and earthquakes that may have moved a station, by station.

    Lines are `SITE YYMMMDD 1 text` and `SITE YYMMMDD 2 threshold_km distance_km magnitude event_id`.
    Names are in upper case whatever the file's. Repeated lines are given once; lines that are neither are
    left out, and named in the log.

    Raises
    ------
    SlipscanError
        no file that can be read, or most of its lines are neither
    """
    steps: dict[str, list[Step]] = {}
    bad: list[str] = []
    lines = read_lines(Path(path), "table of steps")
    for number, line in lines:
        try:
            name, step = _read_step(line.split())
        except (ValueError, IndexError):
            bad.append(f"line {number} of {path} is no step of NGL's steps.txt: {line[:80]!r}")
            continue
        known = steps.setdefault(name, [])
        if all((step.time, step.kind, step.text) != (other.time, other.kind, other.text) for other in known):
            known.append(step)
    if 2 * len(bad) > len(lines):
        raise SlipscanError(bad[0])
    for sentence in bad[:NAMED]:
        log.warning("left out: %s", sentence)
    if len(bad) > NAMED:
        log.warning("left out: %d more lines of %s", len(bad) - NAMED, path)
    return {name: sorted(found, key=lambda s: (s.time, s.kind, s.text)) for name, found in sorted(steps.items())}


def _read_step(fields: list[str]) -> tuple[str, Step]:
    name, date, code = fields[:3]
    if code == "1":
        return name.upper(), Step(parse_date(date), "equipment", " ".join(fields[3:]), float("nan"), float("nan"))
    if code == "2":
        return name.upper(), Step(
            parse_date(date), "earthquake", " ".join(fields[6:]), float(fields[5]), float(fields[4])
        )
    raise ValueError(code)
