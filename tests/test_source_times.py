"""When an event was, by the tracks that saw it, and which transients are one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr
from shapely.geometry import MultiPolygon, box

from slipscan.geometry import Grid, utm_crs
from slipscan.source.join import TrackTransient, join
from slipscan.source.maps import TrackMaps
from slipscan.source.times import times_of

PLACE = MultiPolygon([box(32.5, 40.8, 32.6, 40.9)])
DAY = np.timedelta64(1, "D")


def seen(track: int, t50: str, error_d: float, number: int = 0, length_d: int = 40, statistic: float = 9.0):
    middle = np.datetime64(t50, "ns")
    half = np.timedelta64(length_d // 2, "D")
    return TrackTransient(track, number, middle - half, middle, middle + half, statistic, PLACE, error_d)


def tracks_of(*members: TrackTransient, known: bool = True) -> list[TrackMaps]:
    out = []
    for track in sorted({one.track for one in members}):
        own = [one.t50_error_d for one in members if one.track == track]
        names = ("t05_error", "t50_error", "t95_error") if known else ()
        dataset = xr.Dataset({name: ("transient", np.array(own)) for name in names})
        out.append(
            TrackMaps(f"T{track}", dataset, Grid(np.arange(2.0), -np.arange(2.0), utm_crs(32.6, 40.8)), None, ())
        )
    return out


def test_times_are_means_by_their_errors() -> None:
    members = (seen(0, "2018-02-21", 8.0, statistic=12.0), seen(1, "2018-02-07", 4.0, length_d=20))
    found = times_of(tracks_of(*members), members)
    assert found.dates[1] == np.datetime64("2018-02-09T19:12", "ns")  # 14 d apart, weights 1 and 4
    # They differ by 1.6 of their errors: more than these say.
    assert found.errors_d[1] == pytest.approx((14 / math.hypot(8, 4)) * 8 * 4 / math.hypot(8, 4))
    assert found.duration_d == pytest.approx(24)
    close = (seen(0, "2018-02-08", 8.0), seen(1, "2018-02-07", 4.0))
    assert times_of(tracks_of(*close), close).errors_d[1] == pytest.approx(8 * 4 / math.hypot(8, 4))


def test_without_errors_the_times_are_those_of_the_strongest() -> None:
    members = (seen(0, "2018-02-21", math.nan, statistic=7.0), seen(1, "2018-02-07", math.nan, statistic=12.0))
    for known in (True, False):
        found = times_of(tracks_of(*members, known=known), members)
        assert found.dates[1] == members[1].t50 and all(math.isnan(one) for one in found.errors_d)


def test_of_several_transients_of_a_track_the_strongest_counts() -> None:
    members = (seen(0, "2018-02-21", 8.0), seen(0, "2018-06-01", 1.0, number=1, statistic=5.0))
    found = times_of(tracks_of(*members), members)
    assert found.dates[1] == members[0].t50 and found.errors_d[1] == 8.0


def test_times_never_cross() -> None:
    one, other = seen(0, "2018-02-21", 8.0, length_d=60), seen(1, "2018-02-07", 4.0, length_d=4)
    tracks = tracks_of(one, other)
    tracks[1].dataset["t05_error"][:] = 0.5
    tracks[1].dataset["t50_error"][:] = 80.0
    found = times_of(tracks, (one, other))
    assert found.dates[0] <= found.dates[1] <= found.dates[2]


def test_what_overlaps_but_was_clearly_at_another_time_is_another_event() -> None:
    long, late = seen(0, "2017-10-21", 20.0, length_d=200), seen(1, "2018-02-22", 15.0, length_d=150)
    assert len(join([long, late], 24.0)) == 2
    assert len(join([seen(0, "2017-10-21", 60.0, length_d=200), late], 24.0)) == 1
    assert len(join([seen(0, "2017-11-20", 20.0, length_d=200), late], 24.0)) == 1  # 94 days: 24 and three errors
    unknown = [seen(0, "2017-10-21", math.nan, length_d=200), seen(1, "2018-02-22", math.nan, length_d=150)]
    assert len(join(unknown, 24.0)) == 1


def test_a_transient_of_one_track_makes_no_event_of_two_of_another() -> None:
    """What a track told apart stays apart, and the one that agrees better is joined."""
    early, late = seen(0, "2017-11-10", 23.0, length_d=133), seen(0, "2018-03-20", 10.0, length_d=60, number=1)
    weak = seen(1, "2018-03-05", 30.0, length_d=100)
    assert [[one.number for one in event] for event in join([early, late, weak], 24.0)] == [[0], [1, 0]]
    # Pieces of one time are one event, all the same.
    piece = seen(0, "2018-03-10", 10.0, length_d=60, number=2)
    assert sorted(len(event) for event in join([early, late, weak, piece], 24.0)) == [1, 3]
