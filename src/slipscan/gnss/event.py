"""One event at the GNSS stations around it: which stations, which times, which map, what verdict."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Geod

from slipscan.fit.model import days_since_2014
from slipscan.gnss.compare import PATTERN_ERROR, Evidence, Judgement, judge
from slipscan.gnss.correlation import distances_km, station_correlation
from slipscan.gnss.line_of_sight import Interval, Measured, Seen, interval_of, rows_of, samples
from slipscan.gnss.network import COMMON_STEP_M, covariance, formal_correlation
from slipscan.gnss.offsets import UNSEEN_M, Daily, Offsets, has_positions_around, measure, ramp_columns
from slipscan.gnss.scan import onset_in
from slipscan.gnss.tenv3 import Station
from slipscan.gnss.times import Times, around
from slipscan.settings import GnssSettings
from slipscan.source.join import in_metres
from slipscan.source.maps import TrackMaps
from slipscan.source.sources import predict

Float = NDArray[np.float64]

REFERENCE_RADIUS_KM = 10.0
"""A station so close to the InSAR reference point can stand for it."""
REFERENCE_CLEARANCE_KM = 5.0
"""It must lie so far from the footprint at least, and a footprint diameter at least."""
ROUNDING_M = 1e-4
"""Far below any noise of a station."""
SHARED_D = 15
"""Duration of the ramps whose scatter tells how stations are correlated: about that of an event."""
CERTAIN = 3.0
"""An InSAR sample of an event without a source predicts something where it is so many deviations from zero."""
_EARTH = Geod(ellps="WGS84")


@dataclass(frozen=True)
class Network:
    """The stations of a region: daily positions with their noise (None: no station), and how the noise is shared.

    `between` is (3, station, station), the correlation of east, north and up between stations.
    """

    daily: Daily | None
    between: Float

    @property
    def stations(self) -> tuple[Station, ...]:
        """Stations that have enough positions."""
        return self.daily.stations if self.daily else ()


def network_of(daily: Daily | None, transients: Sequence[tuple[float, float]] = ()) -> Network:
    """Find out how the noise of stations hangs together, beside transients of which t05 and t95 are known."""
    if daily is None:
        return Network(None, np.empty((3, 0, 0)))
    lon, lat = (np.array([getattr(s, n) for s in daily.stations]) for n in ("longitude", "latitude"))
    return Network(daily, shared_noise(daily.beside(transients), distances_km(lon, lat)))


def transients_of(events: Iterable[Mapping[str, Any]]) -> list[tuple[float, float]]:
    """t05 and t95 (days since 2014-01-01) of the events that have a source."""
    ends = [interval_of(event) for event in events if event["type"] != "residue"]
    return [tuple(days_since_2014(np.array(pair, "M8[ns]")).tolist()) for pair in ends]


def shared_noise(daily: Daily, distance_km: Float) -> Float:
    """Correlation (3, station, station) of the noise of stations, in ramps about as long as an event."""
    onset = onset_in(daily.series, daily.columns, daily.noise, durations_d=(SHARED_D,))
    return station_correlation(onset.ramps(SHARED_D).z, distance_km)


@dataclass(frozen=True)
class Comparison:
    """Rows of the table (one per station and track, without the event's own columns), verdict and measurement."""

    rows: list[dict[str, Any]]
    judgement: Judgement
    times: dict[str, Any] = field(default_factory=dict)
    measured: Measured | None = None


_NONE = np.empty((1, 0, 0))
NOTHING = Evidence(np.empty((1, 0)), _NONE, _NONE, np.empty(0), np.empty(0, np.int64), (), np.zeros(1))


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
        stations, their noise and its correlation
    settings
        of the gnss stage

    Returns
    -------
    comparison
        The verdict weighs the offsets of all stations in three dimensions. Rows compare them with the map in the
        line of sight, relative to a station near the InSAR reference point where there is one (double differences).
    """
    measured = _measure(event, others, network, settings)
    if measured is None:
        return Comparison([], judge(NOTHING, settings.min_log_likelihood_ratio))
    lon, lat = (np.array([getattr(s, n) for s in measured.stations]) for n in ("longitude", "latitude"))
    predicted = predict(event, lon, lat)
    seen = [(track, found) for track in tracks if (found := samples(event, track, measured.stations, settings))]
    evidence = _evidence(measured, predicted, seen)
    judgement = judge(evidence, settings.min_log_likelihood_ratio)
    reference = _reference(event, tracks, measured)
    rows = [
        row for track, found in seen
        for row in rows_of(track.name, found, measured, judgement.weight, predicted, reference)
    ]  # fmt: skip
    rows.sort(key=lambda row: (row["station"], row["track"]))
    return Comparison(rows, judgement, _times(measured.times, judgement), measured)


def _measure(
    event: Mapping[str, Any], others: Sequence[Mapping[str, Any]], network: Network, settings: GnssSettings
) -> Measured | None:
    """Offsets of the stations within reach at all times that are tried; None where no station has data."""
    if network.daily is None:
        return None
    t05, t95 = days_since_2014(np.array(interval_of(event), "M8[ns]"))
    error = float(event.get("t50_err_days", math.nan))
    times = around(float(t05), float(t95), error if math.isfinite(error) else 0.0)
    margin = 365.25 * settings.window_yr
    daily = network.daily.window(t05 - margin, t95 + margin)
    distance = np.array([_distance_km(event["geometry"], station) for station in network.stations])
    kept = (distance <= settings.max_distance_km) & has_positions_around(daily, t05, t95, settings.min_epochs)
    index = np.flatnonzero(kept)
    if not len(index):
        return None
    chosen = daily.of(index)
    beside = _other_intervals(event, others, settings.max_distance_km)
    ends = np.array([days_since_2014(np.array(pair, "M8[ns]")) for pair in beside]).reshape(-1, 2)
    histories = ramp_columns(chosen.days, ends.mean(axis=1), ends[:, 1] - ends[:, 0])
    offsets = measure(chosen, ramp_columns(chosen.days, times.t50, times.duration_d), histories)
    useful = (offsets.std < UNSEEN_M).any(axis=(0, 2))
    if not useful.any():
        return None
    index = index[useful]
    offsets = Offsets(offsets.size[:, useful], offsets.std[:, useful], offsets.response)
    stations = tuple(network.stations[i] for i in index)
    between, formal = network.between[:, index][:, :, index], formal_correlation(stations)
    with_step, without = (
        np.stack([covariance(std, between, formal, step) for std in offsets.std])
        for step in (COMMON_STEP_M, (0.0, 0.0, 0.0))
    )
    return Measured(index, distance[index], stations, offsets, times, with_step, without)


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


def _evidence(measured: Measured, predicted: Float | None, seen: Sequence[tuple[TrackMaps, Seen]]) -> Evidence:
    """What is weighed: displacements in three dimensions, or, without a source, those in the line of sight."""
    count, times = len(measured.stations), len(measured.times.t50)
    names = [station.name for station in measured.stations]
    flat = measured.offsets.size.reshape(times, -1)
    if predicted is not None:
        wrong = PATTERN_ERROR * np.linalg.norm(predicted, axis=1) / np.sqrt(3.0)
        total = measured.covariance + np.diag(np.repeat(wrong**2, 3))
        number = np.repeat(np.arange(count), 3)
        return Evidence(flat, total, measured.noise, predicted.ravel(), number, names, measured.times.log_prior)
    toward, samples, errors, numbers = [], [], [], []
    for _, (insar, insar_std, los) in seen:
        for i in np.flatnonzero(np.isfinite(insar)):
            row = np.zeros(3 * count)
            row[3 * i : 3 * i + 3] = los[i]
            toward.append(row)
            # The noise of a map is no prediction.
            samples.append(insar[i] if abs(insar[i]) > CERTAIN * insar_std[i] else 0.0)
            errors.append(insar_std[i])
            numbers.append(i)
    matrix = np.array(toward).reshape(len(toward), 3 * count)
    total = matrix @ measured.covariance @ matrix.T + np.diag(np.square(errors))
    # More lines of sight than directions say the same twice.
    noise = matrix @ measured.noise @ matrix.T + ROUNDING_M**2 * np.eye(len(matrix))
    return Evidence(
        flat @ matrix.T, total, noise, np.array(samples), np.array(numbers, np.int64), names, measured.times.log_prior
    )


def _reference(event: Mapping[str, Any], tracks: Sequence[TrackMaps], measured: Measured) -> int | None:
    """The station nearest to the InSAR reference point (of the first track that states one), clear of the event."""
    points = [
        (float(t.dataset.attrs["reference_lon"]), float(t.dataset.attrs["reference_lat"]))
        for t in tracks
        if {"reference_lon", "reference_lat"} <= set(t.dataset.attrs)
    ]
    if not points or len(measured.stations) < 2:
        return None
    clearance = max(REFERENCE_CLEARANCE_KM, 2.0 * float(np.sqrt(event["area_km2"] / np.pi)))
    candidates = []
    for i, station in enumerate(measured.stations):
        metres = _EARTH.inv(*points[0], station.longitude, station.latitude)[2]
        if metres <= 1e3 * REFERENCE_RADIUS_KM and measured.distance_km[i] > clearance:
            candidates.append((metres, i))
    return min(candidates)[1] if candidates else None


def _times(times: Times, judgement: Judgement) -> dict[str, Any]:
    """When GNSS saw the event: only of one that was confirmed."""
    if judgement.verdict != "confirmed":
        return {}
    t50 = float(judgement.weight @ times.t50)
    spread = float(np.sqrt(judgement.weight @ (times.t50 - t50) ** 2))
    day = np.datetime64("2014-01-01", "ns") + np.timedelta64(round(86400 * t50), "s")
    return {
        "gnss_t50": str(np.datetime_as_string(day, "D")),
        "gnss_t50_std_d": spread,
        "gnss_duration_d": float(judgement.weight @ times.duration_d),
    }
