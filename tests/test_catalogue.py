"""Footprints, and the GeoPackage across the real GDAL and SQLite."""

import shutil
import sqlite3
import subprocess
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.affinity import translate
from shapely.geometry import MultiPolygon, Polygon, box

from event_builders import event, scan, table
from increment_builders import NO_GNSS, folded, held, write_source
from slipscan.catalogue import checks, geopackage, grades, stage
from slipscan.catalogue.append import append, with_verdicts
from slipscan.catalogue.footprint import split_at_antimeridian
from slipscan.catalogue.schema import EVENTS, LAYERS
from slipscan.errors import SlipscanError
from slipscan.events import WITHOUT_GNSS
from slipscan.settings import CatalogueSettings


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


def catalogue_of(tmp_path, *increments):
    path = tmp_path / "catalogue.gpkg"
    geopackage.write(path, folded(*increments))
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
    assert set(layers) == {layer.name for layer in LAYERS}
    for layer in LAYERS:
        info = pyogrio.read_info(path, layer=layer.name)
        assert list(info["fields"]) == layer.names
        assert info["crs"] == ("EPSG:4326" if layer.geometry else None)
    assert pyogrio.read_info(path, layer="events")["features"] == len(rows)

    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA journal_mode").fetchall() == [("delete",)]
        assert connection.execute("PRAGMA user_version").fetchall() == [(10300,)]
    connection.close()


VALIDATOR = Path("/usr/lib/python3/dist-packages/osgeo_utils/samples/validate_gpkg.py")
VOLUME = {"type": "volumetric", "volume_change_m3": 1e6}
FAULT = {"strike_deg": 261.5, "dip_deg": 85.0, "rake_deg": 180.0, "length_km": 10.0, "width_km": 4.0, "slip_mm": 20.0}


@pytest.mark.skipif(not VALIDATOR.is_file(), reason="Debian's python3-gdal is not installed")
@pytest.mark.parametrize("rows", [(), (event(**FAULT), event(lon=33, **VOLUME))], ids=["empty", "two events"])
def test_gdals_own_validator_has_no_complaint(tmp_path, rows):
    path = catalogue_of(tmp_path, held(*rows))
    command = ["/usr/bin/python3", VALIDATOR, "--extra", "--warning-as-error", path]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_geopandas_opens_every_layer_without_a_warning(tmp_path):
    path = catalogue_of(tmp_path, held(event(**FAULT), event(lon=33, **VOLUME)))
    for layer in LAYERS:  # warnings are errors
        gpd.read_file(path, layer=layer.name)
    kinds = gpd.read_file(path, layer="sources").geometry.geom_type
    assert list(kinds) == ["Polygon", "Point"]


def test_a_fault_is_drawn_where_it_lies(tmp_path):
    """Strike north, 10 km long, dipping 60 degrees to the east over 4 km: 2 km across on the map."""
    row = event(strike_deg=0.0, dip_deg=60.0, rake_deg=90.0, length_km=10.0, width_km=4.0, slip_mm=20.0, depth_km=5.0)
    (source,) = folded(held(row)).layers["sources"].to_dict("records")
    west, south, east, north = source["geometry"].bounds
    assert (north - south) * 111.195 == pytest.approx(10.0)
    assert (east - west) * 111.195 * np.cos(np.deg2rad(40)) == pytest.approx(2.0)
    assert ((west + east) / 2, (south + north) / 2) == pytest.approx((32.0, 40.0))
    assert (source["top_km"], source["bottom_km"]) == pytest.approx((5 - 3**0.5, 5 + 3**0.5))


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        ({"mw": 99.0}, "mw"),
        ({"type": "earthquake"}, "type"),
        ({"t50": "1 March"}, "t50"),
        ({"p_value": -0.1}, "p_value"),
        ({"id": None}, "id"),
    ],
)
def test_what_breaks_the_schema_is_not_written(tmp_path, spoil, word):
    catalogue = folded(held(event()))
    for name, value in spoil.items():
        catalogue.events[name] = [value]
    with pytest.raises(SlipscanError, match=f"layer 'events' breaks the catalogue's schema: column '{word}'"):
        geopackage.write(tmp_path / "catalogue.gpkg", catalogue)
    assert list(tmp_path.iterdir()) == []


def test_two_rows_of_one_id_are_not_written():
    one = folded(held(event())).events.drop(columns="geometry")
    twice = checks.conformed(pd.concat([one, one], ignore_index=True), EVENTS)
    with pytest.raises(SlipscanError, match="breaks the catalogue's schema"):
        checks.check(twice, EVENTS)


def test_columns_of_later_stages_are_filled_when_they_come(tmp_path):
    found = with_verdicts(table(event()), NO_GNSS)
    found["p_slow_slip"] = [0.9]
    found["p_real"] = [0.97]
    found.insert(3, "unheard_of", [1.0])
    append(found, [scan()], tmp_path / "AAAA" / "increments")
    stage.write_catalogue(tmp_path, tmp_path / "catalogue.gpkg", CatalogueSettings())
    (row,) = geopackage.read_layers(tmp_path / "catalogue.gpkg", "events")["events"].to_dict("records")
    assert (row["p_slow_slip"], row["p_real"], row["view"]) == (0.9, 0.97, "published")
    assert np.isnan(row["p_volumetric"]) and "unheard_of" not in row


