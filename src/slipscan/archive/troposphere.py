"""Tropospheric delay of every acquisition: the zenith delay at the pixels of a track, along its line of sight, once.

A delay makes the path longer, which looks like motion away. Of an interferogram from an older to a newer date in
metres toward the satellite, -(zenith_newer - zenith_older) / u is troposphere; u is the up component of the line of
sight, the cosine of the incidence angle. This mapping is that of GACOS, of OPERA's own tools (opera-utils, tropo) and
of Doin et al. (2009).
"""

from __future__ import annotations

import datetime
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from slipscan.archive import troposphere_era5, troposphere_gacos, troposphere_opera
from slipscan.archive.cubes import Cube
from slipscan.archive.granules import Received
from slipscan.errors import SlipscanError
from slipscan.geometry import Array, Grid, to_lonlat
from slipscan.outofcore import Empty
from slipscan.progress import progress
from slipscan.regions import Region, Track
from slipscan.settings import ArchiveSettings

log = logging.getLogger(__name__)

Crops = Sequence[tuple[pd.Series, xr.Dataset]]
DATES = ("reference_date", "secondary_date")
AS_DELIVERED = "corrections_as_delivered"
"""Attribute of a crop or of a series: names of what was taken out before slipscan got it."""
TROPOSPHERIC = {"troposphere", "opera_tropo", "gacos", "era5", "merra", "narr", "hrrr", "hres", "trophgt"}
"""Such names, in lower case, that mean the troposphere (MintPy's suffixes among them)."""
LAYER_KIND = "troposphere"
"""Attribute of a crop that brings the layer 'troposphere': of which kind it is."""
ROWS = 512
"""Rows that are interpolated at once."""
INCLINATION_DEG = 98.18
NODE_HOUR = 18.0
"""Sentinel-1 crosses the equator northward at 18:00 mean local solar time."""


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
    zenith: Callable[[datetime.datetime], Cube]
    received: tuple[Received, ...] = ()
    needs_height: bool = True

    def record(self) -> dict[str, Any]:
        """What the attribute `corrections` says: kind, time of day, and the epochs that were corrected."""
        first = next(iter(self.moments.values()))
        return {"kind": self.kind, "acquisition_time": f"{first:%H:%M:%S}", "epochs": sorted(self.moments)}


def settled(crops: Crops, kind: str, where: str) -> str | None:
    """Say whether the granules themselves settle the correction, so that none is to be made from outside.

    Returns
    -------
    how
        'delivered': the troposphere is out of all of them already; 'layer': all bring the delay of this kind; None

    Raises
    ------
    SlipscanError
        it is out of some of them only
    """
    already = [row["granule"] for row, data in crops if is_corrected(data)]
    if already and len(already) < len(crops):
        raise SlipscanError(
            f"the troposphere is out of {len(already)} of {len(crops)} granules of {where} as delivered (the first:"
            f" {already[0]}), and of the others not: their triplets would not close; keep one product version"
        )
    if already:
        log.info("%s: the troposphere is out of all granules as delivered, and is not taken out again", where)
        return "delivered"
    if kind != "none" and all(
        "troposphere" in data and data.attrs.get(LAYER_KIND, "gacos") == kind for _, data in crops
    ):
        return "layer"
    return None


def is_corrected(data: xr.Dataset) -> bool:
    """Whether a dataset says that the troposphere was taken out before slipscan got it."""
    names = data.attrs.get(AS_DELIVERED, ())
    names = names.split() if isinstance(names, str) else names
    return any(str(name).lower() in TROPOSPHERIC for name in names)


def dates_of(crops: Crops) -> list[str]:
    """The ISO dates of all acquisitions, sorted."""
    return sorted({str(row[name]) for row, _ in crops for name in DATES})


def fetch(
    crops: Crops, region: Region, track: Track, settings: ArchiveSettings, cache_dir: Path
) -> Delays | None:
    """Make the zenith delays of the crops' acquisitions present.

    Returns
    -------
    delays
        None where none is asked for, or the granules settle it themselves (`settled`)

    Raises
    ------
    SlipscanError
        the delay of an acquisition is missing: the dates, and what to do
    """
    kind, where = settings.corrections.troposphere, f"region {region.id} track {track.id}"
    if kind == "none" or not crops or settled(crops, kind, where) is not None:
        return None
    if kind == "gacos" and settings.troposphere_dir is None:
        raise SlipscanError(no_delays(crops, kind, where))
    times = [str(data.attrs["acquisition_time"]) for _, data in crops if data.attrs.get("acquisition_time")]
    return of_dates(dates_of(crops), times, region, track, settings, cache_dir)


def no_delays(crops: Crops, kind: str, where: str) -> str:
    """The sentence for granules without the delays of a kind."""
    without = [(row, data) for row, data in crops if "troposphere" not in data]
    remedies = {"gacos": "order the zenith delays of all dates at gacos.net and name their directory in"
                " archive.troposphere_dir"}  # fmt: skip
    return (
        f"{len(without)} of {len(crops)} granules of {where} have no tropospheric delay of kind '{kind}' (dates"
        f" {listed(dates_of(without))}): {remedies.get(kind, 'fetch again')}, or set archive.corrections.troposphere to"
        " another kind"
    )


