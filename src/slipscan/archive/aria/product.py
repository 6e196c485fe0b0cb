"""Reading of ARIA-S1-GUNW granules (version 3): the window of a region, displacement toward the satellite.

Facts (DockerizedTopsApp, which makes the product, and MintPy's prep_aria, which reads it): the reference is the NEWER
date and the phase is positive for motion toward the satellite; `ionosphere` has the sign of the phase;
`solidEarthTide` of an epoch is in radians, positive toward the satellite; `azimuthAngle` is that of the vector from
the ground to the satellite, counter-clockwise from east; `perpendicularBaseline` is secondary minus reference, here
older minus newer.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from pyproj import CRS

from slipscan.archive import versions
from slipscan.archive.extent import Bounds
from slipscan.archive.job import Job
from slipscan.archive.reading import hdf5
from slipscan.archive.reading.cubes import Cube, fill_nearest, plane_at
from slipscan.archive.reading.dem import heights_of
from slipscan.archive.reading.window import find_window
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid, check_los, write_grid
from slipscan.plausible import plausible
from slipscan.vocabulary import annotate

if TYPE_CHECKING:
    import h5py

log = logging.getLogger(__name__)

DATA = "/science/grids/data"
GEOMETRY = "/science/grids/imagingGeometry"
IONOSPHERE = "/science/grids/corrections/derived/ionosphere"
TIDES = ("/science/grids/corrections/external/tides/solidEarth", "/science/grids/corrections/derived/solidearthtides")
RADAR = "/science/radarMetaData"
WGS84 = CRS.from_epsg(4326)

Array = NDArray[np.floating]
Single = NDArray[np.float32]
NAME = re.compile(
    r"S1-GUNW-(?P<direction>[AD])-(?P<look>[RL])-(?P<track>\d{3})-tops\w*-(?P<newer>\d{8})_(?P<older>\d{8})"
    r"-(?P<time>\d{6})-(?P<place>\w+)-PP-(?P<hash>\w+)-v(?P<version>\d+(?:_\d+)*)(?P<layer>-\w+)?(?:\.nc)?"
)
"""The first date is the newer one, the reference of the phase. Before version 3 a layer was a granule of its own."""


def read_granule(row: pd.Series, files: Sequence[Path], job: Job, bounds: Bounds) -> xr.Dataset | None:
    """Read the part of a granule within `bounds` (degrees) as product 'granule'; None where it has none.

    Parameters
    ----------
    row
        of the manifest
    files
        the NetCDF file
    job
        its setting `dem` names a GeoTIFF of heights (m) at which the 3-D layers are interpolated, any CRS; a GUNW holds
        no heights of its own. None: at 0 m, and the crop has no height.

    Raises
    ------
    SlipscanError
        the file is truncated, lacks a variable, is of another wavelength, or has a line of sight that the track cannot
        have
    """
    if len(files) != 1:
        raise SlipscanError(f"the granule {row['granule']} came as {len(files)} files, not as one: fetch it again")
    dataset = read_window(
        files[0],
        bounds,
        job.track.radar_wavelength_m,
        job.track.orbit_direction,
        dates=(row["reference_date"], row["secondary_date"]),
        dem=Path(job.settings.dem) if job.settings.dem else None,
    )
    if dataset is None:
        return None
    return versions.described(dataset, row, NAME.fullmatch(files[0].name) or NAME.fullmatch(row["granule"]))


def read_window(
    path: Path,
    bounds: Bounds,
    radar_wavelength_m: float,
    orbit_direction: str,
    dates: tuple[str, str],
    dem: Path | None = None,
) -> xr.Dataset | None:
    """Read the window of a GUNW.

    Parameters
    ----------
    path
        the NetCDF file
    bounds
        west, south, east, north, degrees
    radar_wavelength_m, orbit_direction
        what the track says, to compare with
    dates
        older and newer date, ISO, to compare with
    dem
        GeoTIFF of heights, m; None: the 3-D layers are taken at 0 m

    Returns
    -------
    dataset
        product 'granule': interferogram (m toward, older to newer date), coherence, component, los_east, los_north,
        los_up; tide and ionosphere where the file has them; height where there is a DEM. None without valid pixel.

    Raises
    ------
    SlipscanError
        truncated, a variable is missing, another wavelength, other dates, an impossible line of sight
    """
    with hdf5.opened(path) as file:
        lon, lat = (hdf5.array(file, f"{DATA}/{name}") for name in ("longitude", "latitude"))
        window = find_window(lon, lat, bounds, WGS84)
        if window is None:
            return None
        wavelength = hdf5.check_wavelength(file, f"{RADAR}/wavelength", radar_wavelength_m)
        _check_dates(file, dates)
        metres = wavelength / (4 * math.pi)
        phase = window.read(hdf5.variable(file, f"{DATA}/unwrappedPhase"))
        phase[phase == 0] = np.nan
        plausible(phase, "phase", f"{path} (unwrappedPhase)")
        valid = np.isfinite(phase)
        if not valid.any():
            return None
        grid = window.grid
        height = None if dem is None else heights_of(dem, grid)
        layers: dict[str, NDArray[np.generic]] = {
            "interferogram": phase * np.float32(metres),
            "coherence": np.where(
                valid,
                plausible(window.read(hdf5.variable(file, f"{DATA}/coherence")), "coherence", f"{path} (coherence)"),
                np.float32(np.nan),
            ),
            "component": _component(window.read(hdf5.variable(file, f"{DATA}/connectedComponents")), valid),
            **_line_of_sight(file, grid, height, orbit_direction),
        }
        corrections = {"tide": _tide(file, grid, height), "ionosphere": _ionosphere(file, grid)}
        layers |= {
            name: plausible(part * np.float32(metres), name, f"{path} ({name})")
            for name, part in corrections.items()
            if part is not None
        }
        if height is not None:
            layers["height"] = height
        baseline = _baseline(file, grid)
    dataset = xr.Dataset({name: (("y", "x"), values) for name, values in layers.items()})
    attributes = {} if baseline is None else {"perpendicular_baseline_m": baseline}
    return annotate(write_grid(dataset, grid), "granule").assign_attrs(attributes)


def _check_dates(file: h5py.File, dates: tuple[str, str]) -> None:
    """Refuse a file whose reference acquisition is not the newer date: its phase would have another sign."""
    for role, expected in (("reference", dates[1]), ("secondary", dates[0])):
        name = f"{RADAR}/inputSLC/{role}/L1InputGranules"
        if name not in file:
            continue
        scenes = [value.decode() if isinstance(value, bytes) else str(value) for value in file[name][()].reshape(-1)]
        found = sorted({match[1] for scene in scenes if (match := re.match(r"S1._\w\w_SLC_\w+?_(\d{8})T", scene))})
        # A pass around midnight has two dates.
        if found and expected.replace("-", "") not in found:
            raise SlipscanError(
                f"{file.filename} has its {role} acquisition on {' and '.join(found)}, by its name it is {expected}: it"
                " is another granule, or the newer date is not its reference; fetch it again"
            )


def _component(labels: Single, valid: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Connected components from 1, 0 = none; the file has -1 for no data."""
    known = np.where(valid & np.isfinite(labels) & (labels > 0), labels, 0)
    return known.astype(np.int16)


