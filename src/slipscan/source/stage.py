"""From the transients of a region's tracks to its event table: joined, and explained by one source each."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import xarray as xr

from slipscan import events
from slipscan.earthquakes import Earthquakes, read_earthquakes
from slipscan.errors import SlipscanError
from slipscan.outputs import check_outputs
from slipscan.progress import progress
from slipscan.settings import SourceSettings
from slipscan.source.change import blocks_of
from slipscan.source.data import Block
from slipscan.source.elsewhere import blocks_elsewhere
from slipscan.source.explain import explain_data
from slipscan.source.faults import nearest_fault
from slipscan.source.join import TrackTransient, in_metres, join, strongest
from slipscan.source.maps import TrackMaps, open_track
from slipscan.source.place import area_of
from slipscan.source.row import Event, source_columns, unexplained_columns
from slipscan.source.significance import false_alarms, p_real
from slipscan.source.times import times_of
from slipscan.stack import open_stack
from slipscan.store import open_zarr

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Known:
    """What is known beside the transients of a region.

    Attributes
    ----------
    noises
        noise product of every track, in the order of the tracks; None: not given
    quakes
        earthquakes; None: no list was given
    """

    noises: tuple[xr.Dataset | None, ...]
    quakes: Earthquakes | None = None


def write_event_table(
    transients: list[Path],
    out: Path,
    settings: SourceSettings,
    noises: Sequence[Path] = (),
    stacks: Sequence[Path] = (),
) -> None:
    """Write the event table of a region.

    Parameters
    ----------
    transients
        the transients stores of all its tracks
    out
        event table (Parquet): columns events.SOURCE_COLUMNS, one scan per track
    settings
        of this stage
    noises
        noise products, one a track, in the order of `transients`; none: the maps themselves tell their noise
    stacks
        stacks, one a track, in that order: what an event left in tracks that did not find it is explained, too; none:
        only the tracks that found it are

    Raises
    ------
    SlipscanError
        no store, a broken contract, stores of two regions or twice the same track, noise products or stacks of other
        tracks, a stack with other dates than its transients
    """
    if not transients:
        raise SlipscanError("there is no transients store to explain: give one per track of the region")
    for name, paths in (("noise products", noises), ("stacks", stacks)):
        if paths and len(paths) != len(transients):
            raise SlipscanError(f"{len(paths)} {name} came with {len(transients)} transients stores: give one a track")
    check_outputs([(out, events.KIND)], [*transients, *noises, *stacks])
    tracks = [open_track(Path(path), number) for number, path in enumerate(transients)]
    products = [open_zarr(path) for path in noises]
    series = [open_stack(path, in_memory=False) for path in stacks]
    _check_tracks(tracks, products, "noise product")
    _check_tracks(tracks, series, "stack")
    for track, stack in zip(tracks, series, strict=False):
        if not all(np.array_equal(track.dataset[axis].values, stack[axis].values) for axis in ("time", "y", "x")):
            raise SlipscanError(
                f"the transients of track {track.name} are of another stack (other dates or another grid): run detect"
                " again"
            )
    table, scans = explain(tracks, settings, products, series)
    events.write_events(out, table, scans)


def _check_tracks(tracks: Sequence[TrackMaps], given: Sequence[xr.Dataset], name: str) -> None:
    for track, product in zip(tracks, given, strict=False):
        if str(product.attrs.get("track", track.name)) != track.name:
            raise SlipscanError(
                f"the {name} of track {product.attrs['track']} stands where that of {track.name} should: give {name}s"
                " in the order of the transients"
            )


def explain(
    tracks: Sequence[TrackMaps],
    settings: SourceSettings,
    noises: Sequence[xr.Dataset | None] = (),
    stacks: Sequence[xr.Dataset] = (),
) -> tuple[gpd.GeoDataFrame, list[dict[str, Any]]]:
    """The event table of a region's tracks, and the scans behind it; raises as `write_event_table` does."""
    scans = [events.scan_of(track.dataset.attrs) for track in tracks]
    _check_one_region(scans)
    known = Known(tuple(noises) or (None,) * len(tracks), _quakes(settings))
    groups = join([t for track in tracks for t in track.transients], settings.join_gap_d)
    elsewhere = blocks_elsewhere(tracks, groups, stacks, known.noises, settings.max_points)
    rows = [
        event_row(tracks, group, settings, known, beyond)
        for group, beyond in zip(progress(groups, "sources"), elsewhere, strict=True)
    ]
    expected, residue = (np.array([row[name] for row in rows], float) for name in ("false_alarms", "p_residue"))
    for row, sure in zip(rows, p_real(expected, residue), strict=True):
        row["p_real"] = float(sure)
    rows.sort(key=lambda row: (row["t50"], row["longitude"], row["latitude"]))
    table = events.event_table(rows, events.SOURCE_COLUMNS)
    log.info("%d transients of %d tracks are %d events", sum(len(t.transients) for t in tracks), len(tracks), len(rows))
    return table, scans


