"""A ready series of FLATSIM (ForM@Ter, CNES): the cube DTs_geo, a GeoTIFF with a band per date.

Cumulated phase delay in radians, positive AWAY from the satellite, so displacement toward it = -wavelength / (4 pi) x
phase; every pixel is counted from the origin of a linear fit. Band names are dates (YYYY-MM-DD). CosENU points from the
satellite to the ground (bands east, north, up), CosNEU from the ground to the satellite (bands north, east, up).
Source: FLATSIM product description, pages DTs, CosENU, CosNEU; files are named CNES_DTs_geo_8rlks.tiff.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from slipscan.archive.job import Job
from slipscan.archive.local.ready import cube, days
from slipscan.archive.reading.bands import opened
from slipscan.archive.reading.layers import LOS, RADIANS
from slipscan.archive.reading.rasters import Raster, common_grid, read_header, read_on
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid

PHASE_SIGN = -1
"""Sign of the displacement toward the satellite of a positive phase."""
CUBE = re.compile(r"(?:^|.*_)DTs_geo(?:_.*)?\.tiff?$")
LOS_BANDS = {"CosENU": ((1, 2, 3), -1), "CosNEU": ((2, 1, 3), 1)}
"""Bands of east, north and up, and the factor that makes the vector point from the ground to the satellite."""
DATE_LISTS = ("list_images.txt", "list_dates.txt", "baseline.rsc")
"""Texts with a date (YYYYMMDD) a line, where the bands have no names."""


def main_file(path: Path) -> Path:
    """Return the cube: the file itself, or the only DTs_geo below a directory; raises SlipscanError."""
    if not path.is_dir():
        if not path.is_file():
            raise SlipscanError(f"there is no FLATSIM cube {path}: check the track's 'path'")
        if "DTs_radar" in path.name:
            raise SlipscanError(f"{path} is in radar coordinates: take the cube DTs_geo")
        return path
    found = sorted(file for file in path.rglob("*.tif*") if CUBE.match(file.name))
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(str(file.relative_to(path)) for file in found)
        raise SlipscanError(f"{path} holds several cubes ({names}): name one of them in the track's 'path'")
    radar = " (only DTs_radar, in radar coordinates)" if any(path.rglob("*DTs_radar*")) else ""
    raise SlipscanError(f"{path} holds no FLATSIM cube DTs_geo{radar}: check the track's 'path'")


def files(path: Path) -> list[Path]:
    """List the cube, the line of sight and the list of dates that is read, sorted; raises SlipscanError."""
    cube = main_file(path)
    los, dates = _los_file(path, cube), _date_list(cube)
    return sorted({cube, *([los[1]] if los else []), *([dates] if dates and _band_days(cube) is None else [])})


def manifest_rows(path: Path, as_of: str) -> list[dict[str, str]]:
    """Describe the cube as one manifest row: first epoch, last one up to `as_of`; raises SlipscanError."""
    file = main_file(path)
    header = _header(path, file)
    return days.rows_of_days(file, header.days, as_of)


def read_series(path: Path, job: Job, manifest: pd.DataFrame) -> xr.Dataset:
    """Read a FLATSIM cube up to the manifest's last date, cropped to the region, a band at a time.

    Returns
    -------
    dataset
        product 'stack' on the cube's own grid, metres toward the satellite since its first epoch; NaN where the file
        declares no data, or is 0 in every band

    Raises
    ------
    SlipscanError
        radar coordinates, no dates, a line of sight on another grid, a truncated file
    """
    file = main_file(path)
    header = _header(path, file)
    rows, columns = cube.window(header.grid, job)
    count = days.up_to(header.days, str(manifest.iloc[-1]["secondary_date"]))
    grid = cube.cut(header.grid, rows, columns)
    values = read_on(header.raster, grid, range(1, count + 1)).reshape(count, *grid.shape)
    if count > 1:
        empty = np.ones(grid.shape, bool)
        for layer in values:
            empty &= (layer == 0) | np.isnan(layer)
        values[:, empty] = np.nan
    values *= np.float32(PHASE_SIGN * job.track.radar_wavelength_m / (4 * math.pi))
    layers = {}
    if header.los is not None:
        bands, factor = LOS_BANDS[header.los[0]]
        layers = dict(zip(LOS, factor * read_on(header.los[1], grid, bands), strict=True))
    return cube.stack_of(values, layers, header.days[:count], grid, job.track, file)


@dataclass(frozen=True)
class Header:
    """What a cube and the line of sight beside it say of themselves, checked against each other.

    Attributes
    ----------
    raster, grid
        of the cube
    days
        (time,) epochs, ISO
    los
        kind (a key of LOS_BANDS) and header of the line of sight, or None
    """

    raster: Raster
    grid: Grid
    days: list[str]
    los: tuple[str, Raster] | None


def _header(path: Path, file: Path) -> Header:
    """Read the headers; everything that can be wrong with them is found before the data are read."""
    raster = read_header(file, single=False)
    if "complex" in raster.dtype:
        raise SlipscanError(f"{file} holds complex numbers ({raster.dtype}): take the cube DTs_geo of unwrapped phase")
    if raster.units not in RADIANS:
        raise SlipscanError(f"{file} has bands in '{raster.units}', but DTs are phase in radians: correct the tag")
    grid = common_grid([raster])
    epochs = days.in_order(_days(file, raster.count), file)
    found = _los_file(path, file)
    if found is None:
        return Header(raster, grid, epochs, None)
    kind, los = found[0], read_header(found[1], single=False)
    own = common_grid([los])
    same = own.shape == grid.shape and np.allclose(
        (own.x[0], own.y[0]), (grid.x[0], grid.y[0]), rtol=0, atol=0.1 * grid.spacing[0]
    )
    if not same:
        raise SlipscanError(
            f"{los.path} lies on another grid ({own.shape[0]} x {own.shape[1]} pixels) than the cube ({grid.shape[0]} x"
            f" {grid.shape[1]}): take the one with the same number of looks"
        )
    if los.count < 3:
        raise SlipscanError(f"{los.path} has {los.count} bands, not the 3 of a unit vector: fetch it again")
    return Header(raster, grid, epochs, (kind, los))


def _days(file: Path, bands: int) -> list[str]:
    """Epochs as ISO days, from the bands' names or else from a list beside the cube."""
    named = _band_days(file)
    if named is not None:
        return named
    listed = _date_list(file)
    if listed is None:
        raise SlipscanError(f"the bands of {file} have no dates: put {DATE_LISTS[0]} beside it (a date a line)")
    try:
        lines = listed.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SlipscanError(f"{listed} cannot be read as text ({error}): make it again") from error
    matches = [re.search(r"(?:^|\s)((?:19|20)\d{6})(?:\s|$)", line) for line in lines if line[:1] != "#"]
    found = [days.iso_day(match[1], listed) for match in matches if match]
    if len(found) != bands:
        raise SlipscanError(f"{listed} lists {len(found)} dates, but {file} has {bands} bands: match them")
    return found


def _band_days(file: Path) -> list[str] | None:
    """Epochs by the bands' names (YYYY-MM-DD or YYYYMMDD), or None where one has no such name."""
    with opened(file) as source:
        names = source.descriptions
    found = [re.search(r"\d{4}-?\d{2}-?\d{2}", name or "") for name in names]
    return [days.iso_day(match[0], file) for match in found if match] if all(found) else None


def _date_list(cube: Path) -> Path | None:
    return next((cube.parent / name for name in DATE_LISTS if (cube.parent / name).is_file()), None)


def _los_file(path: Path, cube: Path) -> tuple[str, Path] | None:
    """Kind and path of the line of sight: below the directory, or beside the cube."""
    place = path if path.is_dir() else cube.parent
    for kind in LOS_BANDS:
        found = sorted(file for file in place.rglob(f"*{kind}_geo*.tif*") if file.suffix in (".tif", ".tiff"))
        same_looks = [file for file in found if _looks(file) == _looks(cube)] or found
        if same_looks:
            return kind, same_looks[0]
    return None


def _looks(file: Path) -> str:
    match = re.search(r"\d+rlks", file.name)
    return match[0] if match else ""
