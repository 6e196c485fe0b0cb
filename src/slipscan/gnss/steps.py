"""Read NGL's table of steps: equipment changes, and earthquakes that may have moved a station."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from slipscan.errors import SlipscanError
from slipscan.gnss.tenv3 import parse_date


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
    Repeated lines are given once.

    Raises
    ------
    SlipscanError
        no file, or a line that is neither
    """
    try:
        lines = Path(path).read_text(encoding="ascii", errors="replace").splitlines()
    except FileNotFoundError as error:
        raise SlipscanError(f"there is no table of steps {path}: check the path") from error
    steps: dict[str, list[Step]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            name, step = _read_step(line.split())
        except (ValueError, IndexError) as error:
            raise SlipscanError(f"line {number} of {path} is no step of NGL's steps.txt: {line.strip()!r}") from error
        known = steps.setdefault(name, [])
        if all((step.time, step.kind, step.text) != (other.time, other.kind, other.text) for other in known):
            known.append(step)
    return {name: sorted(found, key=lambda s: (s.time, s.kind, s.text)) for name, found in sorted(steps.items())}


def _read_step(fields: list[str]) -> tuple[str, Step]:
    name, date, code = fields[:3]
    if code == "1":
        return name, Step(parse_date(date), "equipment", " ".join(fields[3:]), float("nan"), float("nan"))
    if code == "2":
        return name, Step(parse_date(date), "earthquake", fields[6], float(fields[5]), float(fields[4]))
    raise ValueError(code)
