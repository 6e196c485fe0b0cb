"""A ready series of FLATSIM (ForM@Ter, CNES): the cube DTs_geo, a GeoTIFF with a band per date.

Cumulated phase delay in radians, positive AWAY from the satellite, so displacement toward it = -wavelength / (4 pi) x
phase; every pixel is counted from the origin of a linear fit. Band names are dates (YYYY-MM-DD). CosENU points from the
satellite to the ground (bands east, north, up), CosNEU from the ground to the satellite (bands north, east, up).
Source: FLATSIM product description, pages DTs, CosENU, CosNEU; files are named CNES_DTs_geo_8rlks.tiff.
"""

from __future__ import annotations

import logging
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from slipscan.archive.bands import opened
from slipscan.archive.extent import Bounds
from slipscan.archive.rasters import common_grid, read_header, read_on
from slipscan.archive.ready import series
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid
from slipscan.regions import Region, Track

log = logging.getLogger(__name__)

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
    cube = main_file(path)
    return series.rows_of_days(cube, _days(cube), as_of)


def read_series(path: Path, region: Region, track: Track, manifest: pd.DataFrame, bounds: Bounds) -> xr.Dataset:
    """Read a FLATSIM cube up to the manifest's last date, cropped to `bounds` (degrees), a band at a time.

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
    cube = main_file(path)
    days, header = _days(cube), read_header(cube, single=False)
    whole = common_grid([header])
    rows, columns = series.window(whole, bounds, region, track)
    count = series.epochs_up_to(days, str(manifest.iloc[-1]["secondary_date"]), cube)
    grid = series.cut(whole, rows, columns)
    values = read_on(header, grid, range(1, count + 1)).reshape(count, *grid.shape)
    if count > 1:
        empty = np.ones(grid.shape, bool)
        for layer in values:
            empty &= (layer == 0) | np.isnan(layer)
        values[:, empty] = np.nan
    values *= np.float32(PHASE_SIGN * track.radar_wavelength_m / (4 * math.pi))
    series.since_first_epoch(values, cube)
    found = _los_file(path, cube)
    layers = _read_los(*found, whole, rows, columns) if found else {}
    return series.stack_of(values, layers, days[:count], grid, track, cube)


def _days(cube: Path) -> list[str]:
    """Epochs as ISO days, from the bands' names or else from a list beside the cube."""
    days = _band_days(cube)
    if days is not None:
        return days
    listed = _date_list(cube)
    if listed is None:
        raise SlipscanError(f"the bands of {cube} have no dates: put {DATE_LISTS[0]} beside it (a date a line)")
    lines = [
        re.search(r"(?:^|\s)((?:19|20)\d{6})(?:\s|$)", line)
        for line in listed.read_text().splitlines()
        if line[:1] != "#"
    ]
    days = [series.iso_day(match[1], listed) for match in lines if match]
    if len(days) != _band_count(cube):
        raise SlipscanError(f"{listed} lists {len(days)} dates, but {cube} has {_band_count(cube)} bands: match them")
    return days


def _band_days(cube: Path) -> list[str] | None:
    """Epochs by the bands' names (YYYY-MM-DD or YYYYMMDD), or None where one has no such name."""
    found = [re.search(r"\d{4}-?\d{2}-?\d{2}", name or "") for name in _open_and(cube, "descriptions")]
    return [series.iso_day(match[0], cube) for match in found if match] if all(found) else None


def _band_count(cube: Path) -> int:
    return len(_open_and(cube, "indexes"))


def _open_and(cube: Path, attribute: str) -> tuple[str | None, ...]:
    """One attribute of an opened raster; raises SlipscanError."""
    with opened(cube) as source:
        return tuple(getattr(source, attribute))


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


def _read_los(kind: str, file: Path, whole: Grid, rows: slice, columns: slice) -> dict[str, NDArray[np.float32]]:
    """Unit vector ground to satellite of the window, (y, x) each; raises SlipscanError for another grid."""
    header = read_header(file, single=False)
    grid = common_grid([header])
    same = grid.shape == whole.shape and np.allclose(
        (grid.x[0], grid.y[0]), (whole.x[0], whole.y[0]), rtol=0, atol=0.1 * whole.spacing[0]
    )
    if not same:
        raise SlipscanError(f"{file} lies on another grid than the cube: take the one with the same number of looks")
    bands, factor = LOS_BANDS[kind]
    if header.count < len(bands):
        raise SlipscanError(f"{file} has {header.count} bands, not the 3 of a unit vector: fetch it again")
    vector = read_on(header, series.cut(grid, rows, columns), bands)
    vector[:, (vector == 0).all(axis=0)] = np.nan
    return dict(zip(series.LOS, factor * vector, strict=True))