@pytest.mark.parametrize(
    ("row", "grade"),
    [
        ({"p_real": 0.95, "tracks": "087A,094D", "gnss_verdict": "confirmed"}, "A"),
        ({"p_real": 0.95, "tracks": "087A", "gnss_verdict": "confirmed"}, "B"),
        ({"p_real": 0.95, "tracks": "087A,094D", "gnss_verdict": "insensitive"}, "B"),
        ({"p_real": 0.95, "tracks": "087A", "gnss_verdict": "no_coverage"}, "C"),
        ({"p_real": 0.5, "tracks": "087A,094D", "gnss_verdict": "confirmed"}, "C"),
        ({"p_value": 0.005, "tracks": "087A,094D"}, "B"),
        ({"p_real": 0.95, "tracks": "087A,094D", "gnss_verdict": "contradicted"}, "D"),
        ({"p_real": 0.95, "tracks": "087A,094D", "type": "residue"}, "D"),
    ],
)
def test_grades(row, grade):
    whole = {"type": "slow_slip", "p_real": np.nan, "p_value": 0.5, "gnss_verdict": None} | row
    assert list(grades.grade(pd.DataFrame([whole]))[0]) == [grade]


def test_gnss_comparisons_go_with_the_event(tmp_path):
    gnss = pd.DataFrame({
        "event": [1, 1, 0], "station": ["ISM1", "ISM2", ""], "track": ["087A", "087A", ""],
        "longitude": [32.1, 32.2, np.nan], "latitude": [40.1, 40.2, np.nan], "distance_km": [1.0, 2.0, np.nan],
        "gnss_mm": [4.0, np.nan, np.nan], "gnss_verdict": ["confirmed"] * 2 + ["no_coverage"],
        "gnss_stations": [2, 2, 0], "gnss_log_likelihood_ratio": [7.5, 7.5, np.nan],
    })  # fmt: skip
    gnss = gnss.assign(**{name: nothing for name, nothing in WITHOUT_GNSS.items() if name not in gnss})
    source = write_source(tmp_path / "AAAA", event(), event(t50="2019-09-01"), gnss=gnss)
    stage.write_increment(*source, tmp_path / "AAAA" / "increments", tmp_path / "AAAA" / "increment.json")
    # A region without stations beside it.
    nowhere = gnss[gnss["station"] == ""].reset_index(drop=True)
    other = write_source(tmp_path / "BBBB", event(region="BBBB", lon=40.0), scans=[scan("BBBB")], gnss=nowhere)
    stage.write_increment(*other, tmp_path / "BBBB" / "increments", tmp_path / "BBBB" / "increment.json")
    stage.write_catalogue(tmp_path, tmp_path / "catalogue.gpkg", CatalogueSettings())
    layers = geopackage.read_layers(tmp_path / "catalogue.gpkg", "gnss_stations", "gnss_checks")
    checked = layers["gnss_checks"]
    assert list(checked["event_id"]) == ["SSE-20190901-AAAA-a"] * 2
    assert list(checked["station"]) == ["ISM1", "ISM2"]
    assert checked["gnss_mm"][0] == 4.0 and np.isnan(checked["gnss_mm"][1])
    assert list(layers["gnss_stations"]["events"]) == [1, 1]


@pytest.mark.skipif(shutil.which("ogrinfo") is None, reason="GDAL's ogrinfo is not installed")
def test_ogrinfo_has_no_complaint(tmp_path):
    path = catalogue_of(tmp_path, held(event()))
    done = subprocess.run(["ogrinfo", "-al", "-so", path], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "Layer name: observations" in done.stdout


def test_the_types_survive_the_geopackage(tmp_path):
    found = held(event(ongoing=True, slip_mm=np.nan), event(lon=179.99, lat=-17.0))
    events, retracted, scans = geopackage.read(catalogue_of(tmp_path, found, held(event(), seq=2)))
    assert list(events["event_id"]) == ["SSE-20190301-AAAA-a"]
    assert list(retracted["event_id"]) == ["SSE-20190301-AAAA-b"]
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
    for region, lat in (("AAAA", 40.0), ("BBBB", 50.0)):
        source = write_source(tmp_path / region, event(region, lat=lat), scans=[scan(region)])
        stage.write_increment(*source, tmp_path / region / "increments", tmp_path / region / "increment.json")
        (tmp_path / region / "increments" / ".host-1.new.partial-1").write_text("half a file")
    stage.write_catalogue(tmp_path, tmp_path / "catalogue.gpkg", CatalogueSettings())
    events, _, scans = geopackage.read(tmp_path / "catalogue.gpkg")
    assert list(events["event_id"]) == ["SSE-20190301-AAAA-a", "SSE-20190301-BBBB-a"]
    assert list(scans["region"]) == ["AAAA", "BBBB"]
