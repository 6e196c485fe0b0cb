"""What each track says of an event, judged against the line of sight that the source predicts there."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from slipscan.geometry import from_lonlat, to_lonlat
from slipscan.source.change import STD_FLOOR_M, lattice, nuisance
from slipscan.source.covariance import noise_of_product
from slipscan.source.data import Block
from slipscan.source.explain import moved_by, predicted_in
from slipscan.source.join import TrackTransient
from slipscan.source.maps import TrackMaps
from slipscan.source.models import Kind
from slipscan.source.sources import Float, local_crs

log = logging.getLogger(__name__)

SEEN: Final = 4.0
"""Signal-to-noise ratio that the source must have in a track's own change to be judged there."""
HALF: Final = 0.5
"""Of the predicted displacement: a track that shows less of it contradicts."""
POINTS: Final = 150
CLEARLY: Final = 1.5
"""Times the threshold: so strong an event is not missed by chance."""


def judged(block: Block, predicted: Float) -> str:
    """Verdict of a track that has a change map: whether it holds the predicted displacement (value,), m."""
    white, data = block.whitened(predicted), block.whitened(block.value)
    energy = float(white @ white)
    if energy < SEEN**2:
        return "insensitive"
    return "confirmed" if float(white @ data) / energy >= HALF else "contradicted"


def track_verdicts(
    tracks: Sequence[TrackMaps],
    members: Sequence[TrackTransient],
    blocks: Mapping[int, Block],
    noises: Sequence[xr.Dataset | None],
    source: tuple[Kind, Mapping[str, float], float],
    origin: tuple[float, float],
    poisson_ratio: float,
) -> dict[str, str]:
    """Verdict of every track of the region on an event's source.

    A track without a transient of it was searched all the same: where the source would stand clearly above its
    threshold, it contradicts; where it would not, it is insensitive. That takes its noise product: without one, or
    where its epochs or its frame do not cover the event, there are no data to judge by.

    Parameters
    ----------
    tracks, members, blocks, noises
        of the region; the event's transients; data and noise product by number of track
    source
        kind, shape and size of the source, in the frame about `origin` (longitude, latitude)
    """
    out = {}
    kind, shape, size = source
    for number, track in enumerate(tracks):
        block = blocks.get(number)
        if block is not None:
            out[track.name] = judged(block, predicted_in(block, kind, shape, size, poisson_ratio))
            continue
        statistic = _expected(track, members, noises[number], source, origin, poisson_ratio)
        if statistic is None:
            out[track.name] = "no_data"
        else:
            limit = CLEARLY * float(track.dataset.attrs["threshold"])
            out[track.name] = "contradicted" if statistic >= limit else "insensitive"
    return out


def _expected(
    track: TrackMaps,
    members: Sequence[TrackTransient],
    noise: xr.Dataset | None,
    source: tuple[Kind, Mapping[str, float], float],
    origin: tuple[float, float],
    poisson_ratio: float,
) -> float | None:
    """Signal-to-noise ratio that a source would have in a track that did not see it; None: nobody knows."""
    time = track.dataset["time"].values
    begin, end = min(m.t05 for m in members), max(m.t95 for m in members)
    if noise is None or track.los is None or begin < time[0] or end > time[-1]:
        return None
    span = max(float((end - begin) / np.timedelta64(1, "D")), 0.5)
    history = np.clip((time - begin) / np.timedelta64(1, "D") / span, 0.0, 1.0)
    noise_model = noise_of_product(noise, time, history)
    if noise_model is None:
        return None
    rows, columns = _points(track, source, origin)
    if len(rows) < 10:
        return None
    east, north = _places(track, rows, columns, origin)
    kind, shape, size = source
    predicted = (moved_by(kind, shape, size, east, north, poisson_ratio) * track.los[rows, columns]).sum(axis=1)
    spacing = track.grid.spacing
    std = np.full(len(rows), max(STD_FLOOR_M, noise_model.white**0.5))
    covariance = noise_model.covariance(rows, columns, (spacing[1], spacing[0]), std)
    block = Block(
        east, north, track.los[rows, columns].astype(float), predicted, covariance, nuisance(track, rows, columns)
    )
    white = block.whitened(predicted)
    return float(np.sqrt(white @ white))


def _points(
    track: TrackMaps, source: tuple[Kind, Mapping[str, float], float], origin: tuple[float, float]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pixels of a track around a source, rows and columns."""
    assert track.los is not None, "asked for before"
    shape = source[1]
    rows, columns = np.indices(track.grid.shape).reshape(2, -1)
    east, north = _places(track, rows, columns, origin)
    reach = 3 * shape["depth"] + shape.get("length", 0.0) + 5e3
    near = np.hypot(east - shape["east"], north - shape["north"]).reshape(track.grid.shape) <= reach
    found = np.nonzero(lattice(near & np.isfinite(track.los).all(axis=-1), POINTS))
    return found[0], found[1]


def _places(
    track: TrackMaps, rows: NDArray[np.intp], columns: NDArray[np.intp], origin: tuple[float, float]
) -> tuple[Float, Float]:
    lon, lat = to_lonlat(track.grid.x[columns], track.grid.y[rows], track.grid.crs)
    east, north = from_lonlat(lon, lat, local_crs(*origin))
    return np.asarray(east), np.asarray(north)
