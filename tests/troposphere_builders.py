"""Granules and delays of one place for tests of the tropospheric correction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from pyproj import CRS

from slipscan.archive.troposphere import era5
from slipscan.geometry import Grid, write_grid
from slipscan.regions import Region
from slipscan.vocabulary import annotate

WGS84 = CRS.from_epsg(4326)


def zeros(shape: tuple[int, ...], dtype: type[np.generic]) -> np.ndarray:
    return np.zeros(shape, dtype)


# Line of sight, sign, and never twice ---------------------------------------------------------------------------------


def geographic(rows: int = 8, columns: int = 6, west: float = 32.4, north: float = 41.0, step: float = 0.01) -> Grid:
    return Grid(west + (np.arange(columns) + 0.5) * step, north - (np.arange(rows) + 0.5) * step, WGS84)


REGION = Region.model_validate(
    {
        "id": "AIR",
        "name": "Air",
        "archive": "aria",
        "tracks": [{"id": "087A", "relative_orbit": 87, "orbit_direction": "ascending"}],
        "reference_point": (32.43, 40.95),
        "tectonic_setting": "test",
        "polygon": [(32.41, 40.93), (32.45, 40.93), (32.45, 40.99), (32.41, 40.93)],
    }
)
PAIR = ("2020-01-03", "2020-01-15")


def crop(value: float = 0.010, names: tuple[str, ...] = (), **attributes: str) -> tuple[pd.Series, xr.Dataset]:
    """A granule of one value; 60 degrees incidence would be u = 0.5, here u = 0.8 (e = -0.6)."""
    grid = geographic()
    fields = {"interferogram": value, "los_east": -0.6, "los_north": 0.0, "los_up": 0.8, "height": 500.0}
    fields |= dict.fromkeys(names, 0.004)
    data = xr.Dataset({name: (("y", "x"), np.full(grid.shape, number)) for name, number in fields.items()})
    row = pd.Series({"granule": "_".join(PAIR), "reference_date": PAIR[0], "secondary_date": PAIR[1], "frame": "1"})
    return row, annotate(write_grid(data, grid), "granule").assign_attrs(attributes)


# GACOS ----------------------------------------------------------------------------------------------------------------


def write_gacos(directory: Path, date: str, value: float, west: float = 32.2, north: float = 41.2) -> None:
    """Nodes of 0.01 degrees; the delay falls by 1 mm a node to the east and 2 mm a node to the south."""
    rows, columns = np.mgrid[0:60, 0:50]
    (value - 0.001 * columns - 0.002 * rows).astype("<f4").tofile(directory / f"{date}.ztd")
    header = {"WIDTH": 50, "FILE_LENGTH": 60, "X_FIRST": west, "Y_FIRST": north, "X_STEP": 0.01, "Y_STEP": -0.01}
    (directory / f"{date}.ztd.rsc").write_text("".join(f"{key:<16}{number}\n" for key, number in header.items()))


# ERA5 -----------------------------------------------------------------------------------------------------------------

G0, RD = 9.80665, 287.05
LEVELS = np.array([1000, 950, 900, 850, 800, 700, 600, 500, 400, 300, 200, 100, 50, 20, 10, 5, 2, 1]) * 100.0
TEMPERATURE = 270.0


def isothermal(humidity_scale_m: float | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """z, t, q of an atmosphere of one temperature, 1013.25 hPa at sea level; vapour falls off exponentially."""
    height = RD * TEMPERATURE / G0 * np.log(101325.0 / LEVELS)  # geopotential metres
    shape = (len(LEVELS), 2, 2)
    z = np.broadcast_to((G0 * height)[:, None, None], shape)
    vapour = np.zeros(len(LEVELS)) if humidity_scale_m is None else 1000.0 * np.exp(-height / humidity_scale_m)
    ratio = RD / 461.495
    q = ratio * vapour / (LEVELS - (1 - ratio) * vapour)
    return z, np.full(shape, TEMPERATURE), np.broadcast_to(q[:, None, None], shape)


def zenith(humidity_scale_m: float | None, heights: np.ndarray) -> np.ndarray:
    z, t, q = isothermal(humidity_scale_m)
    latitude = np.array([45.0, 45.0])
    return era5.zenith_delay(LEVELS, z, t, q, latitude, heights)[:, 0, 0]
