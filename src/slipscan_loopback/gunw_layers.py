"""What an ARIA-S1-GUNW file holds, group by group (written by `gunw`)."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from slipscan.geometry import Array, Grid
from slipscan_loopback.scene import TrueScene

STEP = 1 / 1200
"""3 arcseconds, degrees."""
IONOSPHERE_STEP = 0.0091666666
HEIGHTS = (-1500.0, 0.0, 3000.0, 9000.0)
CUBE_STEP = 0.1
BORDER = 2
"""Pixels without data along every edge."""
CRS_ATTRIBUTES = {
    "grid_mapping_name": "latitude_longitude",
    "longitude_of_prime_meridian": 0.0,
    "semi_major_axis": 6378137.0,
    "inverse_flattening": 298.257223563,
}


def _variable(group: Any, name: str, values: Array, dimensions: Sequence[str], units: str, nodata: float) -> None:
    variable = group.createVariable(name, "f4", dimensions, fill_value=np.float32(nodata), zlib=True)
    variable.set_auto_mask(False)
    variable[:] = values
    variable.units = units


def _axes(group: Any, crs: str, **axes: Array) -> None:
    group.createVariable(crs, "i4").setncatts(CRS_ATTRIBUTES)
    for name, values in axes.items():
        group.createDimension(name, len(values))
        kind = next(kind for kind in ("longitude", "latitude", "height") if name.startswith(kind))
        units = {"longitude": "degrees_east", "latitude": "degrees_north", "height": "meter"}[kind]
        variable = group.createVariable(name, "f8", (name,))
        variable[:] = values
        variable.setncatts({"units": units, "standard_name": kind, "long_name": kind})


def write_data(
    group: Any, scene: TrueScene, older: datetime.date, newer: datetime.date, grid: Grid, cycles: int
) -> None:
    """Unwrapped phase (rad), coherence, components and amplitude; none along the edges."""
    lon, lat = np.meshgrid(grid.x, grid.y)
    phase = scene.interferogram(lon, lat, older, newer) * 4 * np.pi / scene.wavelength_m + 2 * np.pi * cycles
    phase = np.where(phase == 0, 1e-9, phase)  # an exact zero would be no data
    inside = np.zeros(grid.shape, bool)
    inside[BORDER:-BORDER, BORDER:-BORDER] = True
    _axes(group, "crs", latitude=grid.y, longitude=grid.x)
    layers = {
        "unwrappedPhase": (phase, "rad", 0),
        "coherence": (scene.coherence(lon, lat, older, newer), "unitless", 0),
        "connectedComponents": (scene.component(lon, lat), "unitless", -1),
        "amplitude": (1000 + 0 * lon, "watt", 0),
    }
    for name, (values, units, nodata) in layers.items():
        _variable(group, name, np.where(inside, values, nodata), ("latitude", "longitude"), units, nodata)
        group[name].grid_mapping = "crs"


def cube_axes(grid: Grid) -> tuple[Array, Array]:
    """Longitudes ascending, latitudes descending, multiples of 0.1 degrees with a margin of two or three."""

    def axis(values: Array) -> Array:
        first, last = int(values.min() / CUBE_STEP) - 2, int(values.max() / CUBE_STEP) + 3
        return np.arange(first, last + 1) * CUBE_STEP

    return axis(grid.x), axis(grid.y)[::-1]


def write_geometry(
    group: Any, scene: TrueScene, older: datetime.date, newer: datetime.date, cube: tuple[Array, Array]
) -> None:
    """Baselines and angles on a coarse cube of heights, latitudes and longitudes."""
    height, lat, lon = np.meshgrid(np.array(HEIGHTS), cube[1], cube[0], indexing="ij")
    incidence = scene.incidence(lon, lat, height)
    east, north, _ = scene.los(lon, lat, height)
    earth, orbit = 6371e3, 693e3
    across = np.full(lon.shape, baseline(scene, older, newer))
    _axes(group, "crsMeta", heightsMeta=np.array(HEIGHTS), latitudeMeta=cube[1], longitudeMeta=cube[0])
    layers = {
        "perpendicularBaseline": (across, "meter"),
        "parallelBaseline": (0.3 * across, "meter"),
        "incidenceAngle": (incidence, "degrees"),
        "lookAngle": (np.rad2deg(np.arcsin(earth / (earth + orbit) * np.sin(np.deg2rad(incidence)))), "degrees"),
        "azimuthAngle": (np.rad2deg(np.arctan2(north, east)), "degrees"),
    }
    for name, (values, units) in layers.items():
        _variable(group, name, values, ("heightsMeta", "latitudeMeta", "longitudeMeta"), units, 0)
        group[name].grid_mapping = "crsMeta"


def baseline(scene: TrueScene, older: datetime.date, newer: datetime.date) -> float:
    """Perpendicular baseline from the reference (newer) to the secondary (older) date, m."""
    return scene.perpendicular_baseline(older) - scene.perpendicular_baseline(newer)


def write_ionosphere(group: Any, scene: TrueScene, older: datetime.date, newer: datetime.date, grid: Grid) -> None:
    """About 1 km posting from the product's upper-left corner; NaN = no data (here: nowhere)."""
    corner_x, corner_y = grid.x[0] - STEP / 2, grid.y[0] + STEP / 2
    columns = np.arange(math.ceil(len(grid.x) * STEP / IONOSPHERE_STEP))
    rows = np.arange(math.ceil(len(grid.y) * STEP / IONOSPHERE_STEP))
    x, y = corner_x + (columns + 0.5) * IONOSPHERE_STEP, corner_y - (rows + 0.5) * IONOSPHERE_STEP
    lon, lat = np.meshgrid(x, y)
    delay = scene.ionosphere(lon, lat, newer) - scene.ionosphere(lon, lat, older)
    _axes(group, "crs", latitude=y, longitude=x)
    _variable(group, "ionosphere", delay * 4 * np.pi / scene.wavelength_m, ("latitude", "longitude"), "rad", math.nan)


def write_tide(group: Any, scene: TrueScene, date: datetime.date, cube: tuple[Array, Array]) -> None:
    """Solid Earth tide of one date on the cube, rad, positive toward the satellite."""
    _, lat, lon = np.meshgrid(np.array(HEIGHTS), cube[1], cube[0], indexing="ij")
    phase = scene.tide(lon, lat, date) * 4 * np.pi / scene.wavelength_m
    _axes(group, "spatial_ref", height=np.array(HEIGHTS), latitude=cube[1], longitude=cube[0])
    _variable(group, "solidEarthTide", phase, ("height", "latitude", "longitude"), "radians", 0)


def write_radar(group: Any, scene: TrueScene) -> None:
    """Mission, kind of product, wavelength."""
    for name, text in (("missionID", "Sentinel-1"), ("productType", "UNW GEO IFG"), ("unwrapMethod", "snaphu")):
        group.createVariable(name, str, ("matchup",))[0] = text
    for name, value in (("wavelength", scene.wavelength_m), ("centerFrequency", 299792458 / scene.wavelength_m)):
        group.createVariable(name, "f4")[...] = value


def write_bounding_box(file: Any, grid: Grid) -> None:
    """The product's outline as WKT, one character a cell as the real files have it."""
    west, south, east, north = grid.x.min(), grid.y.min(), grid.x.max(), grid.y.max()
    text = f"POLYGON (({west} {south},{east} {south},{east} {north},{west} {north},{west} {south}))"
    file.createDimension("wkt_length", len(text))
    file.createDimension("wkt_count", 1)
    file.createVariable("productBoundingBox", "S1", ("wkt_count", "wkt_length"))[0] = np.array(list(text), "S1")
