"""Interferograms in memory on a metric grid that the stack keeps, with a displacement that is known."""

from __future__ import annotations

import numpy as np
import xarray as xr

from slipscan.geometry import Grid, to_lonlat, utm_crs, write_grid
from slipscan.settings import TimeseriesSettings
from slipscan.timeseries.interferograms import stack_from_interferograms
from slipscan.vocabulary import annotate

WAVELENGTH = 0.05546576
HALF = WAVELENGTH / 2
PIXEL_M = 200.0
SETTINGS = TimeseriesSettings(pixel_m=PIXEL_M, reference_radius_m=500, min_reference_pixels=3, min_coherence=0.0)


def neighbours(epochs: int, reach: int = 3) -> list[tuple[int, int]]:
    return [(i, j) for i in range(epochs) for j in range(i + 1, min(i + reach + 1, epochs))]


def dates(epochs: int) -> np.ndarray:
    return np.datetime64("2020-01-01", "ns") + np.arange(epochs) * np.timedelta64(12, "D")


def grid(rows: int, columns: int) -> Grid:
    x = 500100.0 + PIXEL_M * np.arange(columns)
    return Grid(x, 4520100.0 - PIXEL_M * np.arange(rows), utm_crs(33, 40.8))


def displacement(epochs: int, rows: int, columns: int, seed: int = 0) -> np.ndarray:
    """(time, y, x) m; smooth, 0 at the first epoch and in the upper left corner, where the reference is."""
    generator = np.random.default_rng(seed)
    history = np.cumsum(generator.normal(0, 0.004, epochs))
    y, x = np.mgrid[:rows, :columns]
    shape = np.clip((y + x - 8) / 10, 0, 1)
    return ((history - history[0])[:, None, None] * shape).astype(np.float32)


def dataset(truth: np.ndarray, pairs: list[tuple[int, int]], noise: float = 0.0, seed: int = 1) -> xr.Dataset:
    """Product 'interferograms' of a displacement (time, y, x)."""
    reference, secondary = np.array(pairs).T
    values = (truth[secondary] - truth[reference]).astype(np.float32)
    values += np.random.default_rng(seed).normal(0, noise, values.shape).astype(np.float32)
    where = grid(*truth.shape[1:])
    lon, lat = to_lonlat(where.x[:2], where.y[:2], where.crs)
    out = xr.Dataset(
        {"interferogram": (("pair", "y", "x"), values)},
        coords={
            "reference_date": ("pair", dates(len(truth))[reference]),
            "secondary_date": ("pair", dates(len(truth))[secondary]),
        },
        attrs={
            "region": "TEST",
            "track": "087A",
            "radar_wavelength_m": WAVELENGTH,
            "reference_lon": float(lon[1]),
            "reference_lat": float(lat[1]),
        },
    )
    return annotate(write_grid(out, where), "interferograms")


def invert(made: xr.Dataset, threads: int = 1, **changes: object) -> xr.Dataset:
    """The stack on the same pixels."""
    stack = stack_from_interferograms(made, SETTINGS.model_copy(update=changes), threads=threads)
    rows = {float(y): i for i, y in enumerate(stack["y"].values)}
    columns = {float(x): i for i, x in enumerate(stack["x"].values)}
    return stack.isel(y=[rows[float(y)] for y in made["y"].values], x=[columns[float(x)] for x in made["x"].values])
