"""A ready series of MintPy: timeseries*.h5 with geometryGeo.h5, temporalCoherence.h5 and maskTempCoh.h5 beside it.

Displacement in metres, positive toward the satellite; the file's name tells which corrections were made. Layout and
conventions: MintPy 1.6 (objects/stack.py, utils/utils0.get_unit_vector4component_of_interest).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError

from slipscan import units
from slipscan.archive.extent import Bounds
from slipscan.archive.ready import series
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid
from slipscan.regions import Region, Track

log = logging.getLogger(__name__)

SERIES = re.compile(r"^(?:geo_)?timeseries(?P<corrections>(?:_[A-Za-z0-9]+)*)\.h5$")
BESIDE = {
    "geometry": ("geometryGeo.h5", "inputs/geometryGeo.h5", "geo_geometryRadar.h5"),
    "temporalCoherence": ("temporalCoherence.h5", "geo_temporalCoherence.h5"),
    "mask": ("maskTempCoh.h5", "geo_maskTempCoh.h5"),
}
"""Where MintPy puts what belongs to a series, below the series' directory."""


def main_file(path: Path) -> Path:
    """Return the series: the file itself, or the only one in a directory.

    Raises
    ------
    SlipscanError
        none, or several: each is the result of another step and holds other corrections
    """
    if not path.is_dir():
        if not path.exists():
            raise SlipscanError(f"there is no MintPy series {path}: check the track's 'path'")
        return path
    found = sorted(file for file in path.iterdir() if SERIES.match(file.name))
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(file.name for file in found)
        raise SlipscanError(f"{path} holds several series ({names}): name one of them in the track's 'path'")
    raise SlipscanError(f"{path} holds no timeseries*.h5: check the track's 'path'")


def files(path: Path) -> list[Path]:
    """List the series and what belongs to it, sorted; raises SlipscanError."""
    series_file = main_file(path)
    return sorted({series_file, *_beside(series_file).values()})


def manifest_rows(path: Path, as_of: str) -> list[dict[str, str]]:
    """Describe the series as one manifest row: first epoch, last one up to `as_of`; raises SlipscanError."""
    file = main_file(path)
    return series.rows_of_days(file, _header(file)[1], as_of)


def read_series(path: Path, region: Region, track: Track, manifest: pd.DataFrame, bounds: Bounds) -> xr.Dataset:
    """Read a MintPy series up to the manifest's last date, cropped to `bounds` (degrees); only the window is read.

    Returns
    -------
    dataset
        product 'stack' on the series' own grid, metres toward the satellite since its first epoch; pixels that are 0
        in every epoch, or 0 in maskTempCoh.h5, are NaN. Attribute `corrections_as_delivered`: list of names.

    Raises
    ------
    SlipscanError
        radar coordinates, unknown unit or CRS, another grid beside it, a truncated file
    """
    file = main_file(path)
    attributes, days = _header(file)
    whole = grid_of(attributes, file)
    rows, columns = series.window(whole, bounds, region, track)
    count = series.epochs_up_to(days, str(manifest.iloc[-1]["secondary_date"]), file)
    with series.opened_hdf5(file) as opened:
        values = series.read_epochs(opened["timeseries"], count, rows, columns, _metres(attributes, file))
    _blank_empty_pixels(values, attributes, rows, columns)
    if attributes.get("REF_DATE", days[0].replace("-", ""))[:8] != days[0].replace("-", ""):
        series.since_first_epoch(values, file)
    layers = _layers(file, whole, rows, columns)
    mask = layers.pop("mask", None)
    if mask is not None:
        log.info("%s: maskTempCoh.h5 keeps %.1f %% of the pixels", file, 100 * float(np.mean(mask > 0)))
        values[:, ~(mask > 0)] = np.nan
    out = series.stack_of(values, layers, days[:count], series.cut(whole, rows, columns), track, file)
    return out.assign_attrs({series.CORRECTIONS: corrections(file)})


