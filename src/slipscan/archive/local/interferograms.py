"""The interferograms of a directory on their common grid, in metres toward the satellite, with their geometry."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import rasterio
import xarray as xr
from numpy.typing import NDArray

from slipscan.archive.extent import Bounds
from slipscan.archive.local.finding import find_geometry, find_pairs, refuse_partial_geometry, say_what_is_left_aside
from slipscan.archive.reading.conventions import CONVENTIONS
from slipscan.archive.reading.layers import LOS, read_coherences, read_height, read_line_of_sight, read_phases
from slipscan.archive.reading.rasters import Raster, common_grid, read_header
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid, check_los, los_from_incidence_heading, write_grid
from slipscan.outofcore import sharded
from slipscan.regions import LocalSource, Track
from slipscan.vocabulary import annotate

log = logging.getLogger(__name__)


def read_interferograms(
    directory: Path, source: LocalSource, track: Track, manifest: pd.DataFrame, bounds: Bounds | None = None
) -> xr.Dataset:
    """Read the interferograms of a manifest onto their common extent.

    Parameters
    ----------
    directory
        where the files lie, subdirectories included
    source
        the convention, and for GAMMA the scalar incidence and heading
    track
        wavelength and orbit direction
    manifest
        which pairs, by reference_date and secondary_date
    bounds
        west, south, east, north (degrees) to crop to; None: all

    Returns
    -------
    dataset
        product 'interferograms' on the native grid: interferogram (pair, y, x) in metres toward the satellite,
        NaN where the file has 0, NaN or its nodata; coherence (pair, y, x) 0-1 where there are such files;
        los_east, los_north, los_up and height (y, x) where there is geometry

    Raises
    ------
    SlipscanError
        a file is missing, unreadable or on another grid; a line of sight that the track cannot have
    """
    # One environment of GDAL for all files: making one takes longer than opening a file.
    with rasterio.Env():
        return _read(directory, source, track, manifest, bounds)


def _read(
    directory: Path, source: LocalSource, track: Track, manifest: pd.DataFrame, bounds: Bounds | None
) -> xr.Dataset:
    rule = CONVENTIONS[source.convention]
    found = find_pairs(directory, rule.name)
    say_what_is_left_aside(directory, rule.name, found)
    pairs = pairs_of(found, manifest, directory)
    geometry = {name: read_header(path) for name, path in find_geometry(directory, rule.name).items()}
    unwrapped = [read_header(path) for path in pairs["unwrapped"]]
    coherence = [read_header(path) for path in pairs["coherence"].dropna()]
    grid = common_grid([*unwrapped, *coherence, *geometry.values()], bounds)
    dims = ("pair", "y", "x")
    phases = read_phases(unwrapped, grid, rule.metres_per_radian(track.radar_wavelength_m))
    dataset = xr.Dataset(
        {"interferogram": (dims, sharded(phases))},  # as a plain array it would be copied whole on its way to the store
        coords={
            "pair": np.arange(len(pairs), dtype=np.int64),
            "reference_date": ("pair", pairs["reference_date"].to_numpy("datetime64[ns]")),
            "secondary_date": ("pair", pairs["secondary_date"].to_numpy("datetime64[ns]")),
        },
    )
    if coherence:
        dataset["coherence"] = (dims, sharded(read_coherences(coherence, grid, rule.coherence_scale, rule.name)))
    for name, values in _read_geometry(geometry, grid, source, track, directory).items():
        dataset[name] = (("y", "x"), values)
    return annotate(write_grid(dataset, grid), "interferograms")


def pairs_of(pairs: pd.DataFrame, manifest: pd.DataFrame, directory: Path) -> pd.DataFrame:
    """Select the pairs of a manifest; raises SlipscanError where one has no file or there is none at all."""
    dates = ["reference_date", "secondary_date"]
    if manifest.empty:
        raise SlipscanError(f"the manifest of {directory} lists no interferogram: search again, or move as_of")
    selected = manifest[dates].merge(pairs, on=dates, how="left").sort_values(dates, ignore_index=True)
    absent = selected[selected["unwrapped"].isna()]
    if not absent.empty:
        raise SlipscanError(
            f"the interferogram {absent.iloc[0]['reference_date']} to {absent.iloc[0]['secondary_date']} of the"
            f" manifest is missing in {directory}: restore it, or make the manifest again"
        )
    return selected


def _read_geometry(
    rasters: dict[str, Raster], grid: Grid, source: LocalSource, track: Track, directory: Path
) -> dict[str, NDArray[np.float32]]:
    """Line of sight and height, (y, x) each; scalar incidence and heading are spread over the grid."""
    out: dict[str, NDArray[np.float32]] = {}
    if "height" in rasters:
        out["height"] = read_height(rasters["height"], grid)
    los: tuple[NDArray[np.floating], ...] | None = None
    where = str(directory)
    if {"lv_theta", "lv_phi"} <= set(rasters) or set(LOS) <= set(rasters):
        los = read_line_of_sight(rasters, grid, track.orbit_direction, where)
    elif source.incidence_deg is not None and source.heading_deg is not None:
        los = los_from_incidence_heading(
            np.full(grid.shape, source.incidence_deg), np.full(grid.shape, source.heading_deg)
        )
        check_los(*los, track.orbit_direction, where)
    if los is None:
        rule = CONVENTIONS[source.convention]
        refuse_partial_geometry(rasters, rule, directory)
        wanted = [name for what, name in rule.examples.items() if what.startswith(("los_", "lv_"))]
        log.warning(
            "%s has no line of sight: add %sincidence_deg and heading_deg",
            directory, f"the geometry files {', '.join(wanted)}, or " if wanted else "",
        )  # fmt: skip
    else:
        out |= {name: np.asarray(part, np.float32) for name, part in zip(LOS, los, strict=True)}
    if "height" not in out:
        log.warning(
            "%s has no height file (%s): nothing that follows topography can be removed",
            directory, CONVENTIONS[source.convention].examples["height"],
        )  # fmt: skip
    return out
