"""Small fields that several tests share."""

import numpy as np
import xarray as xr

from slipscan.geometry import Grid, utm_crs, write_grid
from slipscan.vocabulary import annotate

SHAPE = (48, 56)
PIXEL_M = 500.0
LOS = np.array([-0.6, -0.1, np.sqrt(1 - 0.37)])
"""Unit vector from the ground to an ascending satellite: east, north, up."""


def dates(n: int, step: int = 12) -> np.ndarray:
    return np.datetime64("2018-01-04", "ns") + np.arange(n) * np.timedelta64(step, "D")


def grid(shape: tuple[int, int] = SHAPE) -> Grid:
    x = 500_000 + (np.arange(shape[1]) + 0.5) * PIXEL_M
    y = 4_500_000 - (np.arange(shape[0]) + 0.5) * PIXEL_M
    return Grid(x, y, utm_crs(32.6, 40.8))


def turbulence(
    generator: np.random.Generator, n: int, std_m: float = 6e-3, shape: tuple[int, int] = SHAPE
) -> np.ndarray:
    """Delay of n epochs: power law k^-8/3 in space, white in time, with a white floor of 1 mm."""
    rows, columns = 2 * shape[0], 2 * shape[1]
    k = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.fftfreq(columns)[None, :])
    k[0, 0] = np.inf
    field = np.fft.ifft2(np.fft.fft2(generator.normal(size=(n, rows, columns))) * k ** (-4 / 3)).real
    field = field[:, : shape[0], : shape[1]]
    return field * std_m / field.std() + 1e-3 * generator.normal(size=field.shape)


def stack_dataset(
    epochs: int = 40, seed: int = 0, missing: float = 0.0, event_m: float = 0.0, std_m: float = 6e-3
) -> xr.Dataset:
    """A stack with turbulence and, where `event_m` is not 0, a two-lobed step in the middle of the series."""
    generator = np.random.default_rng(seed)
    values = turbulence(generator, epochs, std_m)
    yy, xx = np.indices(SHAPE)
    lobes = [np.exp(-((yy - row) ** 2 + (xx - 26) ** 2) / (2 * 4.0**2)) for row in (18, 30)]
    values += event_m * (lobes[0] - lobes[1]) * (np.arange(epochs) >= epochs // 2)[:, None, None]
    values -= values[0]
    values[:, generator.random(SHAPE) < missing] = np.nan
    dataset = xr.Dataset(
        {"displacement": (("time", "y", "x"), values)},
        coords={"time": dates(epochs), "reference_time": dates(epochs)[0]},
    )
    return annotate(write_grid(dataset, grid()), "stack")
