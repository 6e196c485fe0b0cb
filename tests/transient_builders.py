"""Transients stores of known sources, and GNSS files of known series, for the tests of source and gnss."""

import datetime

import numpy as np
import xarray as xr

from slipscan import vocabulary
from slipscan.geometry import Grid, from_lonlat, los_from_incidence_heading, utm_crs, write_grid
from slipscan.source.sources import displacement, local_crs
from slipscan.store import write_zarr
from slipscan.synthetic.positions import HEADER, format_line

CENTRE = (32.6, 40.87)
HEADINGS = {"ascending": -13.0, "descending": -167.0}
EPOCHS = np.datetime64("2018-01-04", "ns") + np.arange(60) * np.timedelta64(12, "D")


def line_of_sight(orbit):
    return np.array(los_from_incidence_heading(np.array(37.0), np.array(HEADINGS[orbit])), float)


def transients(path, track, sources, dates, orbit="ascending", noise_m=1e-3, seed=0, pixels=100, **attrs):
    """Write the store of one track that saw `sources` (east, north about CENTRE) between `dates` (t05, t95).

    Every map has an offset of 3 mm and white noise; a footprint is where the signal exceeds 0.3 of its peak.
    """
    with_los, statistic = attrs.pop("with_los", True), attrs.pop("statistic", 30.0)
    generator = np.random.default_rng(seed)
    crs = utm_crs(*CENTRE)
    x0, y0 = (float(v) for v in from_lonlat(*map(np.array, CENTRE), crs))
    steps = (np.arange(pixels) - pixels / 2 + 0.5) * 500.0
    grid = Grid(x0 + steps, y0 - steps, crs)
    east, north = from_lonlat(*grid.lonlat(), local_crs(*CENTRE))
    los, n = line_of_sight(orbit), len(sources)
    signals = [pixel_means(s, east, north) @ los for s in sources]
    stack = np.array(signals).reshape(n, *grid.shape)
    noise = noise_m * generator.standard_normal(stack.shape)
    t05, t95 = (np.array([d[i] for d in dates], "datetime64[ns]").reshape(n) for i in (0, 1))
    t50 = t05 + (t95 - t05) / 2
    history = np.clip((EPOCHS[None] - t05[:, None]) / np.maximum(t95 - t05, np.timedelta64(1, "h"))[:, None], 0, 1)
    dims = ("transient", "y", "x")
    dataset = xr.Dataset(
        {
            "map": (dims, stack + 3e-3 + noise),
            "map_std": (dims, np.full(stack.shape, noise_m)),
            "footprint": (dims, np.abs(stack) > 0.3 * np.abs(stack).max(axis=(1, 2), keepdims=True, initial=0)),
            "history": (("transient", "time"), history.reshape(n, len(EPOCHS))),
            "ongoing": ("transient", np.zeros(n)),
            "left_censored": ("transient", np.zeros(n)),
            "statistic": ("transient", np.full(n, statistic)),
            "p_value": ("transient", np.full(n, 1e-2 / statistic)),
        },
        coords={
            "transient": np.arange(n),
            "time": EPOCHS,
            **{name: ("transient", v) for name, v in (("t05", t05), ("t50", t50), ("t95", t95))},
        },
    )
    if with_los:
        for name, component in zip(("los_east", "los_north", "los_up"), los, strict=True):
            dataset[name] = (("y", "x"), np.full(grid.shape, component))
    dataset = vocabulary.annotate(write_grid(dataset, grid), "transients")
    dataset.attrs |= attributes(track, orbit) | attrs
    write_zarr(dataset, path)
    return path


def pixel_means(source, east, north):
    """Displacement (y, x, 3) of a source, the mean over pixels of 500 m: slip at the surface jumps within one."""
    parts = 500.0 * (np.arange(3) - 1) / 3
    moved = [displacement(source, (east + a).ravel(), (north + b).ravel()) for a in parts for b in parts]
    return np.mean(moved, axis=0).reshape(*east.shape, 3)


def attributes(track, orbit):
    return {
        "region": "ISMT",
        "track": track,
        "orbit_direction": orbit,
        "window_start": "2018-01-04",
        "window_end": "2019-12-13",
        "data_until": "2019-12-13",
        "area_km2": 2500.0,
        "threshold": 10.0,
        "false_alarms_per_1e4km2_yr": 0.1,
        "calibration_id": "cal-1",
        "weights": "none",
        "inventory_sha256": "0" * 64,
        "slipscan_version": "0.1.0",
        "reference_lon": CENTRE[0] - 0.25,
        "reference_lat": CENTRE[1] + 0.18,
    }


def daily(start, count):
    """Noons of `count` days."""
    return np.datetime64(start, "ns") + np.timedelta64(12, "h") + np.arange(count) * np.timedelta64(1, "D")


def flicker(generator, count, amplitude, step_yr=1 / 365.25):
    """Flicker noise (count,), amplitude in unit yr^-1/4, that began `count` steps before."""
    k = np.arange(1, 2 * count)
    response = np.concatenate([[1.0], np.cumprod((k - 0.5) / k)])
    size = 4 * count
    white = np.fft.rfft(generator.standard_normal(2 * count), size)
    return amplitude * step_yr**0.25 * np.fft.irfft(white * np.fft.rfft(response, size), size)[count : 2 * count]


def tenv3_text(name, time, enu, origin=(32.6, 40.87, 900.0), formal=(0.8e-3, 0.8e-3, 3e-3)):
    """A tenv3 file of displacements `enu` (time, 3) metres about `origin` (longitude, latitude, height)."""
    days = [datetime.date.fromisoformat(str(t)[:10]) for t in time]
    zero = np.zeros(3)
    lines = [format_line(name, day, origin, e, np.array(formal), zero) for day, e in zip(days, enu, strict=True)]
    return "\n".join([HEADER, *lines]) + "\n"