def _cube(file: h5py.File, name: str, axes: tuple[str, str, str], nodata: tuple[float, ...]) -> Cube:
    """Read a (height, latitude, longitude) layer, which is small: nodes every 0.1 degrees."""
    values = hdf5.array(file, name, fill=False)
    if values.ndim != 3:
        raise SlipscanError(f"{file.filename} has {name} with {values.ndim} dimensions, not 3: fetch it again")
    values[np.isin(values, nodata)] = np.nan
    if not np.isfinite(values).any():
        raise SlipscanError(f"{file.filename} has no valid value in {name}: fetch it again")
    height, latitude, longitude = (hdf5.array(file, axis) for axis in axes)
    return Cube(fill_nearest(values), height, latitude, longitude)


def _geometry_cube(file: h5py.File, name: str, nodata: tuple[float, ...] = (0.0, -9999.0)) -> Cube:
    axes = (f"{GEOMETRY}/heightsMeta", f"{GEOMETRY}/latitudeMeta", f"{GEOMETRY}/longitudeMeta")
    return _cube(file, f"{GEOMETRY}/{name}", axes, nodata)


def _line_of_sight(file: h5py.File, grid: Grid, height: Single | None, orbit_direction: str) -> dict[str, Single]:
    """Unit vector ground to satellite, (y, x) each; raises SlipscanError for one that the track cannot have."""
    incidence = np.deg2rad(_geometry_cube(file, "incidenceAngle").at(grid, height))
    azimuth = _geometry_cube(file, "azimuthAngle")
    # The angle itself may jump by 360 degrees between nodes, its sine and cosine do not.
    turned = np.deg2rad(azimuth.values)
    north, east = (azimuth.replaced(part).at(grid, height) for part in (np.sin(turned), np.cos(turned)))
    length = np.hypot(north, east)
    parts = (np.sin(incidence) * east / length, np.sin(incidence) * north / length, np.cos(incidence))
    check_los(*parts, orbit_direction, file.filename)
    names = ("los_east", "los_north", "los_up")
    return {name: np.asarray(part, np.float32) for name, part in zip(names, parts, strict=True)}


