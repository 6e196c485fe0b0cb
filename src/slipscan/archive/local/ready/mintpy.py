"""A ready series of MintPy: timeseries*.h5 with geometryGeo.h5, temporalCoherence.h5 and maskTempCoh.h5 beside it.

Displacement in metres, positive toward the satellite; the file's name tells which corrections were made. Layout and
conventions: MintPy 1.6 (objects/stack.py, utils/utils0.get_unit_vector4component_of_interest).
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from slipscan.archive.job import Job
from slipscan.archive.local.ready import cube, days, mintpy_header
from slipscan.archive.reading import hdf5
from slipscan.archive.reading.layers import LOS
from slipscan.errors import SlipscanError
from slipscan.plausible import plausible

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
    return days.rows_of_days(file, mintpy_header.read(file, _beside(file)).days, as_of)


def read_series(path: Path, job: Job, manifest: pd.DataFrame) -> xr.Dataset:
    """Read a MintPy series up to the manifest's last date, cropped to the region ; only the window is read.

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
    header = mintpy_header.read(file, _beside(file))
    whole = header.grid
    rows, columns = cube.window(whole, job)
    count = days.up_to(header.days, str(manifest.iloc[-1]["secondary_date"]))
    with hdf5.opened(file) as opened:
        values = cube.read_epochs(hdf5.variable(opened, "timeseries"), count, rows, columns, header.metres)
    _blank_empty_pixels(values, header.reference, rows, columns)
    layers = _layers(file, rows, columns)
    mask = layers.pop("mask", None)
    if mask is not None:
        log.info("%s: maskTempCoh.h5 keeps %.1f %% of the pixels", file, 100 * float(np.mean(mask > 0)))
        values[:, ~(mask > 0)] = np.nan
    out = cube.stack_of(values, layers, header.days[:count], cube.cut(whole, rows, columns), job.track, file)
    return out.assign_attrs({cube.CORRECTIONS: corrections(file)})


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


def _blank_empty_pixels(
    values: NDArray[np.float32], reference: tuple[int, int] | None, rows: slice, columns: slice
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
    if reference is not None:
        row, column = reference[0] - rows.start, reference[1] - columns.start
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


def _layers(series_file: Path, rows: slice, columns: slice) -> dict[str, NDArray[np.float32]]:
    """Line of sight, height, temporal coherence and mask of the window, (y, x) each, what there is."""
    read: dict[str, NDArray[np.float64]] = {}
    for what, file in _beside(series_file).items():
        with hdf5.opened(file) as opened:
            for name in mintpy_header.DATASETS[what]:
                if name in opened:
                    read[name] = hdf5.values(hdf5.variable(opened, name), (rows, columns))
    layers: dict[str, NDArray[np.float32]] = {}
    if {"incidenceAngle", "azimuthAngle"} <= set(read):
        for name, kind in (("incidenceAngle", "incidence"), ("azimuthAngle", "azimuth")):
            if name == "incidenceAngle":
                read[name][read[name] == 0] = np.nan
            plausible(read[name], kind, f"{name} of the geometry beside {series_file}")
        layers |= los_of_angles(read["incidenceAngle"], read["azimuthAngle"])
    for name, variable in (("height", "height"), ("temporalCoherence", "temporal_coherence"), ("mask", "mask")):
        if name in read:
            layers[variable] = read[name].astype(np.float32)
    return layers


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
        for name, part in zip(LOS, parts, strict=True)
    }
