"""Stations beside the maps of an event: displacement of both in the line of sight, station by station."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from slipscan.geometry import from_lonlat
from slipscan.gnss.compare import project, sample
from slipscan.gnss.offsets import Offsets
from slipscan.gnss.tenv3 import Station
from slipscan.gnss.times import Times
from slipscan.settings import GnssSettings
from slipscan.source.join import in_metres, linked_in_time
from slipscan.source.maps import TrackMaps

Float = NDArray[np.float64]
Interval = tuple[np.datetime64, np.datetime64]
Seen = tuple[Float, Float, Float]
"""Map and its standard deviation (station,), metres, and line of sight (station, 3)."""

MATCH_GAP_D = 24.0
MATCH_SHARE = 0.5
"""Share of a transient's footprint that lies in the event's."""
COMPONENTS = ("east", "north", "up")


@dataclass(frozen=True)
class Measured:
    """What the stations around an event did at the times that were tried.

    Attributes
    ----------
    index
        (station,) numbers of the stations in the network
    distance_km
        (station,) from the event's footprint
    offsets, times
        size of the transient at each time
    covariance, noise
        (time, station * 3, station * 3) of the offsets, m2: with a step of the whole network, and without it
    """

    index: NDArray[np.int64]
    distance_km: Float
    stations: tuple[Station, ...]
    offsets: Offsets
    times: Times
    covariance: Float
    noise: Float

    def weighted(self, weight: Float, with_step: bool = False) -> tuple[Float, Float]:
        """Offsets (station * 3,) over all times with their weights, and the covariance (station * 3, station * 3)."""
        flat = self.offsets.size.reshape(len(weight), -1)
        mean = weight @ flat
        apart = flat - mean
        return mean, np.einsum("k,kij->ij", weight, self.covariance if with_step else self.noise) + (
            apart * weight[:, None]
        ).T @ apart


def interval_of(event: Mapping[str, Any]) -> Interval:
    """t05 and t95 of a row of the event table."""
    return np.datetime64(event["t05"], "ns"), np.datetime64(event["t95"], "ns")


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


def samples(
    event: Mapping[str, Any], track: TrackMaps, stations: Sequence[Station], settings: GnssSettings
) -> Seen | None:
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


def rows_of(
    track: str, seen: Seen, measured: Measured, weight: Float, predicted: Float | None, reference: int | None
) -> list[dict[str, Any]]:
    """Rows of the table of one track; a reference station is subtracted from all others in the line of sight."""
    insar, insar_std, los = seen
    mean, total = measured.weighted(weight)
    rows = []
    for i, station in enumerate(measured.stations):
        if i == reference:
            continue
        toward = np.zeros(len(mean))
        toward[3 * i : 3 * i + 3] = los[i]
        value, error, expected = insar[i], insar_std[i], float("nan")
        if predicted is not None:
            expected = float(los[i] @ predicted[i])
        if reference is not None:
            toward[3 * reference : 3 * reference + 3] = -los[i]
            value, error = value - insar[reference], np.hypot(error, insar_std[reference])
            if predicted is not None:
                expected -= float(los[i] @ predicted[reference])
        expected = float(value) if predicted is None else expected
        numbers = (value, error, *project(mean, total, toward), expected)
        names = ("insar_mm", "insar_std_mm", "gnss_mm", "gnss_std_mm", "predicted_mm")
        here = slice(3 * i, 3 * i + 3)
        std, moved = np.sqrt(np.diag(total)[here]), np.full(3, np.nan) if predicted is None else predicted[i]
        rows.append({
            "station": station.name, "track": track, "longitude": station.longitude, "latitude": station.latitude,
            "distance_km": float(measured.distance_km[i]),
            **{name: 1e3 * float(v) for name, v in zip(names, numbers, strict=True)},
            **{f"gnss_{c}_mm": 1e3 * float(v) for c, v in zip(COMPONENTS, mean[here], strict=True)},
            **{f"gnss_{c}_std_mm": 1e3 * float(v) for c, v in zip(COMPONENTS, std, strict=True)},
            **{f"predicted_{c}_mm": 1e3 * float(v) for c, v in zip(COMPONENTS, moved, strict=True)},
            "reference_station": measured.stations[reference].name if reference is not None else "",
        })  # fmt: skip
    return rows
