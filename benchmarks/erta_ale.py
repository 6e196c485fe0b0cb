"""What the denoised series of Erta Ale says of the dike of 2017, what followed, and where nothing is known to move.

    python benchmarks/erta_ale.py stack.zarr denoised.zarr

Of stores that were made by the commands of docs/real_series.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from pyproj import Transformer

import slipscan

LONGITUDE, LATITUDE = 40.67, 13.60
"""Of the caldera."""
BEFORE, AFTER = "2017-01-11", "2017-02-04"
"""Epochs between which the dike fell."""
QUIET = "2018-06-01"
"""From here on there are no gaps to speak of."""
STRONG_MM, FALSE_MM = 30.0, 3.0
NEAR_KM, OUTSIDE_KM, FAR_KM = 3.0, 5.0, 9.0


def main() -> None:
    """Print a line a figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stack", type=Path)
    parser.add_argument("denoised", type=Path)
    given = parser.parse_args()
    whole = slipscan.open_stack(given.stack, given.denoised).load()
    km = km_from_the_caldera(whole)
    transient, removed = (1e3 * whole[name] for name in ("transient", "removed"))
    print(f"events {whole.sizes['candidate']}")
    correlation, slope = dike(1e3 * whole["displacement"], transient)
    print(f"dike against the raw step: correlation {correlation:.2f}, slope {slope:.2f}")
    late = transient.sel(time=slice(QUIET, None))
    steps = np.abs(np.diff(late.values, axis=0))[:, km > OUTSIDE_KM]
    largest = np.nanmax(steps, axis=1)
    print(
        f"from an epoch to the next, beyond {OUTSIDE_KM:g} km: at most {largest.max():.1f} mm;"
        f" over {FALSE_MM:g} mm {(largest > FALSE_MM).sum()} of {len(largest)}"
    )
    moved = np.ptp(of_half_years(late), axis=0)
    print(
        f"medians of half years move, within {NEAR_KM:g} km, by at most {np.nanmax(moved[km < NEAR_KM]):.0f} mm;"
        f" beyond {FAR_KM:g} km, 95 % of the pixels, by less than {np.nanpercentile(moved[km > FAR_KM], 95):.1f} mm"
    )
    left = removed - removed.where(xr.DataArray(km > OUTSIDE_KM, dims=("y", "x"))).median(("y", "x"))
    left = of_half_years(left.sel(time=slice(QUIET, None)))
    left = left - left.mean(axis=0)
    near, far = (np.sqrt(np.nanmean(left[:, where] ** 2)) for where in (km < NEAR_KM, km > FAR_KM))
    print(f"left in medians of half years (RMS): within {NEAR_KM:g} km {near:.1f}, beyond {FAR_KM:g} km {far:.1f} mm")


def km_from_the_caldera(whole: xr.Dataset) -> np.ndarray:
    """(y, x)."""
    to_metres = Transformer.from_crs(4326, whole["spatial_ref"].attrs["crs_wkt"], always_xy=True)
    east, north = to_metres.transform(LONGITUDE, LATITUDE)
    return np.hypot(whole["x"].values[None] - east, whole["y"].values[:, None] - north) / 1e3


def dike(displacement: xr.DataArray, transient: xr.DataArray) -> tuple[float, float]:
    """Correlation and slope of the step that the field says, where that of the raw series is strong."""

    def step(series: xr.DataArray) -> np.ndarray:
        ends = (series.sel(time=date, method="nearest").values for date in (AFTER, BEFORE))
        return np.subtract(*ends)

    raw, said = step(displacement), step(transient)
    raw = raw - np.nanmedian(raw)
    strong = np.isfinite(raw + said) & (np.abs(raw) > STRONG_MM)
    raw, said = raw[strong], said[strong]
    return float(np.corrcoef(raw, said)[0, 1]), float(said @ raw / (raw @ raw))


def of_half_years(series: xr.DataArray) -> np.ndarray:
    """(half year, y, x) medians."""
    dates = pd.DatetimeIndex(series["time"].values)
    which = 2 * dates.year + (dates.month > 6)
    return np.array([np.nanmedian(series.values[which == one], axis=0) for one in sorted(set(which))])


if __name__ == "__main__":
    main()