def of_dates(
    dates: Sequence[str],
    times: Sequence[str],
    region: Region,
    track: Track,
    settings: ArchiveSettings,
    cache_dir: Path,
) -> Delays:
    """Make the zenith delays of some dates present, from the source that the settings name.

    Parameters
    ----------
    dates
        ISO dates
    times
        times of day of acquisitions, HH:MM:SS UTC; none: that of the orbit is taken, good to half an hour

    Raises
    ------
    SlipscanError
        a delay is missing, or no directory is named
    """
    kind = settings.corrections.troposphere
    time = time_of_day(times)
    if time is None:
        time = nominal_time(*region.reference_point, track.orbit_direction)
        log.warning(
            "%s %s: no granule tells its time of day, %s UTC is taken from the orbit", region.id, track.id, time
        )
    moments = {
        date: datetime.datetime.combine(datetime.date.fromisoformat(date), time, datetime.UTC) for date in sorted(dates)
    }
    if kind == "opera_tropo":
        zenith, received = troposphere_opera.fetch(list(moments.values()), region, settings, cache_dir)
        return Delays(kind, moments, zenith, tuple(received))
    if settings.troposphere_dir is None:
        raise SlipscanError(f"archive.corrections.troposphere '{kind}' needs its files: name archive.troposphere_dir")
    directory = Path(settings.troposphere_dir).expanduser()
    source = troposphere_gacos if kind == "gacos" else troposphere_era5
    zenith, received = source.open_directory(directory, list(moments.values()), region)
    return Delays(kind, moments, zenith, tuple(received), needs_height=kind != "gacos")


def listed(names: Sequence[str], most: int = 5) -> str:
    """Write names, the first few where they are many."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def time_of_day(times: Sequence[str]) -> datetime.time | None:
    """The mean of times of day (HH:MM:SS), also around midnight, to the second; None of none."""
    if not times:
        return None
    seconds = [sum(int(part) * unit for part, unit in zip(text.split(":"), (3600, 60, 1), strict=True)) for text in times]
    angles = 2 * np.pi * np.asarray(seconds) / 86400
    mean = math.atan2(float(np.sin(angles).mean()), float(np.cos(angles).mean()))
    return _time(round(mean / (2 * math.pi) * 86400))


def nominal_time(lon: float, lat: float, orbit_direction: str) -> datetime.time:
    """Time of day (UTC) at which Sentinel-1 passes over a place, by its sun-synchronous orbit, to half an hour."""
    drift = math.degrees(math.asin(max(-1.0, min(1.0, math.tan(math.radians(lat)) / _TAN)))) / 15
    local = NODE_HOUR + drift if orbit_direction == "ascending" else NODE_HOUR - 12 - drift
    return _time(round((local - lon / 15) * 3600))


_TAN = math.tan(math.radians(INCLINATION_DEG))


def _time(seconds: int) -> datetime.time:
    return (datetime.datetime.min + datetime.timedelta(seconds=seconds % 86400)).time()


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
    for nodes, at in ((cube.longitude, lon), (cube.latitude, lat)):
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
    for axis, (nodes, at) in enumerate(((cube.height, height), (cube.latitude, lat), (cube.longitude, lon))):
        order = np.argsort(nodes)
        values = np.take(values, order, axis=axis)
        indices.append(np.interp(at, np.asarray(nodes, float)[order], np.arange(len(order))))
    places = np.stack(np.broadcast_arrays(*indices))
    known = np.isfinite(places).all(axis=0)
    found = map_coordinates(values, np.nan_to_num(places), order=1, mode="nearest")
    return np.where(known, found, np.nan)


def correct(
    dataset: xr.Dataset,
    grid: Grid,
    region: Region,
    track: Track,
    settings: ArchiveSettings,
    cache_dir: Path,
    empty: Empty,
) -> tuple[dict[str, Any], list[Received]]:
    """Take the troposphere out of the user's own interferograms, in place, unless they say that it is out already.

    Parameters
    ----------
    dataset
        product 'interferograms', its arrays in memory

    Returns
    -------
    record, received
        what the attribute `corrections` says of the troposphere; the files of the delays

    Raises
    ------
    SlipscanError
        what `of_dates` and `toward` refuse
    """
    where = f"region {region.id} track {track.id}"
    pairs = [tuple(str(value)[:10] for value in pair) for pair in zip(*(dataset[n].values for n in DATES), strict=True)]
    if is_corrected(dataset):
        return {"kind": "delivered", "epochs": sorted({date for pair in pairs for date in pair})}, []
    delays = of_dates(sorted({date for pair in pairs for date in pair}), [], region, track, settings, cache_dir)
    geometry = {str(name): dataset[name].values for name in ("los_up", "height") if name in dataset}
    parts = toward(delays, grid, geometry, empty, where)
    values = dataset["interferogram"].values
    for index, (older, newer) in enumerate(pairs):
        values[index] -= parts[newer] - parts[older]
    dataset["interferogram"].values = values
    return delays.record(), list(delays.received)
