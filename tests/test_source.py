"""Sources: known slip and volume changes recovered from their maps, tracks joined, files that follow the contract."""

import logging
import shutil

import numpy as np
import pytest
import shapely
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod
from shapely.geometry import MultiPolygon, box

from slipscan import vocabulary
from slipscan.earthquakes import moment_magnitude
from slipscan.errors import SlipscanError
from slipscan.events import SOURCE_COLUMNS, read_events
from slipscan.geometry import Grid, from_lonlat, utm_crs
from slipscan.settings import SourceSettings
from slipscan.source import stage
from slipscan.source.join import TrackTransient, footprint_polygons, join, linked_in_time
from slipscan.source.maps import open_track
from slipscan.source.residual import residual_map
from slipscan.source.sources import Fault, Sheet, VolumeSource, displacement, local_crs, predict
from slipscan.store import open_zarr, write_zarr
from transient_builders import CENTRE, transients

RIGHT_LATERAL = Fault(1e3, -2e3, 2.5e3, 261.5, 85.0, 10e3, 4e3, -0.03, 0.0)
THRUST = Fault(0.0, 1e3, 12e3, 300.0, 30.0, 20e3, 12e3, 0.0, 0.15)
CHAMBER = VolumeSource(2e3, 3e3, 4e3, -2e6)
DATES = [("2018-12-01", "2018-12-31")]
SMALL = {"max_points": 90, "particles": 80, "searched": 512}
"""A tenth of the default's work."""
FEW = {"max_points": 50, "particles": 50, "searched": 64}
"""Where only the table counts, not what is in it."""


def both_tracks(tmp_path, source, **options):
    """The stores of an ascending and a descending track that saw one source; the second a few days later."""
    later = [("2018-12-08", "2019-01-07")]
    return [
        transients(tmp_path / "a.zarr", "087A", [source], DATES, seed=1, **options),
        transients(tmp_path / "d.zarr", "065D", [source], later, orbit="descending", seed=2, statistic=20.0, **options),
    ]


@pytest.fixture(scope="module")
def thrust(tmp_path_factory):
    """Stores of two tracks; the region's strike is not the fault's: it is a start, not a bound."""
    return both_tracks(tmp_path_factory.mktemp("thrust"), THRUST, fault_strike_deg=261.5)


def explained(paths, tmp_path, **options):
    stage.write_event_table(paths, tmp_path / "events.parquet", SourceSettings(**SMALL | options))
    return read_events(tmp_path / "events.parquet")


def kilometres_apart(event, source):
    lon, lat = (event["longitude"], event["latitude"])
    east, north = (float(v) for v in from_lonlat(np.array(lon), np.array(lat), local_crs(*CENTRE)))
    return np.hypot(east - source.east, north - source.north) / 1e3


def reversed_slip(fault):
    return Fault(
        *[getattr(fault, n) for n in list(Fault.__dataclass_fields__)[:7]], -fault.strike_slip, -fault.dip_slip
    )


@pytest.mark.parametrize(
    ("fault", "rake", "attrs"),
    [
        (RIGHT_LATERAL, 180.0, {"fault_strike_deg": 261.5}),
        (reversed_slip(RIGHT_LATERAL), 0.0, {}),
        (reversed_slip(THRUST), -90.0, {}),
        (THRUST, 90.0, None),
    ],
)
def test_slip_is_recovered_with_its_sense(tmp_path, thrust, fault, rake, attrs):
    paths = thrust if attrs is None else both_tracks(tmp_path, fault, **attrs)
    table, _ = explained(paths, tmp_path, max_points=180, particles=160)
    assert len(table) == 1
    event = table.iloc[0]
    assert event["type"] == "slow_slip"
    # Of few points and particles the posterior is wide, and the truth is in it.
    assert event["mw_50"] == pytest.approx(moment_magnitude(fault.potency_m3), abs=0.35)
    assert event["mw_16"] < event["mw_50"] < event["mw_84"]
    assert event["depth_km_50"] == pytest.approx(fault.depth / 1e3, rel=0.6)
    assert kilometres_apart(event, fault) < 4
    assert np.cos(np.deg2rad(event["rake_deg"] - rake)) > np.cos(np.deg2rad(35))
    assert abs(np.sin(np.deg2rad(event["strike_deg"] - fault.strike_deg))) < np.sin(np.deg2rad(20))
    assert event["variance_explained"] > 0.7
    assert 0.6 < event["reduced_chi2"] < 1.5
    assert event["p_slow_slip"] > 0.8
    assert event["track_verdicts"] == "065D:confirmed,087A:confirmed"
    assert event["mw"] == pytest.approx(moment_magnitude(event["potency_m3"]))
    area = 1e6 * event["length_km"] * event["width_km"]
    assert event["potency_m3"] == pytest.approx(1e-3 * event["slip_mm"] * area)


