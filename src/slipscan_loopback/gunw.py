"""ARIA-S1-GUNW v3 files (internal version 1c) of a true scene, and their granules.

Layout, names, nodata values and signs are those of the code that makes the real ones (ACCESS-Cloud-Based-InSAR/
DockerizedTopsApp: nc_packaging_template_gunw.json, makeGeocube.py, solid_earth_tides.py, ionosphere.py) and that reads
them (ARIA-tools, product.py):

- the reference is the NEWER date; unwrappedPhase, tides and ionosphere are in rad, positive toward the satellite;
- incidenceAngle is in degrees from the vertical; azimuthAngle is the direction from the GROUND TO THE SATELLITE, in
  degrees from EAST, counter-clockwise (atan2(north, east)): e = sin i cos a, n = sin i sin a, u = cos i;
- the solid Earth tide of each date lies in corrections/external/tides/solidEarth/{reference,secondary}: to be removed
  is reference minus secondary;
- frames of a track overlap, and the phase of each has a multiple of 2 pi of its own (no other constant).
"""

from __future__ import annotations

import datetime
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from slipscan.atomic import written_beside
from slipscan.geometry import Grid
from slipscan.outputs import OWN
from slipscan_loopback.gunw_layers import (
    STEP,
    baseline,
    cube_axes,
    write_bounding_box,
    write_data,
    write_geometry,
    write_ionosphere,
    write_radar,
    write_tide,
)
from slipscan_loopback.scene import TrueScene
from slipscan_loopback.umm import PRODUCED, DataFile, Granule, orbit_number, slc_name

FIRST_FRAME = 5289


@dataclass(frozen=True)
class Frame:
    """A frame of the track: its number, its cells, and by how many seconds it is later than the first."""

    number: int
    grid: Grid
    seconds: int


def frames(scene: TrueScene, count: int = 1, overlap: float = 0.2) -> list[Frame]:
    """Cut a scene into frames along the track, from south to north.

    Neighbours share `overlap` of the scene's rows divided by their number less one.
    """
    grid = scene.geographic_grid(STEP)
    rows = len(grid.y)
    shared = math.ceil(overlap * rows / max(count - 1, 1)) if count > 1 else 0
    length = math.ceil((rows + (count - 1) * shared) / count)
    cut = []
    for index in range(count):
        stop = max(rows - index * (length - shared), length)  # rows are counted from the north
        part = Grid(grid.x, grid.y[stop - length : stop], grid.crs)
        later = index if scene.orbit_direction == "ascending" else count - 1 - index
        cut.append(Frame(FIRST_FRAME + index, part, 25 * later))
    return cut


def file_name(
    scene: TrueScene, older: datetime.date, newer: datetime.date, frame: Frame, version: str = "3.0.1"
) -> str:
    """The product's file name: the newer date first, the time and place of the frame, a hash of its inputs."""
    time = scene.time(newer) + datetime.timedelta(seconds=frame.seconds)
    lon, lat = round(float(frame.grid.x.min())), round(float(frame.grid.y.min()))
    place = f"{abs(lon):05d}{'E' if lon > 0 else 'W'}_{abs(lat):05d}{'N' if lat >= 0 else 'S'}"
    digest = hashlib.md5(f"{frame.number}{older}{newer}".encode()).hexdigest()[:4]
    return (
        f"S1-GUNW-{scene.orbit_direction[0].upper()}-R-{scene.relative_orbit:03d}-tops-{newer:%Y%m%d}_{older:%Y%m%d}"
        f"-{time:%H%M%S}-{place}-PP-{digest}-v{version.replace('.', '_')}.nc"
    )


