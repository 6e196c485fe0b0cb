"""From the transients of a region's tracks to its event table: joined, and explained by one source each."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import shapely

from slipscan import events
from slipscan.errors import SlipscanError
from slipscan.outputs import check_outputs
from slipscan.progress import progress
from slipscan.settings import SourceSettings
from slipscan.source.classify import choose, source_columns
from slipscan.source.inversion import Inversion, invert_fault, invert_volume
from slipscan.source.join import TrackTransient, in_metres, join, multi, strongest
from slipscan.source.maps import TrackMaps, observations, open_track
from slipscan.source.projection import Observations

log = logging.getLogger(__name__)

MIN_POINTS = 30
"""Fewer valid points do not determine a source."""


def write_event_table(transients: list[Path], out: Path, settings: SourceSettings) -> None:
    """Write the event table of a region.

    Parameters
    ----------
    transients
        the transients stores of all its tracks
    out
        event table (Parquet): columns events.SOURCE_COLUMNS, one scan per track
    settings
        of this stage

    Raises
    ------
    SlipscanError
        no store, a broken contract, stores of two regions or twice the same track
    """
    if not transients:
        raise SlipscanError("there is no transients store to explain: give one per track of the region")
    check_outputs([(out, events.KIND)], transients)
    tracks = [open_track(Path(path), number) for number, path in enumerate(transients)]
    table, scans = explain(tracks, settings)
    events.write_events(out, table, scans)


def explain(tracks: Sequence[TrackMaps], settings: SourceSettings) -> tuple[gpd.GeoDataFrame, list[dict[str, Any]]]:
    """The event table of a region's tracks, and the scans behind it; raises as `write_event_table` does."""
    scans = [events.scan_of(track.dataset.attrs) for track in tracks]
    _check_one_region(scans)
    groups = join([t for track in tracks for t in track.transients], settings.join_gap_d)
    rows = [event_row(tracks, group, settings) for group in progress(groups, "sources")]
    rows.sort(key=lambda row: (row["t50"], row["longitude"], row["latitude"]))
    table = events.event_table(rows, events.SOURCE_COLUMNS)
    log.info("%d transients of %d tracks are %d events", sum(len(t.transients) for t in tracks), len(tracks), len(rows))
    return table, scans


def _check_one_region(scans: Sequence[dict[str, Any]]) -> None:
    regions = sorted({str(scan["region"]) for scan in scans})
    if len(regions) > 1:
        raise SlipscanError(f"the transients stores are of several regions ({', '.join(regions)}): give one region's")
    names = [str(scan["track"]) for scan in scans]
    if len(set(names)) < len(names):
        raise SlipscanError(f"two transients stores are of the same track ({', '.join(names)}): give each once")


def event_row(tracks: Sequence[TrackMaps], group: Sequence[TrackTransient], settings: SourceSettings) -> dict[str, Any]:
    """One row of the event table, with its geometry, from the transients that make the event."""
    footprint = multi(shapely.union_all([member.footprint for member in group]))
    origin = (float(footprint.centroid.x), float(footprint.centroid.y))
    points = observations(tracks, group, origin, settings.max_points)
    area_km2 = float(in_metres(footprint, *origin).area) / 1e6
    inversions = _inversions(tracks, group, points, area_km2, settings)
    chosen = choose(inversions, settings.min_variance_explained)
    return {
        **_times_and_scan(tracks, group),
        **source_columns(chosen, origin, inversions),
        **_peaks(tracks, group),
        "area_km2": area_km2,
        "geometry": footprint,
    }


def _inversions(
    tracks: Sequence[TrackMaps],
    group: Sequence[TrackTransient],
    points: Observations | None,
    area_km2: float,
    settings: SourceSettings,
) -> list[Inversion]:
    """The best fault and the best volume source, or nothing (said in the log) where data do not allow any."""
    when = np.datetime_as_string(strongest(group).t50, "D")
    if points is None:
        log.warning("event of %s: no track has a line of sight, so no source is fitted: type residue", when)
        return []
    if len(points.value) < MIN_POINTS:
        log.warning("event of %s: only %d valid points, so no source is fitted: type residue", when, len(points.value))
        return []
    size_km = 2.0 * float(np.sqrt(area_km2 / np.pi))
    strike = tracks[group[0].track].dataset.attrs.get("fault_strike_deg")
    fault = invert_fault(points, settings.poisson_ratio, size_km, None if strike is None else float(strike))
    volume = invert_volume(points, settings.poisson_ratio, size_km)
    log.info(
        "event of %s: a fault explains %.2f of the variance, a volume source %.2f (criterion %.1f better for the %s)",
        when, fault.variance_explained, volume.variance_explained, abs(volume.criterion - fault.criterion),
        "fault" if fault.criterion < volume.criterion else "volume source",
    )  # fmt: skip
    return [fault, volume]


def _times_and_scan(tracks: Sequence[TrackMaps], group: Sequence[TrackTransient]) -> dict[str, Any]:
    """Times, statistic and provenance: of the track that sees the event best, save where the columns say else."""
    best = strongest(group)
    track = tracks[best.track]
    one = track.dataset.isel(transient=best.number)
    attrs = track.dataset.attrs
    members = [tracks[m.track].dataset.isel(transient=m.number) for m in group]
    row: dict[str, Any] = {
        "region": str(attrs["region"]),
        "tracks": ",".join(sorted({tracks[m.track].name for m in group})),
        "duration_d": float((best.t95 - best.t05) / np.timedelta64(1, "D")),
        "ongoing": bool(one["ongoing"].item()),
        "left_censored": bool(one["left_censored"].item()),
        "statistic": best.statistic,
        "p_value": min(float(member["p_value"]) for member in members),
        "threshold": float(attrs["threshold"]),
        "false_alarms_per_1e4km2_yr": float(attrs["false_alarms_per_1e4km2_yr"]),
        "calibration_id": str(attrs["calibration_id"]),
        "weights": str(attrs["weights"]),
        "data_until": max(str(t.dataset.attrs["data_until"]) for t in tracks),
        "slipscan_version": str(attrs["slipscan_version"]),
    }
    return row | {k: str(np.datetime_as_string(getattr(best, k), "D")) for k in ("t05", "t50", "t95")}


def _peaks(tracks: Sequence[TrackMaps], group: Sequence[TrackTransient]) -> dict[str, float]:
    """Largest displacements toward and away from the satellite in the footprints; 0 where there is none."""
    values = [np.zeros(1)]
    for number in sorted({member.track for member in group}):
        value, _, footprint = tracks[number].total([m.number for m in group if m.track == number])
        values.append(value[footprint & np.isfinite(value)])
    pooled = np.concatenate(values)
    return {"peak_positive_mm": float(pooled.max()) * 1e3, "peak_negative_mm": float(pooled.min()) * 1e3}