def test_residual_map_holds_the_noise_alone(tmp_path, thrust):
    table, _ = explained(thrust, tmp_path)
    tracks = [open_track(path, number) for number, path in enumerate(thrust)]
    left = residual_map(tracks[0], list(tracks[0].transients), table.iloc[0], SourceSettings(**SMALL))
    change = tracks[0].total([0])[0]
    assert np.nanstd(change - np.nanmedian(change)) > 5e-3
    assert np.nanstd(left) < 2.5e-3  # noise of 1 mm, and what a rectangle that is a little off leaves


def test_volume_change_is_told_from_slip(tmp_path):
    table, _ = explained(both_tracks(tmp_path, CHAMBER), tmp_path)
    event = table.iloc[0]
    assert event["type"] == "volumetric"
    assert event["volume_change_m3_50"] == pytest.approx(CHAMBER.volume_change, rel=0.25)
    assert event["depth_km_50"] == pytest.approx(4.0, abs=0.8)
    assert kilometres_apart(event, CHAMBER) < 0.7
    assert event["source_model"] in ("mogi", "sill")
    assert np.isnan(event[["mw", "slip_mm", "rake_deg", "potency_m3"]].astype(float)).all()


def test_noise_is_a_residue(tmp_path):
    faint = Fault(1e3, -2e3, 2.5e3, 261.5, 85.0, 10e3, 4e3, -0.001, 0.0)
    table, _ = explained(both_tracks(tmp_path, faint, noise_m=3e-3), tmp_path)
    event = table.iloc[0]
    assert event["type"] == "residue"
    assert event["p_residue"] > 0.5
    assert event["source_model"] == "none"
    assert np.isnan(event[["mw", "depth_km", "slip_mm", "volume_change_m3"]].astype(float)).all()
    assert shapely.distance(shapely.Point(event["longitude"], event["latitude"]), event["geometry"]) < 0.05


def test_without_line_of_sight_no_source_is_fitted_and_said(tmp_path, caplog):
    path = transients(tmp_path / "a.zarr", "087A", [RIGHT_LATERAL], DATES, with_los=False)
    with caplog.at_level(logging.WARNING):
        table, _ = explained([path], tmp_path)
    assert table["type"][0] == "residue"
    assert np.isnan(table["variance_explained"][0])
    assert "no track has a line of sight" in caplog.text


def test_row_takes_times_from_the_strongest_track_and_the_table_follows_the_contract(tmp_path, thrust):
    table, scans = explained(thrust, tmp_path, **FEW)
    event = table.iloc[0]
    assert list(table.columns) == [c.name for c in SOURCE_COLUMNS] + ["geometry"]
    assert (event["tracks"], event["region"]) == ("065D,087A", "ISMT")
    assert (event["t05"], event["t50"], event["t95"]) == ("2018-12-01", "2018-12-16", "2018-12-31")
    assert event["duration_d"] == 30.0
    assert (event["statistic"], event["p_value"]) == (30.0, pytest.approx(1e-2 / 30))
    assert not event["ongoing"]
    assert [scan["track"] for scan in scans] == ["087A", "065D"]
    stores = [open_zarr(path) for path in thrust]
    peaks = [store["map"].where(store["footprint"] == 1) for store in stores]
    assert event["peak_positive_mm"] == pytest.approx(1e3 * max(float(p.max()) for p in peaks))
    assert event["peak_negative_mm"] == pytest.approx(1e3 * min(0.0, *(float(p.min()) for p in peaks)))
    assert isinstance(event["geometry"], MultiPolygon)


