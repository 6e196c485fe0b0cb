"""Archive 'local': interferograms or a ready displacement series in a directory of the user."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from slipscan.archive.conventions import CONVENTIONS
from slipscan.archive.extent import Bounds, check_overlap, crop_bounds, lonlat_bounds
from slipscan.archive.finding import (
    find_geometry,
    find_pairs,
    none_found,
    refuse_partial_geometry,
    say_what_is_left_aside,
)
from slipscan.archive.layers import LOS, read_coherences, read_height, read_line_of_sight, read_phases
from slipscan.archive.manifest import COLUMNS
from slipscan.archive.rasters import Raster, common_grid, extent, read_header
from slipscan.archive.ready import flatsim, licsbas, mintpy, series
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid, check_los, los_from_incidence_heading, write_grid
from slipscan.outputs import sha256_file
from slipscan.regions import LocalSource, Region, Track
from slipscan.settings import ArchiveSettings
from slipscan.vocabulary import annotate

log = logging.getLogger(__name__)

__all__ = ["fetch", "find_pairs", "read", "read_interferograms", "search"]

READY = {"displacement": series, "mintpy": mintpy, "licsbas": licsbas, "flatsim": flatsim}
"""Readers of ready displacement series by convention; every other convention is one of interferograms."""


def data_root(settings: ArchiveSettings) -> Path:
    """Return the directory that 'local' paths are below.

    Raises
    ------
    SlipscanError
        neither archive.data_root nor the environment variable SLIPSCAN_DATA is set, or there is no such directory
    """
    root = settings.data_root or os.environ.get("SLIPSCAN_DATA")
    if not root:
        raise SlipscanError(
            "archive 'local' needs archive.data_root in the config, or SLIPSCAN_DATA in the environment"
        )
    path = Path(root).expanduser()
    if not path.is_dir():
        raise SlipscanError(f"the data root {path} is no directory: correct archive.data_root or SLIPSCAN_DATA")
    return path


def search(region: Region, track: Track, settings: ArchiveSettings, as_of: str) -> pd.DataFrame:
    """List the track's interferograms (or its one ready series) up to `as_of`.

    Returns
    -------
    manifest
        columns manifest.COLUMNS, one row per pair with secondary_date <= as_of (ISO date); may be empty. A ready
        series has one row: its first epoch and its last one up to as_of.

    Raises
    ------
    SlipscanError
        no data root, directory or file, or what `find_pairs` refuses
    """
    source, path = _source(track), data_root(settings) / _source(track).path
    if source.convention in READY:
        rows = READY[source.convention].manifest_rows(path, as_of)
    else:
        pairs = find_pairs(path, source.convention)
        if pairs.empty:
            raise SlipscanError(f"region {region.id} track {track.id}: {none_found(path, source.convention)}")
        say_what_is_left_aside(path, source.convention)
        rows = [
            {
                "granule": pair["unwrapped"].relative_to(path).as_posix(),
                "reference_date": pair["reference_date"],
                "secondary_date": pair["secondary_date"],
                "expected_bytes": str(pair["unwrapped"].stat().st_size),
                "expected_checksum": f"sha256:{sha256_file(pair['unwrapped'])}",
            }
            for pair in pairs[pairs["secondary_date"] <= as_of].to_dict("records")
        ]
    common = {"archive": "local", "product_version": "", "relative_orbit": str(track.relative_orbit), "frame": ""}
    return pd.DataFrame([{**row, **common} for row in rows], columns=list(COLUMNS))


def fetch(
    manifest: pd.DataFrame, region: Region, track: Track, settings: ArchiveSettings, cache_dir: Path
) -> list[Path]:
    """Check that every file of the manifest is there and unchanged; nothing is copied.

    Returns
    -------
    files
        interferograms, coherence and geometry (or the files of a ready series), sorted

    Raises
    ------
    SlipscanError
        a file is missing, or its size or SHA-256 is not what the manifest expects
    """
    source, path = _source(track), data_root(settings) / _source(track).path
    if source.convention in READY:
        ready = READY[source.convention]
        files = ready.files(path)
        _check_file(ready.main_file(path), manifest.iloc[0])
        return files
    for _, row in manifest.iterrows():
        _check_file(path / row["granule"], row)
    pairs = _pairs_of(find_pairs(path, source.convention), manifest, path)
    geometry = find_geometry(path, source.convention).values()
    return sorted({*pairs["unwrapped"], *pairs["coherence"].dropna(), *geometry})


def read(
    manifest: pd.DataFrame, region: Region, track: Track, settings: ArchiveSettings, cache_dir: Path
) -> xr.Dataset:
    """Read a track's files around the region's polygon and reference point.

    Returns
    -------
    dataset
        product 'interferograms' (native grid), or 'stack' for a ready series; metres toward the satellite

    Raises
    ------
    SlipscanError
        the polygon lies outside the data, or what `read_interferograms` and the `read_series` of READY refuse
    """
    source, path = _source(track), data_root(settings) / _source(track).path
    bounds = crop_bounds(region)
    if source.convention in READY:
        return READY[source.convention].read_series(path, region, track, manifest, bounds)
    pairs = _pairs_of(find_pairs(path, source.convention), manifest, path)
    check_overlap(region, track, lonlat_bounds(extent([read_header(file) for file in pairs["unwrapped"]])))
    return read_interferograms(path, source, track, manifest, bounds)


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
    rule = CONVENTIONS[source.convention]
    say_what_is_left_aside(directory, rule.name)
    pairs = _pairs_of(find_pairs(directory, rule.name), manifest, directory)
    geometry = {name: read_header(path) for name, path in find_geometry(directory, rule.name).items()}
    unwrapped = [read_header(path) for path in pairs["unwrapped"]]
    coherence = [read_header(path) for path in pairs["coherence"].dropna()]
    grid = common_grid([*unwrapped, *coherence, *geometry.values()], bounds)
    dims = ("pair", "y", "x")
    dataset = xr.Dataset(
        {"interferogram": (dims, read_phases(unwrapped, grid, rule.metres_per_radian(track.radar_wavelength_m)))},
        coords={
            "pair": np.arange(len(pairs), dtype=np.int64),
            "reference_date": ("pair", pairs["reference_date"].to_numpy("datetime64[ns]")),
            "secondary_date": ("pair", pairs["secondary_date"].to_numpy("datetime64[ns]")),
        },
    )
    if coherence:
        dataset["coherence"] = (dims, read_coherences(coherence, grid, rule.coherence_scale, rule.name))
    for name, values in _read_geometry(geometry, grid, source, track, directory).items():
        dataset[name] = (("y", "x"), values)
    return annotate(write_grid(dataset, grid), "interferograms")


def _source(track: Track) -> LocalSource:
    if track.local is None:
        raise SlipscanError(f"track {track.id} has no key 'local' (convention and path): add it to the region's entry")
    return track.local


def _check_file(path: Path, row: pd.Series) -> None:
    """Refuse a file that is missing or not the one of the manifest; a directory (Zarr) is not compared."""
    if not path.exists():
        raise SlipscanError(f"{path} of the manifest is missing: restore it, or make the manifest again")
    changed = path.is_file() and (
        row["expected_bytes"] not in ("", str(path.stat().st_size))
        or row["expected_checksum"] not in ("", f"sha256:{sha256_file(path)}")
    )
    if changed:
        raise SlipscanError(f"{path} is not the file of the manifest (size or SHA-256): make the manifest again")


def _pairs_of(pairs: pd.DataFrame, manifest: pd.DataFrame, directory: Path) -> pd.DataFrame:
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
