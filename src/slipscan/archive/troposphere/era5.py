"""Zenith delays by integration of ERA5 on pressure levels, in a directory of files of the Copernicus CDS.

ERA5_YYYYMMDD_HH.nc, HH the full hour (UTC) nearest to the acquisition: geopotential z, temperature t and specific
humidity q ('reanalysis-era5-pressure-levels', all levels, NetCDF, an area around the region). Heights are above the
geoid; that the archives' are above the ellipsoid matters little, since both dates of an interferogram share it.

The delay at height h (Doin et al., 2009, J. Appl. Geophys. 69; Jolivet et al., 2011, GRL 38, L17311), with P in Pa:

    1e-6 [ k1 Rd / gm P(h) + integral from h upward of ((k2 - k1 Rd / Rv) e / T + k3 e / T^2) dz ]

k1, k2, k3 are those of Smith and Weintraub (1953), gm is the mean gravity of the air above h by Davis et al. (1985).
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from slipscan.archive.extent import Bounds, nodes_around
from slipscan.archive.granules import Received
from slipscan.archive.job import Job
from slipscan.archive.names import listed
from slipscan.archive.reading.cubes import Cube
from slipscan.archive.troposphere.delays import Zenith, directory_of
from slipscan.errors import SlipscanError
from slipscan.geometry import Array
from slipscan.store import open_dataset

NEEDS_HEIGHT, OR_WITH_GRANULES = True, False
REMEDY = "fetch again"
K1, K2, K3 = 0.776, 0.716, 3.75e3
"""K/Pa, K/Pa, K2/Pa."""
RD, RV = 287.05, 461.495
"""Gas constants of dry air and of water vapour, J/(kg K)."""
GRAVITY, EARTH_M = 9.80665, 6.371e6
HEIGHTS = np.arange(-500.0, 9001.0, 50.0)
"""Nodes, m: between them the delay is linear to 0.01 mm."""
MARGIN_DEG = 0.5
"""Beyond the region's box: two nodes of ERA5."""
BOTTOM_PA, TOP_PA = 850e2, 200e2
"""Files must have a level below and above: nearly all vapour lies between."""
NO_VAPOUR = 1e-25
"""Refractivity of vapour that stands for none, so that it has a logarithm."""
NAMES = {
    "level": ("pressure_level", "level", "isobaricInhPa", "plev"),
    "time": ("valid_time", "time"),
    "z": ("z", "geopotential"),
    "t": ("t", "temperature"),
    "q": ("q", "specific_humidity"),
}


def file_name(moment: datetime.datetime) -> str:
    """The file of an acquisition: that of the nearest full hour."""
    return f"ERA5_{nearest_hour(moment):%Y%m%d_%H}.nc"


def nearest_hour(moment: datetime.datetime) -> datetime.datetime:
    """The full hour nearest to a moment, on the next day where it is."""
    return (moment + datetime.timedelta(minutes=30)).replace(minute=0, second=0, microsecond=0)


def open_delays(moments: Sequence[datetime.datetime], job: Job) -> tuple[Zenith, list[Received]]:
    """Find the files of some acquisitions; raises SlipscanError where one is missing, with what to request.

    Returns
    -------
    zenith, received
        the delay of an acquisition around the region; the files
    """
    directory, bounds = directory_of(job), job.bounds
    names = sorted({file_name(moment) for moment in moments})
    missing = [name for name in names if not (directory / name).is_file()]
    if missing:
        west, south, east, north = bounds
        area = f"{north + MARGIN_DEG:.2f}/{west - MARGIN_DEG:.2f}/{south - MARGIN_DEG:.2f}/{east + MARGIN_DEG:.2f}"
        raise SlipscanError(
            f"{directory} has no {listed(missing)} (day and hour, UTC): request"
            " reanalysis-era5-pressure-levels of the Copernicus CDS, variables geopotential, temperature and"
            f" specific_humidity, all pressure levels, area {area} (north/west/south/east), format NetCDF, a file each"
        )
    received = [Received.of(directory / name) for name in names]
    return lambda moment: read(directory / file_name(moment), nearest_hour(moment), bounds), received


