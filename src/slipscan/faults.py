"""Mapped faults: the lines of a GeoJSON file, with what the map tells of dip and rake."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import shape as geometry_of

from slipscan.errors import SlipscanError
from slipscan.texts import read_text

Float = NDArray[np.float64]


@dataclass(frozen=True)
class FaultLine:
    """A line of a map of faults.

    Attributes
    ----------
    name
        as mapped
    lonlat
        (vertex, 2) degrees, drawn along the strike: the fault dips to the right
    dip_deg, rake_deg
        where the map tells them
    """

    name: str
    lonlat: Float
    dip_deg: float | None = None
    rake_deg: float | None = None


def read_faults(path: Path, setting: str) -> list[FaultLine]:
    """The lines of a GeoJSON file of mapped faults.

    Parameters
    ----------
    path
        GeoJSON of LineStrings or MultiLineStrings in longitude and latitude, drawn along the strike (the fault dips to
        the right); of the properties `name`, `dip` and `rake` (degrees) are used where they are, and `average_dip`,
        `average_rake` of the GEM Global Active Faults Database (Styron & Pagani 2020, doi 10.1177/8755293020944182)
    setting
        that names the file, for messages

    Raises
    ------
    SlipscanError
        no such file, no GeoJSON of lines, a dip beyond 0 to 90 degrees
    """
    try:
        features = json.loads(read_text(path, "GeoJSON file of mapped faults", f"check {setting}"))["features"]
        lines = [(f.get("properties") or {}, geometry_of(f["geometry"])) for f in features if f.get("geometry")]
    except (ValueError, KeyError, TypeError, AttributeError, shapely.errors.ShapelyError) as error:
        raise SlipscanError(f"{path} is no GeoJSON of mapped faults ({error}): give LineStrings") from error
    out = []
    for properties, geometry in lines:
        dip, rake = (_number(properties, name) for name in ("dip", "rake"))
        name = str(properties.get("name") or "unnamed")
        if dip is not None and not 0 < dip <= 90:
            raise SlipscanError(f"{path} gives the fault {name} a dip of {dip:g} degrees: it lies between 0 and 90")
        for part in shapely.get_parts(geometry):
            if not isinstance(part, shapely.LineString):
                raise SlipscanError(f"{path} holds a {part.geom_type}: mapped faults are LineStrings")
            out.append(FaultLine(name, np.asarray(part.coords, float)[:, :2], dip, rake))
    return out


def _number(properties: dict[str, Any], name: str) -> float | None:
    """A property in degrees: a number, or the first of GEM's '(most likely, least, largest)'; None: not told."""
    value = properties.get(name, properties.get(f"average_{name}"))
    if isinstance(value, str):
        found = re.match(r"\s*\(?\s*([-+]?[0-9.]+)", value)
        value = found.group(1) if found else None
    return None if value is None else float(value)
