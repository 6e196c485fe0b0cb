"""Where Sentinel-1 looks: the ARIA frames, which cover the land of the world, offline."""

from __future__ import annotations

import importlib
import warnings
from dataclasses import dataclass
from typing import Final

import numpy as np
import shapely
from shapely.affinity import translate
from shapely.geometry import Polygon

from slipscan.errors import SlipscanError

TURN: Final = 360.0
EDGE: Final = 10.0
"""Degrees of longitude beyond 180 of which regions see something."""


@dataclass(frozen=True)
class Frame:
    """A frame of a track: relative orbit, 'ascending' or 'descending', outline in degrees."""

    path: int
    direction: str
    polygon: Polygon


def aria_frames() -> list[Frame]:
    """Every ARIA frame, those near 180 degrees on both of its sides.

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
    frames = list(module.FRAMES_BY_ID.values())
    west, _, east, _ = shapely.bounds([frame.polygon for frame in frames]).T
    out = []
    for shift in (-TURN, 0.0, TURN):
        # Those that touch -180 to 180 degrees, and what a region sees across, once they are shifted.
        for number in np.flatnonzero((east + shift > -TURN / 2 - EDGE) & (west + shift < TURN / 2 + EDGE)):
            frame = frames[int(number)]
            polygon = translate(frame.polygon, shift) if shift else frame.polygon
            out.append(Frame(int(frame.path), frame.flight_direction.lower(), polygon))
    return out
