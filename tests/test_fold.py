"""The fold over increments: which event is which, what retracts one, and that no order matters."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import Polygon

from event_builders import FAULT, event, scan, shifted
from increment_builders import folded, held
from slipscan.catalogue.footprint import split_at_antimeridian


def test_an_event_seen_again_keeps_its_id_and_takes_the_new_row():
    first = held(event(mw=5.0), scans=[scan(until="2019-06-01")])
    second = held(event(t50="2019-03-05", mw=5.1, lon=32.02), scans=[scan(until="2019-12-25")], seq=2)
    row = folded(first, second).events.iloc[0]
    assert row["id"] == "SSE-20190301-AAAA-a"
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
    catalogue = folded(
        held(event(duration_d=one), scans=[scan(**window)]),
        held(event(duration_d=one), event(t50=later, duration_d=two), scans=[scan(**window)], seq=2),
    ).events
    assert len(catalogue) == 2, "two rows of one increment stay two"
    catalogue = folded(
        held(event(duration_d=one), scans=[scan(**window)]),
        held(event(t50=later, duration_d=two), scans=[scan(**window)], seq=2),
    ).events
    assert len(catalogue) == (1 if same else 2)


def test_footprints_apart_are_two_events():
    catalogue = folded(held(event()), held(event(), event(lon=32.2), seq=2)).events
    assert list(catalogue["id"]) == ["SSE-20190301-AAAA-a", "SSE-20190301-AAAA-b"]
    assert list(catalogue["longitude"]) == [32.0, 32.2]


def test_footprints_that_share_an_edge_alone_are_two_events():
    beside, across = event(lon=32.125, half_deg=0.0625), event(lon=32.1875, half_deg=0.0625)
    first = held(event(lon=32.0, half_deg=0.0625))
    assert len(folded(first, held(beside, seq=2)).events) == 2
    assert len(folded(held(beside), held(across, seq=2)).events) == 1


def test_of_two_that_are_as_near_in_time_the_one_with_the_larger_common_area_goes_on():
    little, much = event(lon=32.08), event(lon=31.98)
    events = folded(held(event(mw=5.0)), held(little | {"mw": 5.1}, much | {"mw": 5.2}, seq=2)).events
    assert dict(zip(events["id"], events["mw"], strict=True)) == {
        "SSE-20190301-AAAA-a": 5.2, "SSE-20190301-AAAA-b": 5.1,
    }  # fmt: skip


def test_a_match_across_180_degrees():
    jumping = Polygon([(179.95, -18), (-179.95, -18), (-179.95, -17.9), (179.95, -17.9)])
    one = held(event(lon=179.98, lat=-17.95, geometry=split_at_antimeridian(jumping)))
    two = held(event(lon=-179.98, lat=-17.95, half_deg=0.01), seq=2)
    assert len(folded(one, two).events) == 1


def test_a_scan_that_no_longer_finds_an_event_retracts_it_and_a_later_one_brings_it_back():
    found, gone = held(event()), held(seq=2, scans=[scan(until="2020-06-01")])
    back = held(event(), seq=3, scans=[scan(until="2020-12-01")])
    row = folded(found, gone).events.iloc[0]
    assert (row["id"], row["status"], row["updated"]) == ("SSE-20190301-AAAA-a", "retracted", "2020-06-01")
    row = folded(found, gone, back).events.iloc[0]
    assert (row["id"], row["status"], row["created"]) == ("SSE-20190301-AAAA-a", "active", "2019-12-25")


def test_the_id_of_a_retracted_event_is_not_used_again():
    catalogue = folded(held(event()), held(event(lon=33.0), seq=2)).events
    assert dict(zip(catalogue["id"], catalogue["status"], strict=True)) == {
        "SSE-20190301-AAAA-a": "retracted",
        "SSE-20190301-AAAA-b": "active",
    }


@pytest.mark.parametrize(
    "scans",
    [[scan(track="094D")], [scan(start="2019-03-02")], [scan(end="2019-02-28")], [scan("BBBB")]],
    ids=["another track", "a later window", "an earlier window", "another region"],
)
def test_a_scan_that_did_not_look_there_retracts_nothing(scans):
    later = held(seq=2, scans=scans, region=scans[0]["region"])
    assert list(folded(held(event()), later).events["status"]) == ["active"]


def test_an_event_of_two_tracks_is_retracted_only_by_a_scan_of_both():
    found = held(event(tracks="087A,094D"), scans=[scan(), scan(track="094D")])
    assert list(folded(found, held(seq=2)).events["status"]) == ["active"]
    both = held(seq=2, scans=[scan(), scan(track="094D")])
    assert list(folded(found, both).events["status"]) == ["retracted"]


def test_an_event_that_is_seen_as_two_keeps_its_id_in_the_nearer_one():
    halves = [event(t50="2019-02-20", half_deg=0.02), event(t50="2019-03-04", half_deg=0.02)]
    catalogue = folded(held(event(t50="2019-03-01")), held(*halves, seq=2)).events
    assert dict(zip(catalogue["id"], catalogue["t50"], strict=True)) == {
        "SSE-20190301-AAAA-a": "2019-03-04",
        "SSE-20190220-AAAA-a": "2019-02-20",
    }
    assert list(catalogue["status"]) == ["active", "active"]


events_of_a_region = st.lists(
    st.tuples(st.integers(0, 700), st.integers(0, 60), st.integers(0, 6), st.sampled_from(["087A", "087A,094D"])),
    max_size=3,
)
scans_of_a_region = st.tuples(st.integers(100, 800), st.sampled_from([("087A",), ("094D",), ("087A", "094D")]))
histories = st.lists(st.tuples(events_of_a_region, scans_of_a_region), min_size=1, max_size=4)


def increments_of(region, history, lat=40.0):
    """Random increments of one region: events on a line, scans that reach random dates."""
    out = []
    for seq, (events, (reach_d, tracks)) in enumerate(history, 1):
        rows = [
            event(region, shifted("2018-01-04", day), float(2 * half), lon=32 + 0.06 * place, lat=lat, tracks=seen)
            for day, half, place, seen in events
        ]
        until = shifted("2018-01-04", reach_d)
        out.append(held(*rows, seq=seq, region=region, scans=[scan(region, t, until) for t in tracks]))
    return out


def text(layer):
    """A layer as text."""
    return (layer.to_wkb(hex=True) if "geometry" in layer else layer).to_csv(index=False)


@settings(max_examples=8, deadline=None)
@given(histories, histories, st.randoms(use_true_random=False))
def test_the_fold_knows_no_order_and_regions_do_not_touch_each_other(one, other, random):
    ours, theirs = increments_of("AAAA", one), increments_of("BBBB", other, lat=50.0)
    alone = folded(*ours)
    both = ours + theirs
    random.shuffle(both)
    together = folded(*both)
    for name, key in KEYS.items():
        layer = together.layers[name]
        mine = layer[layer[key].str.contains("AAAA")].reset_index(drop=True)
        assert text(mine) == text(alone.layers[name]), name
    assert together.events["id"].is_unique
    newest = max(ours, key=lambda i: (i.data_until, i.seq))
    active = alone.events[alone.events["status"] == "active"]
    assert set(newest.events.to_wkb()["geometry"]) <= set(active.to_wkb()["geometry"])


KEYS = {"events": "id", "observations": "event_id", "history": "event_id", "runs": "region", "regions": "region"}


@settings(max_examples=4, deadline=None)
@given(histories, st.randoms(use_true_random=False))
def test_ids_and_versions_survive_every_later_increment(history, random):
    """Also of an older data cut-off: whatever comes later, what had an id has it still, and versions only grow."""
    increments = increments_of("AAAA", history)
    known: dict[str, int] = {}
    for count in range(1, len(increments) + 1):
        events = folded(*increments[:count]).events
        now = dict(zip(events["id"], events["version"], strict=True))
        if increments[count - 1] is max(increments[:count], key=lambda i: i.order):
            assert all(now.get(name, 0) >= version for name, version in known.items())
        history_of = folded(*increments[:count]).layers["history"]
        assert dict(history_of.groupby("event_id")["version"].max()) == now
        known = now


# Old and new calibration, weights and code stay visible.


def test_a_new_version_says_what_changed_and_the_old_ones_stay():
    later = scan(until="2020-06-01")
    first = held(event(mw=5.0, weights="slipnet abc", calibration_id="cal-1", slipscan_version="0.1.0"))
    second = held(
        event(mw=5.25, weights="slipnet def", calibration_id="cal-2", slipscan_version="0.2.0"), seq=2, scans=[later]
    )
    same = held(event(mw=5.25, weights="slipnet def", calibration_id="cal-2", slipscan_version="0.2.0"), seq=3,
                scans=[scan(until="2020-12-01")])  # fmt: skip
    catalogue = folded(first, second, same)
    event_row, history = catalogue.events.iloc[0], catalogue.layers["history"]
    assert (event_row["version"], event_row["updated"], event_row["data_until"]) == (2, "2020-06-01", "2020-12-01")
    assert list(history["change"]) == ["found", "revised"]
    assert list(history["weights"]) == ["slipnet abc", "slipnet def"]
    assert list(history["calibration_id"]) == ["cal-1", "cal-2"]
    assert history["changed"][1] == (
        "mw 5 -> 5.25; calibration_id cal-1 -> cal-2; weights slipnet abc -> slipnet def;"
        " slipscan_version 0.1.0 -> 0.2.0"
    )


def test_an_ongoing_event_grows_and_closes_under_one_id():
    def at(t50, days, until, seq, ongoing):
        return held(event(t50=t50, duration_d=days, ongoing=ongoing), seq=seq, scans=[scan(until=until)])

    catalogue = folded(
        at("2019-03-01", 20.0, "2019-03-15", 1, True),
        at("2019-03-21", 60.0, "2019-05-01", 2, True),
        at("2019-04-10", 100.0, "2019-09-01", 3, False),
        at("2019-04-10", 100.0, "2019-12-01", 4, False),
    )
    (row,) = catalogue.events.to_dict("records")
    assert (row["id"], row["version"], row["ongoing"], row["t95"]) == ("SSE-20190301-AAAA-a", 3, False, "2019-05-30")
    assert list(catalogue.layers["history"]["change"]) == ["found", "grown", "closed"]
    assert "ongoing 1 -> 0" in catalogue.layers["history"]["changed"][2]


def test_retracted_and_restored_are_versions():
    gone, back = scan(until="2020-06-01"), scan(until="2020-12-01")
    history = folded(held(event()), held(seq=2, scans=[gone]), held(event(), seq=3, scans=[back])).layers["history"]
    assert list(zip(history["version"], history["change"], history["status"], strict=True)) == [
        (1, "found", "active"), (2, "retracted", "retracted"), (3, "restored", "active"),
    ]  # fmt: skip
    assert history["changed"][1] == "no longer found by the scan of 087A at 5.5"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({**FAULT, "rake_deg": 180.0}, {**FAULT, "rake_deg": 170.0}, True),
        ({**FAULT, "rake_deg": 180.0}, {**FAULT, "strike_deg": 351.5, "dip_deg": 90.0, "rake_deg": 5.0}, True),
        ({**FAULT, "rake_deg": 180.0}, {**FAULT, "rake_deg": 0.0}, False),
        ({"volume_change_m3": 1e6}, {"volume_change_m3": -1e6}, False),
        ({"volume_change_m3": 1e6}, {"volume_change_m3": 2e6}, True),
        ({**FAULT, "rake_deg": 180.0}, {}, True),
    ],
    ids=["alike", "the other nodal plane", "opposite slip", "deflation", "more inflation", "no source"],
)
def test_sources_of_opposite_sense_are_two_events(one, other, same):
    catalogue = folded(held(event(**one)), held(event(**other), seq=2, scans=[scan(until="2020-06-01")])).events
    assert len(catalogue) == (1 if same else 2)


def test_an_older_scan_that_comes_late_changes_no_id():
    new = [held(event(t50="2019-03-05"), scans=[scan(until="2020-06-01")])]
    late = held(event(t50="2019-03-01"), event(lon=33.0), seq=2, scans=[scan(until="2019-12-01")])
    before, after = folded(*new).events, folded(*new, late).events
    assert list(before["id"]) == ["SSE-20190305-AAAA-a"]
    assert list(after["id"]) == ["SSE-20190301-AAAA-a", "SSE-20190305-AAAA-a"]
    assert list(after["t50"][after["status"] == "active"]) == ["2019-03-05"]


def test_letters_go_on_after_z():
    rows = [event(lon=32 + 0.2 * number) for number in range(28)]
    ids = folded(held(*rows)).events.sort_values("longitude")["id"]
    assert [name.rsplit("-", 1)[1] for name in ids][::27] == ["a", "ab"]
    assert list(ids)[25:27] == ["SSE-20190301-AAAA-z", "SSE-20190301-AAAA-aa"]
