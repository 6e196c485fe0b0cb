"""A ready series of LiCSBAS: cum.h5 or cum_filt.h5, with the line of sight in it or beside it.

Displacement in millimetres, positive toward the satellite, geographic coordinates; corner_lat and corner_lon are the
CENTRE of the upper-left pixel. Layout: LiCSBAS13_sb_inv.py and LiCSBAS16_filt_ts.py (LiCSBAS2 1.6).
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from pyproj import CRS

from slipscan.archive.job import Job
from slipscan.archive.local.ready import cube, days
from slipscan.archive.reading import hdf5
from slipscan.archive.reading.rasters import Raster, common_grid, read_header, read_on
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid

if TYPE_CHECKING:
    import h5py

log = logging.getLogger(__name__)

METRES_PER_MILLIMETRE = 0.001
FILTERED = "cum_filt.h5"
LAYERS = {"los_east": "E.geo", "los_north": "N.geo", "los_up": "U.geo", "height": "hgt", "mask": "mask"}
"""What LiCSBAS calls the layers, in cum.h5 and as files."""


def main_file(path: Path) -> Path:
    """Return the series: the file itself, or cum.h5 of a directory (cum_filt.h5 is named or not read)."""
    file = path / "cum.h5" if path.is_dir() else path
    if file.is_file():
        return file
    if path.is_dir() and (path / FILTERED).is_file():
        raise SlipscanError(
            f"{path} holds no cum.h5, only the filtered {FILTERED}, which smooths short transients: copy cum.h5 there,"
            f" or name {FILTERED} in the track's 'path'"
        )
    raise SlipscanError(f"there is no LiCSBAS series {file}: check the track's 'path'")


def files(path: Path) -> list[Path]:
    """List the series and the layers beside it that are read, sorted; raises SlipscanError."""
    file = main_file(path)
    with hdf5.opened(file) as opened:
        return sorted({file, *_beside(file, opened).values()})


def manifest_rows(path: Path, as_of: str) -> list[dict[str, str]]:
    """Describe the series as one manifest row: first epoch, last one up to `as_of`; raises SlipscanError."""
    file = main_file(path)
    if path.is_dir() and (path / FILTERED).is_file():
        log.info("%s is taken, not the filtered %s beside it", file, FILTERED)
    with hdf5.opened(file) as opened:
        return days.rows_of_days(file, _header(opened, file)[0], as_of)


def read_series(path: Path, job: Job, manifest: pd.DataFrame) -> xr.Dataset:
    """Read a LiCSBAS series up to the manifest's last date, cropped to the region ; only the window is read.

    Returns
    -------
    dataset
        product 'stack' on the series' own grid, metres toward the satellite since its first epoch; NaN where LiCSBAS's
        mask is 0. Attribute `corrections_as_delivered`: list, e.g. ['filter', 'ramp'] of a cum_filt.h5.

    Raises
    ------
    SlipscanError
        radar coordinates, a layer of another size, another number of dates than epochs, a truncated file
    """
    file = main_file(path)
    with hdf5.opened(file) as opened:
        epochs, whole = _header(opened, file)
        rows, columns = cube.window(whole, job)
        count = days.up_to(epochs, str(manifest.iloc[-1]["secondary_date"]))
        values = cube.read_epochs(hdf5.variable(opened, "cum"), count, rows, columns, METRES_PER_MILLIMETRE)
        layers = {
            name: hdf5.values(hdf5.variable(opened, key), (rows, columns), np.float32)
            for name, key in LAYERS.items()
            if key in opened
        }
        beside, names = _beside(file, opened), corrections(opened, file)
    layers |= {name: _read_beside(found, whole, rows, columns) for name, found in beside.items()}
    mask = layers.pop("mask", None)
    if mask is None:
        log.info("%s has no mask, neither in it nor as results/mask beside it: every pixel is taken", file)
    else:
        log.info("%s: the mask keeps %.1f %% of the pixels", file, 100 * float(np.mean(mask == 1)))
        values[:, mask != 1] = np.nan
    out = cube.stack_of(values, layers, epochs[:count], cube.cut(whole, rows, columns), job.track, file)
    return out.assign_attrs({cube.CORRECTIONS: names})


def corrections(opened: h5py.File, file: Path) -> list[str]:
    """Return what LiCSBAS16_filt_ts.py did to a series; warn, since its filter removes what slipscan looks for."""
    if "filtwidth_yr" not in opened and "deramp_flag" not in opened:
        return []
    names = ["filter"]
    if _scalar(opened, "deramp_flag", "") not in ("", "[]"):
        names.append("ramp")
    if _scalar(opened, "hgt_linear_flag", "0") not in ("0", ""):
        names.append("hgt_linear")
    log.warning(
        "%s was filtered (%s): short transients are smoothed%s; cum.h5 keeps them",
        file,
        ", ".join(names),
        ", slip with long wavelengths was removed with the ramps" if "ramp" in names else "",
    )
    return names


def _scalar(opened: h5py.File, name: str, default: str) -> str:
    """A scalar of text or number as text; an empty array (LiCSBAS's 'none') is an empty string."""
    if name not in opened:
        return default
    dataset = hdf5.variable(opened, name)
    return hdf5.text(opened, name) if dataset.shape is not None and dataset.size == 1 else ""


def _header(opened: h5py.File, file: Path) -> tuple[list[str], Grid]:
    """Epochs as ISO days and the whole grid, checked against the shapes of all that is in the file and beside it.

    corner_lat and corner_lon are a pixel's centre.

    Raises
    ------
    SlipscanError
        radar coordinates, other shapes, what `days.of_dataset` refuses
    """
    if "corner_lat" not in opened and "cum" in opened:
        raise SlipscanError(f"{file} is in radar coordinates (no corner_lat): run LiCSBAS on geocoded interferograms")
    epochs = days.of_dataset(opened, "imdates")
    shape = cube.check_shape(hdf5.variable(opened, "cum"), len(epochs), "imdates")
    for key in LAYERS.values():
        if key in opened:
            cube.check_layer(hdf5.variable(opened, key), shape, "cum")
    lon, lat, dlon, dlat = (hdf5.number(opened, name) for name in ("corner_lon", "corner_lat", "post_lon", "post_lat"))
    grid = cube.regular_grid(lon, lat, dlon, dlat, shape, CRS.from_epsg(4326), file)
    for found in _beside(file, opened).values():
        _check_beside(found, grid)
    return epochs, grid


def _beside(file: Path, opened: h5py.File) -> dict[str, Path]:
    """Layers that are not in the series but beside it, as float32 or GeoTIFF, by what they hold.

    LiCSBAS keeps E.geo, N.geo, U.geo and hgt in GEOCml*, mask and hgt in TS_GEOCml*/results.
    """
    directory = file.parent
    places = [directory, directory / "results"]
    if directory.name.startswith("TS_"):
        places.append(directory.parent / directory.name.removeprefix("TS_"))
    found = {}
    for name, key in LAYERS.items():
        if key in opened:
            continue
        letter = key.removesuffix(".geo")
        present = [place / key for place in places if (place / key).is_file()]
        present += [
            tif for place in places for pattern in (f"{key}.tif", f"*.geo.{letter}.tif") for tif in place.glob(pattern)
        ]
        if present:
            found[name] = present[0]
    return found


def _check_beside(path: Path, whole: Grid) -> None:
    """Refuse a layer of another size or lattice than the series' grid."""
    length, width = whole.shape
    if path.suffix == ".tif":
        raster = read_header(path)
        a, _, left, _, _, top = whole.transform
        own = Raster(path.parent / "cum.h5", left, top, a, whole.spacing[1], width, length, whole.crs, None)
        if common_grid([own, raster]).shape != whole.shape:
            raise SlipscanError(f"{path} does not cover the whole series beside it: take the one it was made with")
    elif path.stat().st_size != 4 * length * width:
        raise SlipscanError(
            f"{path} has {path.stat().st_size} bytes, not {length} x {width} float32: it belongs to another series"
        )


def _read_beside(path: Path, whole: Grid, rows: slice, columns: slice) -> NDArray[np.float32]:
    """The window of a layer on the series' grid, (y, x), which `_check_beside` checked."""
    if path.suffix == ".tif":
        return read_on(read_header(path), cube.cut(whole, rows, columns))
    try:
        values: NDArray[np.float32] = np.memmap(path, "<f4", "r", shape=whole.shape)[rows, columns]
    except (OSError, ValueError) as error:
        raise SlipscanError(f"{path} cannot be read ({error}): make it again") from error
    return np.array(values, np.float32)
