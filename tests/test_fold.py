"""The fold over increments: which event is which, what retracts one, and that no order matters."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import Polygon

from event_builders import event, scan, shifted
from increment_builders import held
from slipscan.catalogue.fold import fold, newest_scans
from slipscan.catalogue.footprint import split_at_antimeridian


def test_an_event_seen_again_keeps_its_id_and_takes_the_new_row():
    first = held(event(mw=5.0), scans=[scan(until="2019-06-01")])
    second = held(event(t50="2019-03-05", mw=5.1, lon=32.02), scans=[scan(until="2019-12-25")], seq=2)
    row = fold([first, second], 24.0).iloc[0]
    assert row["event_id"] == "AAAA-2019-001"
    assert (row["mw"], row["t50"], row["status"]) == (5.1, "2019-03-05", "active")
    assert (row["created"], row["updated"]) == ("2019-06-01", "2019-12-25")


@pytest.mark.parametrize(
    ("gap_d", "durations_d", "same"),
    [
        (23, (10.0, 10.0), True),
        (24, (10.0, 10.0), False),
        (40, (100.0, 400.0), True),
        (50, (100.0, 400.0), False),
    ],
)
def test_two_are_one_when_the_gap_is_shorter_than_24_days_or_half_the_shorter_duration(gap_d, durations_d, same):
    """docs/science.md section 10.5, with t95 of the one and t05 of the other `gap_d` days apart."""
    one, two = durations_d
    later = shifted("2019-03-01", int(one // 2 + two // 2) + gap_d)
    window = {"until": "2021-01-01"}
    catalogue = fold(
        [
            held(event(duration_d=one), scans=[scan(**window)]),
            held(event(duration_d=one), event(t50=later, duration_d=two), scans=[scan(**window)], seq=2),
        ],
        24.0,
    )
    assert len(catalogue) == 2, "two rows of one increment stay two"
    catalogue = fold(
        [
            held(event(duration_d=one), scans=[scan(**window)]),
            held(event(t50=later, duration_d=two), scans=[scan(**window)], seq=2),
        ],
        24.0,
    )
    assert len(catalogue) == (1 if same else 2)


def test_footprints_apart_are_two_events():
    catalogue = fold([held(event()), held(event(), event(lon=32.2), seq=2)], 24.0)
    assert list(catalogue["event_id"]) == ["AAAA-2019-001", "AAAA-2019-002"]
    assert list(catalogue["longitude"]) == [32.0, 32.2]


def test_a_match_across_180_degrees():
    jumping = Polygon([(179.95, -18), (-179.95, -18), (-179.95, -17.9), (179.95, -17.9)])
    one = held(event(lon=179.98, lat=-17.95, geometry=split_at_antimeridian(jumping)))
    two = held(event(lon=-179.98, lat=-17.95, half_deg=0.01), seq=2)
    assert len(fold([one, two], 24.0)) == 1


def test_a_scan_that_no_longer_finds_an_event_retracts_it_and_a_later_one_brings_it_back():
    found, gone = held(event()), held(seq=2, scans=[scan(until="2020-06-01")])
    back = held(event(), seq=3, scans=[scan(until="2020-12-01")])
    row = fold([found, gone], 24.0).iloc[0]
    assert (row["event_id"], row["status"], row["updated"]) == ("AAAA-2019-001", "retracted", "2020-06-01")
    row = fold([found, gone, back], 24.0).iloc[0]
    assert (row["event_id"], row["status"], row["created"]) == ("AAAA-2019-001", "active", "2019-12-25")


def test_the_id_of_a_retracted_event_is_not_used_again():
    catalogue = fold([held(event()), held(event(lon=33.0), seq=2)], 24.0)
    assert dict(zip(catalogue["event_id"], catalogue["status"], strict=True)) == {
        "AAAA-2019-001": "retracted",
        "AAAA-2019-002": "active",
    }


@pytest.mark.parametrize(
    "scans",
    [[scan(track="094D")], [scan(start="2019-03-02")], [scan(end="2019-02-28")], [scan("BBBB")]],
    ids=["another track", "a later window", "an earlier window", "another region"],
)
def test_a_scan_that_did_not_look_there_retracts_nothing(scans):
    later = held(seq=2, scans=scans, region=scans[0]["region"])
    assert list(fold([held(event()), later], 24.0)["status"]) == ["active"]


def test_an_event_of_two_tracks_is_retracted_only_by_a_scan_of_both():
    found = held(event(tracks="087A,094D"), scans=[scan(), scan(track="094D")])
    assert list(fold([found, held(seq=2)], 24.0)["status"]) == ["active"]
    both = held(seq=2, scans=[scan(), scan(track="094D")])
    assert list(fold([found, both], 24.0)["status"]) == ["retracted"]


def test_an_event_that_is_seen_as_two_keeps_its_id_in_the_nearer_one():
    halves = [event(t50="2019-02-20", half_deg=0.02), event(t50="2019-03-04", half_deg=0.02)]
    catalogue = fold([held(event(t50="2019-03-01")), held(*halves, seq=2)], 24.0)
    assert list(catalogue["t50"]) == ["2019-03-04", "2019-02-20"]
    assert list(catalogue["status"]) == ["active", "active"]


events_of_a_region = st.lists(
    st.tuples(st.integers(0, 700), st.integers(0, 60), st.integers(0, 6), st.sampled_from(["087A", "087A,094D"])),
    max_size=3,
)
scans_of_a_region = st.tuples(st.integers(100, 800), st.sampled_from([("087A",), ("094D",), ("087A", "094D")]))
histories = st.lists(st.tuples(events_of_a_region, scans_of_a_region), min_size=1, max_size=4)


def increments_of(region, history):
    """Random increments of one region: events on a line, scans that reach random dates."""
    out = []
    for seq, (events, (reach_d, tracks)) in enumerate(history, 1):
        rows = [
            event(region, shifted("2018-01-04", day), float(2 * half), lon=32 + 0.06 * place, tracks=seen)
            for day, half, place, seen in events
        ]
        until = shifted("2018-01-04", reach_d)
        out.append(held(*rows, seq=seq, region=region, scans=[scan(region, t, until) for t in tracks]))
    return out


@settings(max_examples=40, deadline=None)
@given(histories, histories, st.randoms(use_true_random=False))
def test_the_fold_knows_no_order_and_regions_do_not_touch_each_other(one, other, random):
    ours, theirs = increments_of("AAAA", one), increments_of("BBBB", other)

    def text(frame):
        return frame.to_wkb(hex=True).to_csv(index=False)

    alone = fold(ours, 24.0)
    both = ours + theirs
    random.shuffle(both)
    together = fold(both, 24.0)
    mine = together[together["region"] == "AAAA"].reset_index(drop=True)
    assert text(mine) == text(alone)
    assert together["event_id"].is_unique
    newest = max(ours, key=lambda i: (i.data_until, i.seq))
    active = alone[alone["status"] == "active"]
    assert set(newest.events.to_wkb()["geometry"]) <= set(active.to_wkb()["geometry"])
    assert [s["region"] for s in newest_scans(both)] == sorted(s["region"] for s in newest_scans(both))
