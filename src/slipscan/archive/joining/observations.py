"""From crops of granules to the interferograms of a track: frames joined, corrections applied once, one lattice."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from slipscan.archive.job import Job
from slipscan.archive.joining.frames import join
from slipscan.archive.joining.lattice import place, union_grid
from slipscan.archive.joining.plates import velocity
from slipscan.archive.troposphere import correction as troposphere
from slipscan.archive.troposphere.delays import Delays, toward
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid, check_los, read_grid, write_grid
from slipscan.outofcore import Empty, sharded
from slipscan.progress import progress
from slipscan.regions import Region
from slipscan.settings import Corrections
from slipscan.vocabulary import annotate

log = logging.getLogger(__name__)

LAYERS = ("tide", "ionosphere", "troposphere")
GEOMETRY = ("los_east", "los_north", "los_up", "height")


@dataclass(frozen=True)
class Crop:
    """A granule's part of a region: its row of the manifest, its data (lazy), its place on the track's lattice."""

    row: pd.Series
    data: xr.Dataset
    rows: slice
    columns: slice


def assemble(
    crops: Sequence[tuple[pd.Series, xr.Dataset]],
    job: Job,
    empty: Empty,
    whole_cycles: bool = True,
    delays: Delays | None = None,
) -> xr.Dataset:
    """Put the crops of a track together.

    Parameters
    ----------
    crops
        of `RemoteArchive.crops`: manifest row and product 'granule', opened lazily
    job
        its region and track are for sentences, the plate, the wavelength and the check of the line of sight; its
        settings say what to take out: each correction is applied to all interferograms or to none, so that triplets
        still close
    empty
        maker of arrays (of zeros) for what need not fit in memory (`outofcore.scratch_arrays`)
    whole_cycles
        whether frames differ by whole cycles only (see `frames.join`)
    delays
        of `troposphere.fetch`; None where the granules settle the tropospheric correction themselves

    Returns
    -------
    dataset
        product 'interferograms' on the track's lattice: (pair, y, x), lazily read from the arrays that `empty` made;
        attribute `corrections`, JSON: what was applied, of the troposphere also the kind and the epochs

    Raises
    ------
    SlipscanError
        no crop has data; crops of different lattices; a line of sight that the track cannot have; a tropospheric
        correction is asked for and missing
    """
    if not crops:
        raise SlipscanError(
            f"no granule of {job.where} has data within the region's polygon: check the polygon and the track"
        )
    names = [row["granule"] for row, _ in crops]
    grids = [read_grid(data, name) for (_, data), name in zip(crops, names, strict=True)]
    grid = union_grid(grids, names)
    placed = [Crop(row, data, *place(own, grid, row["granule"])) for (row, data), own in zip(crops, grids, strict=True)]
    by_pair = _by_pair(placed)
    corrections, track, where = job.settings.corrections, job.track, job.where
    geometry = _geometry(placed, grid)
    if set(GEOMETRY[:3]) <= set(geometry):
        east, north, up = (geometry[name] for name in GEOMETRY[:3])
        check_los(east, north, up, track.orbit_direction, where)
    applied = _applied(placed, corrections, where)
    record = _tropospheric(crops, corrections, delays, where)
    parts = {} if delays is None else toward(delays, grid, geometry, empty, where)
    plate = _plate_rate(job.region, grid, geometry, corrections)
    cycle_m = track.radar_wavelength_m / 2 if whole_cycles else None
    arrays = _arrays(by_pair, grid, empty, [name for name in LAYERS if applied[name]], parts, plate, cycle_m)

    dates = np.asarray(list(by_pair), dtype="datetime64[ns]")
    dims = ("pair", "y", "x")
    dataset = xr.Dataset(
        {name: (dims, sharded(values)) for name, values in arrays.items()},
        coords={
            "pair": np.arange(len(dates), dtype=np.int64),
            "reference_date": ("pair", dates[:, 0]),
            "secondary_date": ("pair", dates[:, 1]),
        },
        attrs={
            "corrections": json.dumps({**applied, "troposphere": record or False, "plate_motion": plate is not None})
        },
    )
    for name, values in geometry.items():
        dataset[name] = (("y", "x"), values)
    return annotate(write_grid(dataset, grid), "interferograms")


def _by_pair(crops: Sequence[Crop]) -> dict[tuple[str, str], list[Crop]]:
    """Group crops by their dates, both in order; the frames of a pair in the order of their names."""
    out: dict[tuple[str, str], list[Crop]] = {}
    for crop in sorted(crops, key=lambda crop: tuple(crop.row[["reference_date", "secondary_date", "frame"]])):
        out.setdefault((crop.row["reference_date"], crop.row["secondary_date"]), []).append(crop)
    return out


def _arrays(
    by_pair: Mapping[tuple[str, str], Sequence[Crop]],
    grid: Grid,
    empty: Empty,
    layers_out: Sequence[str],
    delays: Mapping[str, NDArray[np.float32]],
    plate: NDArray[np.float64] | None,
    cycle_m: float | None,
) -> dict[str, NDArray[Any]]:
    """Fill the arrays (pair, y, x) interferogram by interferogram."""
    shape = (len(by_pair), *grid.shape)
    out = {"interferogram": empty(shape, np.float32), "component": empty(shape, np.int16)}
    with_coherence = any("coherence" in crop.data for crops in by_pair.values() for crop in crops)
    if with_coherence:
        out["coherence"] = empty(shape, np.float32)
    shifted = unbridged = 0
    for index, (dates, crops) in enumerate(progress(by_pair.items(), "join and correct interferograms")):
        layers = [_on_grid(crop, grid, _corrected(crop, layers_out)) for crop in crops]
        labels = [_labels(crop, grid, layer) for crop, layer in zip(crops, layers, strict=True)]
        layers = [np.where(label > 0, layer, np.nan) for layer, label in zip(layers, labels, strict=True)]
        if len(crops) > 1:
            joined = join(layers, labels, cycle_m)
            values, label = joined.values, joined.component
            shifted, unbridged = shifted + joined.shifted, unbridged + joined.unbridged
        else:
            values, label = layers[0], labels[0]
        if delays:
            older, newer = dates
            values = values - (delays[newer] - delays[older])
        if plate is not None:
            values = (values - plate * _years(*dates)).astype(np.float32)
        out["interferogram"][index], out["component"][index] = values, label
        if with_coherence:
            coherence = [
                _on_grid(crop, grid, crop.data["coherence"].values) for crop in crops if "coherence" in crop.data
            ]
            out["coherence"][index] = _first_valid(coherence, grid.shape)
    if shifted or unbridged:
        log.info("frames joined: %d components shifted, %d overlaps that bridge nothing", shifted, unbridged)
    return out


def _corrected(crop: Crop, layers: Sequence[str]) -> NDArray[np.floating]:
    """Interferogram less some layers, (y, x) m."""
    values = crop.data["interferogram"].values.astype(np.float64)
    for name in layers:
        values = values - crop.data[name].values
    return values


def _on_grid(crop: Crop, grid: Grid, values: NDArray[np.floating]) -> NDArray[np.float32]:
    """Lay a crop's values on the track's lattice, (y, x) float32, NaN elsewhere."""
    out = np.full(grid.shape, np.nan, np.float32)
    out[crop.rows, crop.columns] = values
    return out


def _labels(crop: Crop, grid: Grid, values: NDArray[np.float32]) -> NDArray[np.int16]:
    """Connected components on the track's lattice, (y, x); one component where the archive tells none.

    A pixel that the archive puts into no component was not unwrapped with its neighbours: it is no data.
    """
    valid = np.isfinite(values)
    if "component" not in crop.data:
        return valid.astype(np.int16)
    out = np.zeros(grid.shape, np.int16)
    out[crop.rows, crop.columns] = crop.data["component"].values
    return np.where(valid, out, 0).astype(np.int16)


def _first_valid(layers: Sequence[NDArray[np.float32]], shape: tuple[int, int]) -> NDArray[np.float32]:
    """The first layer with data gives a pixel its value."""
    out = np.full(shape, np.nan, np.float32)
    for layer in layers:
        out = np.where(np.isnan(out), layer, out)
    return out


def _geometry(crops: Sequence[Crop], grid: Grid) -> dict[str, NDArray[np.float32]]:
    """Line of sight and height, (y, x) each, from the first granules that hold them."""
    out = {}
    for name in GEOMETRY:
        holders = [crop for crop in crops if name in crop.data]
        if not holders:
            log.warning("no granule has %s", name)
            continue
        values = np.full(grid.shape, np.nan, np.float32)
        covered = np.zeros(grid.shape, bool)
        for crop in holders:
            # A granule that reaches no further than those before it is not read.
            if not covered[crop.rows, crop.columns].all():
                values = _first_valid([values, _on_grid(crop, grid, crop.data[name].values)], grid.shape)
                covered = np.isfinite(values)
        out[name] = values
    return out


def _applied(crops: Sequence[Crop], corrections: Corrections, where: str) -> dict[str, bool]:
    """Which layers are taken out: those that are asked for and that every granule has."""
    out = {}
    for name, wanted in (("tide", corrections.tide), ("ionosphere", corrections.ionosphere)):
        without = [crop.row["granule"] for crop in crops if name not in crop.data] if wanted else []
        out[name] = wanted and not without
        if without:
            log.warning(
                "%d of %d granules of %s have no layer '%s' (the first: %s): it is applied to none",
                len(without), len(crops), where, name, without[0],
            )  # fmt: skip
    own = [(crop.row, crop.data) for crop in crops]
    out["troposphere"] = troposphere.settled(own, corrections.troposphere, where) == "layer"
    return out


def _tropospheric(
    crops: Sequence[tuple[pd.Series, xr.Dataset]], corrections: Corrections, delays: Delays | None, where: str
) -> dict[str, Any] | None:
    """What was taken out as troposphere: kind and epochs; None where nothing was.

    Raises
    ------
    SlipscanError
        it is asked for, and neither do the granules bring it nor are there delays of this kind
    """
    kind = corrections.troposphere
    how = troposphere.settled(crops, kind, where)
    if how is not None:
        return {"kind": kind if how == "layer" else how, "epochs": troposphere.dates_of(crops)}
    if kind == "none":
        return None
    if delays is None or delays.kind != kind:
        raise SlipscanError(troposphere.no_delays(crops, kind, where))
    return delays.record()


def _plate_rate(
    region: Region, grid: Grid, geometry: Mapping[str, NDArray[np.float32]], corrections: Corrections
) -> NDArray[np.float64] | None:
    """Motion of the region's plate toward the satellite, (y, x) m/yr, or None where it is not asked for."""
    if not corrections.plate_motion:
        return None
    if region.plate is None or not set(GEOMETRY[:3]) <= set(geometry):
        raise SlipscanError(
            f"archive.corrections.plate_motion needs the key 'plate' of region {region.id} and a line of sight: add the"
            " key, or switch the correction off"
        )
    motion = velocity(region.plate, *grid.lonlat())
    return np.asarray(sum(geometry[name] * part for name, part in zip(GEOMETRY[:3], motion, strict=True)))


def _years(older: str, newer: str) -> float:
    """Years between two ISO dates."""
    return float((np.datetime64(newer) - np.datetime64(older)) / np.timedelta64(1, "D")) / 365.25