def corrections(file: Path) -> list[str]:
    """Return the corrections that a series' name tells, in order; warn of one that removes slow slip."""
    match = SERIES.match(file.name)
    names = [name for name in match["corrections"].split("_") if name] if match else []
    if match is None:
        log.warning("%s is not named as MintPy does: which corrections it holds is unknown", file)
    if "ramp" in names:
        log.warning(
            "%s was deramped: slip with long wavelengths was removed with the ramps; a series without 'ramp' in its"
            " name keeps it",
            file,
        )
    return names


def grid_of(attributes: Mapping[str, str], file: Path) -> Grid:
    """Return the whole grid of a MintPy file; X_FIRST and Y_FIRST are the upper-left corner of the first pixel.

    Raises
    ------
    SlipscanError
        radar coordinates (no X_FIRST), a grid that is not north-up, no or a contradictory CRS
    """
    if "X_FIRST" not in attributes:
        raise SlipscanError(f"{file} is in radar coordinates (no X_FIRST): geocode it with MintPy's geocode.py first")
    try:
        left, top, dx, dy = (float(attributes[name]) for name in ("X_FIRST", "Y_FIRST", "X_STEP", "Y_STEP"))
        width, length = int(attributes["WIDTH"]), int(attributes["LENGTH"])
    except (KeyError, ValueError) as error:
        raise SlipscanError(f"{file} has no readable attribute for its grid ({error}): make it again") from error
    if dx <= 0 or dy >= 0:
        raise SlipscanError(f"{file} is not north-up (X_STEP {dx:g}, Y_STEP {dy:g}): geocode it to a north-up grid")
    return Grid(
        x=left + (np.arange(width) + 0.5) * dx,
        y=top + (np.arange(length) + 0.5) * dy,
        crs=_crs(attributes, file),
    )


def _crs(attributes: Mapping[str, str], file: Path) -> CRS:
    """CRS by EPSG, else degrees as EPSG:4326, else the UTM zone; raises SlipscanError."""
    unit = attributes.get("X_UNIT", "").lower()
    zone = re.fullmatch(r"(\d{1,2})([NS])", attributes.get("UTM_ZONE", "").strip().upper())
    try:
        if attributes.get("EPSG", "").strip().isdigit():
            crs = CRS.from_epsg(int(attributes["EPSG"]))
        elif unit.startswith("deg"):
            crs = CRS.from_epsg(4326)
        elif zone and unit.startswith("m"):
            crs = CRS.from_epsg((32600 if zone[2] == "N" else 32700) + int(zone[1]))
        else:
            raise SlipscanError(
                f"{file} does not tell its CRS (X_UNIT {unit or 'missing'}, no EPSG, no UTM_ZONE): set EPSG"
            )
    except CRSError as error:
        raise SlipscanError(f"{file} has an unknown CRS (EPSG {attributes.get('EPSG')}): correct it") from error
    if unit and unit.startswith("deg") != crs.is_geographic:
        raise SlipscanError(f"{file} has X_UNIT {unit} but EPSG {crs.to_epsg()}: correct one of them")
    return crs


def _header(file: Path) -> tuple[dict[str, str], list[str]]:
    """Root attributes as text, and epochs as ISO days."""
    with series.opened_hdf5(file) as opened:
        attributes = _text(opened.attrs)
        dates = [value.decode() if isinstance(value, bytes) else str(value) for value in opened["date"][:]]
        shape = opened["timeseries"].shape
    if not dates:
        raise SlipscanError(f"{file} has no epoch: make it again")
    attributes |= {"LENGTH": str(shape[1]), "WIDTH": str(shape[2])}
    return attributes, [series.iso_day(date[:8], file) for date in dates]


def _text(attributes: Mapping[str, object]) -> dict[str, str]:
    return {key: value.decode() if isinstance(value, bytes) else str(value) for key, value in attributes.items()}


