"""What a source leaves of the change that it explains, on the whole map."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from slipscan.geometry import to_lonlat
from slipscan.settings import SourceSettings
from slipscan.source.change import nuisance, track_block
from slipscan.source.frames import local_crs
from slipscan.source.join import TrackTransient
from slipscan.source.maps import TrackMaps
from slipscan.source.sources import Float, predict


def residual_map(
    track: TrackMaps,
    members: list[TrackTransient],
    event: Mapping[str, Any],
    settings: SourceSettings,
    noise: xr.Dataset | None = None,
) -> Float:
    """Change less what the event's source predicts, and less offset, ramp and slope with height beside it, (y, x) m.

    Parameters
    ----------
    track
        with a line of sight
    members
        transients of the event, of this track or others
    event
        row of the event table
    settings, noise
        of the source stage; the track's noise product

    Returns
    -------
    residual
        NaN where there are no data; the change itself where the event has no source
    """
    numbers = [member.number for member in members if track.transients and member in track.transients]
    value, _, _ = track.total(numbers)
    origin = (float(event["longitude"]), float(event["latitude"]))
    block = track_block(track, numbers, origin, settings.max_points, noise)
    rows, columns = np.indices(track.grid.shape).reshape(2, -1)
    lon, lat = to_lonlat(track.grid.x[columns], track.grid.y[rows], track.grid.crs)
    moved = predict(event, np.asarray(lon, float), np.asarray(lat, float), settings.poisson_ratio)
    if block is None or track.los is None:
        return value
    rest = value
    at_points = block.value
    if moved is not None:
        rest = value - (moved * track.los[rows, columns]).sum(axis=1).reshape(value.shape)
        east, north = block.east, block.north
        point_lon, point_lat = to_lonlat(east, north, local_crs(*origin))
        near = predict(event, np.asarray(point_lon, float), np.asarray(point_lat, float), settings.poisson_ratio)
        assert near is not None, "the event has a source"
        at_points, block = block.value - (near * block.direction).sum(axis=1), block.with_errors()
    if block.nuisance is None:
        return rest
    size = block.whitened(block.nuisance).T @ block.whitened(at_points)
    return np.asarray(rest - (nuisance(track, rows, columns) @ size).reshape(value.shape))
