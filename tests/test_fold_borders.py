"""The fold over events that two regions see: which are one across a border, and what the whole is made of."""

import pytest

from event_builders import FAULT, event, scan
from increment_builders import folded, held


def west(**more):
    return event("AAAA", lon=32.0, half_deg=0.05, tracks="087A", **more)


def east(lon=32.1, **more):
    """Its footprint begins where the western one ends."""
    return event("BBBB", lon=lon, half_deg=0.05, tracks="094D", **more)


def of_b(*rows, **more):
    return held(*rows, region="BBBB", scans=[scan("BBBB", "094D", **more)])


def test_an_event_across_a_border_is_one():
    later = scan("BBBB", "094D", until="2020-06-01")
    catalogue = folded(
        held(west(statistic=9.0, peak_positive_mm=8.0, area_km2=90.0)),
        held(east(statistic=12.0, peak_positive_mm=3.0, area_km2=90.0, mw=5.4), region="BBBB", scans=[later]),
    )
    whole, part = catalogue.events.to_dict("records")
    assert (whole["id"], whole["status"], whole["regions"], whole["tracks"]) == (
        "SSE-20190301-AAAA-a", "active", "AAAA,BBBB", "087A,094D",
    )  # fmt: skip
    assert (whole["peak_positive_mm"], whole["mw"], whole["area_km2"]) == (8.0, 5.4, pytest.approx(180.0))
    assert whole["geometry"].bounds == pytest.approx((31.95, 39.95, 32.15, 40.05))
    assert (part["id"], part["status"], part["merged_into"]) == ("SSE-20190301-BBBB-a", "merged", whole["id"])
    observations = catalogue.layers["observations"]
    assert list(zip(observations["event_id"], observations["track"], strict=True)) == [
        (whole["id"], "087A"), (whole["id"], "094D"),
    ]  # fmt: skip
    assert list(catalogue.layers["history"]["change"]) == ["found", "joined", "found", "merged"]


@pytest.mark.parametrize(
    "other",
    [
        east(lon=32.17),  # 6 km apart
        east(t50="2019-06-01"),
        east(**FAULT, rake_deg=0.0),
    ],
    ids=["far", "later", "opposite"],
)
def test_neighbours_that_do_not_match_stay_two(other):
    events = folded(held(west(**FAULT, rake_deg=180.0)), of_b(other)).events
    assert list(events["status"]) == ["active", "active"]


def test_a_part_keeps_the_event_when_the_other_region_retracts_its_own():
    gone = scan(until="2020-06-01")
    events = folded(held(west()), of_b(east()), held(seq=2, scans=[gone])).events
    assert list(zip(events["id"], events["status"], strict=True)) == [
        ("SSE-20190301-AAAA-a", "active"), ("SSE-20190301-BBBB-a", "merged"),
    ]  # fmt: skip
    assert (events["tracks"][0], events["geometry"][0].bounds[0]) == ("094D", pytest.approx(32.05))


def test_across_180_degrees():
    events = folded(
        held(event("AAAA", lon=179.9, half_deg=0.03)), held(event("BBBB", lon=-179.9, half_deg=0.03), region="BBBB")
    ).events  # fmt: skip
    assert sorted(events["status"]) == ["active", "active"]
    events = folded(
        held(event("AAAA", lon=179.97, half_deg=0.03)), held(event("BBBB", lon=-179.97, half_deg=0.03), region="BBBB")
    ).events  # fmt: skip
    assert sorted(events["status"]) == ["active", "merged"]
