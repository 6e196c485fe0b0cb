"""Increments, their fold, and the GeoPackage across the real GDAL and SQLite."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyogrio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.affinity import translate
from shapely.geometry import MultiPolygon, Polygon, box

from event_builders import event, scan, shifted, table
from slipscan.catalogue import geopackage, increment, stage
from slipscan.catalogue.fold import fold, newest_scans
from slipscan.catalogue.footprint import split_at_antimeridian
from slipscan.catalogue.increment import Increment
from slipscan.errors import SlipscanError
from slipscan.events import CATALOGUE_COLUMNS, GNSS_COLUMNS, SCAN_KEYS, write_events
from slipscan.settings import CatalogueSettings
from waiting import wait_until

NO_GNSS = pd.DataFrame(columns=["event", "station", *(c.name for c in GNSS_COLUMNS)])


def held(*rows, seq=1, scans=None, region="AAAA"):
    """An increment in memory."""
    events = increment.with_verdicts(table(*rows), NO_GNSS)
    return Increment(region, seq, f"{seq:012x}", tuple(scans or [scan(region)]), events)


def write_source(directory, *rows, scans=None, gnss=NO_GNSS):
    directory.mkdir(parents=True, exist_ok=True)
    write_events(directory / "events.parquet", table(*rows), scans or [scan()])
    gnss.to_parquet(directory / "gnss.parquet")
    return directory / "events.parquet", directory / "gnss.parquet"


# ------------------------------------------------------------------------------------------- increments


def test_an_increment_carries_each_events_own_verdict(tmp_path):
    gnss = pd.DataFrame(
        {
            "event": [1, 1],
            "station": ["ISM1", "ISM2"],
            "gnss_verdict": ["confirmed", "confirmed"],
            "gnss_stations": [2, 2],
            "gnss_log_likelihood_ratio": [7.5, 7.5],
        }
    )
    events, verdicts = write_source(tmp_path, event(), event(t50="2019-09-01"), gnss=gnss)
    stage.write_increment(events, verdicts, tmp_path / "increments", tmp_path / "increment.json")

    pointer = json.loads((tmp_path / "increment.json").read_text())
    read = increment.read(tmp_path / "increments" / pointer["increment"])
    assert pointer["region"] == read.region == "AAAA"
    assert list(read.events["gnss_verdict"]) == ["no_data", "confirmed"]
    assert list(read.events["gnss_stations"]) == [0, 2]
    assert np.isnan(read.events["gnss_log_likelihood_ratio"][0])
    assert read.events["gnss_log_likelihood_ratio"][1] == 7.5
    assert read.scans == (scan(),)


def test_the_same_scan_twice_is_one_increment_and_another_scan_is_the_next(tmp_path):
    directory, pointer = tmp_path / "increments", tmp_path / "increment.json"
    first = write_source(tmp_path / "one", event())
    second = write_source(tmp_path / "two", event(), event(t50="2019-09-01"))
    texts = []
    for source in (first, first, second, second, first):
        stage.write_increment(*source, directory, pointer)
        texts.append(pointer.read_text())
    names = [path.name for path in increment.find(directory)]
    assert [name[:5] for name in names] == ["00001", "00002", "00003"]
    assert texts[0] == texts[1]
    assert texts[2] == texts[3]
    assert names[0][6:] == names[2][6:] != names[1][6:]
    assert sorted(path.name for path in directory.iterdir()) == names, "no temporary and no claim is left"


@pytest.mark.parametrize(
    ("gnss", "word"),
    [(NO_GNSS.drop(columns="gnss_stations"), "gnss_stations"), (NO_GNSS.assign(event=[]), None)],
)
def test_a_gnss_table_must_have_its_columns(tmp_path, gnss, word):
    source = write_source(tmp_path, event(), gnss=gnss)
    if word is None:
        stage.write_increment(*source, tmp_path / "increments", tmp_path / "increment.json")
        return
    with pytest.raises(SlipscanError, match=word):
        stage.write_increment(*source, tmp_path / "increments", tmp_path / "increment.json")
    assert not (tmp_path / "increment.json").exists()


def test_a_verdict_on_an_unknown_event_is_refused():
    verdicts = pd.DataFrame({
        "event": [3], "gnss_verdict": ["confirmed"], "gnss_stations": [1], "gnss_log_likelihood_ratio": [4.0],
    })  # fmt: skip
    with pytest.raises(SlipscanError, match="run gnss again"):
        increment.with_verdicts(table(event()), verdicts)


def test_events_of_two_regions_or_without_a_scan_or_footprint_are_refused(tmp_path):
    found = increment.with_verdicts(table(event()), NO_GNSS)
    with pytest.raises(SlipscanError, match="AAAA, BBBB"):
        increment.append(found, [scan("BBBB")], tmp_path)
    with pytest.raises(SlipscanError, match="no scan"):
        increment.append(found, [], tmp_path)
    bare = increment.with_verdicts(table(event(geometry=Polygon())), NO_GNSS)
    with pytest.raises(SlipscanError, match="no footprint"):
        increment.append(bare, [scan()], tmp_path)
    assert increment.find(tmp_path) == []


def test_a_damaged_increment_is_named(tmp_path):
    source = write_source(tmp_path / "AAAA", event())
    directory = tmp_path / "AAAA" / "increments"
    stage.write_increment(*source, directory, tmp_path / "increment.json")
    (path,) = increment.find(directory)
    path.write_bytes(path.read_bytes()[:-40])
    for run in (
        lambda: stage.write_catalogue(tmp_path, tmp_path / "catalogue.gpkg", CatalogueSettings()),
        lambda: stage.write_increment(*source, directory, tmp_path / "increment.json"),
    ):
        with pytest.raises(SlipscanError, match=path.name):
            run()
    assert not (tmp_path / "catalogue.gpkg").exists()


APPENDER = """
import sys
sys.path.insert(0, sys.argv[3])
from pathlib import Path
from event_builders import event, scan, table
from slipscan.catalogue import increment
from test_catalogue import NO_GNSS
print("ready", flush=True)
for number in range(int(sys.argv[2])):
    found = increment.with_verdicts(table(event(mw=5.0 + number, weights=sys.argv[1])), NO_GNSS)
    increment.append(found, [scan()], Path(sys.argv[4]))
