"""What an event left in the tracks of its region that did not detect it.

A track in which an event is too weak to be detected holds data on it all the same: what moved, or that nothing did. Its
change at the event's times is that of a transient of its own, beside those that it detected.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon

from slipscan.coarse import block_means
from slipscan.detect.product import arrays
from slipscan.detect.ramp import Ramp
from slipscan.detect.timing import Timing
from slipscan.detect.track import track_in
from slipscan.detect.transient import Transient
from slipscan.settings import DetectSettings
from slipscan.source.change import track_block
from slipscan.source.data import Block
from slipscan.source.join import TrackTransient, footprint_pixels
from slipscan.source.maps import TrackMaps
from slipscan.source.place import area_of
from slipscan.source.times import Times, times_of

Bool = NDArray[np.bool_]

AT_ONCE: Final = 16
"""Events whose maps are made in one pass over a series, and held in memory."""


@dataclass(frozen=True)
class Wanted:
    """An event that a track did not detect: its times by those that did, and their footprints."""

    times: Times
    footprint: MultiPolygon


def blocks_elsewhere(
    tracks: Sequence[TrackMaps],
    groups: Sequence[Sequence[TrackTransient]],
    stacks: Sequence[xr.Dataset],
    noises: Sequence[xr.Dataset | None],
    max_points: int,
) -> list[dict[int, Block]]:
    """Of every event a block of each track that did not detect it and covers its time and place, by number of track.

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
    """The change that events made in a track that did not detect them, as maps of transients.

    Parameters
    ----------
    stack
        of the track, read where it is sliced
    track
        what was detected in it
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
    masks = [footprint_pixels(event.footprint, track.grid) for event in wanted]
    covered = [
        (number, event, mask)
        for number, (event, mask) in enumerate(zip(wanted, masks, strict=True))
        if mask.any() and _covers(track.dataset["time"].values, event.times)
    ]
    if not covered:
        return
    _, searched = track_in(stack, DetectSettings(), noise=noise)

    def on_grid(mask: Bool) -> Bool:
        return np.asarray(block_means(mask.astype(np.float32)[None], searched.factor)[0] > 0)

    own = [
        Transient(Ramp.of_times(one.t05, one.t50, one.t95), one.statistic, on_grid(footprint == 1))
        for one, footprint in zip(track.transients, track.dataset["footprint"].values, strict=True)
    ]
    for first in range(0, len(covered), AT_ONCE):
        some = covered[first : first + AT_ONCE]
        new = [
            Transient(Ramp.of_times(*event.times.dates), 0.0, on_grid(mask), timing=timing_of(event.times))
            for _, event, mask in some
        ]
        dataset = arrays(stack, searched, new, [np.nan] * len(new), own)
        meanwhile = [track.others((event.times.dates[0], event.times.dates[2])) & ~mask for _, event, mask in some]
        dataset["map"] = dataset["map"].where(~np.array(meanwhile))
        yield TrackMaps(track.name, dataset, track.grid, track.los, ()), [number for number, _, _ in some]


def timing_of(times: Times) -> Timing:
    """Times that tracks tell as those of a transient, with equally likely histories.

    They are four: earlier, later, shorter and longer by the root of two errors, which has the variance of both.
    """
    early, middle, late = np.sqrt(2.0) * np.nan_to_num(times.errors_d)
    ways = np.array([(middle, middle, middle), (-early, 0.0, late)])
    return Timing(times.errors_d, False, False, tuple(_shifted(times, days) for days in np.vstack([ways, -ways])))


def _shifted(times: Times, days: NDArray[np.float64]) -> Ramp:
    moved = [date + np.timedelta64(round(86400 * d), "s") for date, d in zip(times.dates, days, strict=True)]
    # What is shorter by more than its length was a step.
    return Ramp.of_times(min(moved[0], moved[1]), moved[1], max(moved[2], moved[1]))


def _covers(time: NDArray[np.datetime64], times: Times) -> bool:
    """Whether the middle lies in a series: of what goes on at its end it shows a part, as where it was detected."""
    return bool(time[0] <= times.dates[1] <= time[-1])
