"""How well the series of InSAR and of GNSS agree, station by station, before denoising and after.

Both are doubly relative: to the mean in time, and to a station near the InSAR reference point where there is one. From
all of them offset, rate and season are fitted and taken out in the same way, so that what is left is what moved.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from pyproj import Geod

from slipscan.archive.stations import steps_file
from slipscan.atomic import write_text
from slipscan.errors import SlipscanError
from slipscan.fit.model import days_since_2014, design_matrix
from slipscan.geometry import Grid, from_lonlat, read_grid
from slipscan.gnss.event import REFERENCE_RADIUS_KM
from slipscan.gnss.offsets import Daily, lay
from slipscan.gnss.steps import read_steps
from slipscan.gnss.tenv3 import read_stations
from slipscan.outputs import check_outputs, csv_kind
from slipscan.settings import GnssSettings
from slipscan.stack import LOS, open_denoised, open_stack, with_denoised

log = logging.getLogger(__name__)
Float = NDArray[np.float64]

COLUMNS: Final = (
    "track", "station", "reference_station", "epochs", "gnss_rms_mm", "raw_rmse_mm", "denoised_rmse_mm",
    "raw_correlation", "denoised_correlation", "raw_slope", "denoised_slope",
)  # fmt: skip
KIND = csv_kind("a table of agreement", *COLUMNS)
AVERAGED_D = 3.0
"""GNSS is averaged over so many days before and after an epoch."""
MIN_EPOCHS = 20


def write_agreement(stations: Path, tracks: Sequence[tuple[Path, Path]], out: Path, settings: GnssSettings) -> None:
    """Write how well each station's series agrees with those of the stacks, as CSV of `COLUMNS`.

    Parameters
    ----------
    stations
        directory of .tenv3 files
    tracks
        stack and denoised product of each track
    out
        the table: rms of GNSS, root mean square difference, correlation and slope (InSAR per GNSS), raw and denoised

    Raises
    ------
    SlipscanError
        a missing or unreadable input
    """
    check_outputs([(out, KIND)], [stations, *(path for pair in tracks for path in pair)])
    path = steps_file(stations)
    daily = lay(read_stations(stations), read_steps(path) if path else {})
    rows: list[dict[str, Any]] = []
    for stack_path, denoised_path in tracks:
        stack = open_stack(stack_path, in_memory=False)
        if not all(name in stack for name in LOS):
            raise SlipscanError(f"{stack_path} has no line of sight: GNSS cannot be projected on it")
        both = with_denoised(stack, open_denoised(denoised_path, stack))
        if daily is not None:
            rows += agreement(both, daily, settings)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    write_text(out, table.to_csv(index=False, lineterminator="\n", float_format="%.4f"), KIND)
    log.info("%s: %d pairs of station and track", out, len(table))


def agreement(both: xr.Dataset, daily: Daily, settings: GnssSettings) -> list[dict[str, Any]]:
    """Rows of the table of one track; `both` is a stack `with_denoised`."""
    grid, time = read_grid(both), both["time"].values
    track = str(both.attrs.get("track", ""))
    near = [_series(both, grid, daily, i, settings.sample_radius_m) for i in range(len(daily.stations))]
    known = [i for i, found in enumerate(near) if found is not None]
    reference = _reference(both, daily, known)
    design, _ = design_matrix(time)
    rows = []
    for i in known:
        own, base = near[i], near[reference] if reference is not None else None
        if own is None or i == reference:
            continue
        values = own - base if base is not None else own
        good = np.isfinite(values).all(axis=0)
        if good.sum() < max(MIN_EPOCHS, 2 * design.shape[1]):
            continue
        kept = design[good]
        left = values[:, good].T - kept @ np.linalg.lstsq(kept, values[:, good].T, rcond=None)[0]
        gnss, raw, denoised = 1e3 * left.T
        row: dict[str, Any] = {
            "track": track, "station": daily.stations[i].name, "epochs": int(good.sum()),
            "reference_station": daily.stations[reference].name if reference is not None else "",
            "gnss_rms_mm": float(np.sqrt(np.mean(gnss**2))),
        }  # fmt: skip
        for name, insar in (("raw", raw), ("denoised", denoised)):
            spread = float(insar.std())
            row[f"{name}_rmse_mm"] = float(np.sqrt(np.mean((insar - gnss) ** 2)))
            row[f"{name}_correlation"] = float(np.corrcoef(insar, gnss)[0, 1]) if spread > 0 else float("nan")
            row[f"{name}_slope"] = float(insar @ gnss / (gnss @ gnss))
        rows.append(row)
    return rows


def _series(both: xr.Dataset, grid: Grid, daily: Daily, number: int, radius_m: float) -> Float | None:
    """GNSS, raw and denoised series (3, time) of a station in the line of sight, metres; None outside the grid."""
    station = daily.stations[number]
    x, y = (float(v) for v in from_lonlat(np.array(station.longitude), np.array(station.latitude), grid.crs))
    half = [max(radius_m, abs(float(axis[1] - axis[0])) / 2) for axis in (grid.x, grid.y)]
    columns, rows = np.flatnonzero(np.abs(grid.x - x) <= half[0]), np.flatnonzero(np.abs(grid.y - y) <= half[1])
    if not len(columns) or not len(rows):
        return None
    part = both.isel(y=slice(rows[0], rows[-1] + 1), x=slice(columns[0], columns[-1] + 1))
    los = np.array([float(np.nanmedian(part[name].values)) for name in LOS])
    insar = [part[name].values.reshape(len(part["time"]), -1) for name in ("displacement", "transient")]
    seen = np.isfinite(insar[0]).any(axis=0) & np.isfinite(insar[1]).any(axis=0)
    if not seen.any() or not np.isfinite(los).all():
        return None
    empty = ~np.isfinite(insar[0][:, seen]).any(axis=1)
    median = [np.nanmedian(np.where(empty[:, None], 0.0, values[:, seen]), axis=1) for values in insar]
    gnss = _averaged(daily, number, both["time"].values) @ los
    return np.stack([gnss, *(np.where(empty, np.nan, values) for values in median)])


def _averaged(daily: Daily, number: int, time: NDArray[np.datetime64]) -> Float:
    """Means (time, 3) of a station's positions, steps taken out, around each epoch; NaN where there is none."""
    series = daily.series[3 * number : 3 * number + 3]
    steps = _steps(daily, number)
    series = series - steps
    epochs = days_since_2014(time)
    out = np.full((len(epochs), 3), np.nan)
    for row, epoch in zip(out, epochs, strict=True):
        around = series[:, np.abs(daily.days - epoch) <= AVERAGED_D + 0.5]
        if np.isfinite(around).any(axis=1).all():
            row[:] = np.nanmean(around, axis=1)
    return out