"""


def appender(name, count, directory):
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", APPENDER, name, str(count), here, str(directory)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def test_two_processes_and_a_kill_leave_whole_increments_with_numbers_of_their_own(tmp_path):
    victim, others = appender("victim", 100000, tmp_path), [appender(name, 20, tmp_path) for name in "ab"]
    for process in (victim, *others):
        process.stdout.readline()
    wait_until(lambda: any(increment.read(p).events["weights"][0] == "victim" for p in increment.find(tmp_path)))
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    assert [process.wait() for process in others] == [0, 0]
    for process in (victim, *others):
        process.stdout.close()

    increment.append(increment.with_verdicts(table(event(mw=1.0)), NO_GNSS), [scan()], tmp_path)
    read = [increment.read(path) for path in increment.find(tmp_path)]
    numbers = [one.seq for one in read]
    assert len(set(numbers)) == len(numbers) > 41
    assert sum(one.events["weights"][0] in ("a", "b") for one in read) == 40
    assert not list(tmp_path.glob("*.new*")), "what the killed process left is removed"


# ------------------------------------------------------------------------------------------------- fold


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


# ------------------------------------------------------------------------------------------- footprints


def test_a_square_across_180_degrees_becomes_its_two_halves():
    square = Polygon([(179, 0), (-179, 0), (-179, 1), (179, 1)])
    split = split_at_antimeridian(square)
    assert [part.bounds for part in split.geoms] == [(179, 0, 180, 1), (-180, 0, -179, 1)]


@settings(max_examples=100, deadline=None)
@given(st.floats(-180, 180), st.floats(0.01, 20), st.floats(-80, 80), st.booleans())
def test_a_split_keeps_area_and_hole_whatever_the_longitude(west, width, south, hole):
    """A polygon moved round the globe, its vertices wrapped into -180..180, is what it was."""
    rings = [[(0.3, 0.2), (0.6, 0.2), (0.6, 0.7)]] if hole else []
    here = Polygon([(0, 0), (1, 0), (1, 1), (0, 1)], rings)

    def moved(ring):
        return [((west + width * x + 180) % 360 - 180, south + 2 * y) for x, y in ring]

    wrapped = Polygon(moved(here.exterior.coords), [moved(ring.coords) for ring in here.interiors])
    split = split_at_antimeridian(wrapped)
    assert split.area == pytest.approx(here.area * width * 2, rel=1e-6, abs=1e-9)
    assert split.bounds[0] >= -180
    assert split.bounds[2] <= 180


def test_longitudes_past_180_and_footprints_that_do_not_cross():
    split = split_at_antimeridian(translate(box(0, 0, 2, 1), xoff=179))
    assert [part.bounds for part in split.geoms] == [(179, 0, 180, 1), (-180, 0, -179, 1)]
    assert split_at_antimeridian(split) is split
    inside = MultiPolygon([box(0, 0, 1, 1), box(2, 0, 3, 1)])
    assert split_at_antimeridian(inside) is inside


# ------------------------------------------------------------------------------------------- geopackage


def catalogue_of(tmp_path, *increments):
    path = tmp_path / "catalogue.gpkg"
    geopackage.write(path, fold(increments, 24.0), newest_scans(increments))
    return path


def test_the_geopackage_has_the_same_bytes_twice(tmp_path):
    increments = [held(event(), event(lon=33.0)), held(event(), seq=2)]
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        path = catalogue_of(tmp_path / name, *increments)
        catalogue_of(tmp_path / name, *increments)  # written over itself
        assert list((tmp_path / name).iterdir()) == [path]
    assert (tmp_path / "one/catalogue.gpkg").read_bytes() == (tmp_path / "two/catalogue.gpkg").read_bytes()


@pytest.mark.parametrize("rows", [(), (event(), event(lon=179.99, lat=-17.0))], ids=["empty", "two events"])
def test_gdal_and_sqlite_open_the_geopackage(tmp_path, rows):
    rows = [row | {"geometry": split_at_antimeridian(row["geometry"])} for row in rows]
    path = catalogue_of(tmp_path, held(*rows))
    layers = dict(pyogrio.list_layers(path))
    assert layers == {"events": "MultiPolygon", "retracted": "MultiPolygon", "scans": None}
    for layer, count in (("events", len(rows)), ("retracted", 0)):
        info = pyogrio.read_info(path, layer=layer)
        assert list(info["fields"]) == [column.name for column in CATALOGUE_COLUMNS]
        assert (info["crs"], info["features"]) == ("EPSG:4326", count)
    assert list(pyogrio.read_info(path, layer="scans")["fields"]) == list(SCAN_KEYS)

    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA journal_mode").fetchall() == [("delete",)]
        assert connection.execute("PRAGMA user_version").fetchall() == [(10300,)]
    connection.close()


@pytest.mark.skipif(shutil.which("ogrinfo") is None, reason="GDAL's ogrinfo is not installed")
def test_ogrinfo_has_no_complaint(tmp_path):
    path = catalogue_of(tmp_path, held(event()))
    done = subprocess.run(["ogrinfo", "-al", "-so", path], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "Layer name: retracted" in done.stdout


def test_the_types_survive_the_geopackage(tmp_path):
    found = held(event(ongoing=True, slip_mm=np.nan), event(lon=179.99, lat=-17.0))
    events, retracted, scans = geopackage.read(catalogue_of(tmp_path, found, held(event(), seq=2)))
    assert list(events["event_id"]) == ["AAAA-2019-001"]
    assert list(retracted["event_id"]) == ["AAAA-2019-002"]
    assert events["ongoing"].dtype == bool
    assert events["gnss_stations"].dtype.kind == "i"
    assert np.isnan(events["slip_mm"][0])
    assert events["mw"][0] == 5.0
    halves = MultiPolygon([box(179.94, -17.05, 180, -16.95), box(-180, -17.05, -179.96, -16.95)])
    assert retracted.geometry[0].symmetric_difference(halves).area < 1e-9
    assert list(scans["track"]) == ["087A"]
    assert scans["threshold"][0] == 5.5


def test_a_catalogue_of_no_increment_is_empty_and_a_missing_directory_is_an_error(tmp_path):
    results = tmp_path / "results"
    results.mkdir()
    stage.write_catalogue(results, results / "catalogue.gpkg", CatalogueSettings())
    assert [len(layer) for layer in geopackage.read(results / "catalogue.gpkg")] == [0, 0, 0]
    with pytest.raises(SlipscanError, match="no results directory"):
        stage.write_catalogue(tmp_path / "nowhere", tmp_path / "catalogue.gpkg", CatalogueSettings())


def test_reading_what_is_no_catalogue(tmp_path):
    with pytest.raises(SlipscanError, match="there is no catalogue"):
        geopackage.read(tmp_path / "catalogue.gpkg")
    (tmp_path / "catalogue.gpkg").write_text("not a database")
    with pytest.raises(SlipscanError, match="is no catalogue"):
        geopackage.read(tmp_path / "catalogue.gpkg")


def test_the_catalogue_of_two_regions_on_disk(tmp_path):
    for region in ("AAAA", "BBBB"):
        source = write_source(tmp_path / region, event(region), scans=[scan(region)])
        stage.write_increment(*source, tmp_path / region / "increments", tmp_path / region / "increment.json")
        (tmp_path / region / "increments" / ".host-1.new.partial-1").write_text("half a file")
    stage.write_catalogue(tmp_path, tmp_path / "catalogue.gpkg", CatalogueSettings())
    events, _, scans = geopackage.read(tmp_path / "catalogue.gpkg")
    assert list(events["event_id"]) == ["AAAA-2019-001", "BBBB-2019-001"]
    assert list(scans["region"]) == ["AAAA", "BBBB"]
