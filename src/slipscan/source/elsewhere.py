"""What an event left in the tracks of its region that did not find it.

A track in which an event is too weak to be found holds data on it all the same: what moved, or that nothing did. Its
change at the event's times is estimated as that of a transient of its own, beside those that it found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import shapely
import xarray as xr
from numpy.typing import NDArray
from rasterio.features import rasterize
from rasterio.transform import Affine
from shapely.geometry import MultiPolygon

from slipscan.coarse import block_means
from slipscan.detect.beside import beside_each
from slipscan.detect.maps import amplitude_maps, change_weights
from slipscan.detect.ramp import Ramp
from slipscan.detect.track import Track, track_of
from slipscan.geometry import Grid, from_lonlat
from slipscan.settings import DetectSettings
from slipscan.source.change import track_block
from slipscan.source.data import Block
from slipscan.source.join import TrackTransient
from slipscan.source.maps import TrackMaps
from slipscan.source.place import area_of
from slipscan.source.times import Times, times_of
from slipscan.stack import observation_of

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]

NAMES: Final = ("t05", "t50", "t95")
FINEST_KM: Final = 2.0
"""Scale that the series is held in memory for: delays are smooth, and maps are made at full resolution."""
AT_ONCE: Final = 16
"""Events whose maps are made in one pass over a series, and held in memory."""


@dataclass(frozen=True)
class Wanted:
    """An event that a track did not find: its times by those that did, and their footprints."""

    times: Times
    footprint: MultiPolygon


def blocks_elsewhere(
    tracks: Sequence[TrackMaps],
    groups: Sequence[Sequence[TrackTransient]],
    stacks: Sequence[xr.Dataset],
    noises: Sequence[xr.Dataset | None],
    max_points: int,
) -> list[dict[int, Block]]:
    """Of every event a block of each track that did not find it and covers its time and place, by number of track.

    Parameters
    ----------
    tracks, groups
        of the region; the transients of every event
    stacks, noises
        of every track: its stack, and its noise product (None: not given); no stacks: no blocks
    max_points
        of a block, about
    """
    out: list[dict[int, Block]] = [{} for _ in groups]
    places = [area_of(group) for group in groups] if stacks else []
    for number, (track, stack, noise) in enumerate(zip(tracks, stacks, noises, strict=False)):
        unseen = [i for i, group in enumerate(groups) if all(member.track != number for member in group)]
        if track.los is None or not unseen:
            continue
        wanted = [Wanted(times_of(tracks, groups[i]), places[i][0]) for i in unseen]
        for changes, which in changes_of(stack, track, wanted, noise):
            for transient, one in enumerate(which):
                event = unseen[one]
                block = track_block(changes, [transient], places[event][1], max_points, noise)
                if block is not None:
                    out[event][number] = block
    return out


def changes_of(
    stack: xr.Dataset, track: TrackMaps, wanted: Sequence[Wanted], noise: xr.Dataset | None
) -> Iterator[tuple[TrackMaps, list[int]]]:
    """The change that events made in a track that did not find them, as maps of transients.

    Parameters
    ----------
    stack
        of the track, read where it is sliced
    track
        what was found in it
    wanted
        events
    noise
        noise product of the stack; None: its epochs are as good as one another

    Yields
    ------
    changes, numbers
        some of the events, as many as are held in memory at once, as transients; and which of `wanted` each is.
        Those whose times or place the track does not cover are left out
    """
    covered = [
        (number, event, mask)
        for number, event in enumerate(wanted)
        if _covers(track.dataset["time"].values, event.times) and (mask := pixels_in(event.footprint, track.grid)).any()
    ]
    if not covered:
        return
    searched = _searched(stack, noise)
    own = [
        (_coarse(footprint == 1, searched), Ramp.of_times(*(track.dataset[name].values[number] for name in NAMES)))
        for number, footprint in enumerate(track.dataset["footprint"].values)
    ]
    for first in range(0, len(covered), AT_ONCE):
        some = covered[first : first + AT_ONCE]
        yield _maps(track, searched, own, some), [number for number, _, _ in some]


def _searched(stack: xr.Dataset, noise: xr.Dataset | None) -> Track:
    """The series on the grid that delays and weights of the epochs are estimated on."""
    seen = observation_of(stack)
    finest = max(FINEST_KM, seen.pixel_m / 1e3)
    return track_of(replace(seen, noise=noise), DetectSettings(scales_km=(finest,)))


def _maps(
    track: TrackMaps, searched: Track, own: Sequence[tuple[Bool, Ramp]], events: Sequence[tuple[int, Wanted, Bool]]
) -> TrackMaps:
    """Maps of events beside what the track itself found, in the layout of the transients product."""
    flat = [*own, *((_coarse(mask, searched), Ramp.of_times(*event.times.dates)) for _, event, mask in events)]
    new = slice(len(own), None)
    ramps, beside = [ramp for _, ramp in flat][new], beside_each(searched, flat)[new]
    maps, stds = amplitude_maps(searched, ramps, beside)
    weights = change_weights(searched, ramps, beside)
    for one, (_, event, mask) in zip(maps, events, strict=True):
        one[track.others((event.times.dates[0], event.times.dates[2])) & ~mask] = np.nan
    inside = np.array([np.where(mask, np.nan_to_num(one), 0.0) for one, (_, _, mask) in zip(maps, events, strict=True)])
    time = searched.epochs.time
    errors = [
        size_error(w, time, ramp, event.times) for w, ramp, (_, event, _) in zip(weights, ramps, events, strict=True)
    ]
    grid = ("transient", "y", "x")
    dataset = track.dataset.drop_dims("transient").assign(
        map=(grid, maps), map_std=(grid, stds), footprint=(grid, np.array([mask for _, _, mask in events])),
        history=(("transient", "time"), np.array([ramp.column(time) for ramp in ramps])),
        change_weight=(("transient", "time"), weights), change_error=("transient", np.array(errors)),
        peak_positive=("transient", inside.max(axis=(1, 2))), peak_negative=("transient", inside.min(axis=(1, 2))),
    )  # fmt: skip
    dates = np.array([event.times.dates for _, event, _ in events], "datetime64[ns]")
    dataset = dataset.assign_coords({name: ("transient", dates[:, i]) for i, name in enumerate(NAMES)})
    return TrackMaps(track.name, dataset, track.grid, track.los, ())


def size_error(weight: Float, time: NDArray[np.datetime64], ramp: Ramp, times: Times) -> float:
    """What the size of a change may be wrong by because the event's times are, over the size.

    `weight` (time,) of the epochs makes 1 of `ramp`; of one that is as likely it makes less.
    """
    whole = float(weight @ ramp.column(time))
    squared = 0.0
    early, middle, late = np.nan_to_num(times.errors_d)
    for shifts in ((middle,) * 3, (-early, 0.0, late)):
        pair = [_shifted(times, [sign * days for days in shifts]) for sign in (-1.0, 1.0)]
        squared += float(np.mean([(float(weight @ one.column(time)) - whole) ** 2 for one in pair]))
    return squared**0.5


def _shifted(times: Times, days: Sequence[float]) -> Ramp:
    moved = [date + np.timedelta64(round(86400 * d), "s") for date, d in zip(times.dates, days, strict=True)]
    return Ramp.of_times(min(moved[0], times.dates[1]), moved[1], max(moved[2], times.dates[1]))


def _coarse(footprint: Bool, searched: Track) -> Bool:
    """A footprint on the grid that is searched: blocks that it touches."""
    return np.asarray(block_means(footprint.astype(np.float32)[None], searched.factor)[0] > 0)


def _covers(time: NDArray[np.datetime64], times: Times) -> bool:
    return bool(time[0] <= times.dates[0] and times.dates[2] <= time[-1])


def pixels_in(footprint: MultiPolygon, grid: Grid) -> Bool:
    """Pixels (y, x) of a grid that outlines in longitude and latitude touch."""

    def to_grid(lonlat: Float) -> Float:
        return np.column_stack(from_lonlat(lonlat[:, 0], lonlat[:, 1], grid.crs))

    outlines = shapely.transform(footprint, to_grid)
    return np.asarray(
        rasterize([outlines], grid.shape, transform=Affine(*grid.transform), all_touched=True, dtype="uint8") == 1
    )
