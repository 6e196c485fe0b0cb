"""How sure events are: chance pairs of two tracks are as many as stated, and p_real keeps its word on noise alone."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from shapely.geometry import MultiPolygon, box

from slipscan.geometry import Grid
from slipscan.source.join import TrackTransient, join
from slipscan.source.maps import TrackMaps
from slipscan.source.significance import Scan, false_alarms, p_real, scan_of

RATE, SIDE_KM, GAP_D = 4.0, 100.0, 24.0
DEGREE = SIDE_KM / 111.2


def track_of(name: str, alarms: np.ndarray) -> TrackMaps:
    """A track of 100 x 100 km and 8 years with expected numbers of false alarms (transient,)."""
    attrs = {
        "area_km2": SIDE_KM**2, "window_start": "2016-01-01", "window_end": "2024-01-01",
        "false_alarms_per_1e4km2_yr": RATE, "track": name,
    }  # fmt: skip
    dataset = xr.Dataset({"false_alarms": ("transient", alarms)}, attrs=attrs)
    return TrackMaps(name, dataset, Grid.__new__(Grid), None, ())


def transients(generator: np.random.Generator, track: int, count: int) -> list[TrackTransient]:
    """False alarms anywhere in a track, about 8 km across, 30 d."""
    out = []
    for number in range(count):
        x, y = generator.uniform(0, DEGREE, 2)
        t50 = np.datetime64("2016-01-01", "ns") + np.timedelta64(int(generator.uniform(0, 8 * 365.25)), "D")
        half = np.timedelta64(15, "D")
        outline = MultiPolygon([box(x, y, x + 0.05, y + 0.05)])
        out.append(TrackTransient(track, number, t50 - half, t50, t50 + half, 5.0, outline))
    return out


def test_chance_pairs_of_two_tracks_are_as_many_as_stated() -> None:
    generator = np.random.default_rng(4)
    scan = Scan(SIDE_KM**2 / 1e4, 8.0, RATE)
    draws, expected = 12, []
    for _ in range(draws):
        counts = generator.poisson(scan.rate * scan.exposure, 2)
        # Of a false alarm above the threshold the expected number as strong is uniform up to that of the threshold.
        alarms = [generator.uniform(0, scan.rate * scan.exposure, count) for count in counts]
        tracks = [track_of(name, own) for name, own in zip("AB", alarms, strict=True)]
        found = [one for number, count in enumerate(counts) for one in transients(generator, number, int(count))]
        pairs = [group for group in join(found, GAP_D) if len(group) > 1]
        # Halved: what is stated is doubled, as the smaller of two.
        expected += [false_alarms(tracks, group, GAP_D) / 2 for group in pairs]
    values = np.array(expected)
    assert len(values) > 60
    for level in (1.0, 3.0, 7.0):
        seen = (values <= level).sum() / draws
        assert 0.4 * level <= seen <= 1.2 * level, f"{seen} of {level}"


def test_one_track_counts_what_all_tracks_were_searched_for() -> None:
    tracks = [track_of("A", np.array([0.3])), track_of("B", np.array([]))]
    (one,) = transients(np.random.default_rng(0), 0, 1)
    assert false_alarms(tracks, [one], GAP_D) == pytest.approx(0.6)
    assert scan_of(tracks[0]).exposure == pytest.approx(8, rel=1e-3)


def test_a_store_that_tells_no_false_alarms_gives_none() -> None:
    track = track_of("A", np.array([0.3]))
    bare = TrackMaps("A", track.dataset.drop_vars("false_alarms"), track.grid, None, ())
    assert np.isnan(false_alarms([bare], transients(np.random.default_rng(0), 0, 1), GAP_D))
    assert np.isnan(p_real(np.array([np.nan]), np.zeros(1)))[0]


def test_noise_alone_reaches_p_real_of_nine_tenths_in_a_tenth_of_regions_at_most() -> None:
    generator = np.random.default_rng(1)
    published = 0
    for _ in range(1500):
        expected = generator.uniform(0, 6.0, generator.poisson(6.0))
        published += bool((p_real(expected, np.zeros(len(expected))) >= 0.9).any())
    # 0.1 with a standard deviation of 0.008.
    assert 0.075 <= published / 1500 <= 0.125


def test_events_stand_out_of_false_alarms_and_a_residue_is_not_real() -> None:
    generator = np.random.default_rng(2)
    expected = np.r_[np.full(5, 1e-3), generator.uniform(0, 20.0, 20)]
    residue = np.zeros(25)
    residue[0] = 0.8
    sure = p_real(expected, residue)
    assert (sure[1:5] > 0.99).all() and sure[0] < 0.2
    assert np.median(sure[5:]) < 0.2
    order = np.argsort(expected[1:])
    assert (np.diff(sure[1:][order]) <= 1e-12).all()