def test_two_events_stay_two(tmp_path):
    far = Fault(-18e3, 17e3, 2e3, 261.5, 85.0, 4e3, 3e3, -0.05, 0.0)
    near = Fault(18e3, -17e3, 2e3, 261.5, 85.0, 4e3, 3e3, -0.05, 0.0)
    dates = [DATES[0], ("2019-06-01", "2019-06-30")]
    paths = [
        transients(tmp_path / "a.zarr", "087A", [near, far], dates),
        transients(tmp_path / "d.zarr", "065D", [far], [dates[1]], orbit="descending"),
    ]
    table, _ = explained(paths, tmp_path, **FEW)
    assert table["tracks"].tolist() == ["087A", "065D,087A"]
    assert table["t50"].is_monotonic_increasing
    # Without its noise product nobody knows what the track that has no transient of it would have seen.
    assert "065D:no_data" in table["track_verdicts"][0]


def test_no_transient_is_an_empty_table_with_its_scans(tmp_path):
    paths = [transients(tmp_path / f"{t}.zarr", t, [], []) for t in ("087A", "065D")]
    table, scans = explained(paths, tmp_path)
    assert len(table) == 0
    assert list(table.columns) == [c.name for c in SOURCE_COLUMNS] + ["geometry"]
    assert [scan["track"] for scan in scans] == ["087A", "065D"]


def test_equal_input_gives_equal_bytes(tmp_path, thrust):
    for name in ("one", "two"):
        stage.write_event_table(thrust, tmp_path / f"{name}.parquet", SourceSettings(**SMALL | FEW))
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()


def rewritten(path, change):
    dataset = open_zarr(path).load()
    write_zarr(change(dataset), path)


def test_bad_input_is_said_in_a_sentence(tmp_path, thrust):
    first, second = (shutil.copytree(path, tmp_path / path.name) for path in thrust)
    out = tmp_path / "out.parquet"
    with pytest.raises(SlipscanError, match="same track"):
        stage.write_event_table([first, first], out, SourceSettings())
    with pytest.raises(SlipscanError, match="no transients store"):
        stage.write_event_table([], out, SourceSettings())
    with pytest.raises(SlipscanError, match="no Zarr store"):
        stage.write_event_table([tmp_path / "nowhere.zarr"], out, SourceSettings())
    rewritten(second, lambda d: d.assign_attrs(region="ELSE"))
    with pytest.raises(SlipscanError, match="several regions"):
        stage.write_event_table([first, second], out, SourceSettings())
    rewritten(first, lambda d: d.assign(footprint=(d["footprint"] * 0).assign_attrs(d["footprint"].attrs)))
    with pytest.raises(SlipscanError, match="empty footprint"):
        stage.write_event_table([first], out, SourceSettings())
    rewritten(second, lambda d: d.drop_vars("t50"))
    with pytest.raises(SlipscanError, match=r"t50\(transient\)"):
        stage.write_event_table([second], out, SourceSettings())
    assert not out.exists()


def test_footprint_outlines_hold_exactly_their_pixels():
    crs = utm_crs(*CENTRE)
    x0, y0 = (float(v) for v in from_lonlat(*map(np.array, CENTRE), crs))
    grid = Grid(x0 + 500.0 * np.arange(6), y0 - 500.0 * np.arange(5), crs)
    mask = np.zeros(grid.shape, "int8")
    mask[1, 1] = mask[1, 2] = mask[4, 5] = 1
    outline = footprint_polygons(mask, grid)
    assert isinstance(outline, MultiPolygon)
    assert len(outline.geoms) == 2
    lon, lat = grid.lonlat()
    inside = shapely.contains_xy(outline, lon, lat)
    assert (inside == (mask == 1)).all()
    area = sum(abs(Geod(ellps="WGS84").geometry_area_perimeter(part)[0]) for part in outline.geoms)
    assert area == pytest.approx(3 * 500.0**2, rel=2e-3)
    assert footprint_polygons(np.eye(1, dtype="int8"), Grid(grid.x[:1], grid.y[:1], crs)).geom_type == "MultiPolygon"


def record(track, number, day, lon=32.6, duration_d=20, statistic=10.0):
    t05 = np.datetime64("2019-01-01", "ns") + np.timedelta64(int(day), "D")
    half = np.timedelta64(duration_d * 12, "h")
    footprint = MultiPolygon([box(lon, 40.8, lon + 0.02, 40.82)])
    return TrackTransient(track, number, t05, t05 + half, t05 + 2 * half, statistic, footprint)