def read(path: Path, hour: datetime.datetime, bounds: Bounds) -> Cube:
    """Read a file and integrate it around a box (degrees).

    Raises
    ------
    SlipscanError
        unreadable, a variable or level is missing, of another hour, or it does not cover the box
    """
    with open_dataset(path) as dataset:
        found = {key: next((name for name in names if name in dataset), None) for key, names in NAMES.items()}
        lacking = [key for key, name in found.items() if name is None]
        if lacking or not {"latitude", "longitude"} <= set(dataset.variables):
            raise SlipscanError(
                f"{path} has no {(lacking or ['latitude, longitude'])[0]}: it is no ERA5 file on levels"
            )
        level, time = str(found["level"]), str(found["time"])
        dataset = _of_hour(dataset, time, hour, path)
        latitude, longitude = (np.asarray(dataset[name].values, float) for name in ("latitude", "longitude"))
        longitude = (longitude + 180) % 360 - 180
        rows, columns = nodes_around(latitude, longitude, bounds, MARGIN_DEG)
        pressure = np.atleast_1d(np.asarray(dataset[level].values, float)) * 100  # hPa
        if min(len(rows), len(columns)) < 2 or pressure.max() < BOTTOM_PA or pressure.min() > TOP_PA:
            raise SlipscanError(
                f"{path} has {len(rows)} x {len(columns)} nodes in the region and levels from"
                f" {pressure.max() / 100:g} to {pressure.min() / 100:g} hPa: request all levels and a larger area"
            )
        part = dataset.isel(latitude=rows, longitude=columns)
        z, t, q = (
            np.asarray(part[str(found[key])].transpose(level, "latitude", "longitude").values, float) for key in "ztq"
        )
    values = zenith_delay(pressure, z, t, q, latitude[rows], HEIGHTS)
    return Cube(values, HEIGHTS, latitude[rows], longitude[columns])


def _of_hour(dataset: xr.Dataset, time: str, hour: datetime.datetime, path: Path) -> xr.Dataset:
    """Take the hour out of a file, and drop other axes of one element; raises SlipscanError where it has another."""
    times = np.atleast_1d(dataset[time].values)
    wanted = np.datetime64(hour.replace(tzinfo=None))
    if wanted not in times:
        raise SlipscanError(f"{path} is of {str(times[0])[:16]}, not of {str(wanted)[:16]} UTC: name files as they are")
    selection: dict[Any, Any] = {time: int(np.flatnonzero(times == wanted)[0])} if time in dataset.dims else {}
    axes = {"latitude", "longitude", *NAMES["level"], *NAMES["time"]}
    single = {dim: 0 for dim, size in dataset.sizes.items() if size == 1 and dim not in axes}
    return dataset.isel({**selection, **single})


def zenith_delay(pressure: Array, z: Array, t: Array, q: Array, latitude: Array, heights: Array) -> Array:
    """Integrate the refractivity of the air above heights.

    Parameters
    ----------
    pressure
        (level,) Pa, in any order
    z, t, q
        (level, latitude, longitude) geopotential m2/s2, temperature K, specific humidity kg/kg
    latitude
        (latitude,) degrees
    heights
        (height,) m, ascending; below the lowest level pressure goes on as between the lowest two

    Returns
    -------
    delay
        (height, latitude, longitude) m, one way

    Notes
    -----
    Between levels the logarithms of pressure and of the vapour's refractivity are linear in height.
    """
    order = np.argsort(pressure)[::-1]
    pressure, z, t, q = pressure[order], z[order], t[order], np.maximum(q[order], 0)
    potential = z / GRAVITY
    levels = EARTH_M * potential / (EARTH_M - potential)
    ratio = RD / RV
    vapour = pressure[:, None, None] * q / (ratio + (1 - ratio) * q)
    wet = np.maximum((K2 - K1 * ratio) * vapour / t + K3 * vapour / t**2, NO_VAPOUR)
    out = np.empty((len(heights), *z.shape[1:]))
    for row, column in np.ndindex(*z.shape[1:]):
        at = levels[:, row, column]
        gravity = 9.784 * (1 - 0.0026 * np.cos(2 * np.deg2rad(latitude[row])) - 2.8e-7 * heights)
        hydrostatic = K1 * RD / gravity * np.exp(_line(heights, at, np.log(pressure)))
        out[:, row, column] = 1e-6 * (hydrostatic + _above(heights, at, wet[:, row, column]))
    return out


def _line(x: Array, nodes: Array, values: Array) -> Array:
    """Linear interpolation; before the first node the line goes on."""
    before = values[0] + (x - nodes[0]) * (values[1] - values[0]) / (nodes[1] - nodes[0])
    return np.where(x < nodes[0], before, np.interp(x, nodes, values))


def _above(heights: Array, levels: Array, wet: Array) -> Array:
    """Integral of a refractivity from heights to the highest level, exact where it is exponential between levels."""
    nodes = np.union1d(heights, levels)
    nodes = nodes[nodes <= levels[-1]]
    value = np.exp(np.interp(nodes, levels, np.log(wet)))
    low, high, step = value[:-1], value[1:], np.diff(nodes)
    difference = np.log(low / high)
    flat = np.abs(difference) < 1e-6
    part = np.where(flat, (low + high) / 2, (low - high) / np.where(flat, 1, difference)) * step
    integral = np.append(np.cumsum(part[::-1])[::-1], 0.0)
    return np.interp(heights, nodes, integral)
