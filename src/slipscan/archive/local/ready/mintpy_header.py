"""The header of a MintPy series: epochs, grid, unit, reference pixel, checked against the files beside it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pyproj import CRS
from pyproj.exceptions import CRSError

from slipscan import units
from slipscan.archive.local.ready import cube, days
from slipscan.archive.reading import hdf5
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid

if TYPE_CHECKING:
    import h5py

DATASETS = {
    "geometry": ("incidenceAngle", "azimuthAngle", "height"),
    "temporalCoherence": ("temporalCoherence",),
    "mask": ("mask",),
}
"""Datasets that are read, by the file that holds them."""
ATTRIBUTES = (
    "UNIT", "X_FIRST", "Y_FIRST", "X_STEP", "Y_STEP", "X_UNIT", "WIDTH", "LENGTH", "EPSG", "UTM_ZONE", "REF_Y", "REF_X",
)  # fmt: skip
UNITS = ("m", "cm", "mm")


@dataclass(frozen=True)
class Header:
    """What a series says of itself, checked against the shapes of its datasets and of the files beside it.

    Attributes
    ----------
    days
        (time,) epochs, ISO
    grid
        of the whole file
    metres
        factor from its unit
    reference
        row and column of its reference pixel, or None
    """

    days: list[str]
    grid: Grid
    metres: float
    reference: tuple[int, int] | None


def read(file: Path, beside: Mapping[str, Path]) -> Header:
    """Read the header of a series; everything that can be wrong with it is found before its data are read.

    Parameters
    ----------
    file
        the series
    beside
        files that belong to it, by a key of DATASETS

    Raises
    ------
    SlipscanError
        what `days.of_dataset`, `cube.check_shape`, `cube.check_layer` and `grid_of` refuse, another grid, unknown unit
    """
    with hdf5.opened(file) as opened:
        epochs = days.of_dataset(opened, "date")
        shape = cube.check_shape(hdf5.variable(opened, "timeseries"), len(epochs), "date")
        attributes = _attributes(opened)
    grid = grid_of(attributes, shape, file)
    for what, layer in beside.items():
        with hdf5.opened(layer) as opened:
            for name in DATASETS[what]:
                if name in opened or what != "geometry":
                    cube.check_layer(hdf5.variable(opened, name), shape, file.name)
            _check_grid(grid_of(_attributes(opened), shape, layer), layer, grid, file)
    unit = attributes.get("UNIT", "")
    metres = units.factor(unit, "m")
    if metres is None:
        raise SlipscanError(f"{file} has UNIT {unit!r}: a displacement series is in one of {', '.join(UNITS)}")
    return Header(epochs, grid, metres, _reference_pixel(attributes, file))


def grid_of(attributes: Mapping[str, str], shape: tuple[int, int], file: Path) -> Grid:
    """Return the whole grid of a MintPy file; X_FIRST and Y_FIRST are the upper-left corner of the first pixel.

    Parameters
    ----------
    attributes
        of the file, as text
    shape
        rows and columns of its datasets
    file
        for sentences

    Raises
    ------
    SlipscanError
        radar coordinates (no X_FIRST), a grid that is not north-up or of another size than its datasets, no or a
        contradictory CRS
    """
    if "X_FIRST" not in attributes:
        raise SlipscanError(f"{file} is in radar coordinates (no X_FIRST): geocode it with MintPy's geocode.py first")
    left, top, dx, dy = (_number(attributes, name, file) for name in ("X_FIRST", "Y_FIRST", "X_STEP", "Y_STEP"))
    for name, size in zip(("LENGTH", "WIDTH"), shape, strict=True):
        if name in attributes and _number(attributes, name, file) != size:
            raise SlipscanError(
                f"{file} has {name} {attributes[name]}, but its datasets are {shape[0]} x {shape[1]} pixels (LENGTH x"
                " WIDTH): it was cut or transposed; make it again"
            )
    return cube.regular_grid(left + dx / 2, top + dy / 2, dx, dy, shape, _crs(attributes, file), file)


def _number(attributes: Mapping[str, str], name: str, file: Path) -> float:
    """An attribute as a number; raises SlipscanError."""
    given = attributes.get(name)
    try:
        value = float(given) if given is not None else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise SlipscanError(f"{file} has no readable attribute {name} ({given!r}, not a number): make it again")
    return value


def _reference_pixel(attributes: Mapping[str, str], file: Path) -> tuple[int, int] | None:
    if not {"REF_Y", "REF_X"} <= set(attributes):
        return None
    return int(_number(attributes, "REF_Y", file)), int(_number(attributes, "REF_X", file))


def _crs(attributes: Mapping[str, str], file: Path) -> CRS:
    """CRS by EPSG, else degrees as EPSG:4326, else the UTM zone; raises SlipscanError."""
    unit = attributes.get("X_UNIT", "").lower()
    code = attributes.get("EPSG", "").upper().removeprefix("EPSG:").removesuffix(".0")
    zone = re.fullmatch(r"(\d{1,2})([NS])", attributes.get("UTM_ZONE", "").strip().upper())
    try:
        if code not in ("", "NONE"):
            crs = CRS.from_user_input(int(code) if code.isdigit() else code)
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


def _attributes(opened: h5py.File) -> dict[str, str]:
    """Root attributes that are read, as text, what there is."""
    found = {name: hdf5.attribute(opened, name) for name in ATTRIBUTES}
    return {name: value for name, value in found.items() if value is not None}


def _check_grid(grid: Grid, file: Path, whole: Grid, series_file: Path) -> None:
    """Refuse a file on another grid than the series'."""
    same = grid.shape == whole.shape and np.allclose(
        (grid.x[0], grid.y[0], grid.x[-1], grid.y[-1]),
        (whole.x[0], whole.y[0], whole.x[-1], whole.y[-1]),
        rtol=0,
        atol=0.1 * whole.spacing[0],
    )
    if not same:
        raise SlipscanError(f"{file} lies on another grid than {series_file.name}: geocode both in one run of MintPy")
