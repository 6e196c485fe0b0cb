"""Zenith delays on the pixels of a track, along its line of sight.

A delay makes the path longer, which looks like motion away: it is an apparent displacement of -zenith / u toward the
satellite, u the up component of the line of sight, the cosine of the incidence angle. This mapping is that of GACOS,
of OPERA's own tools (opera-utils, tropo) and of Doin et al. (2009).
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from slipscan.archive.granules import Received
from slipscan.archive.job import Job
from slipscan.archive.reading.cubes import Cube
from slipscan.errors import SlipscanError
from slipscan.geometry import Array, Grid, to_lonlat
from slipscan.longitudes import near
from slipscan.outofcore import Empty
from slipscan.progress import progress

log = logging.getLogger(__name__)

ROWS = 512
"""Rows that are interpolated at once."""


Zenith = Callable[[datetime.datetime], Cube]
"""Gives the zenith delay of a moment, m, on nodes of height, latitude and longitude."""


@dataclass(frozen=True)
class Delays:
    """Zenith delays of the acquisitions of a track.

    Attributes
    ----------
    kind
        as in archive.corrections.troposphere
    moments
        acquisitions, UTC, by ISO date
    zenith
        gives the zenith delay of a moment, m, on nodes of height, latitude and longitude
    received
        the files that they were made of
    needs_height
        False where the source gives one value a place, at the height of its own topography
    """

    kind: str
    moments: Mapping[str, datetime.datetime]
    zenith: Zenith
    received: tuple[Received, ...] = ()
    needs_height: bool = True

    def record(self) -> dict[str, Any]:
        """What the attribute `corrections` says: kind, time of day, and the epochs that were corrected."""
        first = next(iter(self.moments.values()))
        return {"kind": self.kind, "acquisition_time": f"{first:%H:%M:%S}", "epochs": sorted(self.moments)}


class Source(Protocol):
    """What a module of zenith delays offers."""

    NEEDS_HEIGHT: bool
    """False where it gives one value a place, at the height of its own topography."""
    OR_WITH_GRANULES: bool
    """Whether granules may come with these delays, so that no directory of them need be named."""
    REMEDY: str
    """What to do where granules have come without, for a sentence."""

    def open_delays(self, moments: Sequence[datetime.datetime], job: Job) -> tuple[Zenith, list[Received]]:
        """Make the delays of some moments (UTC) present: what gives them around the region, and their files."""


def directory_of(job: Job) -> Path:
    """The directory of the user's files of delays; raises SlipscanError where none is named."""
    named, kind = job.settings.troposphere_dir, job.settings.corrections.troposphere
    if named is None:
        raise SlipscanError(f"archive.corrections.troposphere '{kind}' needs its files: name archive.troposphere_dir")
    return Path(named).expanduser()


def toward(
    delays: Delays, grid: Grid, geometry: Mapping[str, NDArray[np.float32]], empty: Empty, where: str
) -> dict[str, NDArray[np.float32]]:
    """Apparent displacement of the delay of every acquisition, by ISO date, (y, x) m toward the satellite.

    Parameters
    ----------
    delays
        of `fetch`
    grid
        the track's lattice, any CRS
    geometry
        los_up, and height unless the source has its own, (y, x)
    empty
        maker of arrays of zeros

    Returns
    -------
    displacement
        minus the zenith delay divided by los_up; NaN where there is no line of sight or height

    Raises
    ------
    SlipscanError
        no line of sight or height; the delays do not cover the pixels
    """
    needed = ["los_up", "height"] if delays.needs_height else ["los_up"]
    missing = [name for name in needed if name not in geometry]
    if missing:
        remedy = "name a DEM in archive.dem" if missing[0] == "height" else "choose an archive that tells it"
        raise SlipscanError(
            f"archive.corrections.troposphere '{delays.kind}' needs the {missing[0]} of {where}, which its granules do"
            f" not tell: {remedy}, or set it to 'none'"
        )
    up = geometry["los_up"]
    height = geometry["height"] if delays.needs_height else np.zeros((), np.float32)
    known = np.isfinite(up) & np.isfinite(height)
    if not known.all():
        log.info("%s: %.1f %% of the pixels have no line of sight or height", where, 100 * (1 - known.mean()))
    lon, lat = (empty(grid.shape, np.float64) for _ in range(2))
    for rows in _blocks(grid):
        lon[rows], lat[rows] = to_lonlat(*np.meshgrid(grid.x, grid.y[rows]), grid.crs)
        lon[rows] = near(lon[rows], float(lon[0, 0]))
    out = {}
    for date, moment in progress(delays.moments.items(), "interpolate tropospheric delays"):
        cube = delays.zenith(moment)
        _check_cover(cube, lon, lat, f"the {delays.kind} delay of {date}", where)
        values = empty(grid.shape, np.float32)
        for rows in _blocks(grid):
            at = height[rows] if delays.needs_height else height
            values[rows] = -at_pixels(cube, lon[rows], lat[rows], at) / up[rows]
        if not np.isfinite(values[known]).all():
            raise SlipscanError(
                f"the {delays.kind} delay of {date} has gaps within {where}: fetch it again, or leave the date out"
            )
        out[date] = values
    return out


def _blocks(grid: Grid) -> list[slice]:
    return [slice(start, min(start + ROWS, len(grid.y))) for start in range(0, len(grid.y), ROWS)]


def _check_cover(cube: Cube, lon: Array, lat: Array, what: str, where: str) -> None:
    """Refuse nodes that end more than half a step before the pixels do."""
    for nodes, at in ((near(cube.longitude, float(lon[0, 0])), lon), (cube.latitude, lat)):
        half = abs(float(nodes[1] - nodes[0])) / 2 if len(nodes) > 1 else 0.0
        low, high, begin, end = float(at.min()), float(at.max()), float(nodes.min()), float(nodes.max())
        if low < begin - half or high > end + half:
            raise SlipscanError(
                f"{what} ends at {begin:.3f} and {end:.3f} degrees, {where} reaches from {low:.3f} to {high:.3f}: get"
                " one of a larger area"
            )


def at_pixels(cube: Cube, lon: Array, lat: Array, height: Array) -> Array:
    """Interpolate linearly to pixels: longitude, latitude (degrees) and height (m) that broadcast.

    Beyond the outermost nodes the value there is taken. NaN where a height is NaN, or a node that counts.
    """
    from scipy.ndimage import map_coordinates

    values, indices = np.asarray(cube.values, float), []
    # On one side of 180 degrees, whichever it is.
    longitude, lon = (near(places, float(np.ravel(lon)[0])) for places in (cube.longitude, lon))
    for axis, (nodes, at) in enumerate(((cube.height, height), (cube.latitude, lat), (longitude, lon))):
        order = np.argsort(nodes)
        values = np.take(values, order, axis=axis)
        indices.append(np.interp(at, np.asarray(nodes, float)[order], np.arange(len(order))))
    places = np.stack(np.broadcast_arrays(*indices))
    known = np.isfinite(places).all(axis=0)
    found = map_coordinates(values, np.nan_to_num(places).reshape(3, -1), order=1, mode="nearest")
    return np.where(known, found.reshape(known.shape), np.nan)
