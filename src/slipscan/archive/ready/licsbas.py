"""A ready series of LiCSBAS: cum.h5 or cum_filt.h5, with the line of sight in it or beside it.

Displacement in millimetres, positive toward the satellite, geographic coordinates; corner_lat and corner_lon are the
CENTRE of the upper-left pixel. Layout: LiCSBAS13_sb_inv.py and LiCSBAS16_filt_ts.py (LiCSBAS2 1.6).
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from pyproj import CRS

from slipscan.archive.extent import Bounds
from slipscan.archive.rasters import Raster, common_grid, read_header, read_on
from slipscan.archive.ready import series
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid
from slipscan.regions import Region, Track

if TYPE_CHECKING:
    import h5py

log = logging.getLogger(__name__)

METRES_PER_MILLIMETRE = 0.001
LAYERS = {"los_east": "E.geo", "los_north": "N.geo", "los_up": "U.geo", "height": "hgt", "mask": "mask"}
"""What LiCSBAS calls the layers, in cum.h5 and as files."""


def main_file(path: Path) -> Path:
    """Return the series: the file itself, or cum.h5 of a directory (cum_filt.h5 is named or not read)."""
    file = path / "cum.h5" if path.is_dir() else path
    if not file.is_file():
        raise SlipscanError(f"there is no LiCSBAS series {file}: check the track's 'path'")
    return file


def files(path: Path) -> list[Path]:
    """List the series and the layers beside it that are read, sorted; raises SlipscanError."""
    file = main_file(path)
    with series.opened_hdf5(file) as opened:
        return sorted({file, *_beside(file, opened).values()})


def manifest_rows(path: Path, as_of: str) -> list[dict[str, str]]:
    """Describe the series as one manifest row: first epoch, last one up to `as_of`; raises SlipscanError."""
    file = main_file(path)
    with series.opened_hdf5(file) as opened:
        return series.rows_of_days(file, _days(opened, file), as_of)


def read_series(path: Path, region: Region, track: Track, manifest: pd.DataFrame, bounds: Bounds) -> xr.Dataset:
    """Read a LiCSBAS series up to the manifest's last date, cropped to `bounds` (degrees); only the window is read.

    Returns
    -------
    dataset
        product 'stack' on the series' own grid, metres toward the satellite since its first epoch; NaN where LiCSBAS's
        mask is 0. Attribute `corrections_as_delivered`: list, e.g. ['filter', 'ramp'] of a cum_filt.h5.

    Raises
    ------
    SlipscanError
        radar coordinates, a layer of another size, a truncated file
    """
    file = main_file(path)
    with series.opened_hdf5(file) as opened:
        whole, days = _grid(opened, file), _days(opened, file)
        rows, columns = series.window(whole, bounds, region, track)
        count = series.epochs_up_to(days, str(manifest.iloc[-1]["secondary_date"]), file)
        values = series.read_epochs(opened["cum"], count, rows, columns, METRES_PER_MILLIMETRE)
        layers = {
            name: np.asarray(opened[key][rows, columns], np.float32) for name, key in LAYERS.items() if key in opened
        }
        beside, names = _beside(file, opened), corrections(opened, file)
    layers |= {name: _read_beside(found, whole, rows, columns) for name, found in beside.items()}
    series.since_first_epoch(values, file)
    mask = layers.pop("mask", None)
    if mask is not None:
        log.info("%s: the mask keeps %.1f %% of the pixels", file, 100 * float(np.mean(mask == 1)))
        values[:, mask != 1] = np.nan
    if set(series.LOS) <= set(layers):
        empty = layers["los_up"] == 0
        for name in series.LOS:
            layers[name] = np.where(empty, np.float32(np.nan), layers[name])
    out = series.stack_of(values, layers, days[:count], series.cut(whole, rows, columns), track, file)
    return out.assign_attrs({series.CORRECTIONS: names})


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
    value: Any = opened[name][()] if name in opened else default
    if isinstance(value, np.ndarray):
        value = value.item() if value.size == 1 else ""
    return value.decode() if isinstance(value, bytes) else str(value)


def _days(opened: h5py.File, file: Path) -> list[str]:
    days = [series.iso_day(str(int(day)), file) for day in opened["imdates"][()]]
    if not days:
        raise SlipscanError(f"{file} has no epoch: make it again")
    return days


def _grid(opened: h5py.File, file: Path) -> Grid:
    """Whole grid: corner_lat, corner_lon are a pixel's centre; raises SlipscanError for radar coordinates."""
    if "corner_lat" not in opened:
        raise SlipscanError(f"{file} is in radar coordinates (no corner_lat): run LiCSBAS on geocoded interferograms")
    lat, lon, dlat, dlon = (float(opened[name][()]) for name in ("corner_lat", "corner_lon", "post_lat", "post_lon"))
    if dlat >= 0 or dlon <= 0:
        raise SlipscanError(f"{file} is not north-up (post_lat {dlat:g}, post_lon {dlon:g}): make it again")
    _, length, width = opened["cum"].shape
    return Grid(x=lon + np.arange(width) * dlon, y=lat + np.arange(length) * dlat, crs=CRS.from_epsg(4326))


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


def _read_beside(path: Path, whole: Grid, rows: slice, columns: slice) -> NDArray[np.float32]:
    """The window of a layer on the series' grid, (y, x); raises SlipscanError for another size or lattice."""
    length, width = whole.shape
    if path.suffix == ".tif":
        raster = read_header(path)
        a, _, left, _, _, top = whole.transform
        own = Raster(path.parent / "cum.h5", left, top, a, whole.spacing[1], width, length, whole.crs, None)
        if common_grid([own, raster]).shape != whole.shape:
            raise SlipscanError(f"{path} does not cover the whole series beside it: take the one it was made with")
        return read_on(raster, series.cut(whole, rows, columns))
    if path.stat().st_size != 4 * length * width:
        raise SlipscanError(
            f"{path} has {path.stat().st_size} bytes, not {length} x {width} float32: it belongs to another series"
        )
    values: NDArray[np.float32] = np.memmap(path, "<f4", "r", shape=(length, width))[rows, columns]
    return np.array(values, np.float32)
