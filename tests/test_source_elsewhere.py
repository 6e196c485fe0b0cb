"""What an event left in a track that did not find it: the change at its times, explained along with what was found."""

from dataclasses import replace

import numpy as np
import pytest

from slipscan import vocabulary
from slipscan.earthquakes import moment_magnitude
from slipscan.errors import SlipscanError
from slipscan.events import read_events
from slipscan.geometry import from_lonlat, read_grid
from slipscan.settings import SourceSettings
from slipscan.source import stage
from slipscan.source.elsewhere import Wanted, changes_of, timing_of
from slipscan.source.join import footprint_pixels, footprint_polygons
from slipscan.source.maps import open_track
from slipscan.source.sources import Fault, local_crs
from slipscan.source.times import Times
from slipscan.stack import open_stack
from slipscan.store import open_zarr, write_zarr
from transient_builders import CENTRE, EPOCHS, line_of_sight, pixel_means, transients

THRUST = Fault(0.0, 1e3, 9e3, 300.0, 30.0, 14e3, 9e3, 0.0, 0.25)
DATES = ("2018-10-01", "2018-11-20")
NOISE_M = 3e-3
SMALL = SourceSettings(max_points=90, particles=80, searched=512)


def unseen_track(directory, source, start=DATES, other=None):
    """A track that found nothing, and its stack: rate, noise, what a source moved between two dates, and `other`."""
    store = transients(directory / "d.zarr", "065D", [], [], orbit="descending")
    dataset = open_zarr(store)
    grid = read_grid(dataset)
    east, north = from_lonlat(*grid.lonlat(), local_crs(*CENTRE))
    moved = np.zeros((len(EPOCHS), *grid.shape), np.float32)
    for one, (first, last) in ((source, start), *([] if other is None else [other])):
        if one is not None:
            begin, end = np.datetime64(first), np.datetime64(last)
            course = np.clip((EPOCHS - begin) / (end - begin), 0, 1)
            moved += (course[:, None, None] * (pixel_means(one, east, north) @ line_of_sight("descending"))).astype(
                "f4"
            )
    moved += NOISE_M * np.random.default_rng(5).standard_normal(moved.shape).astype(np.float32)
    moved += 0.01 * ((EPOCHS - EPOCHS[0]) / np.timedelta64(365, "D")).astype("f4")[:, None, None]
    stack = dataset.drop_dims("transient").assign(displacement=(("time", "y", "x"), moved))
    stack = stack.assign_coords(reference_time=EPOCHS[0])
    stack.attrs = {"region": "ISMT", "track": "065D", "data_until": "2019-12-13", "inventory_sha256": ""}
    stack.attrs["slipscan_version"] = "test"
    write_zarr(vocabulary.annotate(stack, "stack"), directory / "stack.zarr")
    return store, directory / "stack.zarr"


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The store of the track that found the thrust."""
    directory = tmp_path_factory.mktemp("found")
    return transients(directory / "a.zarr", "087A", [THRUST], [DATES], seed=1, noise_m=4e-3)


def wanted(found):
    one = open_track(found, 0).transients[0]
    return Wanted(Times((one.t05, one.t50, one.t95), (10.0, 5.0, 10.0)), one.footprint)


def test_the_change_of_a_track_is_what_moved_at_the_times_of_the_event(tmp_path, found):
    store, path = unseen_track(tmp_path, THRUST)
    track, stack = open_track(store, 0), open_stack(path, in_memory=False)
    (changes, which), *more = list(changes_of(stack, track, [wanted(found)], None))
    assert which == [0] and not more
    grid = track.grid
    east, north = from_lonlat(*grid.lonlat(), local_crs(*CENTRE))
    truth = pixel_means(THRUST, east, north) @ line_of_sight("descending")
    value, std, footprint = changes.total([0])
    left = (value - value.mean()) - (truth - truth.mean())
    assert np.corrcoef(value.ravel(), truth.ravel())[0, 1] > 0.9
    assert np.sqrt((left**2).mean()) < 0.15 * np.abs(truth).max()
    assert 0.5 < np.sqrt((left[~footprint] ** 2).mean()) / std[~footprint].mean() < 2.5
    assert footprint.sum() > 0.9 * footprint_pixels(wanted(found).footprint, grid).sum()
    assert 0 < float(changes.dataset["change_error"][0]) < 0.3


def test_a_track_that_does_not_cover_an_event_has_nothing_to_say(tmp_path, found):
    store, path = unseen_track(tmp_path, None)
    track, stack = open_track(store, 0), open_stack(path, in_memory=False)
    one = wanted(found)
    early = replace(one.times, dates=tuple(date - np.timedelta64(900, "D") for date in one.times.dates))
    assert not list(changes_of(stack, track, [replace(one, times=early)], None))


def explained(found, store, stacks, tmp_path):
    stage.write_event_table([found, store], tmp_path / "events.parquet", SMALL, stacks=stacks)
    table, _ = read_events(tmp_path / "events.parquet")
    assert len(table) == 1
    return table.iloc[0]


def stack_of(found, directory):
    """A stack of the track that found the event: only its dates and grid are read."""
    dataset = open_zarr(found)
    shape = (len(EPOCHS), *dataset["map"].shape[1:])
    stack = dataset.drop_dims("transient").assign(displacement=(("time", "y", "x"), np.zeros(shape, np.float32)))
    stack = stack.assign_coords(reference_time=EPOCHS[0])
    stack.attrs = {name: dataset.attrs[name] for name in ("region", "track", "data_until", "inventory_sha256")}
    stack.attrs["slipscan_version"] = "test"
    write_zarr(vocabulary.annotate(stack, "stack"), directory / "own.zarr")
    return directory / "own.zarr"


def test_a_track_that_shows_what_the_source_predicts_confirms_it_and_tells_its_kind(tmp_path, found):
    store, path = unseen_track(tmp_path, THRUST)
    own = stack_of(found, tmp_path)
    alone = explained(found, store, [], tmp_path)
    both = explained(found, store, [own, path], tmp_path)
    assert both["tracks"] == "087A"
    assert both["track_verdicts"] == "065D:confirmed,087A:confirmed"
    assert both["log_evidence"] > alone["log_evidence"] + 10
    # One line of sight takes this thrust for a volume or a thrust; two know what it was.
    assert both["type"] == "slow_slip" and both["p_slow_slip"] > alone["p_slow_slip"]
    assert both["mw_50"] == pytest.approx(moment_magnitude(THRUST.potency_m3), abs=0.15)
    assert both["statistic"] == alone["statistic"]


def test_a_track_where_nothing_moved_makes_a_source_less_likely(tmp_path, found):
    store, path = unseen_track(tmp_path, None)
    own = stack_of(found, tmp_path)
    alone = explained(found, store, [], tmp_path)
    both = explained(found, store, [own, path], tmp_path)
    # What is left are sources that this line of sight does not see: hardly slip of a fault.
    assert both["log_evidence"] < alone["log_evidence"]
    assert both["p_slow_slip"] < 0.2 * alone["p_slow_slip"] and both["type"] != "slow_slip"
    assert "065D:confirmed" not in both["track_verdicts"]


def test_stacks_of_other_tracks_or_dates_are_refused(tmp_path, found):
    store, path = unseen_track(tmp_path, None)
    own = stack_of(found, tmp_path)
    with pytest.raises(SlipscanError, match="1 stacks came with 2 transients stores"):
        explained(found, store, [path], tmp_path)
    with pytest.raises(SlipscanError, match="the stack of track 065D stands where that of 087A should"):
        explained(found, store, [path, own], tmp_path)
    write_zarr(open_zarr(path).isel(time=slice(1, None)), tmp_path / "short.zarr")
    with pytest.raises(SlipscanError, match="of another stack"):
        explained(found, store, [own, tmp_path / "short.zarr"], tmp_path)


def test_histories_that_are_as_likely_lie_about_the_times_as_their_errors_say():
    dates = tuple(EPOCHS[30] + np.timedelta64(d, "D") for d in (-30, 0, 30))
    known, vague = (timing_of(Times(dates, (e, e, e))).alike for e in (0.0, 8.0))
    assert {ramp.middle_d for ramp in known} == {known[0].middle_d}
    middles, lengths = (np.array([getattr(ramp, name) for ramp in vague]) for name in ("middle_d", "duration_d"))
    assert middles.std() == pytest.approx(8.0) and middles.mean() == pytest.approx(known[0].middle_d)
    # Its ends are 16 d farther apart, or nearer: of 90 % of a ramp.
    assert lengths.std() == pytest.approx(16.0 / 0.9, rel=1e-3)
    # What is shorter by more than its length is a step.
    steps = timing_of(Times(dates, (60.0, 5.0, 60.0))).alike
    assert min(ramp.duration_d for ramp in steps) == 0.0


def test_pixels_of_a_footprint_are_those_that_it_was_drawn_round(found):
    track = open_track(found, 0)
    footprint = track.total([0])[2]
    drawn = footprint_pixels(footprint_polygons(footprint, track.grid), track.grid)
    assert (drawn & footprint).sum() > 0.99 * footprint.sum()
    assert (drawn == footprint).mean() > 0.999