def _metres(attributes: Mapping[str, str], file: Path) -> float:
    """Factor from the file's unit to metres; raises SlipscanError for an unknown one."""
    unit = attributes.get("UNIT", "")
    factor = units.factor(unit, "m") if unit else None
    if factor is None:
        raise SlipscanError(f"{file} has UNIT {unit!r}: a displacement series has one of m, cm, mm")
    return factor


def _blank_empty_pixels(
    values: NDArray[np.float32], attributes: Mapping[str, str], rows: slice, columns: slice
) -> None:
    """Set pixels that are 0 in every epoch to NaN: MintPy leaves them so where it had no data.

    The reference pixel alone is 0 by right.
    """
    if len(values) < 2:
        return
    length, width = values.shape[1:]
    empty = np.ones((length, width), bool)
    for layer in values:
        empty &= layer == 0
    if {"REF_Y", "REF_X"} <= set(attributes):
        row, column = int(float(attributes["REF_Y"])) - rows.start, int(float(attributes["REF_X"])) - columns.start
        if 0 <= row < length and 0 <= column < width:
            empty[row, column] = False
    values[:, empty] = np.nan


def _beside(series_file: Path) -> dict[str, Path]:
    """Files that belong to a series, by what they hold."""
    directory = series_file.parent
    found = {}
    for what, names in BESIDE.items():
        present = [directory / name for name in names if (directory / name).is_file()]
        if present:
            found[what] = present[0]
    return found


def _layers(series_file: Path, whole: Grid, rows: slice, columns: slice) -> dict[str, NDArray[np.float32]]:
    """Line of sight, height, temporal coherence and mask of the window, (y, x) each, what there is."""
    found = _beside(series_file)
    layers: dict[str, NDArray[np.float32]] = {}
    if "geometry" in found:
        with series.opened_hdf5(found["geometry"]) as opened:
            _check_grid(_text(opened.attrs), found["geometry"], whole, series_file)
            read = {name: np.asarray(opened[name][rows, columns], np.float64) for name in _GEOMETRY if name in opened}
        if {"incidenceAngle", "azimuthAngle"} <= set(read):
            layers |= los_of_angles(read["incidenceAngle"], read["azimuthAngle"])
        if "height" in read:
            layers["height"] = read["height"].astype(np.float32)
    for what, name in (("temporalCoherence", "temporal_coherence"), ("mask", "mask")):
        if what in found:
            with series.opened_hdf5(found[what]) as opened:
                _check_grid(_text(opened.attrs), found[what], whole, series_file)
                layers[name] = np.asarray(opened[what][rows, columns], np.float32)
    return layers


_GEOMETRY = ("incidenceAngle", "azimuthAngle", "height")


def los_of_angles(
    incidence_deg: NDArray[np.floating], azimuth_deg: NDArray[np.floating]
) -> dict[str, NDArray[np.float32]]:
    """Return the unit vector ground to satellite of MintPy's angles, (y, x) each, NaN where the incidence is 0.

    `incidence_deg` from the vertical; `azimuth_deg` of the vector ground to satellite, anticlockwise from north.
    """
    incidence = np.deg2rad(np.where(incidence_deg == 0, np.nan, incidence_deg))
    azimuth = np.deg2rad(azimuth_deg)
    parts = (-np.sin(incidence) * np.sin(azimuth), np.sin(incidence) * np.cos(azimuth), np.cos(incidence))
    return {
        name: np.where(np.isfinite(azimuth), part, np.nan).astype(np.float32)
        for name, part in zip(series.LOS, parts, strict=True)
    }


def _check_grid(attributes: Mapping[str, str], file: Path, whole: Grid, series_file: Path) -> None:
    """Refuse a file on another grid than the series'."""
    grid = grid_of(attributes, file)
    same = grid.shape == whole.shape and np.allclose(
        (grid.x[0], grid.y[0]), (whole.x[0], whole.y[0]), rtol=0, atol=0.1 * whole.spacing[0]
    )
    if not same:
        raise SlipscanError(f"{file} lies on another grid than {series_file.name}: geocode both in one run of MintPy")
