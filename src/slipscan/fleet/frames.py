"""Where Sentinel-1 looks: the ARIA frames, which cover the land of the world, offline."""

from __future__ import annotations

import importlib
import warnings
from dataclasses import dataclass
from typing import Final

from shapely.affinity import translate
from shapely.geometry import Polygon, box

from slipscan.errors import SlipscanError

WORLD: Final = box(-180, -90, 180, 90)


@dataclass(frozen=True)
class Frame:
    """A frame of a track: relative orbit, 'ascending' or 'descending', outline in degrees."""

    path: int
    direction: str
    polygon: Polygon


def aria_frames() -> list[Frame]:
    """Every ARIA frame, those across 180 degrees on both of its sides.

    Raises
    ------
    SlipscanError
        the package that ships them is not installed
    """
    try:
        with warnings.catch_warnings():  # it opens its file in a way that Python advises against
            warnings.simplefilter("ignore", DeprecationWarning)
            module = importlib.import_module("asf_enumeration.aria_s1_gunw")
    except ImportError as error:
        raise SlipscanError(
            "the frames of Sentinel-1 are in a package that is not here: pip install slipscan[world]"
        ) from error
    out = []
    for frame in module.FRAMES_BY_ID.values():
        for shifted in (translate(frame.polygon, 360 * turns) for turns in (-1, 0, 1)):
            if shifted.intersects(WORLD):
                out.append(Frame(int(frame.path), frame.flight_direction.lower(), shifted))
    return out