def _tide(file: h5py.File, grid: Grid, height: Single | None) -> Single | None:
    """Solid Earth tide in the phase: newer minus older date, rad; None where the file has none."""
    for group in TIDES:
        if f"{group}/reference/solidEarthTide" in file and f"{group}/secondary/solidEarthTide" in file:
            newer, older = (_tide_cube(file, f"{group}/{role}") for role in ("reference", "secondary"))
            return np.asarray(newer.at(grid, height) - older.at(grid, height), np.float32)
    log.info("%s has no solid Earth tide", Path(file.filename).name)
    return None


def _tide_cube(file: h5py.File, group: str) -> Cube:
    axes = (f"{group}/height", f"{group}/latitude", f"{group}/longitude")
    # The file calls 0 'no data', but a tide may be 0 and every node has one.
    return _cube(file, f"{group}/solidEarthTide", axes, nodata=())


def _ionosphere(file: h5py.File, grid: Grid) -> Single | None:
    """Ionospheric phase, rad, from its grid of about 1 km, the nearest value beyond its edge; None where none is."""
    if f"{IONOSPHERE}/ionosphere" not in file:
        log.info("%s has no ionosphere", Path(file.filename).name)
        return None
    values = hdf5.array(file, f"{IONOSPHERE}/ionosphere", fill=False)
    latitude, longitude = (hdf5.array(file, f"{IONOSPHERE}/{name}") for name in ("latitude", "longitude"))
    if values.ndim != 2 or not np.isfinite(values).any():
        log.info("%s has no valid ionosphere", Path(file.filename).name)
        return None
    return np.asarray(plane_at(fill_nearest(values), latitude, longitude, grid), np.float32)


def _baseline(file: h5py.File, grid: Grid) -> float | None:
    """Perpendicular baseline from the older to the newer date in the middle of the window at 0 m, m."""
    if f"{GEOMETRY}/perpendicularBaseline" not in file:
        return None
    middle = Grid(grid.x[[len(grid.x) // 2]], grid.y[[len(grid.y) // 2]], grid.crs)
    return -float(_geometry_cube(file, "perpendicularBaseline", nodata=(-9999.0,)).at(middle, None)[0, 0])