def _steps(daily: Daily, number: int) -> Float:
    """What the known steps of a station made of its series (3, day): fitted beside offset, rate and season."""
    rows = slice(3 * number, 3 * number + 3)
    columns = daily.columns[rows][0]
    stepping = np.array([set(np.unique(column)) <= {0.0, 1.0} and 0 < column.sum() < len(column) for column in columns])
    out = np.zeros((3, len(daily.days)))
    if not stepping.any():
        return out
    for c, series in enumerate(daily.series[rows]):
        present = np.isfinite(series)
        used = columns[:, present].any(axis=1)
        fitted = np.linalg.lstsq(columns[used][:, present].T, series[present], rcond=None)[0]
        weights = np.zeros(len(columns))
        weights[used] = fitted
        out[c] = (weights * stepping) @ columns
    return out


def _reference(both: xr.Dataset, daily: Daily, known: Sequence[int]) -> int | None:
    """The station nearest to the InSAR reference point, within `REFERENCE_RADIUS_KM`."""
    if not {"reference_lon", "reference_lat"} <= set(both.attrs):
        return None
    point = float(both.attrs["reference_lon"]), float(both.attrs["reference_lat"])
    earth = Geod(ellps="WGS84")
    far = [(earth.inv(*point, daily.stations[i].longitude, daily.stations[i].latitude)[2], i) for i in known]
    return min(far)[1] if far and min(far)[0] <= 1e3 * REFERENCE_RADIUS_KM else None
