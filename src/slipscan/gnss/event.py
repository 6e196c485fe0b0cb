"""One event at the GNSS stations around it: which stations, which reference, which map, what verdict."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Geod

from slipscan.geometry import from_lonlat
from slipscan.gnss.compare import Judgement, judge, project, sample, stacked_covariance
from slipscan.gnss.steps import Step
from slipscan.gnss.tenv3 import Station
from slipscan.gnss.trajectory import Interval, TransientEstimate, fit_transient
from slipscan.settings import GnssSettings
from slipscan.source.join import in_metres, linked_in_time
from slipscan.source.maps import TrackMaps
from slipscan.source.sources import predict

log = logging.getLogger(__name__)
Float = NDArray[np.float64]

REFERENCE_RADIUS_KM = 10.0
"""A station so close to the InSAR reference point can stand for it."""
REFERENCE_CLEARANCE_KM = 5.0
"""It must lie so far from the footprint at least, and a footprint diameter at least."""
MATCH_GAP_D = 24.0
MATCH_SHARE = 0.5
"""Share of a transient's footprint that lies in the event's."""


@dataclass(frozen=True)
class Network:
    """The stations of a region and their steps."""

    stations: tuple[Station, ...]
    steps: Mapping[str, Sequence[Step]]


@dataclass(frozen=True)
class Measured:
    """A station near an event with its estimated transient, and its distance from the footprint."""

    station: Station
    distance_km: float
    estimate: TransientEstimate


@dataclass(frozen=True)
class Comparison:
    """Rows of the table (one per station and track, without the event's own columns) and the verdict."""

    rows: list[dict[str, Any]]
    stations: int
    judgement: Judgement


def interval_of(event: Mapping[str, Any]) -> Interval:
    """t05 and t95 of a row of the event table."""
    return np.datetime64(event["t05"], "ns"), np.datetime64(event["t95"], "ns")


def compare_event(
    event: Mapping[str, Any],
    others: Sequence[Mapping[str, Any]],
    tracks: Sequence[TrackMaps],
    network: Network,
    settings: GnssSettings,
) -> Comparison:
    """Compare one event with the stations around it.

    Parameters
    ----------
    event
        a row of the event table with its geometry
    others
        the other events of the region: those near in space are estimated beside it
    tracks
        transients stores of the region
    network
        stations and their steps
    settings
        of the gnss stage

    Returns
    -------
    comparison
        relative to a reference station near the InSAR reference point where there is one (double
        differences), else single differences
    """
    distances = [_distance_km(event["geometry"], station) for station in network.stations]
    beside = _other_intervals(event, others, settings.max_distance_km)
    reference = _reference(event, tracks, network, distances, beside, settings)
    measured = []
    for station, distance in zip(network.stations, distances, strict=True):
        if distance > settings.max_distance_km or (reference and station.name == reference.station.name):
            continue
        estimate = _estimate(event, station, network, beside, settings)
        if estimate is not None:
            measured.append(Measured(station, distance, estimate))
    if not measured:
        return Comparison([], 0, judge(np.empty(0), np.empty((0, 0)), np.empty(0), 1.0))
    return _compare(event, tracks, measured, reference, settings)


def _distance_km(footprint: shapely.Geometry, station: Station) -> float:
    """From a station to the nearest point of the footprint."""
    polygons = in_metres(footprint, station.longitude, station.latitude)
    return float(shapely.distance(polygons, shapely.Point(0.0, 0.0))) / 1e3


def _other_intervals(event: Mapping[str, Any], others: Sequence[Mapping[str, Any]], reach_km: float) -> list[Interval]:
    """Events with a source, within reach, at other times: at the same time nobody could tell them apart."""
    centre = event["geometry"].centroid
    start, end = interval_of(event)
    here = in_metres(event["geometry"], centre.x, centre.y)
    intervals = []
    for other in others:
        first, last = interval_of(other)
        if other["type"] == "residue" or (first <= end and last >= start):
            continue
        if shapely.distance(here, in_metres(other["geometry"], centre.x, centre.y)) <= 2e3 * reach_km:
            intervals.append((first, last))
    return intervals


def _estimate(
    event: Mapping[str, Any],
    station: Station,
    network: Network,
    beside: Sequence[Interval],
    settings: GnssSettings,
) -> TransientEstimate | None:
    steps = network.steps.get(station.name, ())
    return fit_transient(station, interval_of(event), settings, steps, beside)


def _reference(
    event: Mapping[str, Any],
    tracks: Sequence[TrackMaps],
    network: Network,
    distances: Sequence[float],
    beside: Sequence[Interval],
    settings: GnssSettings,
) -> Measured | None:
    """The station nearest to the InSAR reference point (of the first track that states one), clear of the event."""
    points = [
        (float(t.dataset.attrs["reference_lon"]), float(t.dataset.attrs["reference_lat"]))
        for t in tracks
        if {"reference_lon", "reference_lat"} <= set(t.dataset.attrs)
    ]
    if not points:
        return None
    clearance = max(REFERENCE_CLEARANCE_KM, 2.0 * float(np.sqrt(event["area_km2"] / np.pi)))
    candidates = []
    for station, distance in zip(network.stations, distances, strict=True):
        metres = Geod(ellps="WGS84").inv(*points[0], station.longitude, station.latitude)[2]
        if metres <= 1e3 * REFERENCE_RADIUS_KM and distance > clearance:
            candidates.append((metres, station.name, distance, station))
    for _, _, distance, station in sorted(candidates, key=lambda c: c[:2]):
        estimate = _estimate(event, station, network, beside, settings)
        if estimate is not None:
            return Measured(station, distance, estimate)
    return None


def _compare(
    event: Mapping[str, Any],
    tracks: Sequence[TrackMaps],
    measured: Sequence[Measured],
    reference: Measured | None,
    settings: GnssSettings,
) -> Comparison:
    """Rows and verdict of the stations that have an estimate."""
    places = [m.station for m in measured] + ([reference.station] if reference else [])
    lon, lat = (np.array([getattr(s, name) for s in places]) for name in ("longitude", "latitude"))
    moved = predict(event, lon, lat)
    base = reference.estimate.displacement if reference else np.zeros(3)
    observed = np.stack([m.estimate.displacement - base for m in measured])
    covariance = stacked_covariance(
        [m.estimate.covariance for m in measured], reference.estimate.covariance if reference else None
    )
    predicted = None
    if moved is not None:
        predicted = moved[: len(measured)] - (moved[-1] if reference else 0.0)
    rows: list[dict[str, Any]] = []
    projections: list[Float] = []
    for track in tracks:
        seen = _samples(event, track, places, settings)
        if seen is None:
            continue
        insar, insar_std, los = seen
        if reference:
            insar, insar_std = insar - insar[-1], np.hypot(insar_std, insar_std[-1])
        for i, m in enumerate(measured):
            toward = np.zeros(len(covariance))
            toward[3 * i : 3 * i + 3] = los[i]
            expected = float(los[i] @ predicted[i]) if predicted is not None else float(insar[i])
            numbers = (insar[i], insar_std[i], *project(observed.ravel(), covariance, toward), expected)
            rows.append(_row(m, track.name, numbers, reference))
            projections.append(toward)
    if predicted is not None:
        judgement = judge(observed.ravel(), covariance, predicted.ravel(), settings.min_log_likelihood_ratio)
        return Comparison(_sorted(rows), len(measured), judgement)
    return _judged_in_los(rows, projections, covariance, settings)


def _row(measured: Measured, track: str, metres: Sequence[float], reference: Measured | None) -> dict[str, Any]:
    """One row of the table; `metres` are InSAR, its std, GNSS, its std and the prediction."""
    names = ("insar_mm", "insar_std_mm", "gnss_mm", "gnss_std_mm", "predicted_mm")
    return {
        "station": measured.station.name,
        "track": track,
        "longitude": measured.station.longitude,
        "latitude": measured.station.latitude,
        "distance_km": measured.distance_km,
        **{name: 1e3 * float(value) for name, value in zip(names, metres, strict=True)},
        "reference_station": reference.station.name if reference else "",
    }


def _judged_in_los(
    rows: list[dict[str, Any]], projections: Sequence[Float], covariance: Float, settings: GnssSettings
) -> Comparison:
    """The verdict on an event without a source: against the InSAR samples, in the line of sight."""
    used = [i for i, row in enumerate(rows) if np.isfinite(row["insar_mm"])]
    matrix = np.array([projections[i] for i in used]).reshape(len(used), len(covariance))
    judgement = judge(
        np.array([1e-3 * rows[i]["gnss_mm"] for i in used]),
        matrix @ covariance @ matrix.T,
        np.array([1e-3 * rows[i]["insar_mm"] for i in used]),
        settings.min_log_likelihood_ratio,
        np.array([1e-3 * rows[i]["insar_std_mm"] for i in used]),
    )
    return Comparison(_sorted(rows), len({rows[i]["station"] for i in used}), judgement)


def _sorted(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: (row["station"], row["track"]))


def matching_transients(event: Mapping[str, Any], track: TrackMaps) -> list[int]:
    """Numbers of the transients of a track that make up an event: in its time, and in its footprint."""
    centre = event["geometry"].centroid
    whole = in_metres(event["geometry"], centre.x, centre.y)
    numbers = []
    for transient in track.transients:
        if not linked_in_time((transient.t05, transient.t95), interval_of(event), MATCH_GAP_D):
            continue
        own = in_metres(transient.footprint, centre.x, centre.y)
        if shapely.intersection(own, whole).area >= MATCH_SHARE * own.area:
            numbers.append(transient.number)
    return numbers


def _samples(
    event: Mapping[str, Any], track: TrackMaps, stations: Sequence[Station], settings: GnssSettings
) -> tuple[Float, Float, Float] | None:
    """Map, its standard deviation (station,) and line of sight (station, 3) at stations; None if not seen."""
    if track.name not in str(event["tracks"]).split(",") or track.los is None:
        return None
    numbers = matching_transients(event, track)
    if not numbers:
        return None
    values, std, _ = track.total(numbers)
    rows, columns = np.nonzero(np.isfinite(track.los).all(axis=-1))
    if not len(rows):
        return None
    axes = track.grid.x.astype(float), track.grid.y.astype(float)
    out = np.full((len(stations), 2), np.nan)
    los = np.empty((len(stations), 3))
    for i, station in enumerate(stations):
        x, y = (float(v) for v in from_lonlat(np.array(station.longitude), np.array(station.latitude), track.grid.crs))
        out[i] = sample(values, std, *axes, (x, y), settings.sample_radius_m)
        # The line of sight turns slowly: the nearest pixel's holds where the station's own has none.
        nearest = np.argmin((track.grid.x[columns] - x) ** 2 + (track.grid.y[rows] - y) ** 2)
        los[i] = track.los[rows[nearest], columns[nearest]]
    return out[:, 0], out[:, 1], los
