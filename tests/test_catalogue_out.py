"""What comes out of a catalogue: what changed, what is asked for, and files for other tools."""

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from typer.testing import CliRunner

from event_builders import event, scan
from increment_builders import folded, held
from slipscan.catalogue import diff, geopackage
from slipscan.catalogue.export import SED_COLUMNS, export
from slipscan.catalogue.query import Question, select
from slipscan.catalogue.schema import EVENTS
from slipscan.cli import app
from slipscan.errors import SlipscanError

FAULT = {"strike_deg": 261.5, "dip_deg": 85.0, "rake_deg": 180.0, "length_km": 10.0, "width_km": 4.0, "slip_mm": 20.0}
VOLUME = {"type": "volumetric", "volume_change_m3": 1e6, "mw": np.nan}
FIRST = held(event(mw=5.0, **FAULT), event(lon=33.0), event(lon=34.0, t50="2019-06-01", ongoing=True))
SECOND = held(
    event(mw=5.25, **FAULT), event(lon=34.0, t50="2019-06-11", duration_d=40.0, ongoing=True),
    event(lon=35.0, t50="2019-09-01", **VOLUME) | {"duration_d": np.nan}, seq=2, scans=[scan(until="2020-06-01")],
)  # fmt: skip


@pytest.fixture(scope="module")
def catalogues(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Before and after a second scan: one event revised, one retracted, one grown, one new."""
    directory = tmp_path_factory.mktemp("catalogues")
    geopackage.write(directory / "old.gpkg", folded(FIRST))
    geopackage.write(directory / "new.gpkg", folded(FIRST, SECOND))
    return directory / "old.gpkg", directory / "new.gpkg"


@pytest.fixture(scope="module")
def events(catalogues: tuple[Path, Path]) -> gpd.GeoDataFrame:
    return geopackage.read_layers(catalogues[1], "events")["events"]


def run(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_a_diff_tells_what_changed_in_words_and_as_a_table(catalogues: tuple[Path, Path], tmp_path: Path) -> None:
    said = run("catalogue", "diff", *catalogues, "--table", tmp_path / "changes.csv").splitlines()
    assert said[0] == "1 new, 1 revised, 1 grown, 1 retracted"
    lines = {line.split()[0]: line for line in said[2:]}
    assert lines["SSE-20190301-AAAA-a"] == "SSE-20190301-AAAA-a  revised: mw 5 -> 5.25"
    assert lines["SSE-20190301-AAAA-b"] == "SSE-20190301-AAAA-b  retracted: status active -> retracted"
    assert "grown: " in lines["SSE-20190601-AAAA-a"] and "t95 2019-06-11 -> 2019-07-01" in lines["SSE-20190601-AAAA-a"]
    assert lines["SSE-20190901-AAAA-a"].startswith("SSE-20190901-AAAA-a  new: volumetric, 2019-08-22 to 2019-09-11")
    table = pd.read_csv(tmp_path / "changes.csv", keep_default_na=False)
    assert list(table.columns) == list(diff.COLUMNS)
    assert ["SSE-20190301-AAAA-a", "revised", "mw", "5", "5.25"] in table.to_numpy().tolist()
    assert run("catalogue", "diff", catalogues[1], catalogues[1]) == "nothing changed\n"
    back = diff.diff(*reversed(catalogues)).drop_duplicates("id").set_index("id")["change"]
    assert (back["SSE-20190901-AAAA-a"], back["SSE-20190301-AAAA-b"]) == ("lost", "restored")


@pytest.mark.parametrize(
    ("asked", "longitudes"),
    [
        (Question(), [32, 34, 35]),
        (Question(box=(31.9, 39.0, 33.5, 41.0)), [32]),
        (Question(box=(34.5, 39.0, -170.0, 41.0)), [35]),
        (Question(since="2019-04-01"), [34, 35]),
        (Question(until="2019-03-01"), [32]),
        (Question(min_mw=5.1), [32]),
        (Question(types=("volumetric",)), [35]),
        (Question(statuses=("retracted",)), [33]),
        (Question(region="BBBB"), []),
        (Question(view="published"), []),
    ],
    ids=["all", "box", "box across 180", "from", "to", "magnitude", "type", "status", "region", "view"],
)
def test_events_are_chosen(events: gpd.GeoDataFrame, asked: Question, longitudes: list[int]) -> None:
    assert list(select(events, asked)["longitude"]) == longitudes


def test_a_query_prints_a_table_and_a_wrong_type_is_a_sentence(
    catalogues: tuple[Path, Path], events: gpd.GeoDataFrame
) -> None:
    said = run("catalogue", "query", catalogues[1], "--bbox", 31.9, 39, 34.5, 41, "--from", "2019-01-01", "--min-mw", 5,
               "--type", "slow_slip").splitlines()  # fmt: skip
    assert said[0].split()[:4] == ["id", "type", "from", "to"]
    assert [line.split()[0] for line in said[1:]] == ["SSE-20190301-AAAA-a", "SSE-20190601-AAAA-a"]
    assert " 40+ " in said[2], "an ongoing one lasts longer"
    with pytest.raises(SlipscanError, match="no type 'slow'"):
        select(events, Question(types=("slow",)))
    with pytest.raises(SlipscanError, match="the box"):
        select(events, Question(box=(0, 50, 1, 40)))


@pytest.mark.parametrize("kind", ["geoparquet", "geojson", "csv", "kml", "sed"])
def test_exports_come_back(catalogues: tuple[Path, Path], events: gpd.GeoDataFrame, tmp_path: Path, kind: str) -> None:
    ends = {"geoparquet": "parquet", "geojson": "geojson", "csv": "csv", "kml": "kml", "sed": "csv"}
    out = tmp_path / f"events.{ends[kind]}"
    run("catalogue", "export", kind, catalogues[1], out)
    first = out.read_bytes()
    run("catalogue", "export", kind, catalogues[1], out)  # over itself
    assert out.read_bytes() == first and list(tmp_path.iterdir()) == [out]
    active = events[events["status"] == "active"].sort_values("t50")
    if kind == "geoparquet":
        back = gpd.read_parquet(out)
        assert list(back.columns) == [*EVENTS.names, "geometry"] and back.crs == "EPSG:4326"
        assert list(back["mw"].fillna(0)) == list(active["mw"].fillna(0))
    elif kind == "geojson":
        back = gpd.read_file(out)
        assert list(back["id"]) == list(active["id"])
        assert shapely.area(back.geometry.to_numpy()) == pytest.approx(
            shapely.area(active.geometry.to_numpy()), rel=1e-3
        )
    elif kind == "kml":
        back = pyogrio.read_dataframe(out)
        assert list(back["Name"]) == list(active["id"])
        assert "mw: 5.25" in out.read_text()
    else:
        back = pd.read_csv(out)
        assert list(back.columns) == (list(SED_COLUMNS) if kind == "sed" else [*EVENTS.names, "footprint_wkt"])
        assert len(back) == (2 if kind == "sed" else 3), "a volume is no slow earthquake of that database"


def test_stac_items_have_times_a_footprint_and_the_insar_extension(events: gpd.GeoDataFrame, tmp_path: Path) -> None:
    pystac = pytest.importorskip("pystac")
    stac_validator = pytest.importorskip("pystac.validation.stac_validator")
    assert export(events, "stac", tmp_path / "stac") == len(events)
    collection = pystac.Collection.from_file(str(tmp_path / "stac/collection.json"))
    items = {item.id: item for item in collection.get_items()}
    assert sorted(items) == sorted(events["id"])
    item = items["SSE-20190301-AAAA-a"]
    assert any("/insar/v1.0.0/" in name for name in item.stac_extensions)
    assert item.properties["insar:temporal_baseline"] == 20.0
    assert item.properties["start_datetime"] == "2019-02-19T00:00:00Z" and item.datetime is None
    assert item.properties["slipscan:mw"] == 5.25
    assert item.bbox == pytest.approx([31.95, 39.95, 32.05, 40.05])
    assert "insar:temporal_baseline" not in items["SSE-20190901-AAAA-a"].properties, "it has no duration"
    # By the schemas that pystac brings along; those of extensions it would fetch.
    validator = stac_validator.JsonSchemaSTACValidator()
    for one in (collection, *items.values()):
        validator.validate_core(one.to_dict(), one.STAC_OBJECT_TYPE, pystac.get_stac_version())
    with pytest.raises(SlipscanError, match="exists"):
        export(events, "stac", tmp_path / "stac")


@pytest.mark.parametrize("kind", ["geoparquet", "geojson", "csv", "kml", "sed"])
def test_an_export_replaces_nothing_else(events: gpd.GeoDataFrame, tmp_path: Path, kind: str) -> None:
    mine = tmp_path / "mine"
    mine.write_text(json.dumps({"type": "FeatureCollection", "features": []}))
    before = mine.read_bytes()
    with pytest.raises(SlipscanError, match="mine"):
        export(events, kind, mine)
    assert mine.read_bytes() == before


def test_without_a_command_it_folds(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    run("catalogue", tmp_path / "results", tmp_path / "c.gpkg", "--pointer", tmp_path / "c.json")
    assert json.loads((tmp_path / "c.json").read_text())["catalogue"] == "c.gpkg"
