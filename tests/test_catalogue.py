"""Footprints, and the GeoPackage across the real GDAL and SQLite."""

import shutil
import sqlite3
import subprocess

import numpy as np
import pyogrio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.affinity import translate
from shapely.geometry import MultiPolygon, Polygon, box

from event_builders import event, scan
from increment_builders import held, write_source
from slipscan.catalogue import geopackage, stage
from slipscan.catalogue.fold import fold, newest_scans
from slipscan.catalogue.footprint import split_at_antimeridian
from slipscan.errors import SlipscanError
from slipscan.events import CATALOGUE_COLUMNS, SCAN_KEYS
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