def test_tracks_join_near_in_time_and_space_only():
    one = record(0, 0, 0)
    assert len(join([one, record(1, 0, 40)], 24.0)) == 1  # gap 20 d
    assert len(join([one, record(1, 0, 50)], 24.0)) == 2  # gap 30 d
    assert len(join([record(0, 0, 0, duration_d=200), record(1, 0, 275, duration_d=160)], 24.0)) == 1  # 75 < 160/2
    assert len(join([record(0, 0, 0, duration_d=200), record(1, 0, 285, duration_d=160)], 24.0)) == 2  # 85 > 160/2
    assert len(join([one, record(1, 0, 5, lon=32.6 + 0.25)], 24.0)) == 1  # 19.4 km apart
    assert len(join([one, record(1, 0, 5, lon=32.6 + 0.28)], 24.0)) == 2  # 21.9 km apart
    assert len(join([one, record(0, 1, 5)], 24.0)) == 2  # one track: detect told them apart
    assert len(join([one, record(1, 0, 25), record(0, 1, 50)], 24.0)) == 1  # linked through the other track
    assert join([], 24.0) == []


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 300), st.floats(32, 33.5)), min_size=1, max_size=7),
    st.randoms(use_true_random=False),
)
def test_joining_does_not_depend_on_the_order(members, shuffle):
    records = [record(track, i, day, lon) for i, (track, day, lon) in enumerate(members)]
    groups = {frozenset(m.number for m in group) for group in join(records, 24.0)}
    shuffle.shuffle(records)
    assert {frozenset(m.number for m in group) for group in join(records, 24.0)} == groups
    assert sorted(number for group in groups for number in group) == list(range(len(members)))


def test_the_gap_that_links():
    day = [np.datetime64("2019-01-01", "ns") + np.timedelta64(d, "D") for d in range(200)]
    assert linked_in_time((day[0], day[10]), (day[33], day[40]), 24.0)
    assert not linked_in_time((day[0], day[10]), (day[34], day[40]), 24.0)
    assert linked_in_time((day[100], day[199]), (day[0], day[70]), 24.0)  # 30 d < half of 70 d


def test_magnitude_by_hand():
    # 10 km x 5 km x 20 cm = 1e7 m3, M0 = 3e17 N m, (17.4771 - 9.05) / 1.5
    assert moment_magnitude(1e7) == pytest.approx(5.6181, abs=1e-4)


def test_event_row_predicts_what_its_source_does():
    row = {
        "longitude": 32.61, "latitude": 40.85, "depth_km": 12.0, "strike_deg": 300.0, "dip_deg": 30.0,
        "rake_deg": 90.0, "length_km": 20.0, "width_km": 12.0, "slip_mm": 150.0, "volume_change_m3": np.nan,
    }  # fmt: skip
    lon, lat = np.array([32.61, 32.8]), np.array([40.85, 40.7])
    east, north = from_lonlat(lon, lat, local_crs(32.61, 40.85))
    here = Fault(0.0, 0.0, 12e3, 300.0, 30.0, 20e3, 12e3, 0.0, 0.15)
    np.testing.assert_allclose(predict(row, lon, lat), displacement(here, east, north), atol=1e-12)
    assert predict(row, lon, lat)[0, 2] > 0  # thrust lifts the ground above it
    assert predict({**row, "slip_mm": np.nan}, lon, lat) is None
    sill = {**row, "slip_mm": np.nan, "volume_change_m3": 1e6, "dip_deg": 0.0, "source_model": "sill"}
    here = Sheet("sill", 0.0, 0.0, 12e3, 300.0, 0.0, 20e3, 12e3, 1e6)
    np.testing.assert_allclose(predict(sill, lon, lat), displacement(here, east, north), atol=1e-12)
    chamber = {**row, "slip_mm": np.nan, "volume_change_m3": 1e6}
    assert predict(chamber, lon, lat)[0, 2] == pytest.approx(0.75 / np.pi * 1e6 / 12e3**2)


def test_builder_follows_the_contract(tmp_path):
    dataset = open_zarr(transients(tmp_path / "a.zarr", "087A", [THRUST], DATES))
    assert isinstance(dataset, xr.Dataset)
    vocabulary.check(dataset, "transients")