def write(
    path: Path, scene: TrueScene, older: datetime.date, newer: datetime.date, frame: Frame, cycles: int = 0
) -> None:
    """Write one product.

    Parameters
    ----------
    path
        the NetCDF-4 file; see `file_name`
    older, newer
        the secondary and the reference date
    frame
        one of `frames`
    cycles
        multiple of 2 pi that the whole frame's phase has too much
    """
    import netCDF4

    with written_beside(path, OWN) as beside, netCDF4.Dataset(beside, "w", format="NETCDF4") as file:
        file.setncatts(
            {
                "product_type": "UNW GEO IFG",
                "Conventions": "CF-1.6",
                "title": "ARIA standard product UNW GEO IFG",
                "version": "1c",
                "institution": "slipscan loopback archive (synthetic)",
            }
        )
        file.createDimension("matchup", None)
        write_bounding_box(file, frame.grid)
        write_data(file.createGroup("science/grids/data"), scene, older, newer, frame.grid, cycles)
        cube = cube_axes(frame.grid)
        write_geometry(file.createGroup("science/grids/imagingGeometry"), scene, older, newer, cube)
        corrections = file.createGroup("science/grids/corrections")
        write_ionosphere(corrections.createGroup("derived/ionosphere"), scene, older, newer, frame.grid)
        for name, date in (("reference", newer), ("secondary", older)):
            write_tide(corrections.createGroup(f"external/tides/solidEarth/{name}"), scene, date, cube)
        write_radar(file.createGroup("science/radarMetaData"), scene)


def granule(
    scene: TrueScene,
    older: datetime.date,
    newer: datetime.date,
    frame: Frame,
    file: DataFile,
    version: str = "3.0.1",
    produced: datetime.datetime = PRODUCED,
) -> Granule:
    """Describe a product for the catalogue.

    As in the real one, begin and end are those of the NEWER acquisition, and the direction is in lower case.
    """
    begin = scene.time(newer) + datetime.timedelta(seconds=frame.seconds - 26)
    west, south, east, north = frame.grid.x.min(), frame.grid.y.min(), frame.grid.x.max(), frame.grid.y.max()
    corners = ((west, south), (east, south), (east, north), (west, north), (west, south))
    name = file.name.removesuffix(".nc")
    return Granule(
        name,
        "ARIA_S1_GUNW",
        begin,
        begin + datetime.timedelta(seconds=52),
        tuple((float(lon), float(lat)) for lon, lat in corners),
        {
            "ASCENDING_DESCENDING": scene.orbit_direction,
            "BEAM_MODE": "IW",
            "POLARIZATION": "VV",
            "PERPENDICULAR_BASELINE": f"{baseline(scene, older, newer):.4f}",
            "VERSION": version,
            "FRAME_NUMBER": str(frame.number),
            "PATH_NUMBER": str(scene.relative_orbit),
            "TEMPORAL_BASELINE_DAYS": str((newer - older).days),
            "WEATHER_MODEL": "NONE",
        },
        files=(file, DataFile(f"{name}.png", 519881, "198362a1ce9685adc675ab3bb4dc5f07")),
        orbits=(orbit_number(scene, newer), orbit_number(scene, older)),
        input_granules=(slc_name(scene, newer), slc_name(scene, older)),
        produced=produced,
    )


def publish(
    scene: TrueScene,
    directory: Path,
    pairs: Sequence[tuple[datetime.date, datetime.date]] | None = None,
    frame_count: int = 1,
    cycles: bool = True,
    version: str = "3.0.1",
) -> tuple[list[Granule], dict[str, Path]]:
    """Write the products of pairs (older, newer; default: scene.pairs()), and describe them.

    Parameters
    ----------
    cycles
        whether frames have multiples of 2 pi, -2 to 2, of their own

    Returns
    -------
    granules, and path of every file by name (as `cmr.register` takes them)
    """
    granules, files = [], {}
    for older, newer in scene.pairs() if pairs is None else pairs:
        for frame in frames(scene, frame_count):
            path = directory / file_name(scene, older, newer, frame, version)
            draw = np.random.default_rng((scene.seed, frame.number, older.toordinal(), newer.toordinal()))
            write(path, scene, older, newer, frame, int(draw.integers(-2, 3)) if cycles else 0)
            files[path.name] = path
            granules.append(granule(scene, older, newer, frame, DataFile.of(path), version))
    return granules, files
