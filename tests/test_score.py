"""The score of a catalogue against a planted truth."""

import json

import numpy as np
import pytest

from event_builders import event, shifted
from increment_builders import folded, held
from slipbench import score
from slipscan.catalogue import geopackage
from slipscan.errors import SlipscanError


def planted(**more):
    truth = {
        "id": "E1", "type": "slow_slip", "t05": "2019-02-19", "t50": "2019-03-01", "t95": "2019-03-11",
        "longitude": 32.0, "latitude": 40.0, "depth_km": 2.5, "mw": 5.2, "strike_deg": 261.5, "dip_deg": 85.0,
        "rake_deg": 180.0, "length_km": 10.0, "width_km": 4.0, "slip_mm": 40.0,
    }  # fmt: skip
    return truth | more


def truth(*events):
    return {"region": "AAAA", "scenario": "ismetpasa", "events": list(events)}


def catalogue(*rows):
    return geopackage.as_event_tables(folded(held(*rows)).layers)[0]


def test_errors_are_catalogue_minus_truth():
    row = event(t50="2019-03-06", duration_d=10.0, lat=40.05, mw=5.0)
    result = score.score(catalogue(row), truth(planted()))
    assert (result["found"], result["missed"], result["false"]) == (1, 0, 0)
    (found,) = result["rows"]
    assert (found["truth"], found["event_id"], found["type"]) == ("E1", "SSE-20190306-AAAA-a", "slow_slip")
    assert (found["t50_error_d"], found["t05_error_d"]) == (5.0, 10.0)
    assert found["mw_error"] == pytest.approx(-0.2)
    assert found["depth_error_km"] == pytest.approx(0.5)
    assert found["distance_km"] == pytest.approx(0.05 * 111.04, rel=1e-3)


@pytest.mark.parametrize(
    ("off", "length_km", "found"),
    [
        ({"t50": shifted("2019-03-01", 24)}, 10.0, 1),
        ({"t50": shifted("2019-03-01", -25)}, 10.0, 0),
        ({"lat": 40.13}, 10.0, 1),  # 14.4 km
        ({"lat": 40.14}, 10.0, 0),  # 15.5 km
        ({"lat": 40.14}, 40.0, 1),  # within half the length
        ({"lat": 40.5, "half_deg": 1.0}, 10.0, 0),  # a footprint as wide as the scene
    ],
)
def test_a_hit_is_near_in_time_and_place(off, length_km, found):
    result = score.score(catalogue(event(**off)), truth(planted(length_km=length_km)))
    assert (result["found"], result["missed"], result["false"]) == (found, 1 - found, 1 - found)


def test_one_truth_is_found_once_and_further_rows_on_it_are_false():
    rows = [event(t50="2019-03-10"), event(lat=40.01), event(lat=41.0)]
    result = score.score(catalogue(*rows), truth(planted()))
    assert (result["found"], result["missed"], result["false"], result["duplicates"]) == (1, 0, 2, 1)
    assert {row["event_id"]: row["result"] for row in result["rows"]} == {
        "SSE-20190301-AAAA-a": "found",
        "SSE-20190301-AAAA-b": "false",
        "SSE-20190310-AAAA-a": "duplicate",
    }
    assert [row["distance_km"] < 2 for row in result["rows"] if row["result"] == "found"] == [True]


def test_two_near_events_find_their_own_truths():
    truths = truth(planted(id="E2", t50="2019-03-13"), planted())
    result = score.score(catalogue(event(t50="2019-03-11"), event(t50="2019-03-03")), truths)
    assert [(row["truth"], row["t50_error_d"]) for row in result["rows"]] == [("E1", 2.0), ("E2", -2.0)]


def test_other_regions_do_not_count():
    result = score.score(catalogue(event()).assign(region="BBBB"), truth(planted()))
    assert (result["found"], result["missed"], result["false"]) == (0, 1, 0)


def test_the_printed_table(tmp_path):
    rows = [event(depth_km=np.nan), event(lat=41.0)]
    geopackage.write(tmp_path / "catalogue.gpkg", folded(held(*rows)))
    (tmp_path / "truth.json").write_text(json.dumps(truth(planted(), planted(id="E2", t50="2018-05-01"))))
    text = score.score_catalogue(tmp_path / "catalogue.gpkg", tmp_path / "truth.json")
    lines = text.splitlines()
    assert lines[0] == "AAAA: 1 of 2 planted events found, 1 missed, 1 false"
    assert lines[2].split()[:4] == ["planted", "event", "result", "type"]
    assert lines[4].split() == ["E2", "-", "missed", "-"]
    assert lines[5].split() == [
        "E1", "SSE-20190301-AAAA-a", "found", "slow_slip", "+0", "d", "+0", "d", "-0.20", "-", "0.0", "km",
    ]  # fmt: skip
    assert lines[6].split() == ["-", "SSE-20190301-AAAA-b", "false", "slow_slip"]


def test_what_cannot_be_scored_is_said_in_a_sentence(tmp_path):
    geopackage.write(tmp_path / "catalogue.gpkg", folded())
    path = tmp_path / "truth.json"
    with pytest.raises(SlipscanError, match="only simulated regions have one"):
        score.score_catalogue(tmp_path / "catalogue.gpkg", path)
    path.write_text("[1]")
    with pytest.raises(SlipscanError, match="no truth of a simulated region"):
        score.score_catalogue(tmp_path / "catalogue.gpkg", path)
    path.write_text(json.dumps(truth(planted())))
    with pytest.raises(SlipscanError, match="no scan of region AAAA"):
        score.score_catalogue(tmp_path / "catalogue.gpkg", path)