def _quakes(settings: SourceSettings) -> Earthquakes | None:
    if settings.earthquakes is None:
        log.info("no list of earthquakes is given (source.earthquakes): no event is called coseismic or afterslip")
        return None
    return read_earthquakes(Path(settings.earthquakes), "correct source.earthquakes, or leave the key out")


def _check_one_region(scans: Sequence[dict[str, Any]]) -> None:
    regions = sorted({str(scan["region"]) for scan in scans})
    if len(regions) > 1:
        raise SlipscanError(f"the transients stores are of several regions ({', '.join(regions)}): give one region's")
    names = [str(scan["track"]) for scan in scans]
    if len(set(names)) < len(names):
        raise SlipscanError(f"two transients stores are of the same track ({', '.join(names)}): give each once")


def event_row(
    tracks: Sequence[TrackMaps],
    group: Sequence[TrackTransient],
    settings: SourceSettings,
    known: Known,
    elsewhere: Mapping[int, Block],
) -> dict[str, Any]:
    """One row of the event table, with its geometry, from the transients that make the event.

    `elsewhere` are blocks of tracks that did not find it, by number of track.
    """
    strike = tracks[group[0].track].dataset.attrs.get("fault_strike_deg")
    footprint, origin, area = area_of(group, None, None if strike is None else float(strike))
    if settings.faults is not None:
        fault = nearest_fault(Path(settings.faults), origin, settings.fault_distance_km)
        area = replace(area, fault=fault)
    event = Event(tuple(tracks), tuple(group), origin)
    blocks = blocks_of(tracks, group, origin, settings.max_points, known.noises)
    if blocks:
        blocks = dict(sorted({**blocks, **elsewhere}.items()))
        explained = explain_data(list(blocks.values()), area, settings)
        believed = dict(zip(blocks, explained.data.blocks, strict=True))
        columns = source_columns(event, explained, believed, settings, known.noises, known.quakes)
    else:
        when = np.datetime_as_string(strongest(group).t50, "D")
        log.warning(
            "event of %s: no track has a line of sight and 10 valid points, so no source is fitted: type residue", when
        )
        columns = unexplained_columns(event)
    return {
        **_times_and_scan(tracks, group),
        "false_alarms": false_alarms(tracks, group, settings.join_gap_d),
        **columns,
        **_peaks(tracks, group),
        "area_km2": float(in_metres(footprint, *origin).area) / 1e6,
        "geometry": footprint,
    }


def _times_and_scan(tracks: Sequence[TrackMaps], group: Sequence[TrackTransient]) -> dict[str, Any]:
    """Times of all tracks; statistic and provenance of the one that sees it best, save where the columns say else."""
    best, times = strongest(group), times_of(tracks, group)
    track = tracks[best.track]
    one = track.dataset.isel(transient=best.number)
    attrs = track.dataset.attrs
    members = [tracks[m.track].dataset.isel(transient=m.number) for m in group]
    row: dict[str, Any] = {
        "region": str(attrs["region"]),
        "tracks": ",".join(sorted({tracks[m.track].name for m in group})),
        "duration_d": times.duration_d,
        "ongoing": bool(one["ongoing"].item()),
        "left_censored": bool(one["left_censored"].item()),
        "statistic": best.statistic,
        "p_value": min(float(member["p_value"]) for member in members),
        "threshold": float(one["threshold"] if "threshold" in one else attrs["threshold"]),
        "found_by": ",".join(sorted({_search(member) for member in members})),
        "false_alarms_per_1e4km2_yr": float(attrs["false_alarms_per_1e4km2_yr"]),
        "calibration_id": str(attrs["calibration_id"]),
        "weights": str(attrs["weights"]),
        "data_until": max(str(t.dataset.attrs["data_until"]) for t in tracks),
        "slipscan_version": str(attrs["slipscan_version"]),
    }
    for name, date, error in zip(events.DATES, times.dates, times.errors_d, strict=True):
        row[name], row[f"{name}_err_days"] = str(np.datetime_as_string(date, "D")), error
    return row


def _search(member: xr.Dataset) -> str:
    """Which search found a transient."""
    for name, variable in (("fault", "found_on_fault"), ("field", "found_by_field")):
        if variable in member and bool(member[variable]):
            return name
    return "scan"


def _peaks(tracks: Sequence[TrackMaps], group: Sequence[TrackTransient]) -> dict[str, float]:
    """Largest displacements toward and away from the satellite in the footprints; 0 where there is none."""
    values = [np.zeros(1)]
    for number in sorted({member.track for member in group}):
        value, _, footprint = tracks[number].total([m.number for m in group if m.track == number])
        values.append(value[footprint & np.isfinite(value)])
    pooled = np.concatenate(values)
    return {"peak_positive_mm": float(pooled.max()) * 1e3, "peak_negative_mm": float(pooled.min()) * 1e3}
